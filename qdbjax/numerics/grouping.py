"""Groups of numbers that lie within a width of each other: chains of neighbours make one group (single linkage).

Up to four numbers are compared pair by pair, entry by entry; many are sorted.
"""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool, BoolMatrix, Float, Int, RealVector, Scalar
from qdbjax.numerics.entries import matrix_entries, stack_real, unstack
from qdbjax.numerics.products import dot

PAIRWISE = 4  # largest count that is compared pair by pair
TABLE = 32  # largest count of which all distances are looked at, in a batch a tenth (8) to a third (32) of a sort
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
    value, each = unstack(values), range(count)
    return _connected_entries([[m == n or jnp.abs(value[m] - value[n]) <= width for n in each] for m in each])


def connected(relation: BoolMatrix) -> BoolMatrix:
    """Pairs that a symmetric, reflexive relation (d, d) connects, directly or through others."""
    if relation.shape[0] <= PAIRWISE:
        return _connected_entries(matrix_entries(relation))
    for _ in range(_rounds(relation.shape[0])):
        paths = relation.astype(jnp.float32)
        relation = dot(paths, paths) > 0.5
    return relation


def _rounds(count: int) -> int:
    """How often neighbours of neighbours have to be joined until all are."""
    return max(0, count - 2).bit_length()


def _connected_entries(relation: list[list]) -> BoolMatrix:
    """`connected`, entry by entry; only those above the diagonal are read."""
    each = range(len(relation))
    pairs = {(m, n): relation[m][n] for m in each for n in each if m < n}
    at = lambda m, n: pairs[min(m, n), max(m, n)]  # noqa: E731
    for _ in range(_rounds(len(relation))):
        pairs = {
            (m, n): ft.reduce(jnp.logical_or, [at(m, k) & at(k, n) for k in each if k not in (m, n)], direct)
            for (m, n), direct in pairs.items()
        }
    return stack_real([[True if m == n else at(m, n) for n in each] for m in each], np.dtype(bool))


def _distances(values: Values) -> list[Array]:
    value = unstack(values)
    return [jnp.abs(value[m] - value[n]) for m in range(len(value)) for n in range(m)]


def any_linked(values: Values, width: Scalar) -> Bool[Array, ""]:
    """Whether two of the numbers lie within the width."""
    values = jax.lax.stop_gradient(values)
    if values.shape[0] > TABLE:
        return jnp.any(jnp.diff(jnp.sort(values)) <= width)
    if values.shape[0] > PAIRWISE:
        itself = np.eye(values.shape[0], dtype=bool)
        return jnp.min(jnp.where(itself, jnp.inf, jnp.abs(values[:, None] - values[None, :]))) <= width
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
    return dot(equal, values) / jnp.sum(equal, axis=1)
