"""Logarithm of a positive Hermitian matrix, its derivative exact at every gap.

With L = ln A the derivative solves d exp_L(dL) = dA: in the frame of A it is dA_ij / f[l_i, l_j], f[·, ·] the divided
differences of the exponential, which nothing cancels in.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Matrix
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.exponential import SECOND_ORDER, first_difference, second_difference
from qdbjax.numerics.matrix import dagger, in_frame, matmul


@jax.custom_jvp
def logm_hermitian(matrix: Matrix) -> Matrix:
    """ln A of a positive Hermitian A; NaN where an eigenvalue is not positive."""
    values, basis = eigh(matrix)
    return matmul(basis * jnp.log(values).astype(basis.dtype)[None, :], dagger(basis))


@logm_hermitian.defjvp
def _logm_jvp(primals, tangents):
    (matrix,), (change,) = primals, tangents
    logarithm = logm_hermitian(matrix)
    return logarithm, _inverse_frechet(logarithm, 0.5 * (change + dagger(change)))


def _inverse_frechet(matrix: Matrix, change: Matrix) -> Matrix:
    """Y with d exp_L(Y) = X, differentiable in L: the frame is held fixed, as for the exponential."""
    basis = jax.lax.stop_gradient(eigh(matrix)[1])
    found = framed_inverse(in_frame(basis, matrix), in_frame(basis, change))
    return matmul(matmul(basis, found), dagger(basis))


def framed_inverse(matrix: Matrix, change: Matrix) -> Matrix:
    """Y with d exp_L(Y) = X for an L that is diagonal in value; what its tangent has besides is solved for to first
    order."""
    a = jnp.real(jnp.diagonal(matrix))
    slope = first_difference(a[:, None], a[None, :]).astype(change.dtype)
    found = change / slope
    if matrix.shape[0] <= SECOND_ORDER:
        rest = matrix * (1 - jnp.eye(matrix.shape[0], dtype=matrix.dtype))
        table = second_difference(a[:, None, None], a[None, :, None], a[None, None, :]).astype(change.dtype)
        paths = "ikj,ik,kj->ij"
        found = found - (jnp.einsum(paths, table, rest, found) + jnp.einsum(paths, table, found, rest)) / slope
    return found
