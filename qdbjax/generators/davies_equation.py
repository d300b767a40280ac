"""Davies generator: weak coupling to thermal baths, exactly covariant and thermal bath by bath."""

from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, ArrayLike, Matrix, Rates, StatusCode, as_scalar, is_traced
from qdbjax.baths import AbstractBath, LocalTemperature, lamb_matrix, map_stacked, value_and_slope_at_level
from qdbjax.compilation.eager import eval_at_trace_time
from qdbjax.generators.bath_jumps import AbstractBathJumps, bath_operators, commutator_with_mixing
from qdbjax.generators.generator import Generator, assemble
from qdbjax.generators.inputs import checked_baths, divergent_entries, refuse_divergent_noise, refuse_infinite_scale
from qdbjax.generators.jumps import Channels
from qdbjax.numerics.entries import stack
from qdbjax.numerics.matrix import LayoutMatrix, batched_matmul, dagger, every, squared
from qdbjax.systems import Spectrum, System, as_system, diagonalize


def davies(
    system: System | ArrayLike,
    baths: AbstractBath | Sequence[AbstractBath],
    *,
    lamb_shift: bool = False,
    window: ArrayLike | None = None,
) -> Generator:
    """Davies generator of a system weakly coupled to any number of thermal baths.

    L(ρ) = -i[H + H_LS, ρ] + Σ_bath Σ_ω Σ_ab γ_ab(ω) [S_b(ω) ρ S_a(ω)† - ½{S_a(ω)†S_b(ω), ρ}],
    S(ω) = Σ_{E_m - E_n = ω} Π_n S Π_m (lowers the energy by ω), γ from each bath's `noise`.

    Levels and Bohr frequencies that agree to 1e-8 of the width of the spectrum count as equal: equal gaps keep their
    cross terms and degenerate levels their whole ω = 0 block. Inside a cluster γ is taken at the mean of the two
    frequencies, so that Gibbs stays stationary to the square of their difference.

    system: a System or a Hamiltonian (d, d), energy units. baths: one or several of dimension d, energy units: `Bath`
    (Hermitian couplings), `Field` and `Lead` (exchange of particles), in any mixture.
    lamb_shift: whether to add H_LS = Σ_ω Σ_ab s_ab(ω) S_a(ω)†S_b(ω), the shift of levels by the baths (`lamb_matrix`;
    no counterterm, so that it grows with the cutoff). It commutes with H: populations and currents of a non-degenerate
    spectrum do not see it; coherences turn faster or slower, and degenerate levels split.
    window: levels and Bohr frequencies within it (energy) count as one, with γ at the mean frequency of the cluster:
    partial secular approximation in the form that stays completely positive (unified master equation). What is then
    stationary for one bath is Gibbs with the levels of a cluster at their mean energy, not Gibbs of H.
    Returns a Generator; `gen.rates[bath, to, from] = Σ_a γ_a(E_from - E_to)|⟨to|S_a|from⟩|²`, inverse time.
    Raises ValueError for no bath, mismatched dimensions, repeated names, a noise spectrum that diverges at ω = 0 where
    a coupling has a zero-frequency part (flagged by solvers when traced), or a bath whose removal operator does not
    lower the system's particle number by one; with lamb_shift, for a density without end (`Flat`, infinite cutoff).
    *Source:* E. B. Davies, Commun. Math. Phys. 39, 91 (1974); A. Trushechkin, Phys. Rev. A 103, 062226 (2021), for the
    window.
    """
    system = as_system(system)
    baths, names = checked_baths(system, baths)
    if lamb_shift:
        refuse_infinite_scale(baths)
    window = None if window is None else eval_at_trace_time(as_scalar)(window, "window", low=0, infinite=True)
    generator = assemble(system, diagonalize(system, window), DaviesJumps(baths, lamb_shift), names)
    if not is_traced(system, baths):
        refuse_divergent_noise(generator.spectrum, baths)
    return generator


def bath_rates(spectrum: Spectrum, bath: AbstractBath, *, entries: bool | None = None) -> Rates:
    """Σ_a γ_a(E_from - E_to) |⟨to|S_a|from⟩|² of one bath, zero diagonal. entries: see `LayoutMatrix.of`."""
    V = LayoutMatrix.of(spectrum.basis, entries=entries)
    size, dtype = V.abs2(), spectrum.energies.dtype
    frequencies = None if spectrum.window is None else spectrum.noise_frequencies
    noises = LayoutMatrix.of_pairs(bath.noise_pairs, spectrum.energies, V, frequencies)
    total = LayoutMatrix.zeros(V, dtype)
    for operator, γ in zip(bath.operators, noises, strict=False):
        S = LayoutMatrix.of(operator, entries=entries)
        weight, bound = (V.H @ (S @ V)).abs2(), size.H @ (S.abs2() @ size)
        if not bath.always_finite:
            γ = γ.entrywise(_zero_uncoupled_noise, weight)
        total = total + γ.entrywise(lambda g, w, b: _without_rounding(g * w, w, b), weight, bound)
    return total.array(dtype)


def correlated_rates(spectrum: Spectrum, bath: AbstractBath) -> Rates:
    """Σ_ab γ_ab(E_from - E_to) ⟨to|S_b|from⟩⟨to|S_a|from⟩* of one bath with correlated couplings, zero diagonal."""
    framed, size = bath_operators(bath, spectrum), squared(jnp.asarray(spectrum.basis))
    operators = jnp.stack([squared(jnp.asarray(operator)) for operator in bath.operators])
    bound = jnp.sum(batched_matmul(size.T, batched_matmul(operators, size)), axis=0)
    noise = bath.noise_matrix(spectrum.noise_frequencies)
    dtype = np.promote_types(noise.dtype, framed.dtype)
    noise, framed = noise.astype(dtype), framed.astype(dtype)
    rates = jnp.real(jnp.einsum("abnl,bnl,anl->nl", noise, framed, framed.conj()))
    rates = _without_rounding(rates, jnp.sum(squared(framed), axis=0), bound)
    return jnp.where(jnp.eye(rates.shape[0], dtype=bool), 0.0, rates)


def _zero_uncoupled_noise(noise: Array, weight: Array) -> Array:
    """γ, and 0 where it is not finite and no coupling meets it: a field at ω = μ that nothing emits into."""
    return jnp.where((weight > 0) | jnp.isfinite(noise), noise, 0.0)


def _without_rounding(rate: Array, weight: Array, bound: Array) -> Array:
    """The rate, or zero where its matrix element is rounding, with its derivative kept.

    A coupling that a symmetry forbids comes out of V†SV as 1e-16 of what was summed, and would link two parts of the
    graph by a rate of 1e-32 that means nothing. `bound` is the sum of squares of the terms: an entry that is small
    without cancellation (a weak link, written down as such) is kept whatever its size.
    """
    eps = float(jnp.finfo(rate.dtype).eps)
    return jnp.where(weight > (4096 * eps) ** 2 * bound, rate, rate - jax.lax.stop_gradient(rate))


class DaviesJumps(AbstractBathJumps):
    """Jump terms of the Davies generator."""

    secular_step: ClassVar[str | None] = "secular"

    baths: tuple[AbstractBath, ...]
    shifted: bool = eqx.field(static=True)

    def _rates(self, spectrum: Spectrum, bath: AbstractBath, entries: bool | None = None) -> Rates:
        return (
            bath_rates(spectrum, bath, entries=entries)
            if bath.correlation is None
            else correlated_rates(spectrum, bath)
        )

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """Flagged where infinite, negative or of negative temperature."""
        rates = stack([self._rates(spectrum, bath) for bath in self.baths])
        unphysical = ~every(lambda x: x >= 0, rates)
        for bath in self.baths:
            if not isinstance(bath.temperature, LocalTemperature):
                unphysical = unphysical | ~(bath.temperature >= 0)
            if not bath.finite_at_zero:
                unphysical = unphysical | jnp.any(divergent_entries(spectrum, bath)[0])
        status = raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)
        return rates, status | raise_flag(unphysical, Status.UNPHYSICAL_BATH)

    def rates(self, spectrum: Spectrum) -> Rates:
        # Read in few cells of a batch only, where a small program counts more than speed.
        return stack(map_stacked(lambda bath: self._rates(spectrum, bath, False), self.baths))

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        return tuple(map_stacked(lambda bath: self._of_bath(bath, spectrum), self.baths))

    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        """½ Σ_a (S_a†Q_a + Q_a†S_a) with Q_a = Σ_b s_ab(ω)∘S_b."""
        if not self.shifted:
            return None
        same = spectrum.same_level
        total = jnp.zeros(same.shape, np.promote_types(spectrum.basis.dtype, jnp.complex64))
        for bath in self.baths:
            framed = bath_operators(bath, spectrum).astype(total.dtype)
            dressed = _dressed(framed, *_shifts(bath, spectrum), spectrum)
            total = total + jnp.sum(batched_matmul(dagger(framed), dressed), axis=0)
        return 0.5 * (total + dagger(total)) * same.astype(total.dtype)

    def _of_bath(self, bath: AbstractBath, spectrum: Spectrum) -> tuple[Channels, Channels]:
        framed = bath_operators(bath, spectrum)
        # Inside a level γ is expanded about ω = 0, where a cutoff such as e^{-|ω|/ω_c} has a kink: rounding decides the
        # sign of ω there, and must not decide the slope.
        same = spectrum.same_level
        frequencies = jnp.where(same, 0.0, spectrum.noise_frequencies)
        uncoupled = jnp.zeros((), bool)
        if not bath.finite_at_zero:
            # A divergent ω = 0 noise meets a coupling without zero-frequency part as 0, not as inf·0.
            uncoupled = divergent_entries(spectrum, bath)[1]
            frequencies = jnp.where(uncoupled, 1.0, frequencies)
        noise, slope = jax.jvp(bath.noise_matrix, (frequencies,), (jnp.ones_like(frequencies),))
        noise, slope = (jnp.where(uncoupled, 0.0, table) for table in (noise, slope))
        if bath.correlation is None:
            weights = squared(framed)[None]
            noise, slope = _zero_uncoupled_noise(noise, weights), _zero_uncoupled_noise(slope, weights)
        if spectrum.window is not None:
            # One γ for a whole cluster, whatever happens inside it: positivity rests on it.
            slope = jnp.zeros_like(slope)
        return framed, _dressed(framed, noise, slope, spectrum)


def _shifts(bath: AbstractBath, spectrum: Spectrum) -> tuple[Array, Array]:
    """s_ab and its slope at the Bohr frequencies, within a window without slope."""
    frequencies, same = spectrum.noise_frequencies, spectrum.same_level
    if spectrum.window is not None:
        shift = lamb_matrix(bath, jnp.where(same, 0.0, frequencies))
        return shift, jnp.zeros_like(shift)
    return value_and_slope_at_level(lambda x: lamb_matrix(bath, x), bath, frequencies, same)


def _dressed(framed: Channels, table: Array, slope: Array, spectrum: Spectrum) -> Channels:
    """Σ_b f_ab(ω)∘S_b for f given at the Bohr frequencies, at ω = 0 inside a level, with its slope.

    f depends on the level matrix, not on its diagonal alone: [S, M] vanishes in value and carries the derivative with
    respect to a Hamiltonian that mixes degenerate levels.
    """
    inside = jnp.where(spectrum.same_level, spectrum.frequencies, 0.0)
    table = table + slope * inside.astype(slope.dtype)[None, None]
    dtype = np.promote_types(table.dtype, framed.dtype)
    table, slope, framed = table.astype(dtype), slope.astype(dtype), framed.astype(dtype)
    # Sums of products, not einsum: XLA would make one tiny dot per pair of spectrum and cell of a batch.
    return jnp.sum(table * framed[None] + slope * commutator_with_mixing(framed, spectrum)[None], axis=1)
