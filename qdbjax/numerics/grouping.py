"""Groups of numbers that lie within a width of each other: chains of neighbours make one group (single linkage).

Up to four numbers are compared pair by pair, more are sorted: sorting writes the whole batch to memory first.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, BoolMatrix, Float, Int, RealVector, Scalar
from qdbjax.numerics.entries import unstack

PAIRWISE = 4  # largest count that is compared pair by pair
Values = Float[Array, " n"]


def group_labels(values: Values, width: Scalar) -> Int[Array, " n"]:
    """Number of the group of each value, (n,), ascending with the value; neighbours within `width` share a group."""
    values = jax.lax.stop_gradient(values)
    order = jnp.argsort(values)
    steps = jnp.concatenate([jnp.zeros((1,), jnp.int32), (jnp.diff(values[order]) > width).astype(jnp.int32)])
    return jnp.zeros(values.shape, jnp.int32).at[order].set(jnp.cumsum(steps, dtype=jnp.int32))


def linked(values: RealVector, width: Scalar) -> BoolMatrix:
    """Pairs of numbers in one group, (d, d), the diagonal included."""
    values, count = jax.lax.stop_gradient(values), values.shape[0]
    if count > PAIRWISE:
        # As floats: LLVM aborts on the comparison of eight int32 labels with AVX-512 (jaxlib 0.10, gradient at d = 8).
        label = group_labels(values, width).astype(values.dtype)
        return label[:, None] == label[None, :]
    return connected(jnp.abs(values[:, None] - values[None, :]) <= width)


def connected(relation: BoolMatrix) -> BoolMatrix:
    """Pairs that a symmetric, reflexive relation (d, d) connects, directly or through others."""
    for _ in range(max(0, relation.shape[0] - 2).bit_length()):  # neighbours of neighbours
        if relation.shape[0] > PAIRWISE:
            paths = relation.astype(jnp.float32)
            relation = jnp.matmul(paths, paths) > 0.5
        else:
            relation = jnp.any(relation[:, :, None] & relation[None, :, :], axis=1)
    return relation


def _distances(values: Values) -> list[Array]:
    value = unstack(values)
    return [jnp.abs(value[m] - value[n]) for m in range(len(value)) for n in range(m)]


def any_linked(values: Values, width: Scalar) -> Bool[Array, ""]:
    """Whether two of the numbers lie within the width."""
    values = jax.lax.stop_gradient(values)
    if values.shape[0] > PAIRWISE:
        return jnp.any(jnp.diff(jnp.sort(values)) <= width)
    found = jnp.zeros((), bool)
    for distance in _distances(values):
        found = found | (distance <= width)
    return found


def smallest_gap(values: Values, width: Scalar) -> Scalar:
    """Smallest distance between two numbers that exceeds the width; inf if there is none."""
    if values.shape[0] > PAIRWISE:
        gaps = jnp.diff(jnp.sort(values))
        return jnp.min(jnp.where(gaps > width, gaps, jnp.inf), initial=jnp.inf)
    smallest = jnp.full((), jnp.inf, values.dtype)
    for distance in _distances(values):
        smallest = jnp.minimum(smallest, jnp.where(distance > width, distance, jnp.inf))
    return smallest


def group_means(values: Values, label: Int[Array, " n"]) -> Values:
    """Each value replaced by the mean of its group, (n,)."""
    label = label.astype(values.dtype)
    equal = (label[:, None] == label[None, :]).astype(values.dtype)
    return jnp.matmul(equal, values, precision="highest") / jnp.sum(equal, axis=1)
