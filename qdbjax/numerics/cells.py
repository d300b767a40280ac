"""Work that only a few cells of a batch need, done for those cells only.

Under vmap `lax.cond` with a batched predicate evaluates both branches for every cell. `where_asked` decides once for
the batch; `only_where` collects the cells that ask for the work, a block of fixed size at a time, and scatters the results
back. Cells that do not ask get zeros.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from qdbjax.numerics.small import all_entries, entrywise, nested


SMALL = 16  # arrays of up to this many entries cross a branch entry by entry


def _apart(tree: Any) -> list:
    """Arrays of a tree, small ones as lists of real scalars."""

    def scalars(leaf):
        return [*all_entries(leaf.real), *all_entries(leaf.imag)] if jnp.iscomplexobj(leaf) else all_entries(leaf)

    return [scalars(leaf) if leaf.size <= SMALL else leaf for leaf in jax.tree.leaves(tree)]


def _together(parts: list, like: Any) -> Any:
    """The tree whose arrays were taken apart."""

    def rebuild(part, leaf):
        if not isinstance(part, list):
            return part
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            return jax.lax.complex(*(nested(half, leaf.shape) for half in (part[: leaf.size], part[leaf.size :])))
        return nested(part, leaf.shape) if part else jnp.zeros(leaf.shape, leaf.dtype)

    leaves, tree = jax.tree.flatten(like)
    return jax.tree.unflatten(tree, [rebuild(part, leaf) for part, leaf in zip(parts, leaves, strict=True)])


def where_asked(asked: jax.Array, function: Callable, operands: tuple, otherwise: Any) -> Any:
    """function(*operands) in the cells that ask for it, `otherwise` (of the same structure) in all others.

    A leaf of `otherwise` may be a ShapeDtypeStruct: it stands for zeros, which the function itself must return in
    cells that do not ask.
    The function runs for a batch in which any cell asks, and not at all in another. What a branch reads and writes
    goes through memory for the whole batch, taken or not: small arrays therefore cross it entry by entry (a batch of
    3x3 matrices is slow to assemble, nine vectors are not), and the backward pass computes the branch again instead
    of storing its intermediates.
    """
    arrays, rest = eqx.partition(operands, lambda leaf: isinstance(leaf, jax.Array))
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), otherwise, is_leaf=_is_shape)

    @jax.checkpoint
    def taken(parts):
        return _apart(function(*eqx.combine(_together(parts, arrays), rest)))

    def skipped(parts):
        return _apart(empty)

    parts = jax.lax.cond(eqxi.unvmap_any(asked), taken, skipped, _apart(arrays))
    found = _together(parts, empty)

    def choose(plain, special):
        return special if _is_shape(plain) else entrywise(lambda x, y: jnp.where(asked, x, y), special, plain)

    return jax.tree.map(choose, otherwise, found, is_leaf=_is_shape)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def for_some(asked: jax.Array, function: Callable, operands: tuple, block: int = 256) -> Any:
    """function(*operands) in the cells that ask for it, zeros elsewhere; its value costs the other cells nothing.

    The derivative is that of the function, as the root of x - f = 0 whose solution happens to be known.
    """
    arrays, rest = eqx.partition(operands, lambda leaf: isinstance(leaf, jax.Array))

    @jax.jit  # traced once, however often the transformations below come back to it
    def evaluate(arrays):
        return function(*eqx.combine(arrays, rest))

    def excess(solution):
        return jax.tree.map(lambda x, y: x - jnp.where(asked, y, 0.0), solution, evaluate(arrays))

    start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(evaluate, arrays))
    return jax.lax.custom_root(
        excess, start, lambda _, __: only_where(evaluate, block)(asked, arrays), lambda _, residual: residual
    )


def only_where(function: Callable, block: int) -> Callable:
    """g(wanted, *operands): function(*operands) where `wanted`, zeros elsewhere; at most `block` cells at a time.

    Nested vmaps are merged into one batch. Operands that do not depend on the cell are handed over as they are. Not
    differentiable: use it where a derivative is given otherwise.
    """
    function = jax.jit(function)  # traced once, however often the batching rule comes back to it

    def call(wanted, *operands):
        leaves, tree = jax.tree.flatten(operands)
        run = _collected(lambda *values: function(*jax.tree.unflatten(tree, values)), block, (True,) * len(leaves))
        found = run(wanted[None], [jnp.asarray(leaf)[None] for leaf in leaves], [])
        return jax.tree.map(lambda leaf: leaf[0], found)

    return call


def _collected(function: Callable, block: int, varies: tuple[bool, ...]) -> Callable:
    """f(wanted, varying, shared): the cells that ask, out of a batch on the leading axis of the varying leaves."""

    @custom_vmap
    def many(wanted, varying, shared):
        return _collect(lambda *cell: function(*_merge(varies, cell, shared)), block, wanted, varying)

    @many.def_vmap
    def merged(axis_size, in_batched, wanted, varying, shared):
        cells = wanted.shape[-1]

        def flat(leaf, batched):
            leaf = leaf if batched else jnp.broadcast_to(leaf[None], (axis_size, *leaf.shape))
            return leaf.reshape(-1, *leaf.shape[2:])

        def spread(leaf):
            return jnp.broadcast_to(leaf[:, None], (axis_size, cells, *leaf.shape[1:]))

        leaves = _merge(varies, list(zip(varying, in_batched[1], strict=True)), list(zip(shared, in_batched[2], strict=True)))
        # A leaf stays shared while no axis varies it; one that is constant over a batch of one becomes shared.
        still = tuple(batched or (was and cells > 1) for was, (_, batched) in zip(varies, leaves, strict=True))
        now_varying, now_shared = [], []
        for was, varied, (leaf, batched) in zip(varies, still, leaves, strict=True):
            if not varied:
                now_shared.append(leaf[0] if was else leaf)
            elif was:
                now_varying.append(flat(leaf, batched))
            else:
                now_varying.append(flat(spread(leaf), True))
        found = _collected(function, block, still)(flat(wanted, in_batched[0]), now_varying, now_shared)
        found = jax.tree.map(lambda leaf: leaf.reshape(axis_size, cells, *leaf.shape[1:]), found)
        return found, jax.tree.map(lambda _: True, found)

    return many


def _merge(varies: tuple[bool, ...], varying: Any, shared: Any) -> list:
    """Leaves in their order from the two groups."""
    first, second = iter(varying), iter(shared)
    return [next(first) if is_varying else next(second) for is_varying in varies]


def _collect(function: Callable, block: int, wanted: jax.Array, operands: list) -> Any:
    """Blocks of wanted cells gathered, worked on, and scattered back."""
    cells = wanted.shape[0]
    size = min(block, cells)
    place = jnp.where(wanted, jnp.cumsum(wanted, dtype=jnp.int32) - 1, cells + size)
    queue = jnp.full((cells + size,), cells, jnp.int32).at[place].set(jnp.arange(cells, dtype=jnp.int32), mode="drop")
    count = jnp.sum(wanted, dtype=jnp.int32)
    shapes = jax.eval_shape(jax.vmap(function), *operands)
    results = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def work(carry):
        start, results = carry
        cell = jax.lax.dynamic_slice(queue, (start,), (size,))
        done = jax.vmap(function)(*[jnp.take(leaf, cell, axis=0, mode="clip") for leaf in operands])
        return start + size, jax.tree.map(lambda old, new: old.at[cell].set(new, mode="drop"), results, done)

    return jax.lax.while_loop(lambda carry: carry[0] < count, work, (jnp.int32(0), results))[1]
