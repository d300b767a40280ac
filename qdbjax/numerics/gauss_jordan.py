"""Inverse of small real matrices by Gauss-Jordan exchange with partial pivoting, and how well they are conditioned.

An exchange step at (k, k) makes x_k a function of y_k in y = A x; rows are interchanged before, so that y_k is the
largest entry that is left. After n of them x = T P y with P y = y[order], so that A⁻¹ = T P. On a processor no library
is called: it takes longer (n = 16: 9 µs a matrix of a batch, the loop 5).
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, Float, Int, Scalar

LAUNCHED = 9  # largest size for the loop on an accelerator, where each step moves the table: 16 takes 1.6 times as long
Square = Float[Array, "n n"]
Vector = Float[Array, " n"]


class Inverse(eqx.Module):
    """A⁻¹ = T P of a matrix A.

    exchanged: T, zeros where A is singular, so that derivatives of what is not used stay finite.
    order: row k of P y is y[order[k]], (n,).
    condition_number: ‖A‖ ‖A⁻¹‖ in the largest row sum; inf where A is singular.
    """

    exchanged: Square
    order: Int[Array, " n"]
    condition_number: Scalar

    def apply(self, source: Vector) -> Vector:
        """A⁻¹ b."""
        return _times(self.exchanged, _times(self._permutation, source))

    def apply_transposed(self, source: Vector) -> Vector:
        """A⁻ᵀ b."""
        return _times(self._permutation.T, _times(self.exchanged.T, source))

    @property
    def _permutation(self) -> Square:
        place = jnp.arange(self.order.shape[0], dtype=self.order.dtype)
        return (self.order[:, None] == place[None, :]).astype(self.exchanged.dtype)


def _times(matrix: Square, vector: Vector) -> Vector:
    # A sum, not a dot: for every matrix of a batch XLA would make one small `dot` on a CPU.
    return jnp.sum(matrix * vector[None, :], axis=1)


def _row(values: Array, at: int | Int[Array, ""]) -> Array:
    return jax.lax.dynamic_index_in_dim(values, at, 0, keepdims=False)


def invert(matrix: Square, coupled: Bool[Array, " n"] | None = None) -> Inverse:
    """The inverse of a matrix whose entries are of one size.

    coupled: unknowns that are not passed over, the same in all cells of a batch; by default all. Any other one has its
        row and its column to itself, ±1 at the diagonal, which is its own inverse.
    """
    n = matrix.shape[0]
    place = jnp.arange(n, dtype=jnp.int32)
    if n > LAUNCHED and jax.default_backend() != "cpu":
        return _checked(matrix, jnp.linalg.inv(matrix), place)

    def choose(table, k):
        """Where the pivot of column k stands, row k, and the column and the row whose product a step subtracts."""
        column = jax.lax.dynamic_index_in_dim(table, k, 1, keepdims=False)
        at = jax.lax.argmax(jnp.where(place >= k, jnp.abs(column), -1.0), 0, jnp.int32)
        here, inverse = place == k, 1 / _row(column, at)
        subtracted = jnp.where(here, 1.0, jnp.where(place == at, _row(column, k), column))
        return at, _row(table, k), subtracted, jnp.where(here, -inverse, _row(table, at) * inverse)

    def following(k):
        return k + 1 if coupled is None else jnp.min(jnp.where(coupled & (place > k), place, n))

    def step(k, carry):
        table, order, (at, kth, column, row) = carry
        here, chosen = place == k, place == at
        # Row k becomes -row/pivot, column k column/pivot, their common entry 1/pivot; others lose column · row.
        rest = jnp.where(here[:, None] | here[None, :], 0.0, jnp.where(chosen[:, None], kth[None, :], table))
        table = rest - column[:, None] * row[None, :]
        order = jnp.where(here, _row(order, at), jnp.where(chosen, _row(order, k), order))
        return table, order, choose(table, jnp.minimum(following(k), n - 1))

    # A pivot is chosen in the step before: XLA would compute its row anew for every entry of the table that it is
    # subtracted from, n³ in place of n² operations, but never across the end of a step (n = 16: 28 µs in place of 5).
    first = 0 if coupled is None else following(jnp.int32(-1))
    start = matrix, place, choose(matrix, jnp.minimum(first, n - 1))
    if coupled is None:
        table, order, _ = jax.lax.fori_loop(0, n, step, start)
    else:
        each = lambda carry: (following(carry[0]), step(*carry))  # noqa: E731
        _, (table, order, _) = jax.lax.while_loop(lambda carry: carry[0] < n, each, (first, start))
    return _checked(matrix, table, order)


def _checked(matrix: Square, exchanged: Square, order: Array) -> Inverse:
    rows = lambda x: jnp.max(jnp.sum(jnp.abs(x), axis=1))  # noqa: E731
    regular = jnp.all(jnp.isfinite(exchanged))
    condition = jnp.where(regular, rows(matrix) * rows(exchanged), jnp.inf)
    return Inverse(jnp.where(regular, exchanged, 0.0), order, condition)
