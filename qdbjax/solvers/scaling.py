"""Equations of the stationary state scaled to entries of size 1, their inverse and how well they are conditioned."""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, BoolMatrix, Float, RealVector, Scalar
from qdbjax.generators.block import Block
from qdbjax.generators.block_entries import AllEntries, SomeEntries
from qdbjax.numerics.gauss_jordan import Inverse, invert

Square = Float[Array, "n n"]
RARE = 1e8  # populations below this many of the smallest numbers are scaled as that one
ROUNDS = 3  # of scaling
WELL_SCALED = 1e4  # a condition number above which the scaling is repeated


def fastest_decay(block: Block) -> Scalar:
    """The largest decay of a level, K_ll = Σ_a Σ_n S*_nl R_nl; 1 if all are 0."""
    largest = jnp.max(jnp.abs(jnp.sum(jnp.conj(block.operators) * block.dressed, axis=(0, 1))))
    return jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1.0))


def rounding(dimension: int, dtype) -> float:
    """Relative error of a solution per unit of its condition number."""
    return dimension**2 * float(jnp.finfo(dtype).eps)


class Scaled:
    """A⁻¹ = C M⁻¹ R with M = R A C of entries of size 1, as vectors: rows R, columns C."""

    def __init__(self, rows: Array, columns: Array, inverse: Inverse):
        self.rows, self.columns, self.inverse = rows, columns, inverse

    def solve(self, source: Array) -> Array:
        return self.inverse.solve(source * self.rows) * self.columns

    def solve_transposed(self, source: Array) -> Array:
        return self.inverse.solve_transposed(source * self.columns) * self.rows


def scale_of(populations: RealVector, entries: AllEntries | SomeEntries) -> Array:
    """√p_m √p_n at each entry (m, n)."""
    return entries.outer(jnp.sqrt(jnp.maximum(populations, RARE * float(jnp.finfo(populations.dtype).tiny))))


def _factor(matrix: Square, populations: RealVector, entries: AllEntries | SomeEntries) -> tuple[tuple, Array]:
    """Rows, columns and inverse for columns scaled with some populations; and the place of the replaced row."""
    dtype, level = matrix.dtype, entries.populations
    columns = scale_of(populations, entries)
    replaced = level == jnp.argmax(populations)
    scaled = jnp.where(replaced[:, None], (level >= 0).astype(dtype)[None, :], matrix) * columns[None, :]
    size = jnp.max(jnp.abs(scaled), axis=1)
    rows = 1 / jnp.where(size > 0, size, 1.0)
    return (rows, columns, invert(scaled * rows[:, None])), replaced


def best_scaled(
    matrix: Square, populations: RealVector, equal: BoolMatrix, entries: AllEntries | SomeEntries
) -> tuple[Scaled, Array, Scalar]:
    """The inverse, the place of the replaced row and the condition number, scaled anew while that is large.

    Levels of one energy share a scale: populations in a basis that is arbitrary between them say little.
    """
    d = populations.shape[0]
    even = jnp.full((d,), 1 / d, populations.dtype)
    populations = jnp.where(jnp.all(jnp.isfinite(populations)), populations, even)

    def shared(values):
        return jnp.max(jnp.where(equal, values[None, :], 0.0), axis=1)

    def again(carry):
        count, _, _, condition, guess = carry
        # Populations beyond 1 are those of equations that are singular to rounding, and no scale.
        return (count == 0) | ((count < ROUNDS) & (condition > WELL_SCALED) & (jnp.max(guess) < 1.01))

    def scale(carry):
        count, _, _, _, guess = carry
        parts, replaced = _factor(matrix, guess, entries)
        state = entries.put(Scaled(*parts).solve(replaced.astype(guess.dtype)))
        between = jnp.where(equal, jnp.abs(state), 0.0)
        guess = shared(jnp.max(jnp.maximum(between, between.T), axis=1))
        return count + 1, parts, replaced, parts[2].condition_number, guess

    shapes = jax.eval_shape(lambda: _factor(matrix, populations, entries))
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    start = jnp.int32(0), *empty, jnp.full((), jnp.inf, populations.dtype), shared(populations)
    _, parts, replaced, condition, _ = jax.lax.while_loop(again, scale, start)
    return Scaled(*parts), replaced, condition
