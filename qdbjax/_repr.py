"""How results print themselves: numbers where they are known, words where they are traced or many."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from qdbjax._checks import is_traced
from qdbjax._types import AnyArray


def number(value: Any, digits: int = 6) -> str:
    """One number or an array of them, short; a string as it is."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array[()]:.{digits}g}"
    return np.array2string(array, precision=digits, threshold=8, separator=" ").replace("\n", "")


def summary(
    thing: Any, like: AnyArray, fields: dict[str, Any], *, rank: int = 0, known: dict[str, Any] | None = None
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


NARROW = 'style="border-collapse: collapse"'
SHOWN_ROWS = 12  # of a table in a notebook


def html_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[tuple[str, str]] = ()
) -> str:
    """A small table for notebooks: a line in bold, a row for each sequence, and (name, text) below; all is escaped."""
    cells = lambda kind, texts: "".join(f"<{kind}>{html.escape(text)}</{kind}>" for text in texts)  # noqa: E731
    lines = [f"<tr>{cells('td', row)}</tr>" for row in rows[:SHOWN_ROWS]]
    if len(rows) > SHOWN_ROWS:
        lines.append(f"<tr>{cells('td', [f'… {len(rows) - SHOWN_ROWS} more'])}</tr>")
    table = f"<table {NARROW}><thead><tr>{cells('th', header)}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    words = "".join(f"<div>{html.escape(name)}: {html.escape(text)}</div>" for name, text in notes)
    return f"<div><strong>{html.escape(title)}</strong>{table if rows else ''}{words}</div>"


def html_text(thing: Any) -> str:
    """What prints as plain text, for notebooks: a batch, or what is traced."""
    return f"<pre>{html.escape(repr(thing))}</pre>"


def is_single(like: AnyArray, rank: int) -> bool:
    """Whether an array belongs to a single result whose numbers are known; it has `rank` axes then."""
    return not is_traced(like) and np.ndim(like) == rank
