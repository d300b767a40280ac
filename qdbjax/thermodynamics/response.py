"""Linear and second-order response of stationary currents to the temperatures and chemical potentials of the baths.

Entropy is produced at the rate Σ_i J_i X_i with the currents J = (particles N_b, energy E_b into the system) and the
affinities X = (μ_b/T_b, -1/T_b): what drives N_b is a change of μ_b/T_b, what drives E_b a change of -1/T_b.
"""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import is_traced
from qdbjax._types import Array, Float, Matrix, RealVector
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import blocks
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.generators.jumps import PerBath
from qdbjax.numerics.matrix import batched_matmul, dagger
from qdbjax.numerics.products import contract
from qdbjax.solvers import correlation_spectrum
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import State, StateLike
from qdbjax.thermodynamics.counters import all_counters
from qdbjax.thermodynamics.currents import (
    energy_currents_of,
    heat_currents_of,
    micro_currents_of,
    particle_currents,
)


def _interleaved(generator: Generator, particles: PerBath | None, energy: PerBath) -> Float[Array, " counter"]:
    """Numbers of the particles and the energy of each bath in one vector, in the order of `all_counters`."""
    return energy if particles is None else jnp.stack([particles, energy], axis=1).reshape(-1)


def _currents(generator: Generator, thermal: bool = False) -> RealVector:
    """Particles (where exchanged) and energy, or where `thermal` heat, from each bath in the stationary state."""
    state = state_of(generator, None)
    energy = (heat_currents_of if thermal else energy_currents_of)(generator, state)
    return _interleaved(
        generator, particle_currents(generator, state) if generator.exchanges_particles else None, energy
    )


def affinities(generator: Generator) -> RealVector:
    """Affinities of the baths, the thermodynamic forces of `onsager_matrix`.

    X = (μ_b/T_b, -1/T_b) of each bath in turn, -1/T_b alone where no bath exchanges particles.

    generator: of any kind.

    Returns (n,), μ/T without unit, -1/T in inverse energy; not finite for a bath at T = 0, NaN for a local-KMS field.
    *Source:* H. B. Callen, Thermodynamics (2nd edition, 1985), chapter 14.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.thermodynamics.affinities(generator).round(4)
    Array([-1., -2.], dtype=float64)
    """
    inverse = 1 / generator.temperatures
    potentials = generator.chemical_potentials * inverse if generator.exchanges_particles else None
    return _interleaved(generator, potentials, -inverse)


def _with_forces(generator: Generator, forces: RealVector, thermal: bool) -> Generator:
    """The generator at given affinities, or where `thermal` at given (μ_b, T_b)."""
    if not generator.exchanges_particles:
        return generator.with_reservoirs(temperatures=forces if thermal else -1 / forces)
    first, second = forces.reshape(-1, 2).T
    temperatures, potentials = (second, first) if thermal else (-1 / second, -first / second)
    return generator.with_reservoirs(temperatures=temperatures, chemical_potentials=potentials)


def _reservoirs(generator: Generator) -> RealVector:
    """(μ_b, T_b) of each bath in turn."""
    potentials = generator.chemical_potentials if generator.exchanges_particles else None
    return _interleaved(generator, potentials, generator.temperatures)


def _check(generator: Generator, what: str) -> None:
    if is_traced(generator.temperatures):
        return
    for name, temperature in zip(generator.names, np.asarray(generator.temperatures).T, strict=True):
        if not np.all(temperature > 0):
            raise ValueError(
                f"{what} needs a temperature T > 0 of every bath; {name} has {temperature}. A local-KMS field has no "
                "single one, and at T = 0 there is no 1/T to vary."
            )


@jit_if_eager
def _onsager(generator: Generator) -> Float[Array, "current force"]:
    return jax.jacfwd(lambda x: _currents(_with_forces(generator, x, False)))(affinities(generator))


def onsager_matrix(generator: Generator) -> Float[Array, "current force"]:
    """Linear response of the stationary currents to the affinities of the baths.

    L_ij = ∂J_i/∂X_j,   J = (N_b, E_b) into the system,   X = (μ_b/T_b, -1/T_b), of each bath in turn (E_b and -1/T_b
    alone where no bath exchanges particles; `response_labels` names them). By automatic differentiation about the
    generator's own temperatures and chemical potentials, an equilibrium or a driven state. At equilibrium L is
    symmetric (Onsager) and positive semidefinite, half the `noise_matrix`; equal μ ≠ 0 of fields that drive a cycle is
    no equilibrium, and L not symmetric.

    generator: of any kind made from baths; every T > 0.

    Returns (n, n). Units: inverse time between particles, energy per time between particles and energy, energy squared
    per time between energies. NaN where the stationary state is flagged. Raises ValueError for a bath at T = 0 or
    without a single temperature.
    *Source:* L. Onsager, Phys. Rev. 37, 405 (1931); H. Spohn and J. L. Lebowitz, Adv. Chem. Phys. 38, 109 (1978).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.onsager_matrix(generator).round(5)
    Array([[ 0.01137, -0.00368],
           [-0.01137,  0.00368]], dtype=float64)
    """
    check_generator(generator)
    _check(generator, "onsager_matrix")
    return _onsager(generator)


def response_labels(generator: Generator) -> tuple[str, ...]:
    """Labels of the rows and columns of `onsager_matrix`: "particles hot", "energy hot", …

    generator: of any kind.

    Returns one string for each current and its force.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.thermodynamics.response_labels(generator)
    ('energy bath0', 'energy bath1')
    """
    return all_counters(generator)[0]


@jit_if_eager
def _conductances(generator: Generator) -> Array:
    return jax.jacfwd(lambda x: _currents(_with_forces(generator, x, True), True))(_reservoirs(generator))


def conductances(generator: Generator) -> Float[Array, "current parameter"]:
    """Particle and heat currents into the system per change of chemical potential and temperature of each bath.

    G_ij = ∂J_i/∂Y_j, J = (N_b, Q_b) and Y = (μ_b, T_b) of each bath in turn (Q_b and T_b alone where no particles are
    exchanged), about the generator's own temperatures and chemical potentials: differential conductances far from
    equilibrium, those of linear response at it. With X^N = μ/T and X^E = -1/T the chain rule relates them to
    `onsager_matrix`,

        ∂/∂μ_j = (1/T_j) ∂/∂X^N_j,   ∂/∂T_j = (1/T_j²) (∂/∂X^E_j - μ_j ∂/∂X^N_j),   dQ_i = dE_i - μ_i dN_i - N_i dμ_i

    generator: as for `onsager_matrix`.

    Returns (n, n), positive into the system. Units: unit of the current over energy. NaN where the stationary state is
    flagged. Raises ValueError as `onsager_matrix`.
    *Source:* G. Benenti, G. Casati, K. Saito, R. S. Whitney, Phys. Rep. 694, 1 (2017), for linear response.

    >>> lead = lambda mu: qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=0.5, chemical_potential=mu)
    >>> dot = qdb.davies(qdb.models.quantum_dot(0.1), [lead(0.2), lead(-0.2)])
    >>> qdb.thermodynamics.conductances(dot).shape
    (4, 4)
    """
    _check(generator, "conductances")
    return _conductances(generator)


@jit_if_eager
def _second_order(generator: Generator) -> Array:
    currents = lambda x: _currents(_with_forces(generator, x, False))  # noqa: E731
    return jax.jacfwd(jax.jacfwd(currents))(affinities(generator))


def second_order_response(generator: Generator) -> Float[Array, "current force force"]:
    """Second-order response of the stationary currents to the affinities of the baths.

    ∂²J_i/∂X_j∂X_k, currents and affinities of `onsager_matrix`, by automatic differentiation.

    generator: as for `onsager_matrix`.

    Returns (n, n, n), symmetric in the last two. NaN where the stationary state is flagged. Raises ValueError as
    `onsager_matrix`.
    *Source:* D. Andrieux and P. Gaspard, J. Chem. Phys. 121, 6167 (2004).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.thermodynamics.second_order_response(generator).shape
    (2, 2, 2)
    """
    _check(generator, "second_order_response")
    return _second_order(generator)


@jit_if_eager
def _transition(generator: Generator) -> Array:
    def currents(x):
        varied = _with_forces(generator, x, False)
        return micro_currents_of(varied, state_of(varied, None))

    return jax.jacfwd(currents)(affinities(generator))


def transition_response(generator: Generator) -> Float[Array, "bath to from force"]:
    """Linear response of every micro-current to the affinities of the baths.

    ∂J_b,mn/∂X_j, micro-currents of `micro_currents` and affinities of `onsager_matrix`. Two fields with one coupling,
    at μ ∓ δμ/2 and β ± δβ/2, obey for the flow J from the second into the first on one transition of frequency ω

        J = Γ [δμ + (ω - μ) δβ/β],   J^Q = (ω - μ) J

    with one Γ > 0 for both causes, where the lower level has more population.

    generator: as for `onsager_matrix`.

    Returns (bath, level, level, n), positive into the system on m > n. NaN where the stationary state is flagged.
    Raises ValueError as `onsager_matrix`.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (57) with the signs of (57c) put right;
    Γ is minus theirs.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.thermodynamics.transition_response(generator).shape
    (2, 2, 2, 2)
    """
    _check(generator, "transition_response")
    return _transition(generator)


def _current_operators(generator: Generator, charge: Matrix) -> Array:
    """Φ_b = D_b†(A), the current of A from each bath as an operator; A and Φ in the energy eigenbasis."""
    found = []
    for block in blocks(generator.spectrum, generator.jumps):
        s, r, a = block.operators, block.dressed, charge.astype(block.levels.dtype)
        gain = 0.5 * jnp.sum(batched_matmul(dagger(s), batched_matmul(a[None], r)), axis=0) * block.same
        lost = batched_matmul(block.decay, a)
        found.append(gain + dagger(gain) - lost - dagger(lost))
    return jnp.stack(found)


def kubo_matrix(generator: Generator, state: StateLike | None = None) -> Float[Array, "current current"]:
    """Onsager matrix of an equilibrium state from correlation functions of its currents (Kubo), no derivative taken.

    L_ij = -½∫dt ⟨Φ_i(t)Φ_j(0)⟩ - δ_ij ⟨Φ_i A_i⟩ with the current operators Φ = D_b†(A), A = N and H; δ between charges
    of one bath. Equal to `onsager_matrix` where one temperature and one chemical potential hold everywhere, and
    meaningless elsewhere.

    generator: of any kind, d <= 32; particles are counted by the System's number.
    state: the equilibrium state, as for `heat_currents`; by default the stationary one.

    Returns (n, n), order and units of `onsager_matrix`. NaN where the state is flagged. Raises ValueError above d = 32,
    and where particles are exchanged by a System without number.
    *Source:* H. Spohn and J. L. Lebowitz, Adv. Chem. Phys. 38, 109 (1978).

    >>> left, right = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=1.0) for _ in range(2))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [left, right])
    >>> qdb.thermodynamics.kubo_matrix(generator).round(5)
    Array([[ 0.01209, -0.01209],
           [-0.01209,  0.01209]], dtype=float64)
    """
    if generator.exchanges_particles and generator.system.number is None:
        raise ValueError("kubo_matrix needs System(hamiltonian, number=N) where particles are exchanged.")
    return _kubo(generator, state_of(generator, state))


@jit_if_eager
def _kubo(generator: Generator, state: State) -> Array:
    spectrum = generator.spectrum
    charges = [spectrum.levels]
    if generator.exchanges_particles:
        charges = [spectrum.to_eigenbasis(jnp.asarray(generator.system.number)), spectrum.levels]
    rho = state.energy_density_matrix
    operators = jnp.stack([_current_operators(generator, charge) for charge in charges], axis=1)
    flat = operators.reshape(-1, *rho.shape)
    zero = jnp.zeros((1,), generator.rates.dtype)
    in_given_basis = jax.vmap(lambda phi: spectrum.from_eigenbasis(phi.astype(rho.dtype)))(flat)

    def spectrum_at_zero(a, b):
        return jnp.real(correlation_spectrum(generator, state, a, b, zero)[0])

    integrals = jax.vmap(lambda a: jax.vmap(lambda b: spectrum_at_zero(a, b))(in_given_basis))(in_given_basis)
    own = jnp.stack(charges).astype(rho.dtype)
    equal_times = jnp.real(contract("bikl,jlm,mk->bij", operators.astype(rho.dtype), own, rho))
    baths, kinds = operators.shape[:2]
    same_bath = jnp.eye(baths, dtype=equal_times.dtype)[:, None, :, None]
    return -0.5 * integrals - (equal_times[:, :, None, :] * same_bath).reshape(baths * kinds, baths * kinds)
