"""The dominant eigenvalue (largest real part) of a real matrix whose dominant eigenvalue is real and simple.

Rate matrices and generators tilted by counting fields have one (Perron and Frobenius). With P = r lᵀ/lᵀr the projector
on its eigenvector along everything else, and G the group inverse of A - λ,

    dλ = Tr[P dA],      dP = -(P dA G + G dA P),

so that no eigenvector routine is differentiated, to any order.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Scalar
from qdbjax.numerics.kernel import Square, inverse

SQUARINGS = 64  # e^{2^64 hA}: a second eigenvalue only 1e-17 ‖A‖ away is told apart
TERMS = 8  # of the exponential series: its polynomial has the eigenvectors of A whatever its accuracy


def _product(*matrices: Square) -> Square:
    total = matrices[0]
    for matrix in matrices[1:]:
        total = jnp.matmul(total, matrix, precision="highest")
    return total


@jax.custom_jvp
def dominant_projector(matrix: Square) -> Square:
    """P of the module docstring, from repeated squaring of e^{hA}."""
    size = jnp.max(jnp.sum(jnp.abs(matrix), axis=0))
    scaled = matrix / jnp.where(size > 0, size, 1.0)
    unit = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    power = unit
    for n in range(TERMS, 0, -1):
        power = unit + _product(scaled, power) / n

    def square(_, power):
        found = _product(power, power)
        return found / jnp.max(jnp.abs(found))

    power = jax.lax.fori_loop(0, SQUARINGS, square, power)
    return power / jnp.trace(power)


@dominant_projector.defjvp
def _projector_jvp(primals, tangents):
    matrix, change = primals[0], tangents[0]
    projector = dominant_projector(matrix)
    unit = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    scale = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(matrix)), jnp.finfo(matrix.dtype).tiny))
    shifted = matrix - dominant_eigenvalue(matrix) * unit - scale * projector
    group = inverse(shifted) + projector / scale
    return projector, -(_product(projector, change, group) + _product(group, change, projector))


@jax.custom_jvp
def dominant_eigenvalue(matrix: Square) -> Scalar:
    """λ of the module docstring."""
    return jnp.sum(dominant_projector(matrix).T * matrix)


@dominant_eigenvalue.defjvp
def _eigenvalue_jvp(primals, tangents):
    matrix = primals[0]
    return dominant_eigenvalue(matrix), jnp.sum(dominant_projector(matrix).T * tangents[0])
