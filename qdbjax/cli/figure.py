"""The figure of a run: a map over two axes, lines over one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qdbjax.cli.fit_run import FitRun
from qdbjax.cli.output_files import SOFTWARE, finished_under
from qdbjax.cli.sweep_run import SweepRun
from qdbjax.fitting import Fit
from qdbjax.plotting import plot_fit, plot_lines, plot_map

if TYPE_CHECKING:
    import matplotlib.figure
    import xarray

DPI = 300


def selection(data: "xarray.Dataset", task: SweepRun) -> dict:
    """The slice that is drawn: what [output.select] says, the nearest coordinate for an axis, else the first entry."""
    select: dict = {}
    variable, axes = task.drawn, task.axes_of(task.drawn)
    for name, value in task.run.output.select.items():
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


def draw(found: "xarray.Dataset | Fit", task: SweepRun | FitRun, target: Path) -> None:
    """Draw the plotted quantity, or how a fit went, and save it as a PNG."""
    import matplotlib

    with matplotlib.rc_context({"backend": "agg"}):
        if isinstance(found, Fit):
            figure = plot_fit(found)
        else:
            assert isinstance(task, SweepRun)  # only these give a dataset
            figure = _drawn(found, task)
        with finished_under(target) as partial:
            figure.savefig(partial, dpi=DPI, metadata={"Software": SOFTWARE})
        _close(figure)


def _drawn(data: "xarray.Dataset", task: SweepRun) -> "matplotlib.figure.Figure":
    run, variable = task.run, task.drawn
    select = selection(data, task)
    free = [name for name in task.axes_of(variable) if name not in select]
    crossings = {name: positions for name, positions in run.output.crossings.items() if name in free}
    if len(free) == 1:
        lines = {
            name: value
            for name, value in select.items()
            if name in run.sweep or name == "time" or name in run.output.select
        }
        several = [name for name in data[variable].dims if name not in lines and name not in free]
        lines |= {name: select[name] for name in several[1:]}
        ax = plot_lines(data, variable, x=free[0], select=lines, crossings=crossings, title=run.title)
    else:
        extra = _words({name: value for name, value in select.items() if data.sizes[name] > 1})
        title = f"{run.title} ({extra})" if run.title and extra else run.title
        ax = plot_map(data, variable, x=free[-1], y=free[0], select=select, crossings=crossings, title=title)
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def _words(select: Mapping) -> str:
    return ", ".join(f"{value} bath" if name == "bath" else f"{name} {value}" for name, value in select.items())


def _close(figure) -> None:
    import matplotlib.pyplot as plt

    plt.close(figure)
