"""What the dimensions of an array are called: told by whoever makes it to the sweep that traces the call."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Named(NamedTuple):
    """An array, the names of its dimensions, and labels along some of them."""

    array: Any
    dims: tuple[str, ...]
    coordinates: tuple[tuple[str, tuple[str, ...]], ...]


_collector: contextvars.ContextVar = contextvars.ContextVar("qdbjax_label_collector", default=None)


def named(array: Any, dims: tuple[str, ...], **coordinates: Sequence[str]) -> Any:
    """The array itself; a sweep that returns it as it is will call its dimensions so.

    dims: one name for every dimension of one grid point.
    coordinates: labels along a dimension, by its name.
    """
    found = _collector.get()
    if found is not None:
        found[id(array)] = Named(array, dims, tuple((name, tuple(each)) for name, each in coordinates.items()))
    return array


@contextlib.contextmanager
def collect_names() -> Iterator[dict[int, Named]]:
    """Collect what is told of arrays, by their id; the arrays are held, so that no id is used again."""
    found: dict[int, Named] = {}
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)
