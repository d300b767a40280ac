"""A sweep as a labelled dataset: check the axes, run over the grid, label."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qdbjax._progress import progress_bar
from qdbjax._types import ArrayLike
from qdbjax.compilation.tiers import chosen
from qdbjax.sweeps.axes import as_axes, check_function, function_name
from qdbjax.sweeps.configuration import provenance
from qdbjax.sweeps.grid import STATUS, PointResult
from qdbjax.sweeps.grid_run import run_over_grid
from qdbjax.sweeps.labels import POINT, Labels, given_labels, status_attributes
from qdbjax.sweeps.refine import Refine
from qdbjax.sweeps.refine_run import run_refined
from qdbjax.sweeps.store import ORDER, open_dataset
from qdbjax.sweeps.store_run import Destination, Sweep, destination, run_into_store

if TYPE_CHECKING:
    import xarray


def sweep(
    fn: Callable,
    *,
    axes: Mapping[str, ArrayLike] | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
    optimize: bool | None = None,
    out: str | os.PathLike | None = None,
    resume: bool = False,
    verify: bool = False,
    rank: int | str | None = None,
    world: int | None = None,
    cluster: Any = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    coords: Mapping[str, Sequence] | None = None,
    attrs: Mapping[str, Any] | None = None,
    refine: Refine | None = None,
    **named_axes: ArrayLike,
) -> "xarray.Dataset":
    """A function over the Cartesian product of named axes, in one compiled and vectorised call, labelled.

    fn: a function that JAX can trace, called with one scalar per axis, by keyword (what `jax.grad` and its like return,
        by position); other arguments need defaults.
        Returns an array (a variable named after fn, `value` for a lambda), a dict, a named tuple or a result with
        `_asdict` such as a SteadyState (one variable per key), a tuple or list (`name_0`, `name_1`, …), or these
        nested. Compiled once per function and grid shape; what fn closes over must not change in place between calls.
    axes: by the name of an argument of fn, vectors, made float; the first is outermost. Needed for arguments with the
        name of an argument of `sweep`.
    batch_size: grid points computed at a time; by default up to 2¹⁷ on a CPU and 2²² elsewhere, or as many as fit into
        a quarter of the free memory; of a store see `out`.
    progress: whether to draw a bar; None: on terminals only.
    optimize: True for a program that compiles slower and runs two to three times faster, False for the opposite, None
        to decide by the number of grid points (a million or more).
    out: folder of a zarr store that the results go to block by block, instead of memory; whoever dies leaves what is
        finished, and `status` is -1 where nothing is. A block is a chunk of at most 64 MB and one of at least 128, or
        `batch_size` grid points.
    resume: whether to go on with a store that is there; refused if function, axes, versions or precision differ.
    verify: whether to read every checksum of that store first, and compute again what does not agree.
    rank, world: of processes that share a store, this one computes the blocks n with n mod world = rank, and makes or
        joins it; rank="auto" reads both from the variables of Open MPI, SLURM tasks or SLURM arrays.
    cluster: a dask.distributed Client or the address of its scheduler: the workers, of one thread each, compute the
        blocks and write them into the store, whose folder they share.
    dims: by output, names of the dimensions that it has beside the axes, as in {"heat": ("bath",)}. Currents and
        populations that are returned as they are need none.
    coords: by such a dimension, labels or numbers along it, as in {"bath": ["hot", "cold"]}.
    attrs: attributes of your own for the whole: text, numbers, truth values, or lists or dicts of them.
    refine: a `sweeps.Refine`, for more points than those of the axes, which ascend: wherever a variable changes sign,
        jumps or changes its flags between neighbours, their distance is halved until it is within a tolerance, or
        the budget of points is used up. In memory only.
    named_axes: axes by keyword, inside those of `axes`: sweep(fn, flux=[0.0, 0.5]) is sweep(fn, axes={"flux": …}).
    Returns an xarray.Dataset: the axes as dimensions and coordinates; further dimensions named by `dims`, `bath` and
    `level` where the output tells, else `<variable>_dim0`, …; the flags of every grid point in `status`
    (`qdbjax.explain`, CF attributes `flag_masks` and `flag_meanings`); in its attributes times and provenance: source
    of the function, what it closes over (`configuration`, with a hash), versions, device, precision. With `out` it is
    that of the store, read where it is used. With `refine` the one dimension is `point`, the axes are coordinates along
    it, and the attribute `refined_completely` says whether the budget was enough; `plot_map` draws it. Flags come
    from every steady_state that fn calls, whatever it returns, and from an integer output named `status`. Solves inside
    jax.grad or an inner jit cannot report; if no solve reports, points with NaN are flagged
    NONFINITE_INPUT. A flagged point never disturbs another one.
    Raises TypeError or ValueError for a function, axis or output that does not fit, MemoryError for results larger
    than the free memory, StoreError (a ValueError) for a store that is there, another's, or being written by somebody
    else, OSError for a full disk, ClusterError (an OSError) for workers that differ or a scheduler that is gone. Where
    a block of grid points runs out of memory it is halved.

    >>> warm = lambda T: qdb.gibbs(qdb.models.qubit(1.0), temperature=T).populations[1]
    >>> qdb.sweep(warm, T=[0.5, 1.0])["value"].values.round(4)
    array([0.1192, 0.2689])
    """
    _import_xarray()
    coordinates = {name: np.asarray(values) for name, values in as_axes(axes, named_axes).items()}
    check_function(fn, tuple(coordinates))
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ValueError(
            f"batch_size must be an integer >= 1, the number of grid points computed at a time; got {batch_size!r}."
        )
    labels = given_labels(dims, coords, attrs)
    _check_refine(refine, out)
    to = _destination(out, resume, verify, rank, world, cluster)
    with chosen(optimize):
        if refine is not None:
            return _refined_sweep(fn, coordinates, labels, refine, batch_size, progress)
        return labelled_sweep(fn, coordinates, labels, to, batch_size=batch_size, progress=progress)


def labelled_sweep(
    fn: Callable,
    axes: dict[str, np.ndarray],
    labels: Labels,
    to: Destination | None,
    *,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> "xarray.Dataset":
    """A sweep of a checked function over checked axes, in memory or into a store."""
    swept = Sweep(fn, axes, function_name(fn), labels, batch_size)
    general = _general(swept)
    if to is not None:
        run = run_into_store(swept, to, general, progress)
        data = open_dataset(to.path)
        data.attrs.update(_cost(run.points, run.seconds, run.compile_seconds))
        return data
    check = lambda outputs: labels.completed(axes, outputs)  # noqa: E731
    with progress_bar(swept.points, swept.name, progress) as report_progress:
        results = run_over_grid(fn, axes, swept.name, batch_size, report_progress, check)
    found = PointResult(results.outputs.names, results.outputs.told, results.values, results.status)
    cost = _cost(results.status.size, results.seconds, results.compile_seconds)
    coordinates = {name: (name, values) for name, values in axes.items()}
    labels = labels.completed(axes, found)
    return _labelled(found, tuple(axes), coordinates, labels, {**general, "block": list(results.block), **cost})


def _refined_sweep(
    fn: Callable,
    axes: dict[str, np.ndarray],
    labels: Labels,
    refine: Refine,
    batch_size: int | None,
    progress: bool | None,
) -> "xarray.Dataset":
    """A sweep of a checked function that takes its points where they are needed."""
    swept = Sweep(fn, axes, function_name(fn), labels, batch_size)
    general = _general(swept)
    complete_labels = lambda outputs: labels.completed(axes, outputs, (POINT,))  # noqa: E731
    with progress_bar(refine.budget, swept.name, progress) as report:
        found = run_refined(fn, axes, swept.name, refine, batch_size, report, complete_labels)
    coordinates = {name: (POINT, values) for name, values in found.coordinates.items()}
    count = found.results.status.size
    told = {"points": count, "block": found.block, **_cost(count, found.seconds, found.compile_seconds)}
    settings = {key: value for key, value in vars(refine).items() if value is not None}
    general |= {**told, "refined_completely": found.complete, "refine": json.dumps(settings, default=dict)}
    return _labelled(found.results, (POINT,), coordinates, complete_labels(found.results), general)


def _check_refine(refine: Any, out: Any) -> None:
    if not isinstance(refine, Refine | None):
        raise TypeError(f"refine must be a qdbjax.sweeps.Refine; got {refine!r}.")
    if refine is not None and out is not None:
        raise ValueError("a refined sweep stays in memory, and out= is given too. Leave out one of the two.")


def _general(swept: Sweep) -> dict[str, Any]:
    """Attributes of the whole. Raises ValueError where the user gives one of them."""
    fn, labels = swept.fn, swept.labels
    general = provenance(swept.name, fn if labels.origin is None else None, swept.axes, swept.configuration)
    taken = {*general, "block", "refine", "refined_completely", ORDER, *_cost(0, 0.0, 0.0)} & set(labels.general)
    if taken:
        raise ValueError(f"attrs names {min(taken)!r}, which the sweep itself says. Choose another name.")
    return general


def _destination(
    out: Any, resume: bool, verify: bool, rank: int | str | None, world: int | None, cluster: Any
) -> Destination | None:
    """Where to, None for memory. Raises ValueError for what means nothing without a store."""
    for name, value in (("resume", resume), ("verify", verify)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False; got {value!r}.")
    given = {"resume": resume, "verify": verify, "rank": rank, "world": world, "cluster": cluster}
    if out is None:
        for name, value in given.items():
            if value is not None and value is not False:
                raise ValueError(f"{name}={value!r} belongs to a store. Name one, as in out='run.zarr'.")
        return None
    if verify and not resume:
        raise ValueError("verify=True looks at a store that is there. Give resume=True with it.")
    return destination(out, resume, verify, rank, world, cluster)


def _import_xarray():
    try:
        import xarray
        import zarr  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError('sweep returns an xarray.Dataset: pip install "qdbjax[store]"') from None
    return xarray


def _labelled(
    found: PointResult, dims: tuple[str, ...], axes: Mapping[str, tuple], labels: Labels, general: dict[str, Any]
) -> "xarray.Dataset":
    """Results with `dims` in front as a dataset; axes: dimensions and values of every axis."""
    xarray = _import_xarray()
    variables = {}
    for name, values in zip((*found.names, STATUS), (*found.values, found.status), strict=True):
        further = labels.dims_of(name, values.ndim - len(dims))
        attributes = labels.attributes.get(name, status_attributes() if name == STATUS else {})
        variables[name] = (dims + further, values, attributes)
    coordinates = dict(axes) | {name: (name, np.asarray(values)) for name, values in labels.coordinates.items()}
    described = {name: (*each, labels.attributes.get(name, {})) for name, each in coordinates.items()}
    return xarray.Dataset(variables, coords=described, attrs={**general, **labels.general})


def _cost(points: int, seconds: float, compile_seconds: float) -> dict:
    """Of one run; of a store that was resumed, of the last one."""
    rate = points / seconds if seconds > 0 else 0.0
    return {"seconds": seconds, "compile_seconds": compile_seconds, "points_per_second": rate}
