"""The figure of a run: a map over two axes, lines over one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qdbjax.cli.fit_run import FitRun
from qdbjax.cli.output_files import SOFTWARE, finished_under
from qdbjax.cli.sweep_run import Figure, SweepRun
from qdbjax.fitting import Fit
from qdbjax.plotting import plot_fit, plot_lines, plot_map
from qdbjax.plotting.figure import plain

if TYPE_CHECKING:
    import matplotlib.figure
    import xarray

DPI = 300


def selection(data: "xarray.Dataset", figure: Figure) -> dict:
    """The slice that is drawn: what the figure says, the nearest coordinate for an axis, else the first entry."""
    select: dict = {}
    dims, axes = data[figure.variable].dims, _axes_of(data, figure.variable)
    for name, value in figure.select.items():
        if name in axes:
            select[name] = data[name].sel({name: float(value)}, method="nearest").item()
        elif name in data.coords:
            select[name] = value
        else:
            select[name] = int(value)
    free = [name for name in axes if name not in select]
    # The first and the last axis span the map; others stand at their middle.
    middle = {name: data[name].values[data.sizes[name] // 2].item() for name in free[1:-1]}
    others = [name for name in dims if name not in axes]
    first = {name: data[name].values[0].item() if name in data.coords else 0 for name in others}
    return {**first, **middle, **select}


def _axes_of(data: "xarray.Dataset", variable: str) -> list[str]:
    """The swept axes of a variable, and the time."""
    return [str(name) for name in data[variable].dims if name in data["status"].dims or name == "time"]


def figure_files(task: SweepRun | FitRun, data_file: Path) -> list[Path]:
    """A PNG beside the data, or of several figures one each, with what tells them apart in its name."""
    stem = data_file.name.removesuffix(data_file.suffix)
    if isinstance(task, FitRun) or len(task.figures) == 1:
        return [data_file.with_name(f"{stem}.png")]
    return [data_file.with_name(f"{stem}-{figure.label}.png") for figure in task.figures]


def draw(found: "xarray.Dataset | Fit", task: SweepRun | FitRun, data_file: Path) -> list[Path]:
    """Draw what the file asks for, or how a fit went, and save it as `figure_files`, which are returned."""
    import matplotlib

    targets = figure_files(task, data_file)
    with matplotlib.rc_context({"backend": "agg"}):
        if isinstance(found, Fit) or isinstance(task, FitRun):
            assert isinstance(found, Fit)
            save(plot_fit(found), targets[0])
            return targets
        for target, figure in zip(targets, task.figures, strict=True):
            save(drawn(found, figure, task.run.output.crossings, task.run.title), target)
    return targets


def drawn(
    data: "xarray.Dataset", figure: Figure, crossings: Mapping[str, list[float]], title: str | None
) -> "matplotlib.figure.Figure":
    """A map over two axes, or lines over one."""
    variable, axes = figure.variable, _axes_of(data, figure.variable)
    select = selection(data, figure)
    free = [name for name in axes if name not in select]
    crossings = {name: positions for name, positions in crossings.items() if name in free}
    if len(free) == 1:
        lines = {name: value for name, value in select.items() if name in axes or name in figure.select}
        several = [name for name in data[variable].dims if name not in lines and name not in free]
        lines |= {name: select[name] for name in several[1:]}
        ax = plot_lines(data, variable, x=free[0], select=lines, crossings=crossings, title=title)
    else:
        extra = _words({name: value for name, value in select.items() if data.sizes[name] > 1})
        title = f"{title} ({extra})" if title and extra else title
        ax = plot_map(data, variable, x=free[-1], y=free[0], select=select, crossings=crossings, title=title)
    whole = ax.get_figure(root=True)
    assert whole is not None
    return whole


def save(figure: "matplotlib.figure.Figure", target: Path) -> None:
    """Save a figure as a PNG, whole or not at all, and close it."""
    with finished_under(target) as partial:
        figure.savefig(partial, dpi=DPI, metadata={"Software": SOFTWARE})
    _close(figure)


def _words(select: Mapping) -> str:
    shown = {plain(name): plain(value) for name, value in select.items()}
    return ", ".join(f"{value} bath" if name == "bath" else f"{name} {value}" for name, value in shown.items())


def _close(figure) -> None:
    import matplotlib.pyplot as plt

    plt.close(figure)
