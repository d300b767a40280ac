"""A fence: values computed once, written to memory, and read from there by whoever uses them.

XLA recomputes cheap-looking producers inside every consumer. A conditional that is not decided at compile time is the
one fence it keeps on a CPU; under vmap its predicate is one for the batch, so that it stays a branch.
"""

from collections.abc import Callable

import equinox.internal as eqxi
import jax
import numpy as np

from qdbjax._types import Array, Bool
from qdbjax.numerics.entries import UNROLL, nested, vector_entries


def once(function: Callable, alive: Bool[Array, ""], *operands):
    """function(*operands), fenced. `alive` must not be a constant; where no cell is alive the results are NaN."""
    shapes = jax.eval_shape(function, *operands)

    def dead(*_):
        return jax.tree.map(lambda leaf: np.full(leaf.shape, np.nan, leaf.dtype), shapes)

    return jax.lax.cond(eqxi.unvmap_any(alive), function, dead, *operands)


@jax.custom_jvp
def materialize(vector: Array) -> Array:
    """A short real vector, fenced: energies from a formula with cosines would be recomputed a dozen times over."""
    if vector.shape[0] > UNROLL:
        return vector
    parts = vector_entries(vector)
    total = sum(parts[1:], parts[0])
    return nested(once(lambda *values: list(values), total == total, *parts), vector.shape)


@materialize.defjvp
def _computed_once_jvp(primals, tangents):
    return materialize(*primals), tangents[0]
