"""The default way to the stationary state: cheap wherever levels differ, right where they do not."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from qdbjax.generators.block import block_fits, in_cells
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

    A batch without a special cell runs the population solver alone; in a batch with some, only those cells pay for
    the block.
    """

    def solve(self, generator: Generator) -> Solution:
        rates, spectrum, jumps = generator.total_rates, generator.spectrum, generator.jumps
        populations, pivots = eliminate(rates)
        plain = diagonal_solution(rates, populations, jnp.ones((), rates.dtype))
        # No way from some state to state 0, or a state 0 so rare that the ratios to it overflow.
        stuck = ~every(lambda s: s > 0, pivots) | ~every(jnp.isfinite, plain.populations)
        no_coherences = jax.ShapeDtypeStruct(plain.coherences.shape, plain.coherences.dtype)
        plain = dataclasses.replace(plain, coherences=no_coherences)
        if not block_fits(spectrum):
            return in_cells(stuck, _of_graph, (spectrum, jumps), plain)
        asked = stuck | (spectrum.degenerate & every(jnp.isfinite, rates))
        return in_cells(asked, _of_block, (spectrum, jumps), plain)


def _of_graph(spectrum: Spectrum, jumps: AbstractJumps) -> Solution:
    """A cell with a graph whose first state is not recurrent."""
    return solve_graph(jnp.sum(jumps.rates(spectrum), axis=0))


def _of_block(spectrum: Spectrum, jumps: AbstractJumps) -> Solution:
    """A cell with degenerate levels, or with a graph whose first state is not recurrent.

    Where levels are not degenerate the value comes from the graph, right to rounding in each population, and the
    derivative from the block, which is the same function: two derivative rules would double the time to compile.
    """
    block = solve_block(spectrum, jumps)
    arrays, rest = eqx.partition((spectrum, jumps), eqx.is_array)
    graph = _of_graph(*eqx.combine(jax.lax.stop_gradient(arrays), rest))
    degenerate = spectrum.degenerate

    def choose(x, y):
        derivative_only = jnp.where(jnp.isfinite(x), x - jax.lax.stop_gradient(x), 0.0)
        return jnp.where(degenerate, x, y + derivative_only)

    return jax.tree.map(choose, block, graph)
