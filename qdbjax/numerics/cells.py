"""Work that only a few cells of a batch need, done for those cells only.

Under vmap `lax.cond` with a batched predicate evaluates both branches for every cell. Here the batching rule collects
the cells that ask for the work, a block of fixed size at a time, and scatters the results back; cells that do not ask
get zeros and pay nothing. Nested vmaps are merged into one batch first.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def only_where(function: Callable, block: int) -> Callable:
    """g(wanted, *operands): function(*operands) where `wanted`, zeros elsewhere; at most `block` cells at a time.

    Not differentiable: use it where a derivative is given otherwise.
    """

    @custom_vmap
    def many(wanted, operands):
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
            chosen = jax.tree.map(lambda leaf: jnp.take(leaf, cell, axis=0, mode="clip"), operands)
            done = jax.vmap(function)(*chosen)
            results = jax.tree.map(lambda old, new: old.at[cell].set(new, mode="drop"), results, done)
            return start + size, results

        return jax.lax.while_loop(lambda carry: carry[0] < count, work, (jnp.int32(0), results))[1]

    @many.def_vmap
    def merged(axis_size, in_batched, wanted, operands):
        def flat(leaf, batched):
            leaf = leaf if batched else jnp.broadcast_to(leaf[None], (axis_size, *leaf.shape))
            return leaf.reshape(-1, *leaf.shape[2:])

        wanted, operands = jax.tree.map(flat, (wanted, operands), tuple(in_batched))
        results = many(wanted, operands)
        shaped = jax.tree.map(lambda leaf: leaf.reshape(axis_size, -1, *leaf.shape[1:]), results)
        return shaped, jax.tree.map(lambda _: True, shaped)

    def call(wanted, *operands):
        lifted = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], operands)
        return jax.tree.map(lambda leaf: leaf[0], many(wanted[None], lifted))

    return call
