"""What flows between the system and each bath, in total and transition by transition."""

from collections.abc import Callable

import jax.numpy as jnp

from qdbjax._types import Array, ArrayLike, Float, Matrix, as_hermitian
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.flows import PerBath, charge_flows, exchanging, pair_flows, quanta_flows
from qdbjax.generators.generator import AbstractJumps, Generator, energy_liouvillian
from qdbjax.numerics.cells import where_asked
from qdbjax.numerics.small import UNROLL, matrix_entries, stacked, vector_entries
from qdbjax.solvers import AsymptoticState, SteadyState
from qdbjax.solvers.asymptotic import State, as_state
from qdbjax.solvers.hermitian import Packed, unpack
from qdbjax.solvers.zero_block import cells_at_a_time
from qdbjax.states.entropy import logarithm
from qdbjax.systems import Spectrum


def _flows(generator: Generator, state: State) -> Float[Array, "bath to from"]:
    """Probability per time from level to level through each bath; coherences inside a cluster included."""
    simple = generator.rates * state.populations[None, None, :]
    return _where_degenerate(_coherent_flows, generator, state, simple)


def _where_degenerate(function: Callable, generator: Generator, state: State, simple: Array) -> Array:
    """function(spectrum, jumps, populations, coherences) in degenerate cells, the simple result elsewhere."""
    degenerate = generator.spectrum.degenerate
    operands = generator.spectrum, generator.jumps, state.populations, state.coherences
    return where_asked(degenerate, function, operands, simple, cells_at_a_time(generator.dimension))


def _matrix(populations: Float[Array, " d"], coherences: Packed) -> Matrix:
    return unpack(coherences + jnp.diag(populations))


def _coherent_flows(
    spectrum: Spectrum, jumps: AbstractJumps, populations: Float[Array, " d"], coherences: Packed
) -> Float[Array, "bath to from"]:
    return pair_flows(spectrum, jumps, _matrix(populations, coherences))


@jit_if_eager
def _micro_currents(generator: Generator, state: SteadyState | AsymptoticState) -> Float[Array, "bath to from"]:
    flows = _flows(generator, state)
    return flows - jnp.swapaxes(flows, -1, -2)


def micro_currents(generator: Generator, state: State) -> Float[Array, "bath to from"]:
    """Net quanta per time exchanged with each bath on each transition.

    J[bath, m, n] = Γ(n→m) ρ_nn - Γ(m→n) ρ_mm, plus the coherences inside a cluster of equal levels. Antisymmetric in
    (m, n); for E_m > E_n positive means that the bath lifts the system, so that (E_m - E_n) J flows into it.
    Shape (bath, level, level), energy eigenbasis; inverse time.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), whose micro-currents count into the field:
    minus ours.
    """
    return _micro_currents(generator, as_state(generator, state))


def _coherent_energy(
    spectrum: Spectrum, jumps: AbstractJumps, populations: Float[Array, " d"], coherences: Packed
) -> PerBath:
    return charge_flows(spectrum, jumps, _matrix(populations, coherences), spectrum.levels)


def energy_currents(generator: Generator, state: State) -> PerBath:
    """Energy per time from each bath into the system, J^E_b = Tr[H D_b(ρ)].

    state: a SteadyState or AsymptoticState, or any density matrix (d, d) in the basis of the Hamiltonian, such as one
    time of an Evolution. Shape (bath,), positive into the system. NaN where the state is flagged.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (43), summed over pairs m > n once.
    """
    return _energy_currents(generator, as_state(generator, state))


@jit_if_eager
def _energy_currents(generator: Generator, state: SteadyState | AsymptoticState) -> PerBath:
    simple = _population_energy(generator, state.populations)
    return _where_degenerate(_coherent_energy, generator, state, simple)


def _population_energy(generator: Generator, populations: Float[Array, " d"]) -> PerBath:
    """Σ (E_to - E_from) Γ(from→to) p_from of each bath."""
    d, rates = generator.dimension, generator.rates
    if d > UNROLL:
        lift = -generator.spectrum.frequencies
        return jnp.sum(lift[None] * rates * populations[None, None, :], axis=(1, 2))
    energies, p = vector_entries(generator.spectrum.energies), vector_entries(populations)
    totals = []
    for bath in vector_entries(rates):
        rate = matrix_entries(bath)
        # Pair by pair: the two flows of a pair nearly cancel and share one energy.
        pairs = [(m, n) for m in range(d) for n in range(m)]
        net = [(energies[m] - energies[n]) * (rate[m][n] * p[n] - rate[n][m] * p[m]) for m, n in pairs]
        totals.append(sum(net[1:], net[0]) if net else jnp.zeros((), rates.dtype))
    return stacked(totals)


def heat_currents(generator: Generator, state: State) -> PerBath:
    """Heat per time from each bath into the system, J^Q_b = J^E_b - μ_b J^N_b.

    Energy current minus chemical potential times particle current; the same as the energy current for a bath that
    exchanges no particles. state: as for `energy_currents`. Shape (bath,), positive into the system; energies sum to
    zero in a stationary state (first law). NaN where flagged.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (43).
    """
    state = as_state(generator, state)
    energy = energy_currents(generator, state)
    if not exchanging(generator.jumps):
        return energy
    return energy - generator.chemical_potentials * _quanta(generator, state)


@jit_if_eager
def _quanta(generator: Generator, state: State) -> PerBath:
    return quanta_flows(generator.spectrum, generator.jumps, _matrix(state.populations, state.coherences))


@jit_if_eager
def _particle_currents(generator: Generator, state: State, number: Matrix) -> PerBath:
    rho = _matrix(state.populations, state.coherences)
    return charge_flows(generator.spectrum, generator.jumps, rho, generator.spectrum.to_eigenbasis(number))


def particle_currents(generator: Generator, state: State, number: ArrayLike | None = None) -> PerBath:
    """Particles per time from each bath into the system.

    Fields and leads: every jump of D† brings one, every jump of D takes one. With `number` (or, where no bath exchanges
    particles, with the System's own): J^N_b = Tr[N D_b(ρ)], N (d, d) in the basis of the Hamiltonian.
    Shape (bath,), positive into the system. Raises ValueError if there is nothing to count.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (42), summed over pairs m > n once.
    """
    state = as_state(generator, state)
    if number is None and exchanging(generator.jumps):
        return _quanta(generator, state)
    number = generator.system.number if number is None else as_hermitian(number, "number")
    if number is None:
        raise ValueError(
            "particle_currents needs something to count: a Field or Lead, System(hamiltonian, number=N), or number=N."
        )
    if number.shape != (generator.dimension, generator.dimension):
        raise ValueError(f"number must have shape {(generator.dimension, generator.dimension)}; got {number.shape}.")
    return _particle_currents(generator, state, number)


@jit_if_eager
def _exported(generator: Generator, state: SteadyState | AsymptoticState) -> Float[Array, ""]:
    heat = heat_currents(generator, state)
    cold = generator.temperatures == 0
    flux = -heat / jnp.where(cold, 1.0, generator.temperatures)
    return jnp.sum(jnp.where(cold, jnp.where(heat < 0, jnp.inf, 0.0), flux))


@jit_if_eager
def _growth(generator: Generator, state: AsymptoticState) -> Float[Array, ""]:
    rho = state.energy_density_matrix
    moved = jnp.matmul(energy_liouvillian(generator.spectrum, generator.jumps), rho.reshape(-1), precision="highest")
    return -logarithm(rho).expectation(moved.reshape(rho.shape))


def entropy_production(generator: Generator, state: State) -> Float[Array, ""]:
    """Entropy per time produced, Σ̇ = dS/dt - Σ_b J^Q_b/T_b >= 0 (k_B = 1), dS/dt = -Tr[L(ρ) ln ρ].

    state: a SteadyState or AsymptoticState, in which dS/dt = 0, or any density matrix (d <= 32). A scalar; for one
    thermal bath minus the slope of the relative entropy to Gibbs. inf where heat flows into a bath at T = 0 and in a
    pure state that is being left, NaN if a bath has no single temperature (local-KMS field).
    *Source:* H. Spohn, J. Math. Phys. 19, 1227 (1978).
    """
    if isinstance(state, SteadyState | AsymptoticState):
        return _exported(generator, state)
    state = as_state(generator, state)
    return _exported(generator, state) + _growth(generator, state)
