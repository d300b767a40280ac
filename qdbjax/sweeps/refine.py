"""A sweep that takes its points where the map changes: cells of a coarse grid are bisected until a tolerance.

A cell is a box with values at its 2ⁿ corners. It changes along an axis if the values at the ends of an edge along that
axis have different signs or flags, or differ by more than a part of the range of the variable; it is then cut in two
along that axis, unless it is as short as the tolerance. All coordinates are halves of halves of the first intervals,
kept as integers, so that cells that share a point know it.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from qdbjax.sweeps.grid import PointResult

FINEST = 40  # of a first interval at most
ROUNDING = 1e4  # a sign counts for values above this many eps of the largest one
NOISE = "residual"  # variables of this name, which hold rounding, are not looked at unless they are named


@dataclasses.dataclass(frozen=True)
class Refine:
    """Where a sweep takes more points than those of its axes; see `sweep`.

    What lies between two neighbours on the axes that agree with each other is not seen: let the axes pass through exact
    level crossings, and be as fine as what is looked for.
    tolerance: shortest edge that is cut, as a part of the span of its axis; or by axis, in the unit of the axis.
    budget: number of points at most, those of the axes included.
    jump: change of a variable from one point to its neighbour that counts, as a part of its range over all points;
        differences of sign and of flags always count.
    variables: names of those that are looked at; by default all but residuals.
    Raises TypeError or ValueError for what is none of these.
    """

    tolerance: float | Mapping[str, float] = 1e-3
    budget: int = 10_000
    jump: float = 0.1
    variables: Sequence[str] | None = None

    def __post_init__(self):
        given = self.tolerance.values() if isinstance(self.tolerance, Mapping) else [self.tolerance]
        for value in (*given, self.jump):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ValueError(f"tolerance and jump must be numbers > 0; got {value!r}.")
        if isinstance(self.budget, bool) or not isinstance(self.budget, int) or self.budget < 1:
            raise ValueError(f"budget must be an integer >= 1, a number of points; got {self.budget!r}.")
        if isinstance(self.variables, str) or not isinstance(self.variables, Sequence | None):
            raise TypeError(f"variables must be a list of names; got {self.variables!r}.")

    def tolerances(self, axes: Mapping[str, np.ndarray]) -> np.ndarray:
        """The shortest edge along every axis, in its unit. Raises ValueError for axes that no cell can be made of."""
        if isinstance(self.tolerance, Mapping) and set(self.tolerance) != set(axes):
            raise ValueError(f"tolerance must name the axes {', '.join(axes)}; got {', '.join(self.tolerance)}.")
        for name, values in axes.items():
            if len(values) < 2 or not np.isfinite(values).all() or not (np.diff(values) > 0).all():
                raise ValueError(f"axis {name} must have two finite values at least, and ascend, to be refined.")
        points = math.prod(len(values) for values in axes.values())
        if points > self.budget:
            raise ValueError(f"the axes have {points} points and budget is {self.budget}. Give more, or coarser axes.")
        if isinstance(self.tolerance, Mapping):
            return np.array([self.tolerance[name] for name in axes], float)
        return np.array([self.tolerance * (values[-1] - values[0]) for values in axes.values()], float)


class Points:
    """The points that are computed, by integer coordinates (one first interval is 2^FINEST), with their results."""

    def __init__(self, axes: Mapping[str, np.ndarray]):
        self.axes = [np.asarray(values) for values in axes.values()]
        self.place: dict[tuple[int, ...], int] = {}
        self.integers: list[tuple[int, ...]] = []
        self.parts: list[PointResult] = []
        self.watched = np.zeros((0, 0))
        self.low = self.high = np.zeros(0)  # of the finite values of each number that is looked at

    def coordinates(self, integers: Sequence[tuple[int, ...]] | np.ndarray) -> list[np.ndarray]:
        """Of points, one vector for every axis."""
        found = []
        for axis, position in zip(self.axes, np.asarray(integers, np.int64).reshape(-1, len(self.axes)).T, strict=True):
            number = np.minimum(position >> FINEST, len(axis) - 2)
            part = (position - (number << FINEST)) / 2.0**FINEST
            inside = axis[number] + (axis[number + 1] - axis[number]) * part.astype(axis.dtype)
            found.append(np.where(part == 1.0, axis[number + 1], inside).astype(axis.dtype))
        return found

    def new(self, integers: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Those that are not computed yet, each once."""
        return [each for each in dict.fromkeys(integers) if each not in self.place]

    def add(self, integers: list[tuple[int, ...]], results: PointResult, watched: np.ndarray) -> None:
        """The results at new points; watched: (points, number) of what is looked at, the flags last."""
        self.place.update((each, len(self.integers) + n) for n, each in enumerate(integers))
        self.integers.extend(integers)
        self.parts.append(results)
        self.watched = np.concatenate([self.watched, watched]) if len(self.watched) else watched
        finite = np.where(np.isfinite(self.watched), self.watched, np.nan)
        self.low, self.high = np.fmin.reduce(finite, axis=0), np.fmax.reduce(finite, axis=0)


def watched_values(results: PointResult, refine: Refine) -> np.ndarray:
    """What is looked at as real numbers, (points, number), the flags last.

    Raises ValueError for the name of no variable.
    """
    for name in refine.variables or ():
        if name not in results.names:
            raise ValueError(f"variables names {name!r}, which is no output; those are {', '.join(results.names)}.")
    columns = []
    for name, values in zip(results.names, results.values, strict=True):
        wanted = name in refine.variables if refine.variables is not None else not name.endswith(NOISE)
        if wanted:
            flat = np.asarray(values).reshape(len(values), -1)
            columns.extend([np.real(flat), np.imag(flat)] if np.iscomplexobj(flat) else [flat.astype(float)])
    return np.concatenate([*columns, np.asarray(results.status)[:, None]], axis=1).astype(float)


@dataclasses.dataclass
class Cells:
    """Boxes by their lower corners and the lengths of their edges, (cells, axis) each, integers."""

    low: np.ndarray
    size: np.ndarray

    @classmethod
    def of_grid(cls, shape: tuple[int, ...]) -> "Cells":
        """One for every first interval, or box of them."""
        low = np.stack(np.meshgrid(*(np.arange(n - 1) for n in shape), indexing="ij"), axis=-1).reshape(-1, len(shape))
        low = low.astype(np.int64) << FINEST
        return cls(low, np.full_like(low, 1 << FINEST))

    def at(self, offsets: np.ndarray) -> np.ndarray:
        """Points of every cell, (cell, offset, axis); offsets in halves of its edges."""
        return self.low[:, None, :] + offsets[None] * (self.size[:, None, :] >> 1)

    def some(self, which: np.ndarray) -> "Cells":
        return Cells(self.low[which], self.size[which])

    def cut(self, along: np.ndarray) -> "Cells":
        """The halves, quarters, … of every cell along the axes in `along` (cell, axis)."""
        low, size = [], []
        for part in itertools.product((0, 1), repeat=self.low.shape[1]):
            there = ~(np.asarray(part, bool)[None] & ~along).any(axis=1)  # no second part where nothing is cut
            half = np.where(along, self.size >> 1, self.size)
            low.append((self.low + half * np.asarray(part))[there])
            size.append(half[there])
        return Cells(np.concatenate(low), np.concatenate(size))


def joined(*cells: Cells) -> Cells:
    """All of them."""
    return Cells(np.concatenate([each.low for each in cells]), np.concatenate([each.size for each in cells]))


class Search:
    """Which cells are to be cut, and along which axes.

    points: what is computed.
    refine: the settings.
    tolerances: the longest edge along every axis that is not cut, in the unit of the axis.
    """

    def __init__(self, points: Points, refine: Refine, tolerances: np.ndarray):
        self.points, self.refine, self.tolerances = points, refine, tolerances
        n = len(points.axes)
        self.corners = np.array(list(itertools.product((0, 2), repeat=n)))
        inner = [each for each in itertools.product((0, 1, 2), repeat=n) if 1 in each]
        self.between = np.array(inner)

    def cuts(self, cells: Cells) -> np.ndarray:
        """Along which axes to cut every cell, (cell, axis)."""
        integers = cells.at(self.corners)
        rows = [[self.points.place[tuple(point)] for point in cell] for cell in integers.tolist()]
        values = self.points.watched[np.asarray(rows, int).reshape(len(cells.low), -1)]
        change = np.stack([self._changes(*self._ends(values, axis)) for axis in range(cells.low.shape[1])], axis=1)
        return change & self._long(cells)

    def overlooked(self, cells: Cells) -> np.ndarray:
        """Along which axes to cut cells whose neighbours have found something on a side of theirs, (cell, axis)."""
        cut = np.zeros(cells.low.shape, bool)
        long = self._long(cells)
        middles, corners = cells.at(self.between).tolist(), cells.at(self.corners).tolist()
        for number in np.flatnonzero(long.any(axis=1)):
            for offset, point in zip(self.between, middles[number], strict=True):
                row = self.points.place.get(tuple(point))
                if row is None:
                    continue
                ends = [self.points.place[tuple(each)] for each in corners[number]]
                found, others = self.points.watched[row], self.points.watched[ends]
                # An edge or side of this cell has a point in its middle: does it differ from those around it?
                around = ((self.corners == offset) | (offset == 1)).all(axis=1)
                if self._changes(np.broadcast_to(found, others[around].shape)[None], others[around][None]).any():
                    cut[number] |= (offset == 1) & long[number]
        return cut

    def _ends(self, values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Values at the lower and the upper ends of all edges along an axis, (cell, edge, number)."""
        upper = self.corners[:, axis] == 2
        return values[:, ~upper], values[:, upper]

    def _changes(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Whether anything changes along any edge, (cell,)."""
        low, high = self.points.low, self.points.high
        rounding = ROUNDING * np.finfo(self.points.axes[0].dtype).eps * np.fmax(np.abs(low), np.abs(high))
        with np.errstate(invalid="ignore"):
            change = np.abs(one - other)  # NaN or inf where one of them is
            far = (change > self.refine.jump * (high - low)) | (np.sign(one) != np.sign(other))
            found = np.isfinite(change) & (change > rounding) & far
        found |= np.isfinite(one) != np.isfinite(other)
        found[..., -1] = one[..., -1] != other[..., -1]  # flags
        return found.any(axis=(1, 2))

    def _long(self, cells: Cells) -> np.ndarray:
        """Which edges are longer than the tolerance, (cell, axis)."""
        ends = [self.points.coordinates(corner) for corner in (cells.low, cells.low + cells.size)]
        length = np.stack([high - low for low, high in zip(*ends, strict=True)], axis=1)
        return (length > self.tolerances) & (cells.size > 1)


def new_points(cells: Cells, along: np.ndarray) -> list[tuple[int, ...]]:
    """The points that cutting these cells needs, with repetitions, cell by cell."""
    found = []
    for low, size, cut in zip(cells.low.tolist(), cells.size.tolist(), along.tolist(), strict=True):
        steps = [(0, s >> 1, s) if c else (0, s) for s, c in zip(size, cut, strict=True)]
        found.append([tuple(x + y for x, y in zip(low, step, strict=True)) for step in itertools.product(*steps)])
    return list(itertools.chain.from_iterable(found))


def first_points(axes: Mapping[str, np.ndarray]) -> list[tuple[int, ...]]:
    """Those of the axes."""
    return list(itertools.product(*([n << FINEST for n in range(len(values))] for values in axes.values())))


def within_budget(cells: Cells, along: np.ndarray, points: Points, left: int) -> tuple[np.ndarray, list]:
    """Which cells can be cut with so many points left, the largest first, and the points that they need."""
    order = np.argsort(-np.max(np.where(along, cells.size, 0), axis=1), kind="stable")
    taken, needed = [], {}
    for number in order:
        wanted = [
            each
            for each in points.new(new_points(cells.some(np.array([number])), along[[number]]))
            if each not in needed
        ]
        if len(needed) + len(wanted) > left:
            continue
        needed.update(dict.fromkeys(wanted))
        taken.append(number)
    which = np.zeros(len(cells.low), bool)
    which[taken] = True
    return which, list(needed)
