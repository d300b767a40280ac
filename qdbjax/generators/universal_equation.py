"""Universal Lindblad equation: one jump operator per channel, smooth through level crossings, without secular step."""

import math
from collections.abc import Sequence
from typing import ClassVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import is_traced
from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, ArrayLike, BoolMatrix, Matrix, Rates, StatusCode
from qdbjax.baths import AbstractBath, noise_roots, shared_lamb_shift, value_and_slope_at_level
from qdbjax.generators.bath_jumps import AbstractBathJumps, bath_operators, commutator_with_mixing
from qdbjax.generators.generator import Generator, assemble
from qdbjax.generators.inputs import checked_baths, refuse_divergent_shift, refuse_infinite_scale, shift_status
from qdbjax.generators.jumps import Channels
from qdbjax.numerics.entries import stack
from qdbjax.numerics.matrix import every, squared
from qdbjax.systems import Spectrum, System, as_system, diagonalize


def universal_lindblad(
    system: System | ArrayLike, baths: AbstractBath | Sequence[AbstractBath], *, lamb_shift: bool = False
) -> Generator:
    """Universal Lindblad equation of a system weakly coupled to baths; no secular approximation is made.

    L(ρ) = -i[H + H_LS, ρ] + Σ_bath Σ_a (L_a ρ L_a† - ½{L_a†L_a, ρ}),   ⟨n|L_a|m⟩ = √γ_a(E_m - E_n) ⟨n|S_a|m⟩

    with ⟨m|H_LS|n⟩ = Σ_a Σ_l F_a(E_m - E_l, E_n - E_l) ⟨l|S_a|m⟩*⟨l|S_a|n⟩ (`shared_lamb_shift`).

    system: a System, or a Hamiltonian (d, d), energy.
    baths: one or several of dimension d, with independent couplings only.
    lamb_shift: whether to add H_LS (without counterterm: it grows with the cutoff).

    Returns a Generator with `rates[bath, to, from]` = Σ_a |⟨to|L_a|from⟩|², inverse time.

    The whole coupling is in one jump operator: L is completely positive for every H, smooth through level crossings
    and as accurate as Born and Markov allow. Populations and coherences mix; one bath's stationary state is Gibbs up
    to terms of order γ; `steady_state` works as for `lindblad`.
    H_LS does not commute with H: heat currents, Tr[H D_b(ρ)], then add up in a stationary state to i Tr[H [H_LS, ρ]],
    of second order in γ, and not to zero.

    Raises ValueError for no bath, mismatched dimensions, repeated names, or correlated couplings; with lamb_shift, for
    a density whose shift is infinite. Traced unphysical values, and a shift that is not resolved, are flagged.
    *Source:* F. Nathan and M. S. Rudner, Phys. Rev. B 102, 115109 (2020).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.universal_lindblad(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.steady_state(generator).populations.round(4)
    Array([0.7876, 0.2124], dtype=float64)
    """
    system = as_system(system)
    baths, names = checked_baths(system, baths)
    for n, bath in enumerate(baths):
        if bath.correlation is not None:
            raise ValueError(f"baths[{n}] has correlated couplings; universal_lindblad needs independent ones.")
    if lamb_shift:
        refuse_infinite_scale(baths)
    generator = assemble(system, diagonalize(system, math.inf), UniversalJumps(baths, lamb_shift), names)
    if lamb_shift and not is_traced(system, baths):
        refuse_divergent_shift(generator.status, _shift_frequencies(generator.spectrum), baths)
    return generator


class UniversalJumps(AbstractBathJumps):
    """Jump operators L_a = √γ_a∘S_a, S = R = L in the equation of `jumps`; NaN where γ is negative."""

    secular_step: ClassVar[str | None] = "no such step was made (universal Lindblad equation)"

    baths: tuple[AbstractBath, ...]
    shifted: bool = eqx.field(static=True)

    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        if not self.shifted:
            return None
        half = cast(Matrix, sum(_half_shift(bath, spectrum) for bath in self.baths))
        return half + half.conj().T

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """Σ_a |⟨to|L_a|from⟩|² of each bath, zero diagonal; flagged where not finite."""
        off = 1 - jnp.eye(spectrum.energies.shape[0], dtype=spectrum.energies.dtype)
        rates = stack([jnp.sum(squared(operators), axis=0) * off for operators, _ in self.channels(spectrum)])
        status = raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)
        return rates, status | shift_status(_shift_frequencies(spectrum), self.baths) if self.shifted else status

    def amplitudes(self, spectrum: Spectrum) -> tuple[Channels, ...]:
        return tuple(self._of_bath(bath, spectrum) for bath in self.baths)

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        return tuple((jumps, jumps) for jumps in self.amplitudes(spectrum))

    def _of_bath(self, bath: AbstractBath, spectrum: Spectrum) -> Channels:
        framed = bath_operators(bath, spectrum)
        # Inside a level √γ is expanded about ω = 0: a cutoff may have a kink there, and rounding decides the sign of ω.
        same = _one_level(spectrum)
        frequencies = jnp.where(same, 0.0, spectrum.frequencies)
        root, slope = jax.jvp(lambda x: noise_roots(bath.noises(x)), (frequencies,), (jnp.ones_like(frequencies),))
        # √γ = inf with a vanishing coupling (a field at ω = μ) has no effect: 0, not inf·0. With a coupling it is kept,
        # and `checked_rates` flags it.
        uncoupled = (squared(framed) == 0) & ~jnp.isfinite(root)
        root, slope = jnp.where(uncoupled, 0.0, root), jnp.where(uncoupled, 0.0, slope)
        root = root + slope * jnp.where(same, spectrum.frequencies, 0.0)[None]
        dtype = np.promote_types(framed.dtype, root.dtype)
        framed = framed.astype(dtype)
        return root.astype(dtype) * framed + slope.astype(dtype) * commutator_with_mixing(framed, spectrum)


def _one_level(spectrum: Spectrum) -> BoolMatrix:
    """Pairs of levels that agree to rounding.

    The generator's own spectrum has an infinite window (all frequencies are kept together) and would answer: all pairs.
    """
    return Spectrum(spectrum.energies, spectrum.basis, spectrum.mixing).same_level


def _shift_frequencies(spectrum: Spectrum) -> Array:
    """The frequencies at which the Lamb shift is looked at, 0 between equal levels (to, from)."""
    return jnp.where(_one_level(spectrum), 0.0, spectrum.frequencies)


def _half_shift(bath: AbstractBath, spectrum: Spectrum) -> Matrix:
    """A with H_LS = A + A†, A_mn = ½ Σ_l F(E_m - E_l, E_n - E_l) S*_lm S_ln for the Hermitian H_LS.

    Inside a level F is expanded in its first argument about 0, and ∂F/∂p times [S, M] carries the derivative with
    respect to a Hamiltonian that mixes equal levels; F is symmetric, so that A† brings the one by q.
    """
    framed = bath_operators(bath, spectrum)
    framed = framed.astype(np.promote_types(framed.dtype, jnp.complex64))

    def from_level(row):
        """One l: S_lm of every operator, its [S, M], E_m - E_l, and which m share the level of l."""
        bra, change, frequency, same = row
        wide = jnp.ones((frequency.shape[0],) * 2, frequency.dtype)
        p, q, level = (
            frequency[:, None] * wide,
            jnp.where(same, 0.0, frequency)[None, :] * wide,
            same[:, None] & (wide > 0),
        )
        shift, slope = value_and_slope_at_level(lambda x: shared_lamb_shift(bath, x, q), bath, p, level)
        shift = 0.5 * shift + slope * jnp.where(level, p, 0.0)[None]
        shift, slope = shift.astype(bra.dtype), slope.astype(bra.dtype)
        pairs = shift * bra.conj()[:, :, None] + slope * change.conj()[:, :, None]
        return jnp.sum(pairs * bra[:, None, :], axis=0)

    rows = (
        jnp.swapaxes(framed, 0, 1),
        jnp.swapaxes(commutator_with_mixing(framed, spectrum), 0, 1),
        spectrum.frequencies,
        _one_level(spectrum),
    )
    return jnp.sum(jax.lax.map(from_level, rows), axis=0)
