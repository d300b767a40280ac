"""A variable of a sweep over two of its axes, as a colour map."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qdbjax.plotting import unstructured
from qdbjax.plotting.figure import (
    COLUMN,
    SIDE,
    TITLE,
    axes_to_draw_on,
    flag_names,
    flags_on,
    in_style,
    label_of,
    mark_crossings,
    pyplot,
    slice_of,
    tens_of,
    title_of,
    unassigned_dims,
    wrapped,
    write_without,
)

if TYPE_CHECKING:
    import matplotlib.axes
    import xarray


@in_style
def plot_map(
    dataset: "xarray.Dataset",
    variable: str,
    *,
    x: str | None = None,
    y: str | None = None,
    select: Mapping[str, Any] | None = None,
    crossings: Mapping[str, Sequence[float]] | None = None,
    title: str | None = None,
    ax: "matplotlib.axes.Axes | None" = None,
) -> "matplotlib.axes.Axes":
    """Colour map of a swept variable over two axes.

    dataset: from `sweep`; the points of a refined one are joined by triangles.
    variable: its name.
    x, y: axes across and up, by default the last and the first swept one.
    select: one value for every other dimension, a label where the dimension has coordinates, else a position.
    crossings: axis to coordinates at which to draw lines, such as {"flux": [0.5, 1.0]} for level crossings.
    title: by default the variable and the selection.
    ax: matplotlib Axes, by default those of a new figure.
    Returns the Axes. Colours diverge around zero where the data change sign; grid points whose flag forbids using them
    are grey and hatched, those with a warning are dotted; labels come from the attributes `long_name` and `units`.
    Raises ValueError for a name that is not there or a dimension left over.

    >>> data = qdb.sweep(lambda x, y: {"xy": x * y}, x=[1.0, 2.0], y=[0.5, 1.0])
    >>> qdb.plot_map(data, "xy").get_title(loc="left")
    'xy'
    """
    plt = pyplot()
    select = dict(select or {})
    if unstructured.is_unstructured(dataset):
        x, y = unstructured.x_and_y(dataset, x, y)
        points, chosen = unstructured.selected(dataset, x, y, select)
        ax = axes_to_draw_on(ax, (COLUMN, 2.6))
        colours = lambda values: _colours(plt, values)  # noqa: E731
        mesh, array, handles = unstructured.draw_triangles(ax, points, variable, x, y, chosen, colours)
    else:
        x, y = _x_and_y(dataset, variable, select, x, y)
        array = slice_of(dataset, variable, (y, x), select)
        ax = axes_to_draw_on(ax, (COLUMN, 2.6))
        mesh, handles = _draw_grid(ax, dataset, array, x, y)
    ax.set_facecolor("#d5d8dc")
    ax.set_xlabel(label_of(array[x], x))
    ax.set_ylabel(wrapped(label_of(array[y], y), SIDE))
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    power = tens_of(np.ma.compressed(mesh.get_array()))
    bar.set_label(wrapped(label_of(dataset[variable], variable, power), SIDE))
    write_without(bar.ax.yaxis, power)
    bar.outline.set_linewidth(0.6)
    mark_crossings(ax, crossings or {}, x, y, outlined=True)
    handles += ax.get_legend_handles_labels()[0]
    title = title_of(dataset[variable], variable, select) if title is None else title
    ax.set_title(wrapped(title, TITLE), loc="left", pad=16 if handles else 5)
    if handles:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.005, 1.0), "ncols": 3, "frameon": False}
        style = {"fontsize": "small", "handlelength": 1.4, "borderaxespad": 0.2, "columnspacing": 1.0}
        ax.legend(handles=handles, **place, **style).set_in_layout(False)  # else a long one makes the axes narrow
    return ax


def _draw_grid(ax, dataset, array, x: str, y: str) -> tuple[Any, list]:
    """The mesh, and handles of the legend for what is hatched."""
    columns, rows = array[x].values, array[y].values
    is_fatal, has_warning = flags_on(dataset, array)
    values = np.ma.masked_where(is_fatal, array.values)
    colours = _colours(pyplot(), values)
    mesh = ax.pcolormesh(columns, rows, values, shading="nearest", rasterized=True, **colours)
    handles = _hatch(ax, columns, rows, is_fatal, "xxxx", "#7b7d7d", "no valid result")
    handles += _hatch(ax, columns, rows, has_warning, "......", "#85898f", flag_names(dataset, has_warning, array))
    return mesh, handles


def _x_and_y(dataset, variable: str, select: Mapping, x: str | None, y: str | None) -> tuple[str, str]:
    swept, _ = unassigned_dims(dataset, variable, select, x, y)
    if x is None and swept:
        x = swept.pop()
    if y is None and swept:
        y = swept.pop(0)
    if x is None or y is None or x == y:
        raise ValueError(f"a map needs two axes; {variable} has {', '.join(dataset[variable].dims)}. Use plot_lines.")
    return x, y


def _colours(plt, values: np.ma.MaskedArray) -> dict:
    """A map that diverges around zero for data of both signs, a sequential one otherwise."""
    if values.count() == 0:
        return {"cmap": "viridis"}
    low, high = float(values.min()), float(values.max())
    rounding = 1e-9 * max(abs(low), abs(high))
    if low < -rounding and high > rounding:
        size = max(-low, high)
        return {"cmap": "RdBu_r", "vmin": -size, "vmax": size}
    return {"cmap": "inferno" if high > rounding else "inferno_r", "vmin": low, "vmax": high}


def _hatch(ax, columns: np.ndarray, rows: np.ndarray, mask: np.ndarray, pattern: str, colour: str, label: str) -> list:
    """Hatch the entries of a mask; returns the handles for the legend, none for an empty mask."""
    if not mask.any():
        return []
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    style = {"facecolor": "none", "edgecolor": colour, "hatch": pattern, "lw": 0}
    left, right, low, high = *_edges(columns), *_edges(rows)
    boxes = [(left[i], right[j - 1], low[m], high[n - 1]) for i, j, m, n in _rectangles(mask)]
    corners = [[(a, c), (b, c), (b, d), (a, d)] for a, b, c, d in boxes]
    ax.add_collection(PolyCollection(corners, **style), autolim=False)
    return [Patch(**style, label=label)]


def _rectangles(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Column range and row range of rectangles that cover the mask once; a hatch costs 3 ms each, whatever its size."""
    open_: dict[tuple[int, int], int] = {}
    found = []
    for column in range(mask.shape[1] + 1):
        cells = mask[:, column] if column < mask.shape[1] else np.zeros(mask.shape[0], bool)
        steps = np.flatnonzero(np.diff(np.r_[0, cells.astype(int), 0]))
        runs = set(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))
        for run in [run for run in open_ if run not in runs]:
            found.append((open_.pop(run), column, *run))
        for run in runs - open_.keys():
            open_[run] = column
    return found


def _edges(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right edges of pixels, halfway between their centres."""
    if len(centres) == 1:
        return centres - 0.5, centres + 0.5
    half = np.diff(centres) / 2
    return centres - np.r_[half[:1], half], centres + np.r_[half, half[-1:]]
