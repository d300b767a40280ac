"""Which levels count as one and which Bohr frequencies as equal: the only file that decides degeneracy.

Two neighbouring levels (or Bohr frequencies) are one if they differ by no more than

    tolerance = relative · (E_max - E_min) + 32 eps · max|E|,

relative = 1e-8 in double precision, 1e-5 in single; chains of neighbours make one cluster. A window (energy) above the
tolerance takes its place: levels and frequencies within it then count as one on purpose. It joins what a coupling
joins and nothing else, where the transitions that couplings drive are given (`coupled`): two levels if the coherence
between them is driven, directly or through other coherences, from populations; two frequencies if transitions of both
are driven. Frequencies that nothing drives would otherwise make chains between those that are.

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
from qdbjax.numerics.grouping import any_linked, connected, group_labels, group_means, linked, smallest_gap
from qdbjax.numerics.matrix import largest
from qdbjax.numerics.products import dot

Coupled = Bool[Array, "channel d d"]


def tolerance(energies: RealVector, window: Scalar | float | None = None) -> Scalar:
    """The largest difference between neighbouring energies that counts as zero, energy; without derivative."""
    if window is not None:
        return jnp.maximum(tolerance(energies), jax.lax.stop_gradient(window))
    energies = jax.lax.stop_gradient(energies)  # it is only compared with; derivatives of it would be dead code
    info = jnp.finfo(energies.dtype)
    relative = 1e-8 if info.bits == 64 else 1e-5
    top, bottom = largest(energies), -largest(-energies)
    return relative * (top - bottom) + 32 * float(info.eps) * jnp.maximum(jnp.abs(top), jnp.abs(bottom))


def same_level(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> BoolMatrix:
    """Pairs of levels that count as one level (the diagonal included).

    window: energy; None for agreement to rounding.
    coupled: transitions [to, from] that each channel of a coupling drives (channel, d, d); None for all of them.
    """
    if window is None or coupled is None:
        return linked(energies, tolerance(energies, window))
    energies = jax.lax.stop_gradient(energies)
    near = jnp.abs(energies[:, None] - energies[None, :]) <= jax.lax.stop_gradient(window)
    channels = coupled.astype(jnp.float32)

    def driven(pairs):
        """Coherences within the window that are fed by some of the given ones, which feed themselves."""
        source = pairs.astype(jnp.float32)[None]
        gain = dot(channels, source, jnp.swapaxes(channels, 1, 2))
        loss = dot(jnp.swapaxes(channels, 1, 2), channels)
        mixed = jnp.sum(gain + dot(loss, source) + dot(source, loss), axis=0)
        return near & (pairs | (mixed > 0.5))

    unit = jnp.eye(energies.shape[0], dtype=bool)
    start = driven(unit), unit
    found, _ = jax.lax.while_loop(lambda c: jnp.any(c[0] != c[1]), lambda c: (driven(c[0]), c[0]), start)
    return connected(found | linked(energies, tolerance(energies)))


def any_degenerate(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> Bool[Array, ""]:
    """Whether any two levels count as one."""
    if coupled is None:
        return any_linked(energies, tolerance(energies, window))
    return jnp.sum(same_level(energies, window, coupled)) > energies.shape[0]


def smallest_spacing(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> Scalar:
    """Smallest difference between levels that do not count as one; inf if there is none."""
    if coupled is None:
        return smallest_gap(energies, tolerance(energies, window))
    apart = jnp.abs(energies[:, None] - energies[None, :])
    return jnp.min(jnp.where(same_level(energies, window, coupled), jnp.inf, apart))


def centers(energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None) -> RealVector:
    """Mean energy of the level that each energy belongs to."""
    same = same_level(energies, window, coupled).astype(energies.dtype)
    return jnp.sum(same * energies[None, :], axis=1) / jnp.sum(same, axis=1)


def _transitions(energies: RealVector, window: Scalar | float | None, coupled: Coupled | None) -> tuple[Array, Scalar]:
    """Bohr frequencies [to, from], of cluster centers if there is a window, and the difference that counts as 0.

    Without a window twice the tolerance, because a frequency is the difference of two energies. Transitions that no
    coupling drives are moved away from all others.
    """
    if window is None:
        frequencies, width = energies[None, :] - energies[:, None], 2 * tolerance(energies)
    else:
        middle = centers(energies, window, coupled)
        frequencies, width = middle[None, :] - middle[:, None], jnp.maximum(2 * tolerance(energies), window)
    if coupled is None:
        return frequencies, width
    d = energies.shape[0]
    number = jnp.arange(1, d * d + 1, dtype=energies.dtype).reshape(d, d)
    away = 2 * (jnp.max(jnp.abs(frequencies)) + width) * number
    return jnp.where(jnp.any(coupled, axis=0), frequencies, away), width


def frequency_labels(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> Int[Array, "d d"]:
    """Cluster number of each Bohr frequency ω[to, from] = E_from - E_to."""
    frequencies, width = _transitions(energies, window, coupled)
    return group_labels(frequencies.reshape(-1), width).reshape(frequencies.shape)


def any_equal_frequencies(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> Bool[Array, ""]:
    """Whether two transitions count as equal in frequency, or one counts as frequency 0.

    With all of them distinct there are d(d - 1) + 1 clusters: one for each transition and one for the diagonal.
    """
    d = energies.shape[0]
    if coupled is not None:
        coupled = coupled | jnp.eye(d, dtype=bool)[None]
    frequencies, width = _transitions(jax.lax.stop_gradient(energies), window, coupled)
    distinct = 1 + jnp.sum(jnp.diff(jnp.sort(frequencies.reshape(-1))) > width)
    return distinct < d * d - d + 1


def frequency_means(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> Float[Array, "d d"]:
    """Bohr frequencies [to, from], each replaced by the mean over those that count as equal, antisymmetric."""
    middle = energies if window is None else centers(energies, window, coupled)
    label, frequencies = frequency_labels(energies, window, coupled), middle[None, :] - middle[:, None]
    mean = group_means(frequencies.reshape(-1), label.reshape(-1)).reshape(label.shape)
    return 0.5 * (mean - mean.T)


def coherence_frequency_means(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> Float[Array, "d d"]:
    """ω̄_mn, one number for all coherences that a generator couples: the mean of E_m - E_n over a cluster.

    Transitions l→m and k→n of one cluster couple ρ_lk to ρ_mn, whose frequencies differ by no more than two members of
    that cluster do; coherences within the widest cluster of each other share a mean.
    """
    frequencies, width = _transitions(energies, window, coupled)
    if window is not None:
        values = frequencies.reshape(-1)
        label, count = group_labels(values, width), values.shape[0]
        spread = jax.ops.segment_max(values, label, count) - jax.ops.segment_min(values, label, count)
        width = jnp.maximum(width, jnp.max(jnp.where(jnp.isfinite(spread), spread, 0.0)))
    own = (energies[:, None] - energies[None, :]).reshape(-1)
    mean = group_means(own, group_labels(own, width)).reshape(frequencies.shape)
    return 0.5 * (mean - mean.T)


def smallest_frequency_difference(
    energies: RealVector, window: Scalar | float | None = None, coupled: Coupled | None = None
) -> Scalar:
    """Smallest difference between Bohr frequencies that do not count as equal; inf if there is none."""
    frequencies, width = _transitions(energies, window, coupled)
    gaps = jnp.diff(jnp.sort(frequencies.reshape(-1)))
    return jnp.min(jnp.where(gaps > width, gaps, jnp.inf), initial=jnp.inf)
