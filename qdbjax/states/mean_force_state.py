"""Hamiltonian of mean force: the reduced state of a system in equilibrium with an environment, at any coupling."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian
from qdbjax._repr import summary
from qdbjax._types import Array, ArrayLike, Inexact, Matrix, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.matrix_functions import logm_hermitian
from qdbjax.states.generalized_gibbs_state import normalized_exponential
from qdbjax.states.gibbs_state import finite_inverse, gibbs
from qdbjax.systems import System, as_system, diagonalize


class MeanForce(eqx.Module):
    """ρ = e^{-βH*}/Z*, the reduced state of a system and an environment in one thermal state.

    hamiltonian: H* (d, d), energy.
    density_matrix: ρ (d, d).
    log_partition_function: ln Z* = ln Z_total - ln Z_environment.
    """

    hamiltonian: Matrix
    density_matrix: Matrix
    log_partition_function: Scalar

    def __repr__(self) -> str:
        fields = {"hamiltonian": self.hamiltonian, "log_partition_function": self.log_partition_function}
        return summary(self, self.hamiltonian, fields, rank=2)


def mean_force(
    hamiltonian: ArrayLike,
    environment: ArrayLike,
    *,
    temperature: ArrayLike | None = None,
    inverse_temperature: ArrayLike | None = None,
) -> MeanForce:
    """Hamiltonian of mean force of a system in a finite environment, exactly.

    H* = -T ln(Tr_E e^{-βH}/Z_E), Z_E = Tr e^{-βH_E}, so that ρ = Tr_E e^{-βH}/Z = e^{-βH*}/Z*.

    hamiltonian: H (d·e, d·e), system, environment and coupling, the system the first factor of the tensor product.
    environment: H_E (e, e).
    temperature: T, energy (k_B = 1), of either sign; give this or inverse_temperature.
    inverse_temperature: β = 1/T, of either sign.
    Returns a MeanForce. No counterterm is added or taken away. H* is NaN where the weights e^{-βH*} span more than
    eleven orders of magnitude (five in single precision), so that the smallest cannot be told from rounding; ρ and Z*
    stay right. Second derivatives are exact up to d·e = 64. Raises ValueError for dimensions that do not divide, T = 0,
    T = ∞, and matrices that are not Hermitian or finite.
    *Source:* M. Campisi, P. Talkner and P. Hänggi, Phys. Rev. Lett. 102, 210401 (2009).

    >>> total = qdb.embed(0.5 * qdb.sigma_z(), 0, [2, 2]) + 0.2 * np.kron(qdb.sigma_x(), qdb.sigma_x())
    >>> qdb.mean_force(total, np.zeros((2, 2)), temperature=1.0).density_matrix.real.round(4)
    Array([[0.2717, 0.    ],
           [0.    , 0.7283]], dtype=float64)
    """
    hamiltonian = as_hermitian(hamiltonian, "hamiltonian")
    environment = as_hermitian(environment, "environment")
    if hamiltonian.shape[0] % environment.shape[0]:
        raise ValueError(
            f"environment must have a dimension that divides that of hamiltonian, {hamiltonian.shape[0]}; got "
            f"{environment.shape[0]}."
        )
    beta = finite_inverse(temperature, inverse_temperature)
    return _mean_force(jnp.asarray(hamiltonian), jnp.asarray(environment), beta)


@jit_if_eager
def _mean_force(hamiltonian: Inexact[Array, "n n"], environment: Inexact[Array, "r r"], beta: Scalar) -> MeanForce:
    rest = environment.shape[0]
    d = hamiltonian.shape[0] // rest
    whole, log_whole, _ = normalized_exponential(-beta.astype(hamiltonian.dtype) * hamiltonian)
    _, log_rest, _ = normalized_exponential(-beta.astype(environment.dtype) * environment)
    rho = jnp.trace(whole.reshape(d, rest, d, rest), axis1=1, axis2=3)
    log_partition = log_whole - log_rest
    weights = eigh(rho)[0]
    resolved = weights[0] > 1e4 * float(jnp.finfo(weights.dtype).eps) * weights[-1]
    unit = jnp.eye(d, dtype=rho.dtype)
    logarithm = logm_hermitian(jnp.where(resolved, rho, unit)) + log_partition.astype(rho.dtype) * unit
    return MeanForce(
        hamiltonian=jnp.where(resolved, -logarithm / beta.astype(rho.dtype), jnp.full_like(rho, jnp.nan)),
        density_matrix=rho,
        log_partition_function=log_partition,
    )


def ultrastrong_mean_force(
    system: System | ArrayLike,
    coupling: ArrayLike,
    *,
    temperature: ArrayLike | None = None,
    inverse_temperature: ArrayLike | None = None,
) -> MeanForce:
    """Hamiltonian of mean force in the limit of a coupling far above every other energy.

    H* = Σ_n P_n H P_n, P_n the projectors on the eigenspaces of the coupling S: coherence between them is lost. The
    energy -S²∫dω J(ω)/ω that the coupling itself adds is left out, as a counterterm does; it is a constant where
    S² ∝ 1.

    system: a System or a Hamiltonian H (d, d).
    coupling: S (d, d), Hermitian; its strength has no meaning.
    temperature: T, energy (k_B = 1), of either sign; give this or inverse_temperature.
    inverse_temperature: β = 1/T, of either sign.
    Returns a MeanForce. Raises ValueError for T = 0, T = ∞ and another shape.
    *Source:* J. D. Cresser and J. Anders, Phys. Rev. Lett. 127, 250601 (2021).

    >>> found = qdb.states.ultrastrong_mean_force(qdb.models.qubit(1.0), qdb.sigma_x(), temperature=1.0)
    >>> found.density_matrix.real.round(4)
    Array([[0.5, 0. ],
           [0. , 0.5]], dtype=float64)
    """
    system, coupling = as_system(system), as_hermitian(coupling, "coupling")
    if coupling.shape[0] != system.dimension:
        wanted = (system.dimension, system.dimension)
        raise ValueError(f"coupling must have the shape of hamiltonian, {wanted}; got {coupling.shape}.")
    beta = finite_inverse(temperature, inverse_temperature)
    return _ultrastrong(jnp.asarray(system.hamiltonian), System(coupling), beta)


@jit_if_eager
def _ultrastrong(hamiltonian: Matrix, coupling: System, beta: Scalar) -> MeanForce:
    pointer = diagonalize(coupling)
    common = np.promote_types(hamiltonian.dtype, pointer.basis.dtype)
    framed = pointer.to_eigenbasis(hamiltonian.astype(common))
    # Pinching does not see how the basis is chosen inside an eigenspace.
    kept = pointer.from_eigenbasis(jnp.where(pointer.same_level, framed, jnp.zeros_like(framed)))
    state = gibbs(System(kept), inverse_temperature=beta)
    return MeanForce(kept, state.density_matrix, state.log_partition_function)
