"""Stationary state from the ω = 0 block: populations, and coherences between degenerate levels.

The unknown is ρ as d² reals. K, the block of L, has one dependent row, as Tr K(ρ) = 0; the row of one population is
replaced by the trace, and coherences outside the block are set to zero:

    A(ρ) = K(ρ) except in row r, where it is Tr ρ,      A(ρ) = e_r.

Which row counts when it is cold: the others are then balances between terms of their own size, while the trace, put in
the row of a rare level, swamps it (with r the most populated level populations of e^{-500} are right to 1e-13, with a
bordered matrix, which adds the trace to every row, 20 % are lost at e^{-33}). Columns are scaled by √p_m √p_n, p from
the rates between populations alone, and rows by their largest entry. What the condition number says then is not how
cold it is (5 to 100 whatever T is) but how nearly the state is one of many. The scaling is repeated with the
populations found where the first p was far off (a coherent drive at T = 0).

Derivatives apply A without forming it and use the same inverse (`lax.custom_linear_solve`, every order and mode).
*Source:* of the elimination of a dependent row, W. J. Stewart, Numerical Solution of Markov Chains (1994), section 2.3.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, BoolMatrix, Float, RealVector, Scalar
from qdbjax.generators.block import Block, check_dense, whole_block
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.gauss_jordan import Inverse, invert
from qdbjax.numerics.hermitian import Packed, pack, unpack
from qdbjax.numerics.markov import off_diagonal
from qdbjax.solvers.abstract import AbstractSolver, Solution, negativity
from qdbjax.solvers.populations import solve_graph
from qdbjax.systems import Spectrum

RARE = 1e8  # populations below this many of the smallest numbers are scaled as that one
ROUNDS = 3  # of scaling
WELL_SCALED = 1e4  # a condition number above which the scaling is repeated


def block_rows(block: Block, fastest: Scalar) -> Float[Array, "n n"]:
    """K on packed reals, coherences outside the block decaying at the fastest rate."""
    outside = 1 - jnp.real(block.same).reshape(-1)
    return block.matrix() - fastest * jnp.diag(outside)


def _fastest(block: Block) -> Scalar:
    """The largest decay of a level, K_ll = Σ_a Σ_n S*_nl R_nl; 1 if all are 0."""
    largest = jnp.max(jnp.abs(jnp.sum(jnp.conj(block.operators) * block.dressed, axis=(0, 1))))
    return jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1.0))


def rounding(dimension: int, dtype) -> float:
    """Relative error of a solution per unit of its condition number."""
    return dimension**2 * float(jnp.finfo(dtype).eps)


class _Scaled:
    """A⁻¹ = C M⁻¹ R with M = R A C of entries of size 1, as vectors: rows R, columns C."""

    def __init__(self, rows: Array, columns: Array, inverse: Inverse):
        self.rows, self.columns, self.inverse = rows, columns, inverse

    def solve(self, source: Packed) -> Packed:
        found = self.inverse.solve(source.reshape(-1) * self.rows)
        return (found * self.columns).reshape(source.shape)

    def solve_transposed(self, source: Packed) -> Packed:
        found = self.inverse.solve_transposed(source.reshape(-1) * self.columns)
        return (found * self.rows).reshape(source.shape)


def _factor(matrix: Float[Array, "n n"], populations: RealVector) -> tuple[tuple, Array]:
    """Rows, columns and inverse for columns scaled with some populations; and the place of the replaced row."""
    d, dtype = populations.shape[0], matrix.dtype
    trace = jnp.eye(d, dtype=dtype).reshape(-1)
    root = jnp.sqrt(jnp.maximum(populations, RARE * float(jnp.finfo(dtype).tiny)))
    columns = (root[:, None] * root[None, :]).reshape(-1)
    replaced = (jnp.arange(d * d) == jnp.argmax(populations) * (d + 1))[:, None]
    scaled = jnp.where(replaced, trace[None, :], matrix) * columns[None, :]
    size = jnp.max(jnp.abs(scaled), axis=1)
    rows = 1 / jnp.where(size > 0, size, 1.0)
    return (rows, columns, invert(scaled * rows[:, None])), replaced[:, 0]


def _best_scaled(
    matrix: Float[Array, "n n"], populations: RealVector, equal: BoolMatrix
) -> tuple[_Scaled, Array, Scalar]:
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
        parts, replaced = _factor(matrix, guess)
        state = _Scaled(*parts).solve(replaced.astype(guess.dtype).reshape(d, d))
        between = jnp.where(equal, jnp.abs(state), 0.0)
        guess = shared(jnp.max(jnp.maximum(between, between.T), axis=1))
        return count + 1, parts, replaced, parts[2].condition_number, guess

    shapes = jax.eval_shape(lambda: _factor(matrix, populations))
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    start = jnp.int32(0), *empty, jnp.full((), jnp.inf, populations.dtype), shared(populations)
    _, parts, replaced, condition, _ = jax.lax.while_loop(again, scale, start)
    return _Scaled(*parts), replaced, condition


def solve_block(spectrum: Spectrum, jumps: AbstractJumps, populations: RealVector) -> Solution:
    """Stationary state from the ω = 0 block.

    populations: of the rates between levels alone (d,), by which columns are scaled.
    Where the state is one of many the condition number is infinite, or as large as rounding makes it; the caller flags
    it. Raises ValueError above d = 32.
    """
    d = spectrum.energies.shape[0]
    check_dense(d, "the ω = 0 block")
    block = whole_block(spectrum, jumps)
    fixed = jax.lax.stop_gradient(block)
    fastest = _fastest(fixed)
    matrix = block_rows(fixed, fastest)
    equal = Spectrum(spectrum.energies, spectrum.basis, spectrum.mixing).same_level  # a window joins other levels too
    scaled, replaced, condition = _best_scaled(matrix, jax.lax.stop_gradient(populations), equal)
    replaced = replaced.reshape(d, d)

    def action(packed):
        same = jnp.real(block.same)
        inside = pack(block.action(unpack(packed * same))) - fastest * packed * (1 - same)
        return jnp.where(replaced, jnp.trace(packed), inside)

    state = jax.lax.custom_linear_solve(
        action,
        replaced.astype(matrix.dtype),
        lambda _, source: scaled.solve(source),
        lambda _, source: scaled.solve_transposed(source),
    )
    change = jnp.sum(matrix * jax.lax.stop_gradient(state).reshape(1, d * d), axis=1)
    residual = jnp.max(jnp.abs(change)) / fastest
    kernel = jnp.where(condition * rounding(d, matrix.dtype) > 0.1, 2.0, 1.0).astype(matrix.dtype)
    missed = negativity(jax.lax.stop_gradient(state))
    return Solution(
        jnp.diagonal(state),
        off_diagonal(state),
        kernel,
        residual,
        condition,
        missed,
        jax.lax.stop_gradient(spectrum.widest_level),
    )


class DegenerateBlock(AbstractSolver):
    """The ω = 0 block for every cell: populations and coherences between equal levels; cost d⁶ a cell, d <= 32."""

    def solve(self, generator: Generator) -> Solution:
        rates = jax.lax.stop_gradient(generator.total_rates)
        return solve_block(generator.spectrum, generator.jumps, solve_graph(rates).populations)
