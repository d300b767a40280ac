"""Columns of data: every entry under its own name or a refusal that names the row; files that cannot be read."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pytest
import xarray

from qdbjax.cli.data_file import columns
from qdbjax.cli.errors import InputError

GOOD = "T,J\n0.5,0.25\n1.0,-3e-2\n"
T, J = [0.5, 1.0], [0.25, -0.03]


def packed():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.csv", GOOD)
    return file.getvalue()


ACCEPTED = {
    "as it is": GOOD,
    "with a mark of byte order": "\ufeff" + GOOD,
    "lines of Windows": GOOD.replace("\n", "\r\n"),
    "lines of old Macintosh": GOOD.replace("\n", "\r"),
    "no last line end": GOOD.rstrip(),
    "empty lines": GOOD.replace("\n", "\n\n \n"),
    "comments": "# by hand\n" + GOOD.replace("\n1.0", "\n  # pause\n1.0"),
    "quoted": GOOD.replace("0.5", '"0.5"').replace("J", '"J"'),
    "spaces": GOOD.replace(",", " ,\t"),
    "another column": "x,T,y,J\na,0.5,,0.25\nb,1.0,nan,-.03\n",
    "columns without name": "T,J,,\n0.5,0.25,,\n1.0,-3e-2,,7\n",
    "other order": "J,T\n+0.25,.5\n-3E-2,1.\n",
    "others are there twice": "x,T,J,x\n1,0.5,0.25,2\n1,1.0,-0.03,2\n",
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_accepted(tmp_path, kind):
    path = tmp_path / "data.csv"
    path.write_bytes(ACCEPTED[kind].encode())
    found = columns(path, ["T", "J", "T"])
    assert list(found) == ["T", "J"]
    np.testing.assert_array_equal(found["T"], T)
    np.testing.assert_array_equal(found["J"], J)


LONGER = "row {} of the data has {} entr"
NO_NUMBER = "{!r} is no finite number in row {} of the data (it is {!r})"
REFUSED = {
    "one more everywhere": ("T,J\n0.5,0.25,9\n1.0,0.5,9\n", LONGER.format(1, 3)),
    "two more everywhere": ("T,J\n0.5,0.25,9,8\n1.0,0.5,9,8\n", LONGER.format(1, 4)),
    "one more in one row": ("T,J\n0.5,0.25\n1.0,0.5,9\n", LONGER.format(2, 3)),
    "one more in the first row": ("T,J\n0.5,0.25,9\n1.0,0.5\n", LONGER.format(1, 3)),
    "a comma at the end": ("T,J\n0.5,0.25,\n1.0,0.5,\n", LONGER.format(1, 3)),
    "one fewer": ("T,J\n0.5,0.25\n1.0\n", LONGER.format(2, 1)),
    "one name too many": ("T,J,K\n0.5,0.25\n1.0,0.5\n", LONGER.format(1, 2)),
    "decimal comma": ("T,J\n0,5,0,25\n", LONGER.format(1, 4)),
    "twice": ("T,J,J\n0.5,0.25,1\n", "the column 'J' is there 2 times; rename"),
    "twice, with spaces": ("T,J, T \n0.5,0.25,1\n", "the column 'T' is there 2 times; rename"),
    "three times": ("T,T,T,J\n0.5,1,1,0.25\n", "the column 'T' is there 3 times; rename"),
    "semicolons": (GOOD.replace(",", ";"), "has no column 'T'; it has T;J; columns are separated by commas"),
    "tabs": (GOOD.replace(",", "\t"), "has no column 'T'; it has T\\tJ; columns are separated by commas"),
    "no names": (GOOD[4:], "has no column 'T'; it has 0.5, 0.25"),
    "misspelt": (GOOD.replace("T,J", "T,j "), "has no column 'J'; it has T, j"),
    "empty": ("", "is empty; its first line must name the columns"),
    "comments only": ("# T, J\n#\n", "is empty; its first line must name the columns"),
    "names only": ("T,J\n", "holds no row of data"),
    "infinite": (GOOD.replace("0.5", "inf"), NO_NUMBER.format("T", 1, "inf")),
    "too large": (GOOD.replace("1.0", "1e400"), NO_NUMBER.format("T", 2, "inf")),
    "no number": (GOOD.replace("0.25", "NA"), NO_NUMBER.format("J", 1, "NA")),
    "left out": (GOOD.replace("0.25", ""), NO_NUMBER.format("J", 1, "")),
    "complex": (GOOD.replace("0.25", "1+2j"), NO_NUMBER.format("J", 1, "1+2j")),
    "true": ("T,J\nTrue,1\nFalse,2\n", NO_NUMBER.format("T", 1, "True")),
    "date": (GOOD.replace("0.5", "2020-01-01"), NO_NUMBER.format("T", 1, "2020-01-01")),
    "thousands": (GOOD.replace("0.5", '"1,000"'), NO_NUMBER.format("T", 1, "1,000")),
    "underscores": (GOOD.replace("0.5", "1_000"), NO_NUMBER.format("T", 1, "1_000")),
    "hexadecimal": (GOOD.replace("0.5", "0x10"), NO_NUMBER.format("T", 1, "0x10")),
    "digits of another script": (GOOD.replace("0.5", "٣"), NO_NUMBER.format("T", 1, "٣")),
    "comment in a row": (GOOD.replace("0.25", "0.25 # low"), NO_NUMBER.format("J", 1, "0.25 # low")),
    "row of commas": (GOOD + ",\n", NO_NUMBER.format("T", 3, "")),
    "quotation left open": (GOOD + '"', "cannot be read as CSV: unexpected end of data"),
    "zeros": (GOOD + "\0\0", "is no text; give a CSV or NetCDF file, not packed"),
    "UTF-16": (GOOD.encode("utf-16"), "not UTF-8 (byte 0); save it as UTF-8 text"),
    "Latin": (GOOD.replace("J", "Jß").encode("latin-1"), "not UTF-8 (byte 3); save it as UTF-8 text"),
    "gzip": (gzip.compress(GOOD.encode(), mtime=0), "not UTF-8 (byte 1)"),
    "xz": (lzma.compress(GOOD.encode()), "not UTF-8 (byte 0)"),
    "bzip2": (bz2.compress(GOOD.encode()), "data.csv: "),
    "zip": (packed(), "data.csv: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_one_line(tmp_path, kind):
    content, words = REFUSED[kind]
    path = tmp_path / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        columns(path, ["T", "J"])
    assert words in str(error.value) and str(path) in str(error.value) and len(str(error.value).splitlines()) == 1


def test_what_is_no_file(tmp_path):
    for name, words in {
        "none.csv": "no such file",
        "none.nc": "no such file",
        ".": "is a directory; give a file",
        "a\0b.csv": "cannot be read: embedded null byte",
        f"{'a' * 3000}.csv": "cannot be read: File name too long",
    }.items():
        with pytest.raises(InputError) as error:
            columns(tmp_path / name, ["T"])
        assert words in str(error.value) and len(str(error.value)) < 1100


def stored(folder, data, **options):
    path = folder / "data.nc"
    data.to_netcdf(path, **options)
    return path


def test_netcdf_of_other_dimensions(tmp_path):
    """Neither what is not wanted nor two unrelated dimensions multiply the rows."""
    data = xarray.Dataset({"J": ("row", J), "T": ("row", T), "spectrum": ("pixel", np.arange(100.0))})
    data["shared"], data["other"] = ((), 0.1), ("line", [1.0, 2.0])
    path = stored(tmp_path, data)
    found = columns(path, ["T", "J", "shared"])
    assert {name: list(values) for name, values in found.items()} == {"T": T, "J": J, "shared": [0.1, 0.1]}
    assert list(columns(path, ["shared"])["shared"]) == [0.1]
    with pytest.raises(InputError, match="'other' lies along line, and another column along row; columns need common"):
        columns(path, ["T", "other"])
    with pytest.raises(InputError, match="has no column 'row'"):
        columns(path, ["row"])


@pytest.mark.parametrize(("engine", "form"), [("h5netcdf", "NETCDF4"), ("scipy", "NETCDF3_CLASSIC")])
def test_netcdf_numbers_are_those_that_are_stored(tmp_path, engine, form):
    """Durations and times are no nanoseconds, missing values no numbers."""
    data = xarray.Dataset({"t": ("row", [1.0, 2.0]), "day": ("row", [3.0, 4.0]), "gap": ("row", [1.0, np.nan])})
    data["t"].attrs["units"], data["day"].attrs["units"] = "seconds", "days since 2000-01-01"
    data["gap"].encoding["_FillValue"] = -99.0
    data["word"] = ("row", ["a", "b"])
    data["whole"] = ("row", np.array([1, 2], "i2"))
    path = stored(tmp_path, data, engine=engine, format=form)
    found = columns(path, ["t", "day", "whole"])
    assert {name: list(values) for name, values in found.items()} == {"t": [1, 2], "day": [3, 4], "whole": [1, 2]}
    assert all(values.dtype == float for values in found.values())
    with pytest.raises(InputError, match=r"'gap' is no finite number in row 2 of the data \(it is 'nan'\)"):
        columns(path, ["gap"])
    with pytest.raises(InputError, match="'word' holds no real numbers"):
        columns(path, ["word"])


def test_netcdf_that_is_none(tmp_path):
    whole = stored(tmp_path, xarray.Dataset({"T": ("row", T)})).read_bytes()
    for content in (b"", b"T\n1\n", b"CDF\x05" + b"\0" * 64, whole[:3], gzip.compress(whole)):
        (tmp_path / "data.nc").write_bytes(content)
        with pytest.raises(InputError, match="is no NetCDF file of format 3 or 4"):
            columns(tmp_path / "data.nc", ["T"])
    for content in (whole[:100], whole[:-50], b"\x89HDF\r\n\x1a\n" + bytes(90), b"CDF\x02" + b"\xff" * 90):
        (tmp_path / "data.nc").write_bytes(content)
        with pytest.raises(InputError, match=r"data.nc: (cannot be read as NetCDF: .*; write it anew|has no column)"):
            columns(tmp_path / "data.nc", ["T"])
