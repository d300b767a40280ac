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

from qdbjax._types import Array, Float, RealVector, Scalar
from qdbjax.generators.block import UNKNOWNS, Block, block_entries, block_room, whole_block
from qdbjax.generators.block_entries import AllEntries, SomeEntries
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.hermitian import negativity, pack, unpack
from qdbjax.numerics.markov import off_diagonal
from qdbjax.solvers.abstract import AbstractSolver, Solution
from qdbjax.solvers.matrix_free import solve_matrix_free
from qdbjax.solvers.populations import solve_graph
from qdbjax.solvers.scaling import best_scaled, fastest_decay, rounding
from qdbjax.systems import Spectrum


def block_rows(block: Block, fastest: Scalar, entries: AllEntries | SomeEntries | None = None) -> Float[Array, "n n"]:
    """K on packed reals, by default all of them; coherences outside the block decay at the fastest rate."""
    entries = AllEntries(block.levels.shape[0]) if entries is None else entries
    return block.matrix_on(entries) - fastest * jnp.diag(1 - entries.take(jnp.real(block.same)))


def solve_block(spectrum: Spectrum, jumps: AbstractJumps, populations: RealVector) -> Solution:
    """Stationary state from the ω = 0 block.

    populations: of the rates between levels alone (d,), by which columns are scaled.
    Where the state is one of many the condition number is infinite, or as large as rounding makes it; the caller flags
    it, and a block with more entries than there is room for.
    """
    if block_room(spectrum) > UNKNOWNS:
        return solve_matrix_free(spectrum, jumps, populations)
    d, entries = spectrum.energies.shape[0], block_entries(spectrum)
    block = whole_block(spectrum, jumps)
    fixed = jax.lax.stop_gradient(block)
    fastest = fastest_decay(fixed)
    matrix = block_rows(fixed, fastest, entries)
    equal = Spectrum(spectrum.energies, spectrum.basis, spectrum.mixing).same_level  # a window joins other levels too
    scaled, replaced, condition = best_scaled(matrix, jax.lax.stop_gradient(populations), equal, entries)

    def action(vector):
        packed, same = entries.put(vector), jnp.real(block.same)
        inside = pack(block.action(unpack(packed * same)))
        outside = fastest * vector * (1 - entries.take(same))
        return jnp.where(replaced, jnp.trace(packed), entries.take(inside) - outside)

    vector = jax.lax.custom_linear_solve(
        action,
        replaced.astype(matrix.dtype),
        lambda _, source: scaled.solve(source),
        lambda _, source: scaled.solve_transposed(source),
    )
    state = entries.put(vector)
    change = jnp.sum(matrix * jax.lax.stop_gradient(vector)[None, :], axis=1)
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
    """The ω = 0 block for every cell: populations and coherences between equal levels; cost n³ a cell for n entries."""

    def solve(self, generator: Generator) -> Solution:
        rates = jax.lax.stop_gradient(generator.total_rates)
        return solve_block(generator.spectrum, generator.jumps, solve_graph(rates).populations)
