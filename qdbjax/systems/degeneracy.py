"""Which levels count as one and which Bohr frequencies as equal: the only file that decides degeneracy.

Two neighbouring levels (or Bohr frequencies) are one if they differ by no more than

    tolerance = relative · (E_max - E_min) + 32 eps · max|E|,

relative = 1e-8 in double precision, 1e-5 in single; chains of neighbours make one cluster. A window (energy) above the
tolerance takes its place: levels and frequencies within it then count as one on purpose.

The first term is invariant under H + c and a change of units. 1e-8 is √eps in double precision: rounding of H, of size
eps |H|, mixes two eigenvectors by the angle eps |H|/gap (first-order perturbation theory), which there reaches √eps, as
large as the relative error of taking the gap for 0. In single precision √eps = 3e-4 would merge levels that physics
keeps apart; at 1e-5 rounding mixes eigenvectors by up to 1e-2.
The second term covers the rounding of the energies themselves: eigenvalues are computed to a small multiple p(d) of
eps |H| (Weyl's inequality; LAPACK Users' Guide, 3rd ed. (1999), section 4.7), and energies that a model gives carry the
rounding of a few operations.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, BoolMatrix, Float, Int, RealVector, Scalar
from qdbjax.numerics.grouping import any_linked, group_labels, group_means, linked, smallest_gap
from qdbjax.numerics.matrix import largest


def tolerance(energies: RealVector, window: Scalar | float | None = None) -> Scalar:
    """The largest difference between neighbouring energies that counts as zero, energy; without derivative."""
    if window is not None:
        return jnp.maximum(tolerance(energies), jax.lax.stop_gradient(window))
    energies = jax.lax.stop_gradient(energies)  # it is only compared with; derivatives of it would be dead code
    info = jnp.finfo(energies.dtype)
    relative = 1e-8 if info.bits == 64 else 1e-5
    top, bottom = largest(energies), -largest(-energies)
    return relative * (top - bottom) + 32 * float(info.eps) * jnp.maximum(jnp.abs(top), jnp.abs(bottom))


def same_level(energies: RealVector, window: Scalar | float | None = None) -> BoolMatrix:
    """Pairs of levels that count as one level (the diagonal included)."""
    return linked(energies, tolerance(energies, window))


def any_degenerate(energies: RealVector, window: Scalar | float | None = None) -> Bool[Array, ""]:
    """Whether any two levels count as one."""
    return any_linked(energies, tolerance(energies, window))


def smallest_spacing(energies: RealVector, window: Scalar | float | None = None) -> Scalar:
    """Smallest difference between levels that do not count as one; inf if there is none."""
    return smallest_gap(energies, tolerance(energies, window))


def centers(energies: RealVector, window: Scalar | float | None = None) -> RealVector:
    """Mean energy of the level that each energy belongs to."""
    same = same_level(energies, window).astype(energies.dtype)
    return jnp.sum(same * energies[None, :], axis=1) / jnp.sum(same, axis=1)


def _transitions(energies: RealVector, window: Scalar | float | None) -> tuple[Array, Scalar]:
    """Bohr frequencies [to, from], of cluster centers if there is a window, and the difference that counts as 0.

    Without a window twice the tolerance, because a frequency is the difference of two energies.
    """
    if window is None:
        return energies[None, :] - energies[:, None], 2 * tolerance(energies)
    middle = centers(energies, window)
    return middle[None, :] - middle[:, None], jnp.maximum(2 * tolerance(energies), window)


def frequency_labels(energies: RealVector, window: Scalar | float | None = None) -> Int[Array, "d d"]:
    """Cluster number of each Bohr frequency ω[to, from] = E_from - E_to."""
    frequencies, width = _transitions(energies, window)
    return group_labels(frequencies.reshape(-1), width).reshape(frequencies.shape)


def any_equal_frequencies(energies: RealVector, window: Scalar | float | None = None) -> Bool[Array, ""]:
    """Whether two transitions count as equal in frequency, or one counts as frequency 0.

    With all of them distinct there are d(d - 1) + 1 clusters: one for each transition and one for the diagonal.
    """
    d = energies.shape[0]
    frequencies, width = _transitions(jax.lax.stop_gradient(energies), window)
    distinct = 1 + jnp.sum(jnp.diff(jnp.sort(frequencies.reshape(-1))) > width)
    return distinct < d * d - d + 1


def frequency_means(
    values: Float[Array, "d d"], energies: RealVector, window: Scalar | float | None
) -> Float[Array, "d d"]:
    """A table [to, from] with each entry replaced by the mean over the transitions of its Bohr frequency."""
    label = frequency_labels(energies, window).reshape(-1)
    return group_means(values.reshape(-1), label).reshape(values.shape)


def smallest_frequency_difference(energies: RealVector, window: Scalar | float | None = None) -> Scalar:
    """Smallest difference between Bohr frequencies that do not count as equal; inf if there is none."""
    frequencies, width = _transitions(energies, window)
    gaps = jnp.diff(jnp.sort(frequencies.reshape(-1)))
    return jnp.min(jnp.where(gaps > width, gaps, jnp.inf), initial=jnp.inf)
