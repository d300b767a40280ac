"""The figure of a run: a map over two axes, lines over one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qdbjax.cli.output_files import finished_under
from qdbjax.cli.schema import RunFile
from qdbjax.cli.sweep_run import axes_of, drawn_variable
from qdbjax.fitting import Fit
from qdbjax.plotting import plot_fit, plot_lines, plot_map

if TYPE_CHECKING:
    import matplotlib.figure
    import xarray

DPI = 200


def selection(data: "xarray.Dataset", variable: str, run: RunFile) -> dict:
    """The slice that is drawn: what [output.select] says, the nearest coordinate for an axis, else the first entry."""
    select: dict = {}
    axes = axes_of(run, variable)
    for name, value in run.output.select.items():
        if name in axes:
            select[name] = data[name].sel({name: float(value)}, method="nearest").item()
        elif name in data.coords:
            select[name] = value
        else:
            select[name] = int(value)
    free = [name for name in axes if name not in select]
    # The first and the last axis span the map; others stand at their middle.
    middle = {name: data[name].values[data.sizes[name] // 2].item() for name in free[1:-1]}
    others = [name for name in data[variable].dims if name not in axes]
    first = {name: data[name].values[0].item() if name in data.coords else 0 for name in others}
    return {**first, **middle, **select}


def draw(found: "xarray.Dataset | Fit", run: RunFile, target: Path) -> None:
    """Draw the plotted quantity, or how a fit went, and save it as a PNG."""
    import matplotlib

    with matplotlib.rc_context({"backend": "agg"}):
        figure = plot_fit(found) if isinstance(found, Fit) else _drawn(found, run)
        with finished_under(target) as partial:
            figure.savefig(partial, dpi=DPI)
        _close(figure)


def _drawn(data: "xarray.Dataset", run: RunFile) -> "matplotlib.figure.Figure":
    variable = drawn_variable(run)
    select = selection(data, variable, run)
    free = [name for name in axes_of(run, variable) if name not in select]
    if len(free) == 1:
        lines = {
            name: value
            for name, value in select.items()
            if name in run.sweep or name == "time" or name in run.output.select
        }
        several = [name for name in data[variable].dims if name not in lines and name not in free]
        lines |= {name: select[name] for name in several[1:]}
        ax = plot_lines(data, variable, x=free[0], select=lines, crossings=_shown(run, free), title=run.title)
    else:
        extra = _words({name: value for name, value in select.items() if data.sizes[name] > 1})
        title = f"{run.title} ({extra})" if run.title and extra else run.title
        shown = _shown(run, free)
        ax = plot_map(data, variable, x=free[-1], y=free[0], select=select, crossings=shown, title=title)
    return ax.figure


def _shown(run: RunFile, free: list[str]) -> dict:
    return {name: positions for name, positions in run.output.crossings.items() if name in free}


def _words(select: Mapping) -> str:
    return ", ".join(f"{value} bath" if name == "bath" else f"{name} {value}" for name, value in select.items())


def _close(figure) -> None:
    import matplotlib.pyplot as plt

    plt.close(figure)
