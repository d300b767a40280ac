"""Masked evaluation: work that only a few cells of a batch need, done for those only (`masked_primitive`).

What such a branch reads goes through memory for the whole batch, taken or not, so small arrays enter it entry by entry:
nine vectors are cheap, a batch of 3x3 matrices is slow to assemble.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from qdbjax.compilation.flat_function import FlatFunction
from qdbjax.numerics.entries import flat_entries, stack_entries
from qdbjax.numerics.masked_primitive import masked_map_p
from qdbjax.numerics.matrix import entrywise

SMALL = 16  # arrays of up to this many entries cross a branch entry by entry


def _apart(tree: Any) -> list:
    """Arrays of a tree as reals: complex ones in two parts, small ones as lists of scalars."""

    def parts(leaf):
        if jnp.iscomplexobj(leaf):
            return [parts(leaf.real), parts(leaf.imag)]
        return flat_entries(leaf) if leaf.size <= SMALL else leaf

    return [parts(leaf) for leaf in jax.tree.leaves(tree)]


def _together(parts: list, like: Any) -> Any:
    """The tree whose arrays were taken apart."""

    def rebuild(part, leaf):
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            return jax.lax.complex(*(real(half, leaf.shape) for half in part))
        return real(part, leaf.shape)

    def real(part, shape):
        return stack_entries(part, shape) if isinstance(part, list) else part

    leaves, tree = jax.tree.flatten(like)
    return jax.tree.unflatten(tree, [rebuild(part, leaf) for part, leaf in zip(parts, leaves, strict=True)])


def masked_cond(
    active: jax.Array | np.bool_, function: Callable, operands: tuple, default: Any, block_size: int
) -> Any:
    """function(*operands) in the cells that ask for it, `default` (of the same structure) in all others.

    A leaf of `default` may be a ShapeDtypeStruct, which stands for zeros. Where it is known that none asks (a NumPy
    False) nothing else is compiled. See `masked_map`.
    """
    if isinstance(active, np.bool_) and not active:
        zeros = lambda leaf: jnp.zeros(leaf.shape, leaf.dtype) if _is_shape(leaf) else leaf  # noqa: E731
        return jax.tree.map(zeros, default, is_leaf=_is_shape)
    found = masked_map(active, function, operands, block_size)

    def choose(plain, special):
        return special if _is_shape(plain) else entrywise(lambda x, y: jnp.where(active, x, y), special, plain)

    return jax.tree.map(choose, default, found, is_leaf=_is_shape)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def masked_map(active: jax.Array, function: Callable, operands: tuple, block_size: int) -> Any:
    """function(*operands), real arrays, in the cells that ask for it, zeros elsewhere; the other cells pay nothing.

    They are worked on `block_size` at a time. Every mode and order of differentiation, at the same price: nothing for
    the others. The function must not close over traced values: hand them over as operands.
    """
    arrays, rest = eqx.partition(operands, lambda leaf: isinstance(leaf, jax.Array))
    whole, like = jax.make_jaxpr(lambda arrays: function(*eqx.combine(arrays, rest)), return_shape=True)(arrays)
    results, result_tree = jax.tree.flatten(jax.eval_shape(_apart, like))
    values, tree = jax.tree.flatten(_apart(arrays))

    def of_parts(*cell):
        leaves = jax.tree.leaves(_together(jax.tree.unflatten(tree, cell), arrays))
        return jax.tree.leaves(_apart(jex.jaxpr_as_fun(whole)(*leaves)))

    lane = FlatFunction(of_parts, [jax.typeof(value) for value in values], results)
    batched = (False,) * len(values)
    found = masked_map_p.bind(active, *values, function=lane, block_size=block_size, batched=batched)
    return _together(jax.tree.unflatten(result_tree, found), like)
