"""Sums, largest entries and the like over axes of a few entries, for a block of cells along the last axis."""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

JOINED_BY: dict[str, Callable] = {
    "reduce_and": jnp.logical_and,
    "reduce_max": jnp.maximum,
    "reduce_min": jnp.minimum,
    "reduce_or": jnp.logical_or,
    "reduce_sum": jnp.add,
}
FEW, MANY = 5, 16  # terms from which, and up to which, a reduction is written out


def is_short_reduction(name: str, shape: tuple[int, ...], names: dict) -> bool:
    """Whether an operation is one that `reduce_in_halves` is for. names: its parameters."""
    if name not in JOINED_BY or jax.default_backend() != "cpu":
        return False
    return all(FEW <= math.prod(shape[n] for n in axes) <= MANY for axes in _groups(shape, names["axes"]))


def _groups(shape: tuple[int, ...], axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Axes that are reduced together: all if they have few entries, else each by itself, the last one first."""
    together = math.prod(shape[n] for n in axes) <= MANY
    return [tuple(axes)] if together else [(n,) for n in sorted(axes, reverse=True)]


def reduce_in_halves(name: str, values: jax.Array, axes: Sequence[int], true: jax.Array) -> jax.Array:
    """A reduction over short axes: the second half of the terms joined to the first until one is left.

    The library that XLA takes for sums and largest entries is not made for blocks of few cells, and XLA's own loops
    over terms fill no vector. Behind a barrier, as else the terms are computed anew for every entry that is made of the
    result: a crossing of the ring takes 1.5 µs with the library, 1.6 without the barrier, 1.1 so.

    true: True, which XLA cannot know.
    """

    def halves(axes, x):
        kept = [n for n in range(x.ndim) if n not in axes]
        x, rest = lax.transpose(x, (*axes, *kept)).reshape(-1, *(x.shape[n] for n in kept)), []
        while (half := x.shape[0] // 2) > 0:
            rest += [x[2 * half :]] if x.shape[0] % 2 else []
            x = JOINED_BY[name](x[:half], x[half : 2 * half])
        return functools.reduce(JOINED_BY[name], [x, *rest])[0]

    for group in _groups(values.shape, axes):
        step = functools.partial(halves, group)
        like = jax.eval_shape(step, values)
        values = lax.cond(true, step, lambda _, like=like: np.zeros(like.shape, like.dtype), values)
    return values
