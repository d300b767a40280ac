"""Principal values of functions with kinks, steps, narrow peaks and tails at known places, of any width.

    P∫ f(ω') dω'/(ω - ω') = ∫₀^∞ du [f(ω - u) - f(ω + u)]/u,

with u the distance from the pole, in which the singularity is gone without a limit to take. The half-line of u is cut
where ω ± u meets a mark of f, and on every piece the nodes stand at equal distances in the logarithm of their distance
from its ends. The trapezoidal rule in ln x converges as e^{-2πd/h} for a function whose poles have |Im ln x| >= d,
whatever their distance from the mark (d = π/2 for a peak as wide as its distance): nothing need be known of widths, and
temperatures, cutoffs and linewidths may be apart by 1e10. Beyond the first and the last node a function falls as a
power x^s, and the sum is continued as the geometric series that it is.

Error: sums with the steps h, 2h and 4h use the same nodes. With Δ₁ = |S_h - S_2h| and Δ₂ = |S_2h - S_4h| relative to
Σ|terms| it is about Δ₁² where the rule converges exponentially, and Δ₁ where it does so as a power, because of a kink
that is no mark; exp max(2 ln Δ₁, (ln Δ₁)²/ln Δ₂) is right in both cases (D. H. Bailey, K. Jeyabalan and X. S. Li, Exp.
Math. 14, 317 (2005)). Each geometric series is compared with that which starts one node earlier.
"""

import functools as ft
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array
from qdbjax.numerics.occupation import magnitude
from qdbjax.numerics.products import contract

STEP_OF_LOG = 0.25  # e^{-π²/h} is 7e-18, times 1e4 for (x/unit)³e^{-x/unit}
NEAREST, DEEPEST, FARTHEST = -30.0, -50.0, 30.0  # ln of distances from marks: of the first node and the last
SLOWEST = 0.985  # ratio of a series beyond which it counts as divergent: x^s with s < 0.06
SIGNIFICANT = 1e-15  # of the sum; smaller terms are not continued
SELECTED = 8  # ends of panels among which nodes choose by selection
DIVERGENT = 1e-4  # of Σ|terms|; what the last term of a divergent series is at least


class _End(NamedTuple):
    """The end of a panel: a mark as seen from a pole."""

    distance: Array  # of the two
    base: Array  # the mark, which stays where it is when ω moves, unless it is at ω itself
    side: Array  # 1. for a mark below the pole, -1. for one above
    pole: Array  # which pole


def principal_value(
    function: Callable, poles: Array, marks: list[Array], unit: Array, *, deep: bool = False
) -> tuple[Array, Array, Array]:
    """(1/2π) P∫ f dω'/(ω - ω') of several functions f, with the estimated errors.

    function: from points (pole, node, *shape) to a tuple of parts, each (function, node, *shape), of which f is the
        sum; parts that nearly cancel between ω - u and ω + u stand apart. What is not finite counts as 0. With several
        poles f depends on all points ω ± u at one u, such as a product of values at each.
    poles: ω (pole, *shape).
    marks: places where f is singular or has a narrow peak; 0 where none is given.
    unit: > 0, a scale on which f falls off.
    deep: whether f may diverge at the mark 0, as ω^{s - 1}: nodes come so close that nothing but this power is left.

    Returns values, their estimated errors, inf where the integral diverges, and ∫|f(ω - u) - f(ω + u)|du/2πu to compare
    these with; (function, *shape), the last two without derivatives.
    """
    marks = marks or [jnp.zeros(())]  # some place for nodes to spread from
    layout = _layout(poles.shape[0] * len(marks), DEEPEST if deep else NEAREST)
    below, above, weight = _nodes(poles, _ends(poles, marks), jnp.asarray(unit, poles.dtype), layout)
    pairs = zip(function(below), function(above), strict=True)
    difference = ft.reduce(jnp.add, (_finite_or_zero(minus) - _finite_or_zero(plus) for minus, plus in pairs))
    terms = difference * (weight / (2 * jnp.pi))[None].astype(difference.dtype)
    series = _Series.of(terms, layout)
    value = jnp.sum(terms, axis=1) + jnp.sum(_continued(series.last, series.ratio), axis=1)
    return value, *_error(jax.lax.stop_gradient(terms), layout)


def _ends(poles: Array, marks: list[Array]) -> list[_End]:
    """Every mark seen from every pole, the nearest first."""
    ends = []
    for number, pole in enumerate(poles):
        for mark in marks:
            place = jnp.asarray(mark, poles.dtype) * jnp.ones_like(pole)
            distance = magnitude(pole - place)
            side = jnp.where(pole >= place, 1.0, -1.0).astype(poles.dtype)
            ends.append(_End(distance, jnp.where(distance == 0, pole, place), side, jnp.full(pole.shape, number)))
    if len(ends) == 1:
        return ends
    columns = jax.lax.sort([jnp.stack(column) for column in zip(*ends, strict=True)], dimension=0, num_keys=1)
    return [_End(*each) for each in zip(*columns, strict=True)]


def _finite_or_zero(values: Array) -> Array:
    return jnp.where(jnp.isfinite(values), values, 0.0)


def _grid(first: float, last: float) -> np.ndarray:
    return np.arange(round(first / STEP_OF_LOG), round(last / STEP_OF_LOG) + 1) * STEP_OF_LOG


def _both_ends(grid: np.ndarray) -> np.ndarray:
    return np.concatenate([grid[:3], grid[:-4:-1]])


class _Layout(NamedTuple):
    """What is known of the nodes before the ends of panels are: NumPy arrays (node,).

    With the length l of a panel, that of the first the distance of its end and that of the last a unit, a node lies at
    u = (distance of the end beside it) - l gap, in the first panel l near; its weight of du/u is fixed + l moving/u.
    """

    panel: np.ndarray
    end: np.ndarray  # number of the end beside it
    near: np.ndarray
    gap: np.ndarray
    fixed: np.ndarray
    moving: np.ndarray
    steps: np.ndarray  # counts the nodes of a panel from its end
    series: np.ndarray  # nodes (place, series) at which a power is continued: the last, that before, and that before it


@ft.cache
def _layout(ends: int, nearest: float) -> _Layout:
    """Nodes from u = 0 to the first end, between ends, and from the last to infinity."""
    # From 0, where the integrand is analytic in u, to the mark: x falls double-exponentially, 1 - x as e^{-t}.
    t = _grid(-4.0, -nearest)
    rise, none = t - np.exp(-t), np.zeros_like
    x, rest = 1 / (1 + np.exp(-rise)), 1 / (1 + np.exp(rise))
    # du/u = dx/x whatever the length of the panel, 0 included.
    parts = [(none(t), none(t), x, rest, STEP_OF_LOG * rest * (1 + np.exp(-t)), none(t))]
    t = _grid(nearest, -nearest)
    x, rest = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(t))
    for n in range(1, ends):
        gap = np.where(t < 0, -x, rest)
        parts.append((none(t) + n, np.where(t < 0, n - 1, n), none(t), gap, none(t), STEP_OF_LOG * x * rest))
    x = np.exp(_grid(nearest, FARTHEST))
    parts.append((none(x) + ends, none(x) + ends - 1, none(x), -x, none(x), STEP_OF_LOG * x))
    starts = np.cumsum([0, *(len(part[0]) for part in parts)])
    steps = np.concatenate([np.arange(len(part[0]))[::-1] for part in parts])
    inward = [(start, 1) for start in starts[1:-1]] + [(start - 1, -1) for start in starts[1:]]
    series = np.array([[last + way * n for last, way in inward] for n in range(3)])
    panel, end, near, gap, fixed, moving = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Layout(panel.astype(int), end.astype(int), near, gap, fixed, moving, steps, series)


def _nodes(poles: Array, ends: list[_End], unit: Array, layout: _Layout) -> tuple[Array, Array, Array]:
    """Points ω - u and ω + u (pole, node, *shape), and weights of du/u (node, *shape)."""
    column = lambda x: jnp.asarray(x, poles.dtype).reshape(-1, *[1] * (poles.ndim - 1))  # noqa: E731

    def pick(values: list[Array], which: np.ndarray) -> Array:
        """Value number `which` at every node: by selection where they are few, which vectorises."""
        if len(values) > SELECTED:
            return jnp.stack(values)[which]
        chosen = values[0][None] * jnp.ones_like(column(which))
        for n, value in enumerate(values[1:], start=1):
            chosen = jnp.where(column(which) == n, value[None], chosen)
        return chosen

    distances = [end.distance for end in ends]
    # f lives on the unit and 1/u on the last end: the nodes reach beyond both.
    reach = jnp.sqrt(unit) * jnp.sqrt(jnp.maximum(unit, distances[-1]))
    reach = jax.lax.stop_gradient(jnp.maximum(reach, jnp.finfo(reach.dtype).tiny))
    between = [right - left for left, right in itertools.pairwise(distances)]
    length = pick([distances[0], *between, reach], layout.panel)
    gap = length * column(layout.gap)
    u = jnp.where(column(layout.panel) == 0, length * column(layout.near), pick(distances, layout.end) - gap)
    # Not in the first panel, where it is fixed and u so small that the slope of 1/u is inf in single precision.
    divides = (u > 0) & (column(layout.panel) > 0)
    weight = column(layout.fixed) + length * column(layout.moving) / jnp.where(divides, u, 1.0)
    base, side, owner = (pick([getattr(end, name) for end in ends], layout.end) for name in _End._fields[1:])
    # On the side of the mark as mark ± gap: a singularity at 0 is met to all digits.
    close, below, above = base + side * gap, [], []
    for number, pole in enumerate(poles):
        own = owner == number
        below.append(jnp.where(own & (side > 0), close, pole[None] - u))
        above.append(jnp.where(own & (side < 0), close, pole[None] + u))
    return jnp.stack(below), jnp.stack(above), weight


class _Series(NamedTuple):
    """Last terms of series and those before (function, series, *shape), and ratios at both, 0 where negligible."""

    last: Array
    before: Array
    ratio: Array
    earlier_ratio: Array

    @staticmethod
    def of(terms: Array, layout: _Layout) -> "_Series":
        pick = lambda places: jnp.stack([terms[:, n] for n in places], axis=1)  # noqa: E731
        last, before, early = (pick(places) for places in layout.series)
        least = SIGNIFICANT * jnp.abs(jax.lax.stop_gradient(jnp.sum(terms, axis=1, keepdims=True)))
        counts = (jnp.abs(last) > least) & (before != 0) & (early != 0)
        over = lambda a, b: jnp.where(counts, a / jnp.where(counts, b, 1.0), 0.0)  # noqa: E731
        return _Series(last, before, over(last, before), over(before, early))


def _continued(last: Array, ratio: Array) -> Array:
    """Σ_{k >= 1} t r^k, what follows the last term t; 0 where it does not converge."""
    kept = jnp.where((ratio > 0) & (ratio < SLOWEST), ratio, 0.0)
    return last * kept / (1 - kept)


def _wider(layout: _Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rules of step h, 2h and, from each of four nodes on, 4h: weights (rule, node) in units of those of h.

    And of the series: how many terms of it the first one is away that is left to continue (rule, series).
    """
    weights, away, factors = [], [], []
    starts = layout.series[1] > layout.series[0]
    for every, first in ((1, 0), (2, 0), (4, 0), (4, 1), (4, 2), (4, 3)):
        # Nodes are counted from the end of a panel; there are 4n + 1 of them.
        weights.append(np.where(layout.steps % every == first, every, 0))
        away.append(np.where(starts, (first - 1) % every + 1, every - first))
        factors.append(every)
    return np.stack(weights), np.stack(away), np.array(factors)


def _error(terms: Array, layout: _Layout) -> tuple[Array, Array]:
    """Estimated errors and Σ|terms| (function, *shape)."""
    last, before, ratio, earlier = _Series.of(terms, layout)
    weights, away, factors = _wider(layout)
    row = lambda x: jnp.asarray(x, terms.dtype).reshape(*x.shape, *[1] * (terms.ndim - 2))  # noqa: E731
    sums = contract("rn,fn...->rf...", jnp.asarray(weights, terms.dtype), terms)
    kept = jnp.where((ratio > 0) & (ratio < SLOWEST), ratio, 0.0)[None]
    rest = last[None] * kept ** row(away[:, None]) / (1 - kept ** row(factors[:, None, None]))
    sums = sums + jnp.sum(rest, axis=2) * row(factors[:, None])
    size = jnp.sum(jnp.abs(terms), axis=1)
    scaled = jnp.abs(sums - sums[:1]) / jnp.where(size > 0, size, 1.0)[None]
    floor = float(jnp.finfo(terms.dtype).eps)
    # The differences have the phase of the nodes: four rules of step 4h see it from all sides.
    fine, coarse = (jnp.log(jnp.clip(x, floor, 0.9)) for x in (scaled[1], jnp.max(scaled[2:], axis=0)))
    rule = size * jnp.exp(jnp.maximum(2 * fine, fine * fine / coarse))
    # The last term and all that follow, from both ratios.
    doubt = jnp.abs(last + _continued(last, ratio) - _continued(before, earlier))
    slow = ratio >= SLOWEST
    doubt = jnp.where(slow, jnp.abs(last) / (1 - SLOWEST), jnp.where(ratio == 0, 0.0, doubt))
    diverges = jnp.any(slow & (jnp.abs(last) > DIVERGENT * size[:, None]), axis=1)
    return jnp.where(diverges, jnp.inf, rule + jnp.sum(doubt, axis=1)), size
