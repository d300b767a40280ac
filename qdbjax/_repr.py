"""How results print themselves: numbers where they are known, words where they are traced or many."""

from typing import Any

import numpy as np

from qdbjax._checks import is_traced
from qdbjax._types import Array


def number(value: Any, digits: int = 6) -> str:
    """One number or an array of them, short; a string as it is."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array[()]:.{digits}g}"
    return np.array2string(array, precision=digits, threshold=8, separator=" ").replace("\n", "")


def summary(
    thing: Any, like: Array, fields: dict[str, Any], *, rank: int = 0, known: dict[str, Any] | None = None
) -> str:
    """`Name(key=value, …)` of a result; without its numbers where it is traced or a batch.

    like: an array of the result that has `rank` axes where the result is a single one. fields: what to print of a
    single one, numbers, arrays, strings, or functions of no argument that make them. known: what to print in any case.
    """
    parts = [f"{key}={value}" for key, value in (known or {}).items()]
    if is_traced(like):
        parts.append("traced")
    elif np.ndim(like) > rank:
        parts.insert(0, f"batch={np.shape(like)[: np.ndim(like) - rank]}")
    else:
        parts += [f"{key}={number(value() if callable(value) else value)}" for key, value in fields.items()]
    return f"{type(thing).__name__}({', '.join(parts)})"
