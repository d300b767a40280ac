"""Davies generator: weak coupling to thermal baths, exactly covariant and thermal bath by bath."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, ArrayLike, Bool, Matrix, Rates, StatusCode, as_scalar, is_traced
from qdbjax.baths import AbstractBath, Bath, LocalTemperature, lamb_matrix, of_each, with_slope
from qdbjax.compilation.eager import eval_at_trace_time
from qdbjax.generators.generator import AbstractJumps, Channels, Generator, PerBath, assemble, in_levels
from qdbjax.numerics.small import (
    UNROLL,
    Entry,
    compose,
    dagger,
    every,
    matmul,
    product,
    split,
    stack_real,
    stacked,
    vector_entries,
)
from qdbjax.systems import Spectrum, System, as_system, spectrum


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
        refuse_endless(baths)
    window = None if window is None else eval_at_trace_time(as_scalar)(window, "window", low=0, infinite=True)
    generator = assemble(system, spectrum(system, window), DaviesJumps(baths, lamb_shift), names)
    if not is_traced(system, baths):
        _refuse_divergence(generator.spectrum, baths)
    return generator


def checked_baths(system: System, baths: AbstractBath | Sequence[AbstractBath]) -> tuple[tuple, tuple[str, ...]]:
    """Baths that fit the system, and a name for each."""
    baths = (baths,) if isinstance(baths, AbstractBath) else tuple(baths)
    names = checked_names(system, baths, AbstractBath, "baths")
    _check_charges(system, baths)
    return baths, names


@eval_at_trace_time
def _refuse_divergence(levels: Spectrum, baths: tuple[AbstractBath, ...]) -> None:
    for n, bath in enumerate(baths):
        if bath.finite_at_zero:
            continue
        if bool(jnp.any(divergent_entries(levels, bath)[0])):
            raise ValueError(
                f"baths[{n}] has infinite noise at ω → 0 ({type(bath.spectral_density).__name__}) and its coupling has "
                "a zero-frequency part, so that coherences would decay infinitely fast. Use an Ohmic or super-Ohmic "
                "density, or a coupling without diagonal entries in the energy eigenbasis."
            )


def refuse_endless(baths: tuple[AbstractBath, ...]) -> None:
    """Raise ValueError for a bath whose Lamb shift is infinite."""
    for n, bath in enumerate(baths):
        if not is_traced(bath.scale) and np.isinf(bath.scale):
            raise ValueError(
                f"baths[{n}] has a density without end ({type(bath.spectral_density).__name__}, scale inf): its Lamb "
                "shift is infinite. Give a cutoff (LorentzianBand instead of Flat), or leave lamb_shift off."
            )


def checked_names(system: System, parts: tuple, kinds: type, called: str) -> tuple[str, ...]:
    """A name for each bath or gas, after what can be known wrong with them."""
    words = kinds.__name__.removeprefix("Abstract")
    if not parts:
        raise ValueError(f"{called} must hold at least one {words}; got none. Every eigenstate is stationary then.")
    for n, part in enumerate(parts):
        if not isinstance(part, kinds):
            raise TypeError(f"{called}[{n}] must be a {words}; got {type(part).__name__}.")
        if part.dimension != system.dimension:
            raise ValueError(
                f"{called}[{n}] couples to dimension {part.dimension} but the system has {system.dimension} levels. "
                "Embed its operator with qdbjax.embed."
            )
    single = words.lower()
    names = tuple(part.name if part.name is not None else f"{single}{n}" for n, part in enumerate(parts))
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"{single} names must differ; got {sorted(repeated)} more than once.")
    return names


def _check_charges(system: System, baths: tuple[AbstractBath, ...]) -> None:
    """[N, D] = -D for what a field or lead removes."""
    if system.number is None or is_traced(system.number, baths):
        return
    number = np.asarray(system.number)
    for n, bath in enumerate(baths):
        for operator, charge in zip(bath.operators, bath.charges, strict=True):
            removal = np.asarray(operator)
            excess = np.abs(number @ removal - removal @ number - charge * removal).max()
            if charge != 0 and excess > 1e-10 * max(np.abs(removal).max(), np.finfo(float).tiny):
                raise ValueError(
                    f"baths[{n}] must remove one particle, [N, D] = -D with the system's number N; it misses by "
                    f"{excess:.3g}."
                )


def divergent_entries(levels: Spectrum, bath: AbstractBath) -> tuple[Bool[Array, "d d"], Bool[Array, "d d"]]:
    """Entries [to, from] between equal levels where an infinite γ(0) meets a coupling, and where it meets none."""
    framed = jnp.stack([levels.to_eigenbasis(operator) for operator in bath.operators])
    limit = bath.spectral_density.over_frequency(jnp.zeros((), levels.energies.dtype))
    rounding = 64 * float(jnp.finfo(framed.dtype).eps) * jnp.max(jnp.abs(framed))
    coupled = jnp.max(jnp.abs(framed), axis=0) > rounding
    infinite = levels.same_level & (limit == jnp.inf)
    return infinite & coupled, infinite & ~coupled


def _rates(levels: Spectrum, bath: AbstractBath) -> Rates:
    """Σ_ab γ_ab(E_from - E_to)⟨to|S_b|from⟩⟨to|S_a|from⟩* of one bath, zero diagonal."""
    d = levels.energies.shape[0]
    operators = bath.operators
    if d <= UNROLL and isinstance(bath, Bath) and len(operators) == 1 and bath.correlation is levels.window is None:
        return _rates_unrolled(levels, bath)
    return _rates_of_arrays(levels, bath, matmul)


def _rates_of_arrays(levels: Spectrum, bath: AbstractBath, times: Callable) -> Rates:
    """The same in whole arrays; times: the matrix product to use."""
    basis, operators = jnp.asarray(levels.basis), bath.operators
    framed = jnp.stack([times(dagger(basis), times(jnp.asarray(operator), basis)) for operator in operators])
    size = squared(basis)
    bound = sum(times(size.T, times(squared(jnp.asarray(operator)), size)) for operator in operators)
    weights = squared(framed)
    if bath.correlation is None:
        rates = sum(_met(w, noise) * w for w, noise in zip(weights, bath.noises(levels.noise_frequencies), strict=True))
    else:
        noise = bath.noise_matrix(levels.noise_frequencies)
        dtype = np.promote_types(noise.dtype, framed.dtype)
        noise, framed = noise.astype(dtype), framed.astype(dtype)
        rates = jnp.real(jnp.einsum("abnl,bnl,anl->nl", noise, framed, framed.conj()))
    rates = _without_rounding(rates, jnp.sum(weights, axis=0), bound)
    return jnp.where(jnp.eye(rates.shape[0], dtype=bool), 0.0, rates)


def _met(weight: Array, noise: Array) -> Array:
    """The noise, 0 where it is not finite and nothing couples to it (a field at ω = μ): that means nothing."""
    return jnp.where((weight > 0) | jnp.isfinite(noise), noise, 0.0)


def squared(z: Array) -> Array:
    """|z|² elementwise."""
    return jnp.real(z) ** 2 + jnp.imag(z) ** 2 if jnp.iscomplexobj(z) else z * z


def _without_rounding(rate: Array, weight: Array, bound: Array) -> Array:
    """The rate, or zero where its matrix element is rounding, with its derivative kept.

    A coupling that a symmetry forbids comes out of V†SV as 1e-16 of what was summed, and would link two parts of the
    graph by a rate of 1e-32 that means nothing. `bound` is the sum of squares of the terms: an entry that is small
    without cancellation (a weak link, written down as such) is kept whatever its size.
    """
    eps = float(jnp.finfo(rate.dtype).eps)
    return jnp.where(weight > (4096 * eps) ** 2 * bound, rate, rate - jax.lax.stop_gradient(rate))


def _rates_unrolled(levels: Spectrum, bath: Bath) -> Rates:
    """The same entry by entry for d <= 3: one evaluation of γ per pair of levels and no complex array."""
    d = levels.energies.shape[0]
    energies = vector_entries(levels.energies)
    basis, operator = split(levels.basis), split(bath.operators[0])
    bra = [[basis[k][n].conj() for k in range(d)] for n in range(d)]
    framed = product(bra, product(operator, basis))
    size = [[Entry(basis[k][n].squared()) for n in range(d)] for k in range(d)]
    terms = product([[Entry(operator[k][n].squared()) for n in range(d)] for k in range(d)], size)
    bound = product([[size[k][n] for k in range(d)] for n in range(d)], terms)
    rates: list[list] = [[0.0] * d for _ in range(d)]
    for n in range(d):
        for l in range(n + 1, d):
            down, up = bath.noise_both_ways(energies[l] - energies[n])
            weight = framed[n][l].squared()
            if isinstance(weight, float) and weight == 0:
                continue
            rates[n][l] = _without_rounding(down * weight, weight, bound[n][l].re)
            rates[l][n] = _without_rounding(up * weight, weight, bound[n][l].re)
    return stack_real(rates, levels.energies.dtype)


def reservoirs_of(baths: tuple[AbstractBath, ...]) -> tuple[PerBath, PerBath]:
    """Temperatures and chemical potentials."""
    columns = [bath.single_temperature for bath in baths], [bath.chemical_potential for bath in baths]
    dtype = np.result_type(*(value.dtype for column in columns for value in column))
    return tuple(stacked([value.astype(dtype) for value in column]) for column in columns)


def moved(baths: tuple[AbstractBath, ...], temperatures: PerBath, potentials: PerBath) -> tuple[AbstractBath, ...]:
    """The baths at other temperatures and chemical potentials."""
    pairs = zip(vector_entries(temperatures), vector_entries(potentials), strict=True)
    return tuple(bath.moved(*pair) for bath, pair in zip(baths, pairs, strict=True))


class DaviesJumps(AbstractJumps):
    """Jump terms of the Davies generator, rebuilt from the baths where they are asked for."""

    baths: tuple[AbstractBath, ...]
    shifted: bool = eqx.field(static=True)

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        """Change of the particle number by each operator of each bath."""
        return tuple(bath.charges for bath in self.baths)

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        """Those of the baths."""
        return reservoirs_of(self.baths)

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "DaviesJumps":
        """See AbstractJumps."""
        return DaviesJumps(moved(self.baths, temperatures, chemical_potentials), self.shifted)

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """γ(E_from - E_to)|⟨to|S|from⟩|² of each bath; flagged where infinite, negative or of negative temperature."""
        rates = stacked([_rates(spectrum, bath) for bath in self.baths])
        unphysical = ~every(lambda x: x >= 0, rates)
        for bath in self.baths:
            if not isinstance(bath.temperature, LocalTemperature):
                unphysical = unphysical | ~(bath.temperature >= 0)
            if not bath.finite_at_zero:
                unphysical = unphysical | jnp.any(divergent_entries(spectrum, bath)[0])
        status = raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)
        return rates, status | raise_flag(unphysical, Status.UNPHYSICAL_BATH)

    def rates(self, spectrum: Spectrum) -> Rates:
        """Those of `checked_rates` in whole arrays: for the few cells that ask again compiling counts, not speed."""
        return stacked(of_each(lambda bath: _rates_of_arrays(spectrum, bath, compose), self.baths))

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """S_a and R_a = Σ_b γ_ab(ω)∘S_b of each bath in the energy eigenbasis."""
        return tuple(of_each(lambda bath: self._of_bath(bath, spectrum), self.baths))

    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        """H_LS in the energy eigenbasis, ½ Σ_a (S_a†Q_a + Q_a†S_a) with Q_a = Σ_b s_ab(ω)∘S_b, between equal levels."""
        if not self.shifted:
            return None
        same = spectrum.same_level
        total = jnp.zeros(same.shape, np.promote_types(spectrum.basis.dtype, jnp.complex64))
        for bath in self.baths:
            framed = framed_operators(bath, spectrum).astype(total.dtype)
            dressed = _dressed(framed, *_shifts(bath, spectrum), spectrum)
            total = total + jnp.sum(compose(dagger(framed), dressed), axis=0)
        return 0.5 * (total + dagger(total)) * same.astype(total.dtype)

    def _of_bath(self, bath: AbstractBath, levels: Spectrum) -> tuple[Channels, Channels]:
        framed = framed_operators(bath, levels)
        # Inside a level γ is expanded about ω = 0, where a cutoff such as e^{-|ω|/ω_c} has a kink: rounding decides the
        # sign of ω there, and must not decide the slope.
        same = levels.same_level
        frequencies = jnp.where(same, 0.0, levels.noise_frequencies)
        idle = jnp.zeros((), bool)
        if not bath.finite_at_zero:
            # A divergent ω = 0 noise meets a coupling without zero-frequency part as 0, not as inf·0.
            idle = divergent_entries(levels, bath)[1]
            frequencies = jnp.where(idle, 1.0, frequencies)
        noise, slope = jax.jvp(bath.noise_matrix, (frequencies,), (jnp.ones_like(frequencies),))
        noise, slope = (jnp.where(idle, 0.0, table) for table in (noise, slope))
        if bath.correlation is None:
            weights = squared(framed)[None]
            noise, slope = _met(weights, noise), _met(weights, slope)
        if levels.window is not None:
            # One γ for a whole cluster, whatever happens inside it: positivity rests on it.
            slope = jnp.zeros_like(slope)
        return framed, _dressed(framed, noise, slope, levels)


def _shifts(bath: AbstractBath, levels: Spectrum) -> tuple[Array, Array]:
    """s_ab and its slope at the Bohr frequencies, within a window without slope."""
    frequencies, same = levels.noise_frequencies, levels.same_level
    if levels.window is not None:
        shift = lamb_matrix(bath, jnp.where(same, 0.0, frequencies))
        return shift, jnp.zeros_like(shift)
    return with_slope(lambda x: lamb_matrix(bath, x), bath, frequencies, same)


def _dressed(framed: Channels, table: Array, slope: Array, levels: Spectrum) -> Channels:
    """Σ_b f_ab(ω)∘S_b for f given at the Bohr frequencies, at ω = 0 inside a level, with its slope.

    f depends on the level matrix, not on its diagonal alone: [S, M] vanishes in value and carries the derivative with
    respect to a Hamiltonian that mixes degenerate levels.
    """
    inside = jnp.where(levels.same_level, levels.frequencies, 0.0)
    table = table + slope * inside.astype(slope.dtype)[None, None]
    dtype = np.promote_types(table.dtype, framed.dtype)
    table, slope, framed = table.astype(dtype), slope.astype(dtype), framed.astype(dtype)
    # Sums of products, not einsum: XLA would make one tiny dot per pair of levels and cell of a batch.
    return jnp.sum(table * framed[None] + slope * mixed(framed, levels)[None], axis=1)


def mixed(framed: Channels, levels: Spectrum) -> Channels:
    """[S, M]: zero in value, the change of S where a Hamiltonian mixes degenerate levels."""
    rest = levels.mixing.astype(framed.dtype)
    return compose(framed, rest) - compose(rest, framed)


def framed_operators(bath: AbstractBath, levels: Spectrum) -> Channels:
    """The operators of a bath in the energy eigenbasis (k, d, d)."""
    return in_levels(jnp.stack([jnp.asarray(operator) for operator in bath.operators]), levels)
