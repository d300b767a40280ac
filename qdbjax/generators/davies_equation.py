"""Davies generator: weak coupling to thermal baths, exactly covariant and thermal bath by bath."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_scalar, is_traced
from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, ArrayLike, BathRates, Bool, DType, Inexact, Matrix, Rates, StatusCode
from qdbjax.baths import AbstractBath, LocalTemperature, lamb_matrix, map_stacked, noise_roots, value_and_slope_at_level
from qdbjax.baths.abstract import diagonal_table
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.generators.bath_jumps import AbstractBathJumps, bath_operators, commutator_with_mixing
from qdbjax.generators.generator import Generator, assemble
from qdbjax.generators.inputs import (
    checked_baths,
    divergent_entries,
    refuse_divergent_noise,
    refuse_divergent_shift,
    refuse_infinite_scale,
    shift_status,
)
from qdbjax.generators.jumps import Channels
from qdbjax.numerics.barrier import optimization_barrier_cond
from qdbjax.numerics.entries import stack
from qdbjax.numerics.matrix import LayoutMatrix, batched_matmul, dagger, every, squared
from qdbjax.numerics.pairs import antisymmetric_tables
from qdbjax.numerics.products import contract
from qdbjax.systems import Spectrum, System, as_system, diagonalize


def davies(
    system: System | ArrayLike,
    baths: AbstractBath | Sequence[AbstractBath],
    *,
    lamb_shift: bool = False,
    window: ArrayLike | None = None,
) -> Generator:
    """Davies generator of a system weakly coupled to thermal baths: the secular Born-Markov master equation.

    L(ρ) = -i[H + H_LS, ρ] + Σ_bath Σ_ω Σ_ab γ_ab(ω) [S_b(ω) ρ S_a(ω)† - ½{S_a(ω)†S_b(ω), ρ}]

    S(ω) = Σ_{E_m - E_n = ω} Π_n S Π_m lowers the energy by ω, γ is the `noise` of the bath, and
    H_LS = Σ_bath Σ_ω Σ_ab s_ab(ω) S_a(ω)†S_b(ω). Units: ħ = k_B = 1, so that rates are energies too.

    system: a System, or a Hamiltonian (d, d), energy.
    baths: one or several of dimension d: `Bath` (Hermitian couplings), `Field`, `Lead` (exchange of particles).
    lamb_shift: whether to add H_LS (`lamb_matrix`, without counterterm: it grows with the cutoff).
    window: levels and Bohr frequencies closer than this count as one, energy; None for those that agree to rounding.

    Returns a Generator with `rates[bath, to, from]` = Σ_ab γ_ab(E_from - E_to) ⟨to|S_b|from⟩⟨to|S_a|from⟩*, >= 0,
    inverse time; for independent couplings Σ_a γ_a |⟨to|S_a|from⟩|².

    Degeneracy: levels and Bohr frequencies that agree to 1e-8 of the width of the spectrum count as equal. Transitions
    of equal frequency keep their cross terms, degenerate levels their whole ω = 0 block. Inside a cluster γ is taken
    at the mean of the two frequencies, so that Gibbs stays stationary to the square of their difference.
    Lamb shift: it commutes with H. Populations and currents of a non-degenerate spectrum do not depend on it; the
    frequencies of coherences shift, and degenerate levels split.
    Window: partial secular approximation in the form that stays completely positive (unified master equation), with γ
    at the mean frequency of a cluster. It joins levels and frequencies that a coupling joins, and no others. One bath
    alone then leaves stationary not Gibbs of H but Gibbs with the levels of a cluster at their mean energy.

    Raises ValueError for no bath, mismatched dimensions, repeated names, a window below 0, a removal operator that
    does not lower the system's particle number by one, and a noise spectrum that diverges at ω = 0 where a coupling
    has a zero-frequency part; with lamb_shift, for a density whose shift is infinite (`Flat`, no cutoff, J(0) > 0).
    Traced values cannot be looked at: solvers flag an unphysical or divergent bath. A Lamb shift that is not resolved
    to 1e-8 (a peak in J too narrow, or unknown) is flagged INACCURATE_INTEGRAL.
    *Source:* E. B. Davies, Commun. Math. Phys. 39, 91 (1974); window: A. Trushechkin, Phys. Rev. A 103, 062226 (2021).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> generator.rates.round(4)
    Array([[[0.    , 0.0899],
            [0.0331, 0.    ]],
    <BLANKLINE>
           [[0.    , 0.0658],
            [0.0089, 0.    ]]], dtype=float64)
    """
    system = as_system(system)
    baths, names = checked_baths(system, baths)
    if lamb_shift:
        refuse_infinite_scale(baths)
    window = None if window is None else eval_at_trace_time(as_scalar)(window, "window", low=0, infinite=True)
    spectrum = diagonalize(system, window)
    if window is not None:
        spectrum = dataclasses.replace(spectrum, coupled=driven_transitions(spectrum, baths)).with_known_degeneracy()
    generator = assemble(system, spectrum, DaviesJumps(baths, lamb_shift), names)
    if not is_traced(system, baths):
        refuse_divergent_noise(generator.spectrum, baths)
        if lamb_shift:
            refuse_divergent_shift(generator.status, shift_frequencies(generator.spectrum), baths)
    return generator


@jit_if_eager
def driven_transitions(spectrum: Spectrum, baths: Sequence[AbstractBath]) -> Bool[Array, "channel d d"]:
    """Transitions [to, from] that each operator of the baths drives; of correlated operators, that any of them does."""
    found, size = [], squared(jnp.asarray(spectrum.basis))
    for bath in baths:
        weight = squared(bath_operators(bath, spectrum))
        operators = jnp.stack([squared(jnp.asarray(operator)) for operator in bath.operators])
        bound = batched_matmul(size.T, batched_matmul(operators, size))
        driven = weight > _rounding(weight.dtype) * bound
        found.append(driven if bath.correlation is None else jnp.any(driven, axis=0, keepdims=True))
    return jnp.concatenate(found)


class _Frame(NamedTuple):
    """The eigensystem as the formula of the rates reads it, taken apart once for all baths.

    V: eigenvectors. size: |V|². ω: the frequency at which γ is taken for each transition [to, from].
    """

    V: LayoutMatrix
    size: LayoutMatrix
    ω: LayoutMatrix

    @staticmethod
    def of(spectrum: Spectrum, entries: bool | None = None) -> "_Frame":
        """entries: see `LayoutMatrix.of`."""
        V = LayoutMatrix.of(spectrum.basis, entries=entries)
        if spectrum.window is None:
            return _Frame(V, V.abs2(), LayoutMatrix.differences(spectrum.energies, V))
        return _Frame(V, V.abs2(), LayoutMatrix.of(spectrum.noise_frequencies, entries=entries))


def bath_rates(frame: _Frame, bath: AbstractBath, dtype: DType) -> BathRates:
    """Σ_a γ_a(E_from - E_to) |⟨to|S_a|from⟩|² of one bath, zero diagonal."""
    V, size, ω = frame
    total = LayoutMatrix.zeros(V, dtype)
    for operator, γ in zip(bath.operators, ω.tables(bath.noise_pairs), strict=False):
        S = LayoutMatrix.of(operator, entries=V.rows is not None)
        weight, bound = V.adjoint_matmul(S @ V).abs2(), S.squared_terms(size)
        if not bath.always_finite:
            γ = γ.entrywise(_zero_uncoupled_noise, weight)
        total = total + γ.entrywise(lambda g, w, b: _without_rounding(g * w, w, b), weight, bound)
    return total.array(dtype)


def correlated_rates(spectrum: Spectrum, bath: AbstractBath) -> BathRates:
    """Σ_ab γ_ab(E_from - E_to) ⟨to|S_b|from⟩⟨to|S_a|from⟩* of one bath with correlated couplings, zero diagonal."""
    framed, size = bath_operators(bath, spectrum), squared(jnp.asarray(spectrum.basis))
    operators = jnp.stack([squared(jnp.asarray(operator)) for operator in bath.operators])
    bound = jnp.sum(batched_matmul(size.T, batched_matmul(operators, size)), axis=0)
    noise = bath.noise_matrix(spectrum.noise_frequencies)
    dtype = np.promote_types(noise.dtype, framed.dtype)
    noise, framed = noise.astype(dtype), framed.astype(dtype)
    rates = jnp.real(contract("abnl,bnl,anl->nl", noise, framed, framed.conj()))
    rates = _without_rounding(rates, jnp.sum(squared(framed), axis=0), bound)
    return jnp.where(jnp.eye(rates.shape[0], dtype=bool), 0.0, rates)


def _zero_uncoupled_noise(noise: Array, weight: Array) -> Array:
    """γ, with 0 in place of inf and NaN where the matrix element is 0 and γ therefore has no effect.

    A field has γ = inf at ω = μ; the product inf·0 with a vanishing coupling would be NaN. weight: |⟨to|S|from⟩|².
    """
    return jnp.where((weight > 0) | jnp.isfinite(noise), noise, 0.0)


def _rounding(dtype) -> float:
    """|⟨to|S|from⟩|² that is rounding, in units of `bound` in `_without_rounding`."""
    return (4096 * float(jnp.finfo(dtype).eps)) ** 2


def _without_rounding(rate: Array, weight: Array, bound: Array) -> Array:
    """The rate, or zero where its matrix element is rounding, with its derivative kept.

    A coupling that a symmetry forbids comes out of V†SV as 1e-16 of what was summed, and would link two parts of the
    graph by a rate of 1e-32. `bound` is the sum of squares of the d² terms t that were added, (|V|²)ᵀ|S|²|V|²; two
    sums of d terms are rounded by at most about 2d eps Σ|t| <= 2d² eps √Σ|t|², below 4096 eps √bound up to d = 45. An
    entry that is small without cancellation (a weak link, given as such) is kept whatever its size.
    """
    return jnp.where(weight > _rounding(rate.dtype) * bound, rate, rate - jax.lax.stop_gradient(rate))


class DaviesJumps(AbstractBathJumps):
    """Jump terms of the Davies generator."""

    secular_step: ClassVar[str | None] = "secular"
    is_secular: ClassVar[bool] = True
    merges_levels: ClassVar[bool] = True

    baths: tuple[AbstractBath, ...]
    shifted: bool = eqx.field(static=True)

    def _rates(self, spectrum: Spectrum, frame: _Frame, bath: AbstractBath) -> BathRates:
        if bath.correlation is None:
            return bath_rates(frame, bath, spectrum.energies.dtype)
        return correlated_rates(spectrum, bath)

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """Rates (bath, to, from), zero diagonal; flagged where not finite or negative; T < 0; `shift_status`."""
        frame = _Frame.of(spectrum)
        # One bath after the other: what reads them together has XLA compute all of them anew.
        of_each = [self._rates(spectrum, frame, bath) for bath in self.baths]
        unphysical, finite = jnp.zeros((), bool), jnp.ones((), bool)
        for rates in of_each:
            unphysical = unphysical | ~every(lambda x: x >= 0, rates)
            finite = finite & every(jnp.isfinite, rates)
        for bath in self.baths:
            if not isinstance(bath.temperature, LocalTemperature):
                unphysical = unphysical | ~(bath.temperature >= 0)
            if not bath.finite_at_zero:
                unphysical = unphysical | jnp.any(divergent_entries(spectrum, bath)[0])
        status = raise_flag(~finite, Status.NONFINITE_INPUT)
        if self.shifted:
            status = status | shift_status(shift_frequencies(spectrum), self.baths)
        return stack(of_each), status | raise_flag(unphysical, Status.UNPHYSICAL_BATH)

    def amplitudes(self, spectrum: Spectrum) -> tuple[Channels, ...]:
        """√γ_a(ω)∘S_a of each bath; 0 where γ is not finite and positive, which `checked_rates` flags."""
        frequencies = jnp.where(spectrum.same_level, 0.0, spectrum.noise_frequencies)

        def of_bath(bath):
            # γ is most of what amplitudes take, in the few cells of a sweep that ask for them: both directions at once.
            root = noise_roots(antisymmetric_tables(bath.noise_pairs, frequencies))
            framed = bath_operators(bath, spectrum)
            root = jnp.where(jnp.isfinite(root), root, 0.0)
            if bath.correlation is not None:
                framed = _independent(framed, bath.correlation, frequencies)
            dtype = np.promote_types(framed.dtype, root.dtype)
            return root.astype(dtype) * framed.astype(dtype)

        return tuple(map_stacked(of_bath, self.baths))

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
            # Where γ(0) is infinite and the coupling vanishes their product is 0, not inf·0 = NaN.
            uncoupled = divergent_entries(spectrum, bath)[1]
            frequencies = jnp.where(uncoupled, 1.0, frequencies)
        # Without the barrier XLA computes the noise anew, and fills no vector, in each complex product with it.
        noise, slope = optimization_barrier_cond(_noise_and_slope, spectrum.energies, bath, frequencies)
        noise, slope = (jnp.where(uncoupled, 0.0, table) for table in (noise, slope))
        if bath.correlation is None:
            weights = squared(framed)[None]
            noise, slope = _zero_uncoupled_noise(noise, weights), _zero_uncoupled_noise(slope, weights)
        if spectrum.window is not None:
            # Complete positivity rests on one γ for the whole cluster: no variation inside it.
            slope = jnp.zeros_like(slope)
        return framed, _dressed(framed, noise, slope, spectrum)


def _noise_and_slope(bath: AbstractBath, frequencies: Array) -> tuple[Array, Array]:
    """γ_ab(ω) and dγ_ab/dω (k, k, d, d) at an antisymmetric matrix of frequencies (d, d)."""
    d = frequencies.shape[0]
    below = np.where(np.tri(d, k=-1, dtype=bool), -1.0, 1.0)

    def noise(at):
        # Where γ(0) is infinite, zeros of the diagonal may have been replaced, and some of them alone.
        if bath.correlation is not None or not bath.finite_at_zero:
            return bath.noise_matrix(at)
        return diagonal_table(antisymmetric_tables(bath.noise_pairs, at))

    # A frequency and its opposite move together: below the diagonal the change is minus the slope.
    direction = jnp.asarray(below, frequencies.dtype)
    value, change = jax.jvp(noise, (frequencies,), (direction,))
    return value, change * direction.astype(change.dtype)[None, None]


def _independent(framed: Channels, correlation: Inexact[Array, "k k"], frequencies: Array) -> Channels:
    """√m_c Σ_b U*_bc S_b, with the weights M = U m U† of the correlation, and its conjugate at negative frequencies."""
    weights, vectors = jnp.linalg.eigh(correlation)
    root = vectors.conj().T * jnp.sqrt(jnp.maximum(weights, 0.0)).astype(vectors.dtype)[:, None]
    dtype = np.promote_types(framed.dtype, root.dtype)
    down, up = (contract("cb,bnm->cnm", x.astype(dtype), framed.astype(dtype)) for x in (root, root.conj()))
    return jnp.where(frequencies < 0, up, down)


def shift_frequencies(spectrum: Spectrum) -> Array:
    """The frequencies at which the Lamb shift is taken, 0 between equal levels (to, from)."""
    return jnp.where(spectrum.same_level, 0.0, spectrum.noise_frequencies)


def _shifts(bath: AbstractBath, spectrum: Spectrum) -> tuple[Array, Array]:
    """s_ab and ds_ab/dω at the Bohr frequencies; the slope is 0 where a window replaces them by means."""
    if spectrum.window is not None:
        shift = lamb_matrix(bath, shift_frequencies(spectrum))
        return shift, jnp.zeros_like(shift)
    same = spectrum.same_level
    return value_and_slope_at_level(lambda x: lamb_matrix(bath, x), bath, spectrum.noise_frequencies, same)


def _dressed(framed: Channels, table: Array, slope: Array, spectrum: Spectrum) -> Channels:
    """Σ_b f_ab(ω)∘S_b: the table f times the couplings, with the derivative for Hamiltonians that mix equal levels.

    table, slope: f_ab and df_ab/dω (k, k, d, d) at the Bohr frequencies; inside a level both at ω = 0.
    With the level matrix B = diag(E) + M in place of diag(E), ω∘S is SB - BS; M connects equal energies only, so that
    f∘S becomes f(ω)∘S + f'(ω)∘[S, M] to first order in M. M is 0 in value: the second term adds a derivative only.
    """
    inside = jnp.where(spectrum.same_level, spectrum.frequencies, 0.0)
    table = table + slope * inside.astype(slope.dtype)[None, None]
    dtype = np.promote_types(table.dtype, framed.dtype)
    table, slope, framed = table.astype(dtype), slope.astype(dtype), framed.astype(dtype)
    # Sums of products, not einsum: XLA would make one tiny dot per pair of spectrum and cell of a batch.
    return jnp.sum(table * framed[None] + slope * commutator_with_mixing(framed, spectrum)[None], axis=1)
