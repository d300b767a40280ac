"""The short summary that a run prints."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from qdbjax._status import REMEDIES, Status
from qdbjax.cli.fit_run import FitRun
from qdbjax.cli.sweep_run import SweepRun
from qdbjax.compilation.cache import cache_use
from qdbjax.fitting import Fit

if TYPE_CHECKING:
    import xarray


def print_summary(found: "xarray.Dataset | Fit", task: SweepRun | FitRun, files: list[Path], console: Console) -> None:
    """What came out, in a screen at most, and the files."""
    if isinstance(found, Fit):
        title = [task.run.title] if task.run.title else []
        console.print("\n".join([*title, repr(found)]), highlight=False, markup=False, soft_wrap=True)
        lines = []
    else:
        assert isinstance(task, SweepRun)  # only these give a dataset
        _print_extremes(found, task.figures[0].variable, console)
        lines = _about(found)
    kept = cache_use()
    if kept is not None and (kept.rejected or not kept.hits):
        lines.append(("compiled programs", str(kept)))
    console.print()
    for name, text in [*lines, *(("written", str(path)) for path in files)]:
        console.print(f"{name:<17} {text}", highlight=False, markup=False, soft_wrap=True)


def _print_extremes(data: "xarray.Dataset", variable: str, console: Console) -> None:
    """Largest and smallest values and where they are."""
    axes = [*data["status"].dims, *(["time"] if "time" in data[variable].dims else [])]
    called = data[variable].attrs.get("long_name", variable)
    table = Table(title=data.attrs["title"] or None, title_justify="left", box=None, pad_edge=False)
    for n, heading in enumerate((called, "", "value", *axes)):
        table.add_column(heading, justify="left" if n < 2 else "right")
    for label, values in _slices(data[variable], axes):
        for word, place in _extremes(values):
            where = np.unravel_index(place, values.shape)
            numbers = [f"{data[name].values[n]:.6g}" for name, n in zip(axes, where, strict=True)]
            table.add_row(label, word, f"{values[where]:.6g}", *numbers)
    console.print(table)


def _about(data: "xarray.Dataset") -> list[tuple[str, str]]:
    """Residual, flags and speed."""
    lines = [("largest residual", _largest(data["residual"].values))] if "residual" in data else []
    codes = data["status"].values
    flagged = [(flag, int(np.count_nonzero(codes & int(flag)))) for flag in Status if flag.value]
    counted = [f"{count} of {codes.size} {_words(flag)}: {REMEDIES[flag]}" for flag, count in flagged if count]
    lines.append(("flagged cells", "; ".join(counted) or "none"))
    rate, compilation = data.attrs["points_per_second"], data.attrs["compile_seconds"]
    speed = f"{rate:,.0f} points/s after {compilation:.2f} s of compilation, on {data.attrs['device']}"
    return [*lines, ("speed", speed)]


def _slices(array: "xarray.DataArray", axes: list[str]) -> list[tuple[str, np.ndarray]]:
    """The array over the swept axes, once for each entry of its other dimensions."""
    others = [name for name in array.dims if name not in axes]
    array = array.transpose(*others, *axes)
    found = []
    for index in np.ndindex(*(array.sizes[name] for name in others)):
        names = zip(others, index, strict=True)
        label = ", ".join(f"{name} {array[name].values[n] if name in array.coords else n}" for name, n in names)
        found.append((label or "", array.values[index]))
    return found[:12]


def _extremes(values: np.ndarray) -> list[tuple[str, int]]:
    if not np.isfinite(values).any():
        return []
    masked = np.where(np.isfinite(values), values, np.nan)
    return [("largest", int(np.nanargmax(masked))), ("smallest", int(np.nanargmin(masked)))]


def _largest(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return f"{finite.max():.2g} of the largest rate" if finite.size else "no valid cell"


def _words(flag: Status) -> str:
    return flag.label.replace("_", " ")
