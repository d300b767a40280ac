"""Masked evaluation: a function computed for the active cells of a batch only (`masked_primitive`).

The operands of such a branch are written to memory for the whole batch, whether or not a cell is active. Where few
cells are, arrays whose entries are held one by one (`Matrix`) are therefore passed entry by entry: nine vectors are
cheap, a batch of 3x3 matrices is slow to assemble. Larger ones are arrays already; to take them apart, too, made the
program of a gradient at d = 4 1.45 times as large and no faster.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from qdbjax.compilation.flat_function import FlatFunction
from qdbjax.numerics.entries import UNROLL, complex_array, flat_entries, real_and_imaginary, stack_entries
from qdbjax.numerics.masked_primitive import Blocks, masked_map_p
from qdbjax.numerics.matrix import entrywise

SMALL = 16  # largest number of entries that are passed one by one


def _apart(tree: Any, entries: bool) -> list:
    """The arrays of a tree as lists of reals: complex ones in two parts, small ones entry by entry if asked for."""

    def parts(leaf):
        if jnp.iscomplexobj(leaf):
            return [parts(part) for part in real_and_imaginary(leaf)]
        small = leaf.size <= SMALL and max(leaf.shape, default=1) <= UNROLL
        return flat_entries(leaf) if entries and small else leaf

    return [parts(leaf) for leaf in jax.tree.leaves(tree)]


def _together(parts: list, like: Any) -> Any:
    """The inverse of `_apart`, for a tree of the structure and shapes of `like`."""

    def rebuild(part, leaf):
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            return complex_array(*(real(half, leaf.shape) for half in part))
        return real(part, leaf.shape)

    def real(part, shape):
        return stack_entries(part, shape) if isinstance(part, list) else part

    leaves, tree = jax.tree.flatten(like)
    return jax.tree.unflatten(tree, [rebuild(part, leaf) for part, leaf in zip(parts, leaves, strict=True)])


def masked_cond(active: jax.Array | np.bool_, function: Callable, operands: tuple, default: Any, blocks: Blocks) -> Any:
    """function(*operands) in active cells of a batch, `default` in all others.

    active: whether this cell is active, a scalar; for a NumPy False the function is not compiled at all.
    function, operands, blocks: as in `masked_map`.
    default: the result of inactive cells, of the structure of the function's result; a ShapeDtypeStruct as a leaf
        means zeros, which need not be stored.
    """
    if isinstance(active, np.bool_) and not active:
        zeros = lambda leaf: jnp.zeros(leaf.shape, leaf.dtype) if _is_shape(leaf) else leaf  # noqa: E731
        return jax.tree.map(zeros, default, is_leaf=_is_shape)
    found = masked_map(active, function, operands, blocks)

    def choose(plain, special):
        return special if _is_shape(plain) else entrywise(lambda x, y: jnp.where(active, x, y), special, plain)

    return jax.tree.map(choose, default, found, is_leaf=_is_shape)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def masked_map(active: jax.Array | np.bool_, function: Callable, operands: tuple, blocks: Blocks) -> Any:
    """function(*operands) in active cells of a batch, zeros in all others, where neither it nor its derivatives cost.

    active: whether this cell is active, a scalar.
    function: of arrays, to a tree of arrays; must not close over traced values, which have to be operands.
    operands: trees of arrays.
    blocks: how active cells are computed together.

    Differentiates in every mode and to every order.
    """
    arrays, rest = eqx.partition(operands, lambda leaf: isinstance(leaf, jax.Array))
    whole, like = jax.make_jaxpr(lambda arrays: function(*eqx.combine(arrays, rest)), return_shape=True)(arrays)
    results, result_tree = jax.tree.flatten(jax.eval_shape(lambda tree: _apart(tree, blocks.entries), like))
    values, tree = jax.tree.flatten(_apart(arrays, blocks.entries))
    # The function stays in compiled programs: of the operands it holds the shapes, and no tracer.
    shapes = jax.tree.map(jax.typeof, arrays)

    def of_parts(*cell):
        leaves = jax.tree.leaves(_together(jax.tree.unflatten(tree, cell), shapes))
        return jax.tree.leaves(_apart(jex.jaxpr_as_fun(whole)(*leaves), blocks.entries))

    blocks = blocks.within_bytes(whole)
    lane = FlatFunction(of_parts, [jax.typeof(value) for value in values], results)
    batched = (False,) * len(values)
    found = masked_map_p.bind(active, *values, function=lane, blocks=blocks, batched=batched)
    return _together(jax.tree.unflatten(result_tree, found), like)
