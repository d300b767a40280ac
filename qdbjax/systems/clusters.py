"""Which levels count as one and which Bohr frequencies are equal: the only file that decides degeneracy.

Two neighbouring levels (or Bohr frequencies) are one if they differ by no more than

    tolerance = relative · (E_max - E_min) + 32 eps · max|E|,

relative = 1e-8 in double precision, 1e-5 in single; chains of neighbours make one cluster. The first term makes the
choice invariant under H + c and a change of units, the second covers the rounding of the energies themselves.
"""

import jax.numpy as jnp

from qdbjax._types import Array, Bool, BoolMatrix, Float, Int, RealVector, Scalar
from qdbjax.numerics.small import largest, vector_entries

SMALL = 4  # up to here all pairs are compared; above, energies are sorted


def tolerance(energies: RealVector) -> Scalar:
    """The largest difference between neighbouring energies that counts as zero."""
    info = jnp.finfo(energies.dtype)
    relative = 1e-8 if info.bits == 64 else 1e-5
    top, bottom = largest(energies), -largest(-energies)
    return relative * (top - bottom) + 32 * float(info.eps) * jnp.maximum(jnp.abs(top), jnp.abs(bottom))


def labels(values: Float[Array, " n"], width: Scalar) -> Int[Array, " n"]:
    """Cluster number of each value, ascending with the value; neighbours within `width` share one."""
    order = jnp.argsort(values)
    ascending = values[order]
    steps = jnp.concatenate([jnp.zeros((1,), jnp.int32), (jnp.diff(ascending) > width).astype(jnp.int32)])
    return jnp.zeros(values.shape, jnp.int32).at[order].set(jnp.cumsum(steps, dtype=jnp.int32))


def same_level(energies: RealVector) -> BoolMatrix:
    """Pairs of levels that count as one level (the diagonal included)."""
    width = tolerance(energies)
    if energies.shape[0] > SMALL:
        # As floats: LLVM aborts on the comparison of eight int32 labels with AVX-512 (jaxlib 0.10, gradient at d = 8).
        label = labels(energies, width).astype(energies.dtype)
        return label[:, None] == label[None, :]
    linked = jnp.abs(energies[:, None] - energies[None, :]) <= width
    for _ in range(max(0, energies.shape[0] - 2).bit_length()):  # neighbours of neighbours
        linked = jnp.any(linked[:, :, None] & linked[None, :, :], axis=1)
    return linked


def any_degenerate(energies: RealVector) -> Bool[Array, ""]:
    """Whether any two levels count as one."""
    width = tolerance(energies)
    d = energies.shape[0]
    if d > SMALL:
        return jnp.any(jnp.diff(jnp.sort(energies)) <= width)
    found = jnp.zeros((), bool)
    level = vector_entries(energies)
    for m in range(d):
        for n in range(m):
            found = found | (jnp.abs(level[m] - level[n]) <= width)
    return found


def smallest_spacing(energies: RealVector) -> Scalar:
    """Smallest difference between levels that do not count as one; inf if there is none."""
    width = tolerance(energies)
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


def frequency_labels(energies: RealVector) -> Int[Array, "d d"]:
    """Cluster number of each Bohr frequency ω[to, from] = E_from - E_to."""
    d = energies.shape[0]
    frequencies = (energies[None, :] - energies[:, None]).reshape(-1)
    return labels(frequencies, 2 * tolerance(energies)).reshape(d, d)


def any_equal_frequencies(energies: RealVector) -> Bool[Array, ""]:
    """Whether two transitions, of different levels or of equal ones, count as equally fast."""
    d = energies.shape[0]
    frequencies = jnp.sort((energies[None, :] - energies[:, None]).reshape(-1))
    distinct = 1 + jnp.sum(jnp.diff(frequencies) > 2 * tolerance(energies))
    return distinct < d * d - d + 1


def smallest_frequency_difference(energies: RealVector) -> Scalar:
    """Smallest difference between Bohr frequencies that do not count as equal; inf if there is none."""
    frequencies = jnp.sort((energies[None, :] - energies[:, None]).reshape(-1))
    gaps = jnp.diff(frequencies)
    return jnp.min(jnp.where(gaps > 2 * tolerance(energies), gaps, jnp.inf), initial=jnp.inf)
