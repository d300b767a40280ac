"""Root and inverse of a positive Hermitian matrix, with derivatives exact at equal eigenvalues.

The derivative of R = A^½ solves R dR + dR R = dA, in the frame of R dA_ij/(r_i + r_j): nothing vanishes in a sum of
positive numbers.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Matrix
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.matrix import dagger, in_frame, matmul


@jax.custom_jvp
def inverse_hermitian(matrix: Matrix) -> Matrix:
    """A⁻¹ of a positive A; eigenvalue by eigenvalue, so that a diagonal A of any range keeps its digits."""
    values, basis = eigh(matrix)
    return matmul(basis * (1 / values).astype(basis.dtype)[None, :], dagger(basis))


@inverse_hermitian.defjvp
def _inverse_jvp(primals, tangents):
    found = inverse_hermitian(primals[0])
    return found, -matmul(found, matmul(tangents[0], found))


@jax.custom_jvp
def sqrt_hermitian(matrix: Matrix) -> Matrix:
    """A^½ of a positive semidefinite A; what is negative by rounding counts as 0."""
    values, basis = eigh(matrix)
    return matmul(basis * jnp.sqrt(jnp.maximum(values, 0.0)).astype(basis.dtype)[None, :], dagger(basis))


@sqrt_hermitian.defjvp
def _sqrt_jvp(primals, tangents):
    root = sqrt_hermitian(primals[0])
    # The frame is held fixed, as for the exponential: what the root has off its diagonal then, zero in value, carries
    # the second derivative.
    basis = jax.lax.stop_gradient(eigh(root)[1])
    framed, change = in_frame(basis, root), in_frame(basis, tangents[0])
    values = jnp.real(jnp.diagonal(framed))
    sums = (values[:, None] + values[None, :]).astype(change.dtype)
    rest = framed * (1 - jnp.eye(framed.shape[0], dtype=framed.dtype))
    found = change / sums
    found = found - (matmul(rest, found) + matmul(found, rest)) / sums
    return root, matmul(matmul(basis, found), dagger(basis))
