"""Which levels count as one and which Bohr frequencies are equal: the only file that decides degeneracy.

Two neighbouring levels (or Bohr frequencies) are one if they differ by no more than

    tolerance = relative · (E_max - E_min) + 32 eps · max|E|,

relative = 1e-8 in double precision, 1e-5 in single; chains of neighbours make one cluster. The first term makes the
choice invariant under H + c and a change of units, the second covers the rounding of the energies themselves. A window
(energy) above the tolerance takes its place: levels and frequencies within it then count as one on purpose.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, BoolMatrix, Float, Int, RealVector, Scalar
from qdbjax.numerics.small import largest, vector_entries

SMALL = 4  # up to here all pairs are compared; above, energies are sorted


def tolerance(energies: RealVector, window: Scalar | float | None = None) -> Scalar:
    """The largest difference between neighbouring energies that counts as zero; things are compared with it only."""
    if window is not None:
        return jnp.maximum(tolerance(energies), jax.lax.stop_gradient(window))
    energies = jax.lax.stop_gradient(energies)  # or every derivative of a program would carry its own
    info = jnp.finfo(energies.dtype)
    relative = 1e-8 if info.bits == 64 else 1e-5
    top, bottom = largest(energies), -largest(-energies)
    return relative * (top - bottom) + 32 * float(info.eps) * jnp.maximum(jnp.abs(top), jnp.abs(bottom))


def labels(values: Float[Array, " n"], width: Scalar) -> Int[Array, " n"]:
    """Cluster number of each value, ascending with the value; neighbours within `width` share one."""
    values = jax.lax.stop_gradient(values)
    order = jnp.argsort(values)
    ascending = values[order]
    steps = jnp.concatenate([jnp.zeros((1,), jnp.int32), (jnp.diff(ascending) > width).astype(jnp.int32)])
    return jnp.zeros(values.shape, jnp.int32).at[order].set(jnp.cumsum(steps, dtype=jnp.int32))


def same_level(energies: RealVector, window: Scalar | float | None = None) -> BoolMatrix:
    """Pairs of levels that count as one level (the diagonal included)."""
    width = tolerance(energies, window)
    if energies.shape[0] > SMALL:
        # As floats: LLVM aborts on the comparison of eight int32 labels with AVX-512 (jaxlib 0.10, gradient at d = 8).
        label = labels(energies, width).astype(energies.dtype)
        return label[:, None] == label[None, :]
    energies = jax.lax.stop_gradient(energies)
    linked = jnp.abs(energies[:, None] - energies[None, :]) <= width
    for _ in range(max(0, energies.shape[0] - 2).bit_length()):  # neighbours of neighbours
        linked = jnp.any(linked[:, :, None] & linked[None, :, :], axis=1)
    return linked


def any_degenerate(energies: RealVector, window: Scalar | float | None = None) -> Bool[Array, ""]:
    """Whether any two levels count as one."""
    width = tolerance(energies, window)
    energies = jax.lax.stop_gradient(energies)
    d = energies.shape[0]
    if d > SMALL:
        return jnp.any(jnp.diff(jnp.sort(energies)) <= width)
    found = jnp.zeros((), bool)
    level = vector_entries(energies)
    for m in range(d):
        for n in range(m):
            found = found | (jnp.abs(level[m] - level[n]) <= width)
    return found


def smallest_spacing(energies: RealVector, window: Scalar | float | None = None) -> Scalar:
    """Smallest difference between levels that do not count as one; inf if there is none."""
    width = tolerance(energies, window)
    d = energies.shape[0]
    if d > SMALL:
        gaps = jnp.diff(jnp.sort(energies))
        return jnp.min(jnp.where(gaps > width, gaps, jnp.inf), initial=jnp.inf)
    smallest = jnp.full((), jnp.inf, energies.dtype)
    level = vector_entries(energies)
    for m in range(d):
        for n in range(m):
            gap = jnp.abs(level[m] - level[n])
            smallest = jnp.minimum(smallest, jnp.where(gap > width, gap, jnp.inf))
    return smallest


def centers(energies: RealVector, window: Scalar | float | None = None) -> RealVector:
    """Mean energy of the level that each energy belongs to."""
    same = same_level(energies, window).astype(energies.dtype)
    return jnp.sum(same * energies[None, :], axis=1) / jnp.sum(same, axis=1)


def _transitions(energies: RealVector, window: Scalar | float | None) -> tuple[Array, Scalar]:
    """Bohr frequencies [to, from], of the levels' centers if there is a window, and what difference counts as 0."""
    if window is None:
        return energies[None, :] - energies[:, None], 2 * tolerance(energies)
    middle = centers(energies, window)
    return middle[None, :] - middle[:, None], jnp.maximum(2 * tolerance(energies), window)


def frequency_labels(energies: RealVector, window: Scalar | float | None = None) -> Int[Array, "d d"]:
    """Cluster number of each Bohr frequency ω[to, from] = E_from - E_to."""
    frequencies, width = _transitions(energies, window)
    return labels(frequencies.reshape(-1), width).reshape(frequencies.shape)


def any_equal_frequencies(energies: RealVector, window: Scalar | float | None = None) -> Bool[Array, ""]:
    """Whether two transitions, of different levels or of equal ones, count as equally fast."""
    d = energies.shape[0]
    frequencies, width = _transitions(jax.lax.stop_gradient(energies), window)
    distinct = 1 + jnp.sum(jnp.diff(jnp.sort(frequencies.reshape(-1))) > width)
    return distinct < d * d - d + 1


def cluster_means(
    values: Float[Array, "d d"], energies: RealVector, window: Scalar | float | None
) -> Float[Array, "d d"]:
    """Mean of a table [to, from] over the transitions that count as equally fast."""
    label = frequency_labels(energies, window).reshape(-1).astype(values.dtype)
    equal = (label[:, None] == label[None, :]).astype(values.dtype)
    mean = jnp.matmul(equal, values.reshape(-1), precision="highest") / jnp.sum(equal, axis=1)
    return mean.reshape(values.shape)


def smallest_frequency_difference(energies: RealVector, window: Scalar | float | None = None) -> Scalar:
    """Smallest difference between Bohr frequencies that do not count as equal; inf if there is none."""
    frequencies, width = _transitions(energies, window)
    gaps = jnp.diff(jnp.sort(frequencies.reshape(-1)))
    return jnp.min(jnp.where(gaps > width, gaps, jnp.inf), initial=jnp.inf)
