"""The Perron eigenvalue of a real matrix: the one of largest real part, where it is real and simple.

Rate matrices and generators tilted by counting fields have one (Perron and Frobenius). With P = r lᵀ/lᵀr the projector
on its eigenvector along everything else, and G the group inverse of A - λ,

    dλ = Tr[P dA],      dP = -(P dA G + G dA P)

(T. Kato, Perturbation Theory for Linear Operators (1966), chapter II, section 2), so that no eigenvector routine is
differentiated, to any order.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Scalar
from qdbjax.numerics.nullspace import Square, inverse, projector_tangent
from qdbjax.numerics.products import dot

PERRON_SQUARINGS = 64  # e^{2^64 hA}: a second eigenvalue only 1e-17 ‖A‖ away is told apart
EXPONENTIAL_TERMS = 8  # of the exponential series: its polynomial has the eigenvectors of A whatever its accuracy


@jax.custom_jvp
def perron_projector(matrix: Square) -> Square:
    """P of the module docstring, from repeated squaring of e^{hA}."""
    size = jnp.max(jnp.sum(jnp.abs(matrix), axis=0))
    scaled = matrix / jnp.where(size > 0, size, 1.0)
    unit = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    power = unit
    for n in range(EXPONENTIAL_TERMS, 0, -1):
        power = unit + dot(scaled, power) / n

    def square(_, power):
        power = dot(power, power)
        return power / jnp.max(jnp.abs(power))

    power = jax.lax.fori_loop(0, PERRON_SQUARINGS, square, power)
    return power / jnp.trace(power)


@perron_projector.defjvp
def _projector_jvp(primals, tangents):
    matrix, change = primals[0], tangents[0]
    projector = perron_projector(matrix)
    unit = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    scale = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(matrix)), jnp.finfo(matrix.dtype).tiny))
    shifted = matrix - perron_eigenvalue(matrix) * unit - scale * projector
    group_inverse = inverse(shifted) + projector / scale
    return projector, projector_tangent(projector, group_inverse, change)


@jax.custom_jvp
def perron_eigenvalue(matrix: Square) -> Scalar:
    """λ of the module docstring."""
    return jnp.sum(perron_projector(matrix).T * matrix)


@perron_eigenvalue.defjvp
def _eigenvalue_jvp(primals, tangents):
    matrix = primals[0]
    return perron_eigenvalue(matrix), jnp.sum(perron_projector(matrix).T * tangents[0])
