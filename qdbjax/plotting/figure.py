"""What every plot shares: axes to draw on, labels from attributes, the choice of one slice, marks at crossings."""

import functools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from qdbjax._status import FATAL, Status

if TYPE_CHECKING:
    import matplotlib.axes

Function = TypeVar("Function", bound=Callable)
COLUMN = 3.4  # inches, one column of a journal
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "figure.dpi": 150,
}
# M. Okabe and K. Ito, Color Universal Design (2008): told apart without red or green cones too.
BATH_COLOURS = ("#d55e00", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#4d4d4d")


def pyplot() -> Any:
    """matplotlib.pyplot, or an error that says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError:
        raise ModuleNotFoundError('plots need matplotlib: pip install "qdbjax[plot]"') from None
    return plt


def in_style(draw: Function) -> Function:
    """Draw on new axes in `STYLE`; on axes that are given, in the style that they were made in."""

    @functools.wraps(draw)
    def drawn(*args, **kwargs):
        with pyplot().rc_context(STYLE if kwargs.get("ax") is None else {}):
            return draw(*args, **kwargs)

    return cast(Function, drawn)


def axes_to_draw_on(ax: "matplotlib.axes.Axes | None", size: tuple[float, float]) -> "matplotlib.axes.Axes":
    """The given matplotlib Axes, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    return pyplot().subplots(figsize=size, layout="constrained")[1]


def plain(name: Any) -> str:
    """A name as it is written: for matplotlib `$` begins mathematics, and `_` a label that no legend shows."""
    text = str(name).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text


def label_of(array: Any, name: str, power: int = 0) -> str:
    """`long_name (units)` of a variable or coordinate, its name where it has none; power: of ten in the units.

    What stands in attributes is written to be read, mathematics between `$` included.
    """
    attributes = getattr(array, "attrs", {})
    text = attributes.get("long_name", plain(name))
    units = " ".join(filter(None, (rf"$10^{{{power}}}$" if power else "", attributes.get("units"))))
    return f"{text} ({units})" if units else text


TITLE, SIDE = 44, 36  # characters that fit over axes of one column, and beside them


def wrapped(text: str, width: int) -> str:
    """Text in lines of so many characters."""
    return "\n".join(textwrap.wrap(text, width))


def tens_of(values: np.ndarray) -> int:
    """The power of ten that numbers are written without, 0 for those from 0.01 to 1000."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return 0 if -2 <= power < 3 else power


def write_without(axis: Any, power: int) -> None:
    """Ticks of an axis without a power of ten, which stands in its label: above the axis is the legend's place."""
    from matplotlib.ticker import FuncFormatter

    if power:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10.0**power:.4g}"))


def unassigned_dims(
    dataset: Any, variable: str, select: Mapping[str, Any], *assigned: str | None
) -> tuple[list[str], list[str]]:
    """Dimensions of a variable that are neither selected nor assigned to an axis: swept ones, then all.

    Raises ValueError for a name that is no variable of the dataset.
    """
    if variable not in dataset.data_vars:
        names = ", ".join(map(str, dataset.data_vars))
        raise ValueError(f"variable must be one of {names}; got {variable!r}.")
    dims = dataset[variable].dims
    swept = dataset["status"].dims if "status" in dataset else dims
    left = [name for name in dims if name not in select and name not in assigned]
    return [name for name in swept if name in left], left


def slice_of(dataset: Any, variable: str, dims: tuple[str, ...], select: Mapping[str, Any]) -> Any:
    """The variable cut down to `dims`: by label where a dimension has coordinates, by position where it has none."""
    array = dataset[variable]
    for name, value in select.items():
        if name not in array.dims:
            raise ValueError(f"select names {name!r}, which is no dimension of {variable}: {', '.join(array.dims)}.")
        array = array.sel({name: value}) if name in array.coords else array.isel({name: value})
    for name in dims:
        if name not in array.dims:
            left = ", ".join(map(str, array.dims)) or "none"
            raise ValueError(f"{name!r} is no dimension of {variable} after selection; left are {left}.")
    left = [name for name in array.dims if name not in dims]
    if left:
        hint = ", ".join(f"{name!r}: {_first_value(array, name)!r}" for name in left)
        raise ValueError(f"{variable} has further dimensions; choose one of each, as in select={{{hint}}}.")
    if np.iscomplexobj(array.values):
        raise ValueError(f"{variable} is complex; plot its real part, imaginary part or modulus.")
    return array.transpose(*dims)


def _first_value(array: Any, name: str) -> Any:
    return array[name].values[0].item() if name in array.coords else 0


def title_of(array: Any, name: str, select: Mapping[str, Any]) -> str:
    """The variable in words, or by its name as it is, and the selection."""
    words = array.attrs.get("long_name", "")
    chosen = (f"{plain(key)} {plain(value)}" for key, value in select.items())
    return ", ".join([words[:1].upper() + words[1:] or plain(name), *chosen])


def _status_codes(dataset: Any, array: Any) -> np.ndarray:
    """Status of each entry of the array."""
    if "status" not in dataset:
        return np.zeros(array.shape, np.int32)
    status = dataset["status"]
    pick = {name: array.coords[name] for name in status.dims if name not in array.dims}
    status = status.sel(pick)
    order = [name for name in array.dims if name in status.dims]
    shape = [size if name in status.dims else 1 for name, size in zip(array.dims, array.shape, strict=True)]
    return np.broadcast_to(status.transpose(*order).values.reshape(shape), array.shape)


def flags_on(dataset: Any, array: Any) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the entries that must not be used, and of those that carry a warning only; shaped like the array."""
    codes = _status_codes(dataset, array)
    is_fatal = ((codes & int(FATAL)) != 0) | ~np.isfinite(array.values)
    return is_fatal, (codes != 0) & ~is_fatal


def flag_names(dataset: Any, mask: np.ndarray, array: Any) -> str:
    """The flags of the entries of a mask, in words."""
    codes = int(np.bitwise_or.reduce(_status_codes(dataset, array)[mask], initial=0))
    return ", ".join(flag.label.replace("_", " ") for flag in Status if flag.value & codes)


def mark_crossings(
    ax: Any, crossings: Mapping[str, Sequence[float]], x: str, y: str | None, *, outlined: bool = False
) -> None:
    """Thin dashed lines at the given coordinates, those inside the plot only; the first carries the label."""
    from matplotlib.patheffects import withStroke

    style = {"color": "#7b7d7d", "lw": 0.8, "ls": (0, (4, 3))}
    if outlined:  # on a colour map: white with a dark rim is seen on every colour
        style |= {"color": "white", "path_effects": [withStroke(linewidth=1.8, foreground="#00000080")]}
    for name, positions in crossings.items():
        if name not in (x, y):
            raise ValueError(f"crossings names {name!r}; the axes of this plot are {', '.join(filter(None, (x, y)))}.")
        draw, (low, high) = (ax.axvline, ax.get_xlim()) if name == x else (ax.axhline, ax.get_ylim())
        inside = [p for p in positions if low <= p <= high]
        for n, position in enumerate(inside):
            draw(position, label="level crossing" if n == 0 else None, **style)
