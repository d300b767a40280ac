"""An optimisation barrier: values that are computed once, written to memory, and read from there at every use.

XLA recomputes cheap-looking producers inside every consumer. A conditional that is not decided at compile time is the
one barrier that it keeps on a CPU; under vmap its predicate is one for the batch, so that it stays a branch.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool
from qdbjax.numerics.entries import UNROLL, from_entries, stack_entries, unstack

LARGE_TENSOR = 8**4  # number of entries up to which a barrier gains nothing


def optimization_barrier_cond(function: Callable, not_nan: Bool[Array, ""], *operands: Any) -> Any:
    """function(*operands), behind a barrier.

    operands: trees, whose leaves need not all be arrays (a network's activation function). Complex ones pass as real
        and imaginary part, from which loops fill vectors (tables of a block of three levels: 0.7 of the time).
    not_nan: whether the result of a cell is a number; must be traced, so that XLA cannot decide the conditional. A
        batch in which it is False everywhere gets NaN.
    """
    arrays, rest = eqx.partition(operands, eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)

    def of_parts(parts):
        whole = [jax.lax.complex(*part) if len(part) == 2 else part[0] for part in parts]
        return function(*eqx.combine(jax.tree.unflatten(tree, whole), rest))

    parts = [(jnp.real(x), jnp.imag(x)) if jnp.iscomplexobj(x) else (x,) for x in leaves]
    shapes = jax.eval_shape(of_parts, parts)

    def dead(*_):
        return jax.tree.map(lambda leaf: np.full(leaf.shape, np.nan, leaf.dtype), shapes)

    return jax.lax.cond(eqxi.unvmap_any(not_nan), of_parts, dead, parts)


def barrier_where_large(function: Callable, not_nan: Bool[Array, ""], *operands: Any) -> Array:
    """function(*operands), an array, behind a barrier if it is large; to reshape it is free then.

    With four indices computed from two the compiler fills no vector (matrix of L, d = 16: 720 µs in place of 160).
    """
    if jax.eval_shape(function, *operands).size <= LARGE_TENSOR:
        return function(*operands)
    return optimization_barrier_cond(function, not_nan, *operands)


def materialize(vector: Array) -> Array:
    """A short real vector behind a barrier; without, XLA computes energies from a formula anew at each use."""
    return vector if vector.shape[0] > UNROLL else from_entries(_materialize(vector))


@jax.custom_jvp
def _materialize(vector: Array) -> Array:
    parts = unstack(vector)
    total = sum(parts[1:], parts[0])
    behind = optimization_barrier_cond(lambda *values: list(values), total == total, *parts)
    return stack_entries(behind, vector.shape)


@_materialize.defjvp
def _materialize_jvp(primals, tangents):
    return _materialize(*primals), tangents[0]
