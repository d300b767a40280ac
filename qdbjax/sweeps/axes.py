"""The axes of a sweep: checked once, then vectors of the session's precision in the order in which they are named."""

import inspect
from collections.abc import Callable, Mapping

from qdbjax._checks import as_real
from qdbjax._types import Array, ArrayLike
from qdbjax.sweeps.grid import STATUS


def as_axes(axes: Mapping[str, ArrayLike] | None, keywords: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Coordinates of each axis, (n,): those of `axes` first, then keywords.

    Raises ValueError for no axis, one that is given twice, one with the name of the status, or one that is no vector.
    """
    if not isinstance(axes, Mapping | None):
        raise TypeError(f"axes must be a mapping of names to vectors, as in axes={{'flux': [0.0, 0.5]}}; got {axes!r}.")
    axes = dict(axes or {})
    for name in axes:
        if not isinstance(name, str):
            raise TypeError(f"names in axes must be strings; got {name!r}.")
        if name in keywords:
            raise ValueError(f"axis {name} is given twice, in axes and as a keyword.")
    axes |= keywords
    if not axes:
        raise ValueError("sweep needs at least one axis; got none. Name one, as in sweep(fn, flux=[0.0, 0.5]).")
    if STATUS in axes:
        raise ValueError(
            "no axis can be named status: the result holds the flags of every grid point under that name. "
            "Give the argument another name, as in lambda x: fn(status=x)."
        )
    checked = {}
    for name, value in axes.items():
        coordinates = as_real(value, f"axis {name}")
        if coordinates.ndim != 1:
            raise ValueError(
                f"axis {name} must be one-dimensional; got shape {coordinates.shape}. "
                "Give a list of values, [value] for a single one, or bind a constant with functools.partial."
            )
        checked[name] = coordinates
    return checked


def check_function(fn: Callable, names: tuple[str, ...]) -> None:
    """Raise TypeError unless fn can be called with exactly these keyword arguments."""
    if not callable(fn):
        raise TypeError(f"fn must be callable; got {fn!r}.")
    try:
        parameters = inspect.signature(fn).parameters.values()
    except ValueError:  # written in C, without a signature: the call itself will tell
        return
    keyword = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    known = [p.name for p in parameters if p.kind in keyword]
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        for name in names:
            if name not in known:
                takes = ", ".join(known) if known else "no keyword arguments"
                raise TypeError(f"axis {name} is not an argument of {function_name(fn)}, which takes {takes}.")
    for p in parameters:
        required = p.default is inspect.Parameter.empty
        if p.kind is inspect.Parameter.POSITIONAL_ONLY and required:
            raise TypeError(f"argument {p.name} of {function_name(fn)} is positional only; sweep calls by keyword.")
        if p.kind in keyword and required and p.name not in names:
            raise TypeError(
                f"argument {p.name} of {function_name(fn)} is no axis and has no default. "
                f"Add {p.name}=[...] or bind it with functools.partial."
            )


def function_name(fn: Callable) -> str:
    """The name of a function, of the function inside a partial, or `value` for one without a name."""
    while hasattr(fn, "func"):
        fn = fn.func
    name = getattr(fn, "__name__", "value")
    return name if name.isidentifier() else "value"
