"""Runs a refined sweep: points in blocks of one shape, so that one program computes them all."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from qdbjax._progress import ReportProgress
from qdbjax.sweeps.grid import PointResult, map_over_points
from qdbjax.sweeps.grid_run import Compiler, FlaggedShare, execute
from qdbjax.sweeps.refine import Cells, Points, Refine, Search, first_points, joined, watched_values, within_budget

SMALLEST_BLOCK, LARGEST_BLOCK = 32, 1024  # points of one call where nobody says how many


@dataclass(frozen=True)
class RefinedResults:
    """Points in the order of their coordinates, first axis slowest, and what was computed there.

    results: at every point.
    coordinates: one vector for every axis, by name.
    complete: whether every change is located to the tolerance; False where the budget ended the search.
    block: points of one call.
    """

    results: PointResult
    coordinates: dict[str, np.ndarray]
    complete: bool
    seconds: float
    compile_seconds: float
    block: int


def run_refined(
    fn: Callable,
    axes: Mapping[str, np.ndarray],
    name: str,
    refine: Refine,
    batch_size: int | None,
    report_progress: ReportProgress,
    check: Callable[[PointResult], object],
) -> RefinedResults:
    """fn at the points of the axes and wherever it changes between them. check: as for `run_over_grid`."""
    tolerances = refine.tolerances(axes)
    dtypes = tuple(values.dtype for values in axes.values())
    compiler = Compiler(fn, tuple(axes), name, dtypes, refine.budget, map_over_points)
    first = first_points(axes)
    block = batch_size or 2 ** math.ceil(math.log2(min(max(len(first), SMALLEST_BLOCK), LARGEST_BLOCK)))
    check(compiler.outputs((block,) * len(axes)))
    points, flagged = Points(axes), FlaggedShare()
    start, before = time.perf_counter(), compiler.seconds

    def compute(integers):
        coordinates = points.coordinates(integers)
        for n in range(0, len(integers), block):
            found = _block(compiler, [values[n : n + block] for values in coordinates], block)
            points.add(integers[n : n + block], found, watched_values(found, refine))
            report_progress(found.status.size, flagged.with_more(found.status))

    compute(first)
    complete = _bisect(points, Search(points, refine, tolerances), compute, refine.budget)
    seconds = time.perf_counter() - start - (compiler.seconds - before)
    return _sorted(points, axes, complete, seconds, compiler.seconds, block)


def _bisect(points: Points, search: Search, compute: Callable[[list], None], budget: int) -> bool:
    """Cut cells until none changes that is longer than the tolerance; whether the budget was enough for that."""
    active, done, complete = Cells.of_grid(tuple(len(values) for values in points.axes)), [], True
    while len(active.low):
        along = search.cuts(active)
        changing = np.asarray(along.any(axis=1))
        done.append(active.some(~changing))
        if not changing.any():
            active = joined(*done)
            along = search.overlooked(active)
            changing = np.asarray(along.any(axis=1))
            done = [active.some(~changing)]
        cells, along = active.some(changing), along[changing]
        which, needed = within_budget(cells, along, points, budget - len(points.integers))
        complete &= bool(which.all())
        if needed:
            compute(needed)
        active = cells.some(which).cut(along[which]) if which.any() else cells.some(which)
    return complete


def _block(compiler: Compiler, coordinates: list[np.ndarray], block: int) -> PointResult:
    """The results at no more points than a block has."""
    count = len(coordinates[0])
    padded = [np.concatenate([values, np.repeat(values[-1:], block - count)]) for values in coordinates]
    program = compiler.program((block,) * len(coordinates))
    results = jax.device_get(execute(program.compiled, [jax.numpy.asarray(values) for values in padded]))
    return jax.tree.map(lambda values: values[:count], results)


def _sorted(points: Points, axes: Mapping[str, np.ndarray], complete: bool, *cost: Any) -> RefinedResults:
    order = np.lexsort(np.asarray(points.integers, np.int64).T[::-1])
    results = jax.tree.map(lambda *parts: np.concatenate(parts)[order], *points.parts)
    values = [each[order] for each in points.coordinates(points.integers)]
    return RefinedResults(results, dict(zip(axes, values, strict=True)), complete, *cost)
