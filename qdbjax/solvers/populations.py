"""Stationary populations of the rate matrix alone."""

import jax
import jax.numpy as jnp

from qdbjax._types import Float, RealVector, Scalar
from qdbjax.generators.generator import Generator
from qdbjax.numerics.markov import off_diagonal, rate_matrix_vector, recurrent_classes, stationary_rooted_at
from qdbjax.numerics.matrix import entrywise, largest
from qdbjax.solvers.abstract import AbstractSolver, Solution


def diagonal_solution(rates: Float[jax.Array, "d d"], populations: RealVector, classes: Scalar) -> Solution:
    """A Solution without coherences. classes: number of recurrent classes, each with a stationary state of its own."""
    fixed, value = jax.lax.stop_gradient((rates, populations))
    scale = largest(fixed)
    excess = largest(entrywise(jnp.abs, rate_matrix_vector(fixed, value))) / jnp.where(scale > 0, scale, 1.0)
    nothing = jnp.zeros_like(classes)
    return Solution(
        populations,
        coherences=jnp.zeros_like(rates),
        kernel_dimension=classes,
        residual=excess,
        condition_number=jnp.ones_like(classes),
        negativity=nothing,
        level_width=nothing,
    )


def solve_graph(rates: Float[jax.Array, "d d"]) -> Solution:
    """Stationary populations for any graph of transitions."""
    value = jax.lax.stop_gradient(rates)
    recurrent, classes = recurrent_classes(value > 0)
    # The elimination must end in a recurrent state; the one that is left most slowly is among the most populated.
    root = jnp.argmin(jnp.where(recurrent, jnp.sum(off_diagonal(value), axis=0), jnp.inf))
    populations = stationary_rooted_at(rates, root)
    return diagonal_solution(rates, populations, classes.astype(rates.dtype))


class Populations(AbstractSolver):
    """The d x d rate matrix alone, W p = 0, for any graph of transitions; right where no levels are degenerate."""

    def solve(self, generator: Generator) -> Solution:
        return solve_graph(generator.total_rates)
