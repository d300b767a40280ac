"""Columns of numbers from a CSV or NetCDF file."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas
import xarray

from qdbjax.cli.errors import InputError, nearest

NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")


def columns(path: Path, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """The wanted columns by name, (n,) each.

    CSV: a line of names, then numbers; lines that begin with # are left out. NetCDF: variables and coordinates, a grid
    of several dimensions row by row. Raises InputError for a file that cannot be read, a column that is not there, and
    an entry that is no finite number, with its row.
    """
    table = _table(path)
    found = {}
    for name in wanted:
        if name not in table:
            hint = nearest(name, map(str, table)) or f"; it has {', '.join(map(str, table))}"
            raise InputError(f"{path}: has no column {name!r}{hint}")
        values = pandas.to_numeric(table[name], errors="coerce").to_numpy(float)
        if not len(values):
            raise InputError(f"{path}: holds no row of data")
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            given = table[name].iloc[wrong[0]]
            raise InputError(
                f"{path}: {name!r} is no finite number in row {wrong[0] + 1} of the data (it is {str(given)!r}); "
                "leave out rows without data"
            )
        found[name] = values
    return found


def _table(path: Path) -> pandas.DataFrame:
    try:
        if path.suffix.lower() in NETCDF:
            with xarray.open_dataset(path) as data:
                return data.load().to_dataframe().reset_index()
        return pandas.read_csv(path, comment="#", skipinitialspace=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except pandas.errors.EmptyDataError:
        raise InputError(f"{path}: is empty; its first line must name the columns") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
