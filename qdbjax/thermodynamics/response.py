"""Linear and second-order response of stationary currents to the temperatures and chemical potentials of the baths.

Entropy is produced at the rate Σ_i J_i X_i with the currents J = (particles N_b, energy E_b into the system) and the
affinities X = (μ_b/T_b, -1/T_b): what drives N_b is a change of μ_b/T_b, what drives E_b a change of -1/T_b.
"""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Matrix, RealVector, is_traced
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import blocks
from qdbjax.generators.generator import Generator
from qdbjax.numerics.matrix import batched_matmul, dagger
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


def _interleaved(generator: Generator, particles: RealVector | None, energy: RealVector) -> RealVector:
    """In the order of `all_counters`."""
    return energy if particles is None else jnp.stack([particles, energy], axis=1).reshape(-1)


def _currents(generator: Generator, thermal: bool = False) -> RealVector:
    """Particles (where exchanged) and energy, or heat, of each bath in the stationary state."""
    state = state_of(generator, None)
    energy = (heat_currents_of if thermal else energy_currents_of)(generator, state)
    return _interleaved(
        generator, particle_currents(generator, state) if generator.exchanges_particles else None, energy
    )


def affinities(generator: Generator) -> RealVector:
    """X = (μ_b/T_b, -1/T_b) of each bath in turn, the first of the two only where particles are exchanged."""
    inverse = 1 / generator.temperatures
    potentials = generator.chemical_potentials * inverse if generator.exchanges_particles else None
    return _interleaved(generator, potentials, -inverse)


def _moved(generator: Generator, forces: RealVector, thermal: bool) -> Generator:
    """The generator at given affinities, or at given (μ_b, T_b)."""
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
    return jax.jacfwd(lambda x: _currents(_moved(generator, x, False)))(affinities(generator))


def onsager_matrix(generator: Generator) -> Float[Array, "current force"]:
    """Linear response of the stationary currents to the affinities of the baths, L_ij = ∂J_i/∂X_j.

    J: particles and energy into the system from each bath in turn, X: μ_b/T_b and -1/T_b in the same order (energy and
    -1/T_b alone where no bath exchanges particles); `response_labels` names them. By automatic differentiation about
    the generator's own temperatures and chemical potentials, an equilibrium or a driven state. At equilibrium L is
    symmetric (Onsager) and positive semidefinite, half the `noise_matrix`; equal μ ≠ 0 of fields that drive a cycle is
    no equilibrium, and L not symmetric. Shape (n, n), inverse time times energy to the power of what flows and drives.
    Raises ValueError for a bath at T = 0 or without a single temperature.
    *Source:* L. Onsager, Phys. Rev. 37, 405 (1931); H. Spohn and J. L. Lebowitz, Adv. Chem. Phys. 38, 109 (1978).
    """
    _check(generator, "onsager_matrix")
    return _onsager(generator)


def response_labels(generator: Generator) -> tuple[str, ...]:
    """What flows (and is driven) in each row and column of `onsager_matrix`: "particles hot", "energy hot", …"""
    return all_counters(generator)[0]


@jit_if_eager
def _conductances(generator: Generator) -> Array:
    return jax.jacfwd(lambda x: _currents(_moved(generator, x, True), True))(_reservoirs(generator))


def conductances(generator: Generator) -> Float[Array, "current parameter"]:
    """Particle and heat currents into the system per change of chemical potential and temperature of each bath.

    [i, j] = ∂J_i/∂Y_j, J = (N_b, Q_b) and Y = (μ_b, T_b) of each bath in turn (Q_b and T_b alone where no particles are
    exchanged), about the generator's own temperatures and chemical potentials. Differential conductances far from
    equilibrium, those of linear response at it. Raises ValueError as `onsager_matrix`.
    """
    _check(generator, "conductances")
    return _conductances(generator)


@jit_if_eager
def _second_order(generator: Generator) -> Array:
    currents = lambda x: _currents(_moved(generator, x, False))  # noqa: E731
    return jax.jacfwd(jax.jacfwd(currents))(affinities(generator))


def second_order_response(generator: Generator) -> Float[Array, "current force force"]:
    """Second-order response of the stationary currents to the affinities, ∂²J_i/∂X_j∂X_k, as `onsager_matrix`.

    Shape (n, n, n), symmetric in the last two.
    """
    _check(generator, "second_order_response")
    return _second_order(generator)


@jit_if_eager
def _transition(generator: Generator) -> Array:
    def currents(x):
        moved = _moved(generator, x, False)
        return micro_currents_of(moved, state_of(moved, None))

    return jax.jacfwd(currents)(affinities(generator))


def transition_response(generator: Generator) -> Float[Array, "bath to from force"]:
    """Linear response of every micro-current to the affinities of the baths, ∂J_b,mn/∂X_j.

    Micro-currents as `micro_currents`, forces as `onsager_matrix`. Two fields with one coupling obey, for the flow
    between them on one transition of frequency ω, [J; J^Q] = -Γ [[1, ω - μ], [ω - μ, (ω - μ)²]] [δμ; δβ/β].
    Shape (bath, level, level, n).
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (57) with the signs of (57c) put right.
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

    L_ij = -½∫dt ⟨Φ_i(t)Φ_j(0)⟩ - δ_ij ⟨Φ_i A_i⟩ with the current operators Φ = D_b†(A), A = N and H; δ between
    charges of one bath. Particles are counted by the System's number. Equal to `onsager_matrix` where one temperature
    and one chemical potential hold everywhere, and meaningless elsewhere. Shape (n, n), order as there.
    Raises ValueError above d = 32, and where particles are exchanged by a System without number.
    *Source:* H. Spohn and J. L. Lebowitz, Adv. Chem. Phys. 38, 109 (1978).
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
    back = jax.vmap(lambda phi: spectrum.from_eigenbasis(phi.astype(rho.dtype)))(flat)

    def spectrum_at_zero(a, b):
        return jnp.real(correlation_spectrum(generator, state, a, b, zero)[0])

    moving = jax.vmap(lambda a: jax.vmap(lambda b: spectrum_at_zero(a, b))(back))(back)
    own = jnp.stack(charges).astype(rho.dtype)
    ones = jnp.real(jnp.einsum("bikl,jlm,mk->bij", operators.astype(rho.dtype), own, rho))
    count, kinds = operators.shape[:2]
    still = ones[:, :, None, :] * jnp.eye(count, dtype=ones.dtype)[:, None, :, None]
    return -0.5 * moving - still.reshape(count * kinds, count * kinds)
