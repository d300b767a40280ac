"""Columns of numbers from a CSV or NetCDF file."""

import contextlib
import csv
import gc
import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import xarray

from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.reader import text_of

NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")
# By the first bytes of a file. HDF5 is what NetCDF 4 is made of.
ENGINES = {b"CDF\x01": "scipy", b"CDF\x02": "scipy", b"\x89HDF": "h5netcdf"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def columns(path: Path, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """The wanted columns by name, (n,) each.

    CSV: a line of names, then as many numbers in every row; empty lines and lines that begin with # are left out.
    NetCDF: variables and coordinates as they are stored, a grid of several dimensions row by row. Raises InputError for
    a file that cannot be read, a row that is shorter or longer than the line of names, a column that is not there or
    there twice, and an entry that is no finite number, with its row.
    """
    wanted = list(dict.fromkeys(wanted))
    found = _netcdf(path, wanted) if path.suffix.lower() in NETCDF else _csv(path, wanted)
    for name, values in found.items():
        if not len(values):
            raise InputError(f"{path}: holds no row of data")
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise InputError(_no_number(path, name, wrong[0] + 1, str(values[wrong[0]])))
    return found


def _no_number(path: Path, name: str, row: int, given: str) -> str:
    said = f"{path}: {name!r} is no finite number in row {row} of the data (it is {given[:40]!r}); "
    return said + "leave out rows without data"


def _missing(path: Path, name: str, known: list[str]) -> InputError:
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    hint = nearest(name, known) or f"; it has {listed or 'none'}"
    apart = "; columns are separated by commas" if len(known) == 1 else ""
    return InputError(f"{path}: has no column {name!r}{hint}{apart}")


def _csv(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    names, rows = _rows(path)
    for name in wanted:
        if name not in names:
            raise _missing(path, name, names)
        if names.count(name) > 1:
            raise InputError(f"{path}: the column {name!r} is there {names.count(name)} times; rename all but one")
    for n, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise InputError(
                f"{path}: row {n} of the data has {_counted(len(row))}, and the first line names {len(names)} columns "
                f"({', '.join(names)[:60]}); give every number a name, and every name a number"
            )
    return {name: _numbers(path, name, [row[names.index(name)] for row in rows]) for name in wanted}


def _counted(entries: int) -> str:
    return f"{entries} {'entry' if entries == 1 else 'entries'}"


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and the entries of every row."""
    text = text_of(path)
    if "\0" in text:
        raise InputError(f"{path}: is no text; give a CSV or NetCDF file, not packed")
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip() and not line.lstrip().startswith("#")]
    try:
        rows = [[entry.strip() for entry in row] for row in csv.reader(lines, skipinitialspace=True, strict=True)]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}; look at its quotation marks") from None
    if not rows:
        raise InputError(f"{path}: is empty; its first line must name the columns")
    return rows[0], rows[1:]


def _numbers(path: Path, name: str, entries: list[str]) -> np.ndarray:
    for n, entry in enumerate(entries, 1):
        if not NUMBER.fullmatch(entry):
            raise InputError(_no_number(path, name, n, entry))
    return np.array([float(entry) for entry in entries])


def _netcdf(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    content = _content(path)
    engine = ENGINES.get(content[:4])
    if engine is None:
        raise InputError(f"{path}: is no NetCDF file of format 3 or 4 (by its first bytes); write it anew")
    with _quiet_ends():
        known, table, damage = _table(content, engine, wanted)
        if damage:
            gc.collect()  # what the library has left half open
    if damage:
        raise InputError(f"{path}: cannot be read as NetCDF: {damage}; write it anew")
    for name in wanted:
        if name not in known:
            raise _missing(path, name, known)
    assert table is not None  # all that is wanted is there
    for name in wanted:
        if table[name].dtype.kind not in "iuf":
            raise InputError(f"{path}: {name!r} holds no real numbers (but {table[name].dtype}); choose another column")
    # One of them spans the rows; the others lie along some of its dimensions.
    widest = max((table[name].dims for name in wanted), key=len)
    for name in wanted:
        if not set(table[name].dims) <= set(widest):
            raise InputError(
                f"{path}: {name!r} lies along {', '.join(map(str, table[name].dims))}, and another column along "
                f"{', '.join(map(str, widest))}; columns need common dimensions"
            )
    sizes = tuple(table.sizes[dim] for dim in widest)
    spread = {name: table[name].expand_dims(_rest(table[name], widest, sizes)).transpose(*widest) for name in wanted}
    return {name: np.array(values.values, float).ravel() for name, values in spread.items()}


def _table(content: bytes, engine: str, wanted: list[str]) -> tuple[list[str], xarray.Dataset | None, str]:
    """Names of all variables, those that are wanted if all are there, and what is damaged."""
    try:
        # Numbers as they are stored: decoded, times and durations would become nanoseconds.
        with xarray.open_dataset(io.BytesIO(content), engine=engine, decode_times=False) as data:
            known = list(map(str, data.variables))
            return known, data[wanted].load() if set(wanted) <= set(known) else None, ""
    except Exception as error:  # whatever HDF5 and SciPy raise
        return [], None, _first_line(error)


@contextlib.contextmanager
def _quiet_ends() -> Iterator[None]:
    """Without the complaint of h5netcdf, when a file is collected that it could not open (an AttributeError)."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda end: None if isinstance(end.exc_value, AttributeError) else before(end)
    try:
        yield
    finally:
        sys.unraisablehook = before


def _rest(column: xarray.DataArray, dims: tuple, sizes: tuple[int, ...]) -> dict:
    return {dim: size for dim, size in zip(dims, sizes, strict=True) if dim not in column.dims}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
