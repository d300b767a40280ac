"""The Gibbs state and its thermodynamic potentials."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import is_traced
from qdbjax._repr import summary
from qdbjax._types import Array, ArrayLike, Matrix, RealVector, Scalar
from qdbjax.baths.temperature import one_temperature
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.matrix_functions import expm_hermitian
from qdbjax.numerics.products import dot
from qdbjax.systems import Spectrum, System, as_system, diagonalize


class GibbsState(eqx.Module):
    """ρ = e^{-H/T}/Z with its thermodynamic potentials; every field is differentiable, at degenerate levels too.

    density_matrix: ρ (d, d), in the basis of H.
    populations: (d,), of the energy levels.
    log_partition_function: ln Z.
    energy: ⟨H⟩.
    free_energy: F = -T ln Z, energy.
    entropy: S, nats.
    heat_capacity: dE/dT = Var(H)/T².
    """

    density_matrix: Matrix
    populations: RealVector
    log_partition_function: Scalar
    energy: Scalar
    free_energy: Scalar
    entropy: Scalar
    heat_capacity: Scalar

    def __repr__(self) -> str:
        fields = {name: getattr(self, name) for name in ("populations", "energy", "entropy")}
        known = {"dimension": self.populations.shape[-1]}
        return summary(self, self.populations, fields, rank=1, known=known)


def gibbs(
    system: System | ArrayLike, *, temperature: ArrayLike | None = None, inverse_temperature: ArrayLike | None = None
) -> GibbsState:
    """Gibbs state of a system.

    ρ = e^{-βH}/Z

    system: a System or a Hamiltonian (d, d).
    temperature: T, energy (k_B = 1), of either sign, as a finite system has a highest level; give this or
        inverse_temperature. T = 0 is the ground level, its states with equal weights.
    inverse_temperature: β = 1/T, of either sign; β = 0 is the maximally mixed state.
    Returns a GibbsState. Raises ValueError for NaN and for both or neither temperature.
    *Source:* J. W. Gibbs, Elementary Principles in Statistical Mechanics (1902), in its quantum form.

    >>> qdb.gibbs(qdb.models.qubit(1.0), temperature=1.0).populations.round(4)
    Array([0.7311, 0.2689], dtype=float64)
    """
    name, value = one_temperature(temperature, inverse_temperature)
    system = as_system(system)
    return _gibbs(system, value) if name == "inverse_temperature" else _gibbs_at(system, value)


def finite_inverse(temperature: ArrayLike | None, inverse_temperature: ArrayLike | None) -> Scalar:
    """β = 1/T for states and quantities without a limit at T = 0 and T = ∞; a concrete 0 or ∞ is refused."""
    name, value = one_temperature(temperature, inverse_temperature)
    if not is_traced(value) and (float(value) == 0 or np.isinf(float(value))):
        raise ValueError(f"{name} must be finite and not 0; got {float(value)}. Take a small or a large one instead.")
    return value if name == "inverse_temperature" else 1 / value


@jit_if_eager
def _gibbs_at(system: System, temperature: Scalar) -> GibbsState:
    cold = temperature == 0
    return _gibbs(system, jnp.where(cold, jnp.inf, 1 / jnp.where(cold, 1.0, temperature)))


@jit_if_eager
def _gibbs(system: System, beta: Scalar) -> GibbsState:
    levels = diagonalize(system)
    frozen = jnp.isinf(beta)
    # Energies are counted from the level that weighs most, so that no exponential overflows.
    energies = jax.lax.stop_gradient(levels.energies)
    reference = jnp.where(beta < 0, jnp.max(energies), jnp.min(energies))
    finite = jnp.where(frozen, 1.0, beta)
    hamiltonian = jnp.asarray(system.hamiltonian)
    d = system.dimension
    shifted = hamiltonian - (reference * jnp.eye(d, dtype=reference.dtype)).astype(hamiltonian.dtype)
    weight = expm_hermitian(-finite.astype(hamiltonian.dtype) * shifted)
    partition = jnp.real(jnp.trace(weight))
    thermal = weight / partition.astype(weight.dtype)
    ground, members = _extreme_level(levels, beta)
    rho = jnp.where(frozen, ground, thermal)
    excess = jnp.real(jnp.sum(shifted.T * rho))
    square = jnp.real(jnp.sum(dot(shifted, shifted).T * rho))
    log_shifted = jnp.log(jnp.where(frozen, members, partition))
    energy = excess + reference
    safe = jnp.where(beta == 0, 1.0, finite)
    free = jnp.where(frozen, energy, jnp.where(beta == 0, -jnp.inf, reference - log_shifted / safe))
    cold = jnp.real(jnp.diagonal(levels.to_eigenbasis(ground)))
    populations = jnp.where(frozen, cold, _weights(levels.energies, finite, reference))
    log_partition = jnp.where(frozen, jnp.sign(-beta * reference) * jnp.inf, log_shifted - finite * reference)
    return GibbsState(
        density_matrix=rho,
        populations=populations,
        log_partition_function=log_partition,
        energy=energy,
        free_energy=free,
        entropy=log_shifted + jnp.where(frozen, 0.0, finite * excess),
        heat_capacity=jnp.where(frozen, 0.0, finite * finite * (square - excess * excess)),
    )


def _weights(energies: RealVector, beta: Scalar, reference: Scalar) -> RealVector:
    weights = jnp.exp(-beta * (energies - reference))
    return weights / jnp.sum(weights)


def _extreme_level(levels: Spectrum, beta: Scalar) -> tuple[Matrix, Array]:
    """Normalised projector on the lowest (β > 0) or highest level and the number of states in it."""
    extreme = jnp.where(beta < 0, jnp.argmax(levels.energies), jnp.argmin(levels.energies))
    mask = levels.same_level[extreme].astype(levels.energies.dtype)
    projector = levels.from_eigenbasis(jnp.diag(mask).astype(levels.basis.dtype))
    count = jnp.sum(mask)
    return projector / count.astype(projector.dtype), count
