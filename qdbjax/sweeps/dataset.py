"""A sweep as a labelled dataset: check the axes, run over the grid, label."""

import datetime
import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np

from qdbjax._progress import progress_bar
from qdbjax._status import Status
from qdbjax._types import ArrayLike
from qdbjax.compilation.tiers import chosen
from qdbjax.sweeps.axes import as_axes, check_function, function_name
from qdbjax.sweeps.grid import STATUS, dimensions_of
from qdbjax.sweeps.grid_run import GridResults, run_over_grid

if TYPE_CHECKING:
    import xarray


def sweep(
    fn: Callable,
    *,
    axes: Mapping[str, ArrayLike] | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
    optimize: bool | None = None,
    **named_axes: ArrayLike,
) -> "xarray.Dataset":
    """A function over the Cartesian product of named axes, in one compiled and vectorised call, labelled.

    fn: a function that JAX can trace, called with one scalar per axis, by keyword; other arguments need defaults.
        Returns an array (a variable named after fn, `value` for a lambda), a dict, a named tuple or a result with
        `_asdict` such as a SteadyState (one variable per key), a tuple or list (`name_0`, `name_1`, …), or these
        nested. Compiled once per function and grid shape; what fn closes over must not change in place between calls.
    axes: by the name of an argument of fn, vectors, made float; the first is outermost. Needed for arguments with the
        name of an argument of `sweep`.
    batch_size: grid points computed at a time; by default all, or as many as fit into a quarter of the free memory.
    progress: whether to draw a bar; None: on terminals only.
    optimize: True for a program that compiles slower and runs two to three times faster, False for the opposite, None
        to decide by the number of grid points (a million or more).
    named_axes: axes by keyword, inside those of `axes`: sweep(fn, flux=[0.0, 0.5]) is sweep(fn, axes={"flux": …}).
    Returns an xarray.Dataset: the axes as dimensions and coordinates, further dimensions `<variable>_dim0`, …; the
    flags of every grid point in `status` (`qdbjax.explain`, CF attributes `flag_masks` and `flag_meanings`);
    provenance and times in its attributes. Flags come from every steady_state that fn calls, whatever it returns, and
    from an integer output named `status`. Solves inside jax.grad or an inner jit cannot report; if no solve reports,
    points with NaN are flagged NONFINITE_INPUT. A flagged point never disturbs another one.
    Raises TypeError or ValueError for a function, axis or output that does not fit, MemoryError for results larger
    than the free memory. Where a block of grid points runs out of memory it is halved.
    """
    xarray = _import_xarray()
    coordinates = {name: np.asarray(values) for name, values in as_axes(axes, named_axes).items()}
    check_function(fn, tuple(coordinates))
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ValueError(
            f"batch_size must be an integer >= 1, the number of grid points computed at a time; got {batch_size!r}."
        )
    points = math.prod(len(values) for values in coordinates.values())
    label = function_name(fn)
    with progress_bar(points, label, progress) as report_progress, chosen(optimize):
        results = run_over_grid(fn, coordinates, label, batch_size, report_progress)
    return _labelled(xarray, results, coordinates, label)


def _import_xarray():
    try:
        import xarray
    except ModuleNotFoundError:
        raise ModuleNotFoundError('sweep returns an xarray.Dataset: pip install "qdbjax[store]"') from None
    return xarray


def _labelled(xarray, results: GridResults, axes: dict[str, np.ndarray], label: str) -> "xarray.Dataset":
    dims = tuple(axes)
    variables = {}
    for name, values in zip(results.names, results.values, strict=True):
        variables[name] = (dims + dimensions_of(name, values, len(dims)), values)
    variables[STATUS] = (dims, results.status, _status_attributes())
    return xarray.Dataset(variables, coords=dict(axes), attrs=_provenance(results, axes, label))


def _status_attributes() -> dict:
    flags = [flag for flag in Status if flag.value]
    return {
        "long_name": "status flags",
        "flag_masks": [int(flag) for flag in flags],
        "flag_meanings": " ".join(flag.name.lower() for flag in flags),
    }


def _provenance(results: GridResults, axes: dict[str, np.ndarray], label: str) -> dict:
    device = jax.devices()[0]
    points = results.status.size
    return {
        "function": label,
        "qdbjax_version": sys.modules["qdbjax"].__version__,
        "jax_version": jax.__version__,
        "device": f"{device.platform}: {device.device_kind}",
        "dtype": str(np.result_type(*(values.dtype for values in axes.values()))),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "points": points,
        "block": list(results.block),
        "seconds": results.seconds,
        "compile_seconds": results.compile_seconds,
        "points_per_second": points / results.seconds if results.seconds > 0 else 0.0,
    }
