"""Hermitian eigensystem whose derivative is right for everything that does not depend on the basis inside a cluster.

Let H V = V B with B diagonal in value. Perturbation theory, H → H + dH and X = V†dH V, gives

    dB = X inside a cluster of levels, 0 elsewhere;      dV = V Y,  B Y - Y B = -X between clusters, Y = 0 inside.

No denominator ever connects two levels of one cluster, so nothing overflows at a crossing. What replaces the missing
rotation is the *off-diagonal* tangent of B: functions that treat B as a matrix inside a cluster (`−i[B, ρ]`,
`V f(B) V†`) have the exact derivative at, near and away from a crossing. Both rules call differentiable functions, so
that they hold in forward and reverse mode and to second order.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from qdbjax._types import BoolMatrix, Matrix, RealVector
from qdbjax.numerics.closed_form import eigh2, eigh3
from qdbjax.numerics.small import dagger, in_frame, matmul


def eigh(matrix: Matrix) -> tuple[RealVector, Matrix]:
    """Ascending eigenvalues and eigenvectors of a Hermitian matrix: closed form for d <= 3, LAPACK above.

    No derivative rule of its own: differentiate `eigensystem`.
    """
    d = matrix.shape[-1]
    if d == 1:
        return jnp.real(matrix[0]), jnp.ones_like(matrix)
    if d == 2:
        return eigh2(matrix)
    if d == 3:
        return eigh3(matrix)
    energies, basis = jnp.linalg.eigh(matrix, symmetrize_input=False)
    return energies, basis


def between_clusters(levels: Matrix, source: Matrix, same: BoolMatrix) -> Matrix:
    """Solve B Y - Y B = -X for Y between clusters (Y = 0 inside), B diagonal in value.

    The second term vanishes in value; it carries the off-diagonal tangent of B to the second derivative.
    """
    energies = jnp.real(jnp.diagonal(levels))
    gap = energies[None, :] - energies[:, None]
    inverse = jnp.where(same, 0.0, 1.0 / jnp.where(same, 1.0, gap)).astype(source.dtype)
    first = inverse * source
    rest = (levels * (1 - jnp.eye(levels.shape[0], dtype=levels.dtype))).astype(source.dtype)
    return first + inverse * (matmul(rest, first) - matmul(first, rest))


def eigensystem(
    hamiltonian: Matrix, clusters: Callable[[RealVector], BoolMatrix]
) -> tuple[RealVector, Matrix, Matrix]:
    """Energies (d,), level matrix B (d, d) and eigenvectors V (d, d, columns) of a Hermitian matrix.

    `clusters` maps energies to the boolean matrix of pairs that count as one level; it alone decides degeneracy.
    B equals diag(energies) in value; its derivative fills the blocks of a cluster (module docstring).
    """
    levels, basis = _eigensystem(clusters, hamiltonian)
    return jnp.real(jnp.diagonal(levels)), levels, basis


def _eigensystem_value(clusters, hamiltonian):
    energies, basis = eigh(hamiltonian)
    return jnp.diag(energies).astype(hamiltonian.dtype), basis


_eigensystem = jax.custom_jvp(_eigensystem_value, nondiff_argnums=(0,))


@_eigensystem.defjvp
def _eigensystem_jvp(clusters, primals, tangents):
    (hamiltonian,), (d_hamiltonian,) = primals, tangents
    levels, basis = _eigensystem(clusters, hamiltonian)
    same = jax.lax.stop_gradient(clusters(jnp.real(jnp.diagonal(levels))))
    # Only the Hermitian part of the tangent is a tangent: entries of H may be perturbed one at a time.
    change = in_frame(basis, 0.5 * (d_hamiltonian + dagger(d_hamiltonian)))
    d_levels = jnp.where(same, change, jnp.zeros_like(change))
    d_basis = matmul(basis, between_clusters(levels, change, same))
    return (levels, basis), (d_levels.astype(levels.dtype), d_basis)
