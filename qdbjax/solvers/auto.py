"""The default solver for the stationary state: the rate matrix, or the ω = 0 block where levels are degenerate."""

import equinox as eqx
import jax
import jax.numpy as jnp

from qdbjax._types import Array, Float
from qdbjax.generators.block import block_possible, in_cells
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.markov import eliminate
from qdbjax.numerics.matrix import every
from qdbjax.solvers.abstract import AbstractSolver, Solution
from qdbjax.solvers.degenerate_block import solve_block
from qdbjax.solvers.populations import diagonal_solution, solve_graph
from qdbjax.systems import Spectrum


class Auto(AbstractSolver):
    """Populations where the spectrum is non-degenerate, the ω = 0 block where it is not, decided cell by cell.

    A batch without degenerate levels runs the population solver alone; otherwise only the cells with degenerate levels,
    or whose rates need another order of elimination, cost a second solution.
    """

    def solve(self, generator: Generator) -> Solution:
        rates, spectrum, jumps = generator.total_rates, generator.spectrum, generator.jumps
        if spectrum.is_one_level and block_possible(spectrum, jumps):
            return _of_one_level(rates, spectrum, jumps)
        populations, pivots = eliminate(rates)
        plain = diagonal_solution(rates, populations, jnp.ones((), rates.dtype))
        # A pivot 0: some state has no path to state 0. Not finite: state 0 is so rare that ratios to it overflow.
        stuck = ~every(lambda s: s > 0, pivots) | ~every(jnp.isfinite, plain.populations)
        none = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)  # noqa: E731  zeros
        plain = eqx.tree_at(lambda s: (s.coherences, s.negativity, s.level_width), plain, replace_fn=none)
        if not block_possible(spectrum, jumps):
            return in_cells(stuck, _of_graph, (spectrum, rates), plain)
        asked = stuck | (spectrum.degenerate & every(jnp.isfinite, rates))
        return in_cells(asked, _of_block, (spectrum, jumps, jax.lax.stop_gradient(rates)), plain)


def _of_one_level(rates: Float[Array, "d d"], spectrum: Spectrum, jumps: AbstractJumps) -> Solution:
    """Solution of an equation that is not secular: the block is all of it, in every cell."""
    nothing = jnp.full_like(rates, jnp.nan)
    scalar = jnp.zeros((), rates.dtype)
    flagged = Solution(jnp.full_like(rates[0], jnp.nan), nothing, scalar + 1, scalar, scalar + 1, scalar, scalar)
    populations = jax.lax.stop_gradient(solve_graph(rates).populations)
    fixed = jax.lax.stop_gradient(rates)
    return in_cells(every(jnp.isfinite, rates), solve_block, (spectrum, jumps, fixed, populations), flagged)


def _of_graph(_: Spectrum, rates: Float[Array, "d d"]) -> Solution:
    """Solution of a cell without degenerate levels, the elimination rooted at a recurrent state."""
    return solve_graph(rates)


def _of_block(spectrum: Spectrum, jumps: AbstractJumps, rates: Float[Array, "d d"]) -> Solution:
    """Solution of a cell with degenerate levels, or of one whose elimination cannot end at state 0.

    Where levels are not degenerate the value is that of `_of_graph`, right to rounding in each population, and the
    derivative that of the block, which is the same function: two derivative rules would double the time to compile.
    """
    graph = solve_graph(rates)
    block = solve_block(spectrum, jumps, rates, graph.populations)
    degenerate = spectrum.degenerate

    def choose(x, y):
        derivative_only = jnp.where(jnp.isfinite(x), x - jax.lax.stop_gradient(x), 0.0)
        return jnp.where(degenerate, x, y + derivative_only)

    return jax.tree.map(choose, block, graph)
