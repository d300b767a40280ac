"""Work that only a few cells of a batch need, done for those cells only.

Under vmap `lax.cond` with a batched predicate evaluates both branches for every cell. Here the batching rule collects
the cells that ask for the work, a block of fixed size at a time, and scatters the results back; a batch in which no
cell asks skips it all. Cells that do not ask get zeros. What such a branch reads goes through memory for the whole
batch, taken or not, so small arrays enter it entry by entry: nine vectors are cheap, a batch of 3x3 matrices is slow to
assemble.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from qdbjax.numerics.small import all_entries, entrywise, nested

SMALL = 16  # arrays of up to this many entries cross a branch entry by entry


def _apart(tree: Any) -> list:
    """Arrays of a tree as reals: complex ones in two parts, small ones as lists of scalars."""

    def parts(leaf):
        if jnp.iscomplexobj(leaf):
            return [parts(leaf.real), parts(leaf.imag)]
        return all_entries(leaf) if leaf.size <= SMALL else leaf

    return [parts(leaf) for leaf in jax.tree.leaves(tree)]


def _together(parts: list, like: Any) -> Any:
    """The tree whose arrays were taken apart."""

    def rebuild(part, leaf):
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            return jax.lax.complex(*(real(half, leaf.shape) for half in part))
        return real(part, leaf.shape)

    def real(part, shape):
        return nested(part, shape) if isinstance(part, list) else part

    leaves, tree = jax.tree.flatten(like)
    return jax.tree.unflatten(tree, [rebuild(part, leaf) for part, leaf in zip(parts, leaves, strict=True)])


def where_asked(asked: jax.Array, function: Callable, operands: tuple, otherwise: Any, block: int) -> Any:
    """function(*operands) in the cells that ask for it, `otherwise` (of the same structure) in all others.

    A leaf of `otherwise` may be a ShapeDtypeStruct, which stands for zeros. See `for_some`.
    """
    found = for_some(asked, function, operands, block)

    def choose(plain, special):
        return special if _is_shape(plain) else entrywise(lambda x, y: jnp.where(asked, x, y), special, plain)

    return jax.tree.map(choose, otherwise, found, is_leaf=_is_shape)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def for_some(asked: jax.Array, function: Callable, operands: tuple, block: int) -> Any:
    """function(*operands) in the cells that ask for it, zeros elsewhere; the other cells pay nothing.

    Asking cells are worked on `block` at a time; memory for one block is set aside whether any asks or not.
    The other cells do not pay for derivatives either. With J the Jacobian of the function, the tangent J t is the
    second part of the solution of (x, y - J x) = (t, 0), a linear system whose inverse and transpose are known and
    evaluated for the asking cells alone; its matrix itself is touched only by second derivatives.
    """
    arrays, rest = eqx.partition(operands, lambda leaf: isinstance(leaf, jax.Array))
    like: list = []

    @jax.jit  # each traced once, however often the transformations below come back to it
    def evaluate(parts):
        result = function(*eqx.combine(_together(parts, arrays), rest))
        like[:] = [jax.eval_shape(lambda: result)]
        return _apart(result)

    @jax.jit
    def push(parts, tangents):
        return jax.jvp(evaluate, (parts,), (tangents,))[1]

    @jax.jit
    def pull(parts, cotangents):
        return jax.vjp(evaluate, parts)[1](cotangents)[0]

    @jax.custom_jvp
    def some(asked, parts):
        return only_where(evaluate, block)(asked, parts)

    @some.defjvp
    def _some_jvp(primals, tangents):
        (asked, parts), (_, start) = primals, tangents
        fixed = jax.lax.stop_gradient(parts)
        value = some(asked, parts)

        def matrix(unknown):
            x, y = unknown
            moved = jax.tree.map(lambda leaf: jnp.where(asked, leaf, 0.0), push(parts, x))
            return x, jax.tree.map(jnp.subtract, y, moved)

        def solve(_, source):
            x, y = source
            return x, jax.tree.map(jnp.add, y, only_where(push, block)(asked, fixed, x))

        def transpose_solve(_, source):
            x, y = source
            return jax.tree.map(jnp.add, x, only_where(pull, block)(asked, fixed, y)), y

        # Reverse mode wants every entry of the right-hand side to be linear in the tangent, zeros included.
        never = jnp.zeros((), bool)
        link = sum(jnp.where(never, leaf.reshape(-1)[0], 0.0) for leaf in jax.tree.leaves(start))
        source = jax.tree.map(lambda leaf: leaf + link, (start, jax.tree.map(jnp.zeros_like, value)))
        return value, jax.lax.custom_linear_solve(matrix, source, solve, transpose_solve)[1]

    found = some(asked, _apart(arrays))
    return _together(found, like[0])


def only_where(function: Callable, block: int) -> Callable:
    """g(wanted, *operands): function(*operands) where `wanted`, zeros elsewhere; at most `block` cells at a time.

    Nested vmaps are merged into one batch. Operands that do not depend on the cell are handed over as they are. Not
    differentiable: use it where a derivative is given otherwise.
    """

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

        flags = _merge(varies, in_batched[1], in_batched[2])
        leaves = list(zip(_merge(varies, varying, shared), flags, strict=True))
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
    shapes = jax.eval_shape(jax.vmap(function), *operands)
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def collect():
        place = jnp.where(wanted, jnp.cumsum(wanted, dtype=jnp.int32) - 1, cells + size)
        queue = jnp.full((cells + size,), cells, jnp.int32)
        queue = queue.at[place].set(jnp.arange(cells, dtype=jnp.int32), mode="drop")
        count = jnp.sum(wanted, dtype=jnp.int32)

        def work(carry):
            start, results = carry
            cell = jax.lax.dynamic_slice(queue, (start,), (size,))
            done = jax.vmap(function)(*[jnp.take(leaf, cell, axis=0, mode="clip") for leaf in operands])
            return start + size, jax.tree.map(lambda old, new: old.at[cell].set(new, mode="drop"), results, done)

        return jax.lax.while_loop(lambda carry: carry[0] < count, work, (jnp.int32(0), empty))[1]

    return jax.lax.cond(jnp.any(wanted), collect, lambda: empty)
