"""Null spaces of small real matrices: inverse with rank, null vectors, and the projector onto the null space.

The projector P on the null space of A along its range, and the group inverse G of A (AGA = A, GAG = G, AG = GA, so that
AG = 1 - P), satisfy for a null space of fixed dimension

    dP = -(P dA G + G dA P),      G = (A - sP)⁻¹ + P/s   for any s ≠ 0

(T. Kato, Perturbation Theory for Linear Operators (1966), chapter II, section 2, where G is the reduced resolvent;
C. D. Meyer and G. W. Stewart, SIAM J. Numer. Anal. 25, 679 (1988)). With A - λ in place of A they hold for any
eigenvalue λ.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, DType, Float
from qdbjax.numerics.products import dot

Square = Float[Array, "n n"]


def _eliminate(matrix: Square, sources: Float[Array, "n k"]) -> tuple[Float[Array, "n k"], Float[Array, ""]]:
    """Solution of A X = B by Gauss-Jordan elimination with complete pivoting, and the dimension of A's null space.

    Pivots below n·1000·eps of the largest entry count as zero; their unknowns are set to zero. Written as a loop, not
    as a LAPACK call: a second kind of LAPACK call in one batched program can deadlock a two-core machine.
    """
    n = matrix.shape[0]
    floor = jnp.max(jnp.abs(matrix)) * n * 1000 * jnp.finfo(matrix.dtype).eps

    def step(_, carry):
        table, free_rows, free_columns, x_row, rank = carry
        size = jnp.abs(table[:, :n]) * free_rows[:, None] * free_columns[None, :]
        flat = jnp.argmax(size)
        row, column = flat // n, flat % n
        good = jnp.max(size) > floor
        pivot = jnp.where(good, table[row, column], 1.0)
        scaled = table[row] / pivot
        multiplier = table[:, column].at[row].set(0.0)
        reduced = (table - multiplier[:, None] * scaled[None, :]).at[row].set(scaled)
        table = jnp.where(good, reduced, table)
        used = jnp.where(good, 0.0, 1.0).astype(table.dtype)
        free_rows, free_columns = free_rows.at[row].multiply(used), free_columns.at[column].multiply(used)
        x_row = jnp.where(good, x_row.at[column].set(row.astype(jnp.int32)), x_row)
        return table, free_rows, free_columns, x_row, rank + jnp.where(good, 1.0, 0.0).astype(table.dtype)

    ones = jnp.ones((n,), matrix.dtype)
    start = (
        jnp.concatenate([matrix, sources], axis=1),
        ones,
        ones,
        jnp.full((n,), -1, jnp.int32),
        jnp.zeros((), matrix.dtype),
    )
    table, _, _, x_row, rank = jax.lax.fori_loop(0, n, step, start)
    return jnp.where((x_row >= 0)[:, None], table[jnp.maximum(x_row, 0), n:], 0.0), n - rank


@jax.custom_jvp
def inverse(matrix: Square) -> Square:
    """A⁻¹, differentiable to any order: dA⁻¹ = -A⁻¹ dA A⁻¹. NaN where A is singular to rounding."""
    solution, missing = _eliminate(matrix, jnp.eye(matrix.shape[0], dtype=matrix.dtype))
    return jnp.where(missing > 0, jnp.nan, solution)


@inverse.defjvp
def _inverse_jvp(primals, tangents):
    value = inverse(primals[0])
    return value, -dot(value, dot(tangents[0], value))


def null_vectors(matrix: Square, tolerance: float | Float[Array, ""]) -> tuple[Square, Square, Float[Array, " n"]]:
    """Right and left null vectors as columns, padded with zeros, and the singular values in descending order.

    A singular value counts as zero below `tolerance` times the largest one.
    """
    left, values, right = jnp.linalg.svd(matrix)
    zero = (values <= tolerance * values[0]).astype(matrix.dtype)
    return right.T * zero[None, :], left * zero[None, :], values


def projector_tangent(projector: Square, group_inverse: Square, change: Square) -> Square:
    """dP of the module docstring."""
    first = dot(projector, change, group_inverse)
    return -(first + dot(group_inverse, change, projector))


@jax.custom_jvp
def nullspace_projector(matrix: Square, tolerance: Float[Array, ""]) -> Square:
    """Projector P on the null space of A along its range, R (LᵀR)⁻¹ Lᵀ: the limit of e^{tA} for a stable A.

    Its trace is the dimension of the null space.
    """
    right, left, values = null_vectors(matrix, tolerance)
    kept = (values > tolerance * values[0]).astype(matrix.dtype)
    overlap = dot(left.T, right) + jnp.diag(kept)
    return dot(right, jnp.linalg.solve(overlap, left.T))


@nullspace_projector.defjvp
def _nullspace_projector_jvp(primals, tangents):
    matrix, tolerance = primals
    change = tangents[0]
    projector = nullspace_projector(matrix, tolerance)
    group_inverse = jnp.linalg.inv(matrix - projector) + projector
    return projector, projector_tangent(projector, group_inverse, change)


def kernel_tolerance(dtype: DType) -> float:
    """Singular values below this fraction of the largest count as zero."""
    return float(jnp.finfo(dtype).eps) ** 0.75
