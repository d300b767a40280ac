"""`qdbjax plot`: a figure of what a store holds, finished or not."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import xarray
from pydantic import ValidationError

from qdbjax._status import NOT_COMPUTED
from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.execution import loaded
from qdbjax.cli.figure import drawn, save
from qdbjax.cli.schema import Plot, RunFile
from qdbjax.cli.store_info import opened
from qdbjax.cli.sweep_run import Figure


def plot_store(store: Path, target: Path | None, variable: str | None) -> tuple[Path, str]:
    """Draw and save; returns the file and what is missing in it, in words.

    variable: to be drawn; by default what the run file draws first, else the first variable.
    Raises InputError for what is no store, an unknown variable, one without axes, and a target of somebody else's.
    """
    data, _ = opened(store)
    if target is not None and target.suffix.lower() != ".png":
        raise InputError(f"{target}: figures are PNG files; give a name that ends in .png")
    known = sorted(str(name) for name in data.data_vars if name != "status")  # folders have no order of their own
    if variable is not None and variable not in known:
        raise InputError(
            f"{store}: has no variable {variable!r}; there are {', '.join(known)}{nearest(variable, known)}"
        )
    told = "" if variable is None else f"-{variable}"  # as `figure_files` does: the run's own figure stays
    target = target or store.with_name(f"{store.name.removesuffix('.zarr')}{told}.png")
    figure, crossings = _figure(data, variable or known[0], named=variable is not None)
    data = loaded(data[[figure.variable, "status"]], store)
    missing = float((data["status"] == NOT_COMPUTED).mean())
    try:
        with matplotlib.rc_context({"backend": "agg"}):
            save(drawn(data, figure, crossings, data.attrs.get("title") or None), target)
    except (ValueError, IndexError) as error:
        raise InputError(f"{store}: {figure.variable} cannot be drawn: {error}") from None
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from None
    return target, f"; {missing:.1%} of its points are not computed yet" if missing else ""


def _figure(data: xarray.Dataset, variable: str, named: bool) -> tuple[Figure, Mapping[str, list[float]]]:
    """What to draw, and lines to draw on it; named: whether the user has, so that the run file does not choose."""
    try:
        output = RunFile.model_validate(tomllib.loads(data.attrs.get("run_file", ""))).output
    except (ValidationError, tomllib.TOMLDecodeError):  # a sweep in Python has none
        return Figure(variable, {}, ""), {}
    plot = output.plot[0] if output.plot else Plot(quantity=output.quantities[0])
    variable = variable if named else plot.quantity
    chosen = plot.select if variable == plot.quantity else {}
    select = {name: value for name, value in {**output.select, **chosen}.items() if name in data[variable].dims}
    return Figure(variable, select, ""), output.crossings
