"""What flows between the system and each bath, in total and transition by transition.

Public functions take any state; functions named `…_of` take a State that is already in the frame of the generator.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from qdbjax._checks import as_hermitian, is_traced
from qdbjax._labels import named
from qdbjax._types import AnyMatrix, Array, ArrayLike, Bool, Float, Matrix
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import where_degenerate, whole_block
from qdbjax.generators.flows import charge_flows, pair_flows, quanta_flows
from qdbjax.generators.generator import Generator, energy_liouvillian
from qdbjax.generators.jumps import AbstractJumps, PerBath
from qdbjax.numerics.entries import stack, unstack
from qdbjax.numerics.hermitian import unpack
from qdbjax.numerics.markov import rate_matrix_vector
from qdbjax.numerics.matrix import LayoutMatrix
from qdbjax.numerics.products import contract, dot
from qdbjax.solvers import SteadyState
from qdbjax.solvers.stationary import state_of
from qdbjax.states.entropy import logarithm
from qdbjax.states.state import State, StateLike
from qdbjax.systems import Spectrum

STATIONARY = 16  # changes of a state below this many d eps of what comes and goes count as none
CONSERVED = 1e4  # a commutator with the Hamiltonian above this many eps of both makes a number that is not conserved
CURRENT_ROUNDING = 256  # a net current below this many eps of its gross current counts as zero


def of_state_where_degenerate(
    generator: Generator, of_block: Callable, plain: Any, state: State, *operands: Any, dense: bool = True
) -> Any:
    """of_block(spectrum, jumps, ρ, *operands) where levels are degenerate, `plain` elsewhere.

    ρ in the energy eigenbasis.
    """

    def of_packed(spectrum, jumps, packed, *operands):
        return of_block(spectrum, jumps, unpack(packed), *operands)

    packed = state.packed
    return where_degenerate(generator.spectrum, generator.jumps, of_packed, plain, packed, *operands, dense=dense)


def _flows(generator: Generator, state: State) -> Float[Array, "bath to from"]:
    """Probability per time from level to level through each bath, coherences between equal levels included."""
    plain = generator.rates * state.populations[None, None, :]
    return of_state_where_degenerate(generator, pair_flows, plain, state, dense=False)


@jit_if_eager
def micro_currents_of(generator: Generator, state: State) -> Float[Array, "bath to from"]:
    flows = _flows(generator, state)
    return flows - jnp.swapaxes(flows, -1, -2)


def micro_currents(generator: Generator, state: StateLike | None = None) -> Float[Array, "bath to from"]:
    """Net quanta per time exchanged with each bath on each transition.

    J[bath, m, n] = Γ(n→m) ρ_nn - Γ(m→n) ρ_mm, plus the coherences inside a cluster of equal levels.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one.

    Returns (bath, level, level), energy eigenbasis, inverse time. Antisymmetric in (m, n); for E_m > E_n positive means
    that the bath lifts the system, so that (E_m - E_n) J flows into it. NaN where the state is flagged.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), whose micro-currents count into the field:
    minus ours.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.micro_currents(generator)[0].round(5)
    Array([[ 0.     , -0.00696],
           [ 0.00696,  0.     ]], dtype=float64)
    """
    found = micro_currents_of(generator, state_of(generator, state))
    return named(found, ("bath", "to", "from"), bath=generator.names)


def energy_currents(generator: Generator, state: StateLike | None = None) -> PerBath:
    """Energy per time from each bath into the system.

    J^E_b = Tr[H D_b(ρ)]

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one.

    Returns (bath,), energy per time, positive into the system. NaN where the state is flagged.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (43), summed over pairs m > n once.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.energy_currents(generator).round(5)
    Array([ 0.00696, -0.00696], dtype=float64)
    """
    return named(energy_currents_of(generator, state_of(generator, state)), ("bath",), bath=generator.names)


@jit_if_eager
def energy_currents_of(generator: Generator, state: State) -> PerBath:
    plain, gross = _energy_of_populations(generator, state)
    energy = of_state_where_degenerate(generator, _energy_of_block, plain, state, dense=False)
    return _without_rounding(energy, gross, generator.dimension)


def _without_rounding(currents: PerBath, gross: PerBath, dimension: int) -> PerBath:
    """Currents that add up to zero where their sum is no more than rounding of what they are differences of.

    A state that is stationary to rounding is taken for stationary. Each current gives up its part of the sum in the
    ratio of the gross currents, so that a weak bath, whose own current is right, keeps it, and a strong one, whose
    current is rounding, gets minus the others (two baths on a qubit, couplings as 1 to 1e-15: 0.3 % off before).
    A correction of the value alone: derivatives of the currents stay what they are.
    """
    found, sizes = unstack(currents), unstack(jax.lax.stop_gradient(gross))
    size = sum(sizes[1:], sizes[0])
    rounding = STATIONARY * dimension * float(jnp.finfo(currents.dtype).eps)
    parts = [each / jnp.where(size > 0, size, 1.0) for each in sizes]
    for _ in range(2):  # the first time leaves eps times what is taken away, which is large beside a very weak bath
        total = jax.lax.stop_gradient(sum(found[1:], found[0]))
        total = jnp.where(jnp.abs(total) <= rounding * size, total, 0.0)
        found = [current - total * part for current, part in zip(found, parts, strict=True)]
    return stack(found)


def _energy_of_block(spectrum: Spectrum, jumps: AbstractJumps, rho: Matrix) -> PerBath:
    return charge_flows(spectrum, jumps, rho, spectrum.levels)


def _energy_of_populations(generator: Generator, state: State) -> tuple[PerBath, PerBath]:
    """Σ_{m>n} (E_m - E_n) (Γ(n→m) p_n - Γ(m→n) p_m) of each bath, and the gross Σ |E_m - E_n| (Γp + Γp)."""
    flows = [LayoutMatrix.of(rates).columns(state.populations) for rates in unstack(generator.rates)]
    energies = generator.spectrum.energies
    net, gross = ([getattr(flow, name)(energies) for flow in flows] for name in ("sum_over_pairs", "gross_over_pairs"))
    return stack(net), stack(gross)


def heat_currents(generator: Generator, state: StateLike | None = None) -> PerBath:
    """Heat per time from each bath into the system: energy minus chemical potential times particles.

    J^Q_b = J^E_b - μ_b J^N_b; equal to J^E_b for a bath that exchanges no particles.

    generator: of any kind.
    state: a SteadyState, AsymptoticState or State of any generator (turned into the frame of this one), a density
        matrix (d, d) or a ket (d,) in the basis of the Hamiltonian, such as one time of an Evolution; by default the
        stationary state of the generator.

    Returns (bath,), energy per time, positive into the system; in a stationary state the J^E_b sum to zero (first law).
    NaN where the state is flagged. Raises ValueError for a state of another dimension, and for a matrix that is not
    Hermitian, positive semidefinite and of trace 1 (seen where its numbers are concrete).
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (43).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.heat_currents(generator).round(5)
    Array([ 0.00696, -0.00696], dtype=float64)
    """
    return named(heat_currents_of(generator, state_of(generator, state)), ("bath",), bath=generator.names)


def heat_currents_of(generator: Generator, state: State) -> PerBath:
    energy = energy_currents_of(generator, state)
    if not generator.exchanges_particles:
        return energy
    return energy - generator.chemical_potentials * _quanta(generator, state)


@jit_if_eager
def _quanta(generator: Generator, state: State) -> PerBath:
    return quanta_flows(generator.spectrum, generator.jumps, state.energy_density_matrix)


@jit_if_eager
def _particle_currents(generator: Generator, state: State, number: AnyMatrix) -> PerBath:
    charge = generator.spectrum.to_eigenbasis(number)
    flows = charge_flows(generator.spectrum, generator.jumps, state.energy_density_matrix, charge)
    return jnp.where(_mixes_levels(generator, charge), jnp.nan, flows)


def _mixes_levels(generator: Generator, charge: Matrix) -> Bool[Array, ""]:
    """Whether an operator, given in the eigenbasis, does not commute with the Hamiltonian."""
    energies, size = generator.spectrum.energies, jnp.abs(charge)
    apart = jnp.where(generator.spectrum.same_level, 0.0, jnp.abs(energies[:, None] - energies[None, :]))
    # The commutator: rounding mixes close levels, by eps over their distance.
    return jnp.max(size * apart) > CONSERVED * float(jnp.finfo(energies.dtype).eps) * jnp.max(size) * jnp.max(apart)


@jit_if_eager
def _flows_of(generator: Generator, state: State, number: Matrix) -> PerBath:
    """Tr[N D_b(ρ)] for any N, from the dissipators as matrices."""
    rho = generator.spectrum.from_eigenbasis(state.energy_density_matrix)
    changes = dot(generator.dissipators(), rho.reshape(-1)).reshape(-1, *rho.shape)
    return jnp.real(contract("mn,bnm->b", jnp.asarray(number, rho.dtype), changes))


def particle_currents(generator: Generator, state: StateLike | None = None, number: ArrayLike | None = None) -> PerBath:
    """Particles per time from each bath into the system.

    J^N_b = Σ_jumps q Tr[J(ρ)]: every jump of D† of a field or lead brings one particle, every jump of D takes one. With
    a number operator J^N_b = Tr[N D_b(ρ)].

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one.
    number: N, Hermitian (d, d), in the basis of the Hamiltonian; by default what fields and leads exchange, or where
        there are none the System's own number.

    Returns (bath,), inverse time, positive into the system. NaN where the state is flagged, and inside jit and vmap
    for an N that does not commute with the Hamiltonian (outside it takes d² x d² matrices). Raises ValueError if there
    is nothing to count, and for an N that is not Hermitian or of another shape.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (42), summed over pairs m > n once.

    >>> lead = lambda mu: qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=0.5, chemical_potential=mu)
    >>> dot = qdb.davies(qdb.models.quantum_dot(0.1), [lead(0.2), lead(-0.2)])
    >>> qdb.particle_currents(dot).round(5)
    Array([ 0.00614, -0.00614], dtype=float64)
    """
    found = _particles(generator, state_of(generator, state), number)
    return named(found, ("bath",), bath=generator.names)


def _particles(generator: Generator, state: State, number: ArrayLike | None) -> PerBath:
    if number is None and generator.exchanges_particles:
        return _quanta(generator, state)
    number = generator.system.number if number is None else as_hermitian(number, "number")
    if number is None:
        raise ValueError(
            "particle_currents needs something to count: a Field or Lead, System(hamiltonian, number=N), or number=N."
        )
    if number.shape != (generator.dimension, generator.dimension):
        raise ValueError(f"number must have shape {(generator.dimension, generator.dimension)}; got {number.shape}.")
    if not is_traced(generator, number) and bool(_mixes_levels(generator, generator.spectrum.to_eigenbasis(number))):
        return _flows_of(generator, state, number)
    return _particle_currents(generator, state, number)


def entropy_production(generator: Generator, state: StateLike | None = None) -> Float[Array, ""]:
    """Entropy produced per time, by the system and its baths together.

    σ = dS/dt - Σ_b J^Q_b/T_b >= 0,   dS/dt = -Tr[L(ρ) ln ρ]

    with k_B = 1. For one thermal bath it is minus the slope of the relative entropy to Gibbs.

    generator: of any kind; its temperatures and chemical potentials enter.
    state: as for `heat_currents`; by default the stationary one. Any that is not stationary takes a d² x d² matrix.

    Returns a scalar, nats per time. inf where heat flows into a bath at T = 0, and in a pure state that evolves into a
    mixed one. Negative only where `lindblad` or `pauli` were given temperatures that are not those of the rates, which
    `performance` and `balance_report` say. NaN if a bath has no single temperature (local-KMS field) and where the
    state is flagged.
    *Source:* H. Spohn, J. Math. Phys. 19, 1227 (1978).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.entropy_production(generator)), 5)
    0.00696
    """
    return _entropy_production(generator, state_of(generator, state))


@jit_if_eager
def _entropy_production(generator: Generator, state: State) -> Float[Array, ""]:
    energy, change = _energy_and_entropy(generator, state)
    heat = energy
    if generator.exchanges_particles:
        heat = energy - generator.chemical_potentials * _quanta(generator, state)
    cold = generator.temperatures == 0
    flux = -heat / jnp.where(cold, 1.0, generator.temperatures)
    return change + jnp.sum(jnp.where(cold, jnp.where(heat < 0, jnp.inf, 0.0), flux))


def _energy_and_entropy(generator: Generator, state: State) -> tuple[PerBath, Float[Array, ""]]:
    """Energy per time from each bath, and dS/dt = -Tr[L(ρ) ln ρ]."""
    plain_energy, gross = _energy_of_populations(generator, state)
    if not state.within_levels:
        energy = of_state_where_degenerate(generator, _energy_of_block, plain_energy, state, dense=False)
        rho, liouvillian = state.energy_density_matrix, energy_liouvillian(generator.spectrum, generator.jumps)
        change = dot(liouvillian, rho.reshape(-1)).reshape(rho.shape)
        return energy, -logarithm(rho).expectation(change)
    change, empty = rate_matrix_vector(generator.total_rates, state.populations), state.populations <= 0
    logarithms = jnp.where(empty, -jnp.inf, jnp.log(jnp.where(empty, 1.0, state.populations)))
    absent = empty & (change == 0)
    plain = plain_energy, -jnp.sum(jnp.where(absent, 0.0, change) * jnp.where(absent, 0.0, logarithms))

    def of_block(spectrum, jumps, rho):
        change = whole_block(spectrum, jumps).action(rho)
        return _energy_of_block(spectrum, jumps, rho), -logarithm(rho).expectation(change)

    energy, slope = of_state_where_degenerate(generator, of_block, plain, state, dense=False)
    out = jnp.sum(generator.total_rates, axis=0) * state.populations
    carried = jnp.sum(jnp.where(empty, 0.0, out * jnp.abs(logarithms)))
    rounding = 2 * STATIONARY * generator.dimension * float(jnp.finfo(slope.dtype).eps) * carried
    still = jax.lax.stop_gradient(jnp.where(jnp.abs(slope) <= rounding, slope, 0.0))
    return _without_rounding(energy, gross, generator.dimension), slope - still


@jit_if_eager
def gross_currents(generator: Generator, state: State | SteadyState) -> PerBath:
    """Energy that each bath carries in both directions, Σ (|ω| + |μ|) Γ p, (bath,), energy per time.

    A net current far below it is rounding.
    """
    weight = jnp.abs(generator.spectrum.frequencies)[None] + jnp.abs(generator.chemical_potentials)[:, None, None]
    return jnp.sum(weight * generator.rates * state.populations[None, None, :], axis=(1, 2))


def zero_below_rounding(current: Array, gross: Array) -> Array:
    """The current, or 0 where it is no more than the rounding of the gross current.

    current: a difference of flows.
    gross: the sum of the flows whose difference it is, `gross_currents`; same unit and shape.
    """
    return jnp.where(jnp.abs(current) <= CURRENT_ROUNDING * float(jnp.finfo(current.dtype).eps) * gross, 0.0, current)
