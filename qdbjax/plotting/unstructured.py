"""A variable of a refined sweep, whose points lie anywhere, as a colour map over triangles, or as lines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qdbjax.plotting.figure import flag_names, flags_on, slice_of
from qdbjax.sweeps.labels import POINT

if TYPE_CHECKING:
    import matplotlib.axes
    import xarray

WARNED = 1.5  # size of the dot at a point with a warning
THIN = 2e-3  # height of a triangle that is a sliver, as a part of the map


def is_unstructured(dataset: "xarray.Dataset") -> bool:
    """Whether it is a list of points, as a refined sweep gives it."""
    return POINT in dataset.dims and POINT not in dataset.coords


def axes_of(dataset: "xarray.Dataset") -> list[str]:
    """The axes whose coordinates lie along the points."""
    return [str(name) for name, values in dataset.coords.items() if values.dims == (POINT,)]


def along_its_axis(dataset: "xarray.Dataset") -> "xarray.Dataset":
    """The same with its axis as dimension, ascending. Raises ValueError for several axes."""
    axes = axes_of(dataset)
    if len(axes) != 1:
        raise ValueError(f"the points lie along {', '.join(axes)}: use plot_map, or select points of one line.")
    return dataset.swap_dims({POINT: axes[0]}).sortby(axes[0])


def x_and_y(dataset: "xarray.Dataset", x: str | None, y: str | None) -> tuple[str, str]:
    """Axes across and up: the last and the first that are not given."""
    axes = axes_of(dataset)
    for name in (x, y):
        if name is not None and name not in axes:
            raise ValueError(f"{name!r} is no axis; those are {', '.join(axes)}.")
    left = [name for name in axes if name not in (x, y)]
    if x is None and left:
        x = left.pop()
    if y is None and left:
        y = left.pop(0)
    if x is None or y is None or x == y:
        raise ValueError(f"a map needs two axes; the points have {', '.join(axes)}. Use plot_lines.")
    return x, y


def selected(dataset: "xarray.Dataset", x: str, y: str, select: Mapping[str, Any]) -> tuple[Any, dict]:
    """The points at the nearest coordinate of every further axis, and what is selected of other dimensions.

    Raises ValueError for a further axis that is not selected.
    """
    rest = dict(select)
    for name in axes_of(dataset):
        if name in (x, y):
            continue
        if name not in rest:
            raise ValueError(f"points have a further axis {name!r}; choose a value of it in select.")
        values = dataset[name].values
        dataset = dataset.isel({POINT: values == values[np.argmin(np.abs(values - rest.pop(name)))]})
    return dataset, rest


def draw_triangles(
    ax: "matplotlib.axes.Axes", dataset: "xarray.Dataset", variable: str, x: str, y: str, select: Mapping, colours: Any
) -> tuple[Any, Any, list]:
    """Colours between the points; returns the mesh, the array that is drawn, and handles of the legend.

    colours: values ↦ keywords of matplotlib, as for a map on a grid.
    Triangles with a point that has no valid result stay empty.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.tri import Triangulation

    array = slice_of(dataset, variable, (POINT,), select)
    is_fatal, has_warning = flags_on(dataset, array)
    across, up = dataset[x].values, dataset[y].values
    if min(len(np.unique(across)), len(np.unique(up))) < 2:
        raise ValueError(f"a map needs two values of {x} and {y} at least.")
    # Triangles as they are in units of the spans: Delaunay's are slivers where one axis is a thousand times longer.
    corners = np.stack([_unit(across), _unit(up)], axis=1)
    triangles = Triangulation(*corners.T).triangles
    mask = is_fatal[triangles].any(axis=1)
    values = np.ma.masked_where(is_fatal, array.values)
    shown = np.where(is_fatal, 0.0 if values.count() == 0 else float(values.min()), array.values)
    # Shades inside of slivers come out in colours that the map does not have: these stay flat.
    flat = Triangulation(across, up, triangles, mask)
    ax.tripcolor(flat, shown, shading="flat", rasterized=True, **colours(values))
    shaded = Triangulation(across, up, triangles, mask | (_heights(corners[triangles]) < THIN))
    mesh = ax.tripcolor(shaded, shown, shading="gouraud", rasterized=True, **colours(values))
    ax.set_xlim(across.min(), across.max())
    ax.set_ylim(up.min(), up.max())
    handles: list[Any] = (
        [Patch(facecolor="#d5d8dc", edgecolor="#7b7d7d", label="no valid result")] if mask.any() else []
    )
    if has_warning.any():
        style = {"marker": "o", "color": "#85898f", "ls": "none", "ms": WARNED}
        ax.plot(across[has_warning], up[has_warning], **style)
        handles.append(Line2D([], [], **{**style, "ms": 4}, label=flag_names(dataset, has_warning, array)))
    return mesh, array, handles


def _heights(triangles: np.ndarray) -> np.ndarray:
    """The shortest height of each triangle (triangle, corner, 2)."""
    edges = triangles - np.roll(triangles, 1, axis=1)
    twice = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0])
    return twice / np.linalg.norm(edges, axis=-1).max(axis=1)


def _unit(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (values.max() - values.min())
