"""A variable of a sweep along one of its axes, one line for each value of another."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qdbjax.plotting.figure import (
    BATH_COLOURS,
    COLUMN,
    SIDE,
    TITLE,
    axes_to_draw_on,
    flags_on,
    in_style,
    label_of,
    mark_crossings,
    plain,
    pyplot,
    slice_of,
    tens_of,
    title_of,
    unassigned_dims,
    wrapped,
    write_without,
)
from qdbjax.plotting.unstructured import along_its_axis, is_unstructured

if TYPE_CHECKING:
    import matplotlib.axes
    import xarray

MAX_LEGEND = 6  # above this many lines: a colour scale instead of single colours and a legend


@in_style
def plot_lines(
    dataset: "xarray.Dataset",
    variable: str,
    *,
    x: str | None = None,
    hue: str | None = None,
    select: Mapping[str, Any] | None = None,
    crossings: Mapping[str, Sequence[float]] | None = None,
    title: str | None = None,
    ax: "matplotlib.axes.Axes | None" = None,
) -> "matplotlib.axes.Axes":
    """Lines of a swept variable along one axis.

    dataset: from `sweep`.
    variable: its name.
    x: the axis across, by default the last swept one.
    hue: a dimension with one line for each of its values, by default the only other one left, if there is one.
    select: one value for every other dimension, a label where the dimension has coordinates, else a position.
    crossings: {x: coordinates} at which to draw lines, such as {"flux": [0.5, 1.0]} for level crossings.
    title: by default the variable and the selection.
    ax: matplotlib Axes, by default those of a new figure.
    Returns the Axes: gaps in a line where a flag forbids using the values, open circles where one warns of them.
    Raises ValueError for a name that is not there or a dimension left over.

    >>> warm = lambda T: qdb.gibbs(qdb.models.qubit(1.0), temperature=T).populations[1]
    >>> qdb.plot_lines(qdb.sweep(warm, T=[0.5, 1.0]), "value").get_xlabel()
    'T'
    """
    if is_unstructured(dataset):
        dataset = along_its_axis(dataset)
    select = dict(select or {})
    x, hue = _x_and_hue(dataset, variable, select, x, hue)
    array = slice_of(dataset, variable, (x,) if hue is None else (hue, x), select)
    ax = axes_to_draw_on(ax, (COLUMN, 2.5))
    positions = array[x].values
    is_fatal, has_warning = (np.atleast_2d(mask) for mask in flags_on(dataset, array))
    rows = np.atleast_2d(array.values)
    colours = _colours(len(rows))
    for n, (row, gap, doubtful) in enumerate(zip(rows, is_fatal, has_warning, strict=True)):
        label = _line_label(array, hue, n, len(rows))
        ax.plot(positions, np.where(gap, np.nan, row), color=colours[n], label=label)
        ax.plot(positions[doubtful], row[doubtful], "o", mfc="none", mec=colours[n], ms=3, mew=0.6)
    values = rows[~is_fatal]
    if values.size and values.min() < 0 < values.max():
        ax.axhline(0.0, color="#7b7d7d", lw=0.7, zorder=0)
    if len(positions):
        low, high = positions.min(), positions.max()
        ax.set_xlim(low, high if high > low else low + 1)
    ax.set_xlabel(label_of(array[x], x))
    power = tens_of(values)
    ax.set_ylabel(wrapped(label_of(dataset[variable], variable, power), SIDE))
    write_without(ax.yaxis, power)
    mark_crossings(ax, crossings or {}, x, None)
    if len(rows) > MAX_LEGEND and hue is not None and hue in array.coords:
        _colour_scale(ax, array[hue], hue)
    title = title_of(dataset[variable], variable, select) if title is None else title
    labels = len(ax.get_legend_handles_labels()[0])
    ax.set_title(wrapped(title, TITLE), loc="left", pad=5 + 11 * -(-labels // 3))
    if labels:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.005, 1.0), "ncols": 3, "frameon": False}
        legend = ax.legend(**place, fontsize="small", borderaxespad=0.2, columnspacing=1.0, handlelength=1.4)
        legend.set_in_layout(False)  # else a long one makes the axes narrow
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _x_and_hue(dataset, variable: str, select: Mapping, x: str | None, hue: str | None) -> tuple[str, str | None]:
    swept, left = unassigned_dims(dataset, variable, select, x, hue)
    if x is None:
        if not swept:
            raise ValueError(f"no swept axis of {variable} is left to plot along.")
        x = swept[-1]
        left.remove(x)
    if hue is None and len(left) == 1:
        hue = left[0]
    return x, hue


def _colours(count: int) -> list:
    if count <= MAX_LEGEND:
        return list(BATH_COLOURS[:count])
    return list(pyplot().get_cmap("viridis")(np.linspace(0.0, 0.92, count)))


def _colour_scale(ax, coordinate, hue: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    shades = LinearSegmentedColormap.from_list("lines", _colours(256))
    range_ = Normalize(float(coordinate.values[0]), float(coordinate.values[-1]))
    ax.figure.colorbar(ScalarMappable(range_, shades), ax=ax, pad=0.02).set_label(label_of(coordinate, hue))


def _line_label(array, hue: str | None, n: int, count: int) -> str | None:
    if hue is None or count > MAX_LEGEND:
        return None
    if hue not in array.coords:
        return f"{plain(hue)} {n}"
    value = array[hue].values[n]
    text = f"{value:.4g}" if isinstance(value, np.floating) else plain(value)
    return f"{label_of(array[hue], hue)} {text}"
