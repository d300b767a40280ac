"""Files damaged at random: refused in one line that names the file, or read as what they say; never a traceback.

What a file says is read here a second time, by other means: CSV by splitting at commas, NetCDF by h5py and SciPy.
"""

import re
import warnings

import h5py
import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
import scipy.io
import xarray

from qdbjax.cli.data_file import columns
from qdbjax.cli.errors import InputError
from qdbjax.cli.execution import task_of
from qdbjax.cli.main import main

RUN = b"""
title = "A qubit"

[system]
model = "qubit"
splitting = 1.0

[[baths]]
name = "hot"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }
temperature = 0.5

[[baths]]
name = "cold"
coupling = [{ matrix = [[0, "1j"], ["-1j", 0]] }, { pauli = "z", site = 0 }]
spectral_density = { kind = "drude_lorentz", strength = 0.01, cutoff = 5.0 }
temperature = 0.2
correlation = [[1, 0.5], [0.5, 1]]
"""
SWEEP = (
    RUN
    + b"""
[sweep.T]
parameter = "baths.hot.temperature"
start = 0.5
stop = 1.0
points = 3

[output]
quantities = ["heat_currents", "populations"]
select = { bath = "hot" }
crossings = { T = [0.7] }
"""
)
EVOLUTION = (
    RUN
    + b"""
[evolution]
initial = { ket = [0.6, 0.8] }
times = { values = [0.0, 1.0, 7.0] }

[observables]
z = { pauli = "z" }
"""
)
FIT = (
    RUN
    + b"""
[fit]
data = "data.csv"
steps = 3
[fit.parameters.strength]
parameter = "baths.hot.spectral_density.strength"
start = 0.03
[fit.over.T]
parameter = "baths.cold.temperature"
column = "T"
[fit.aims.J]
quantity = "heat_currents"
select = { bath = "hot" }
column = "J"
error = "dJ"
"""
)
DATA = b"""# measured
T, J, dJ, x
0.5,0.003659,1e-4,1
1.0,1.0291e-2,1e-4,2
1.5,0.014355,2.0e-4,3

2.0,+0.01712,1e-4,4
"""
# What people and programs put in the place of something else.
WORDS = [
    *(b"", b"nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"1e-400", b"1e19", b"0x10", b"1_0", b"true", b'"a"'),
    *(b"[]", b"{}", b"2020-01-01", b"1" + b"0" * 400, b"1" + b"0" * 5000, b"[" * 3000, b"]", b"#", b'"', b"'", b","),
    *(b";", b"\xef\xbb\xbf", b"\0", b"\r", b"\n", b"\t", b"\xff", b"a/b", b"level", b"=", b".", b"\\", b"\xc3\xa9"),
    *(b"9" * 30, b"0x" + b"f" * 5000, b"residual", b"time"),
]


NUMBERS = [b"0.3", b"2", b"0.01", b"7.5", b"1e-30", b"1e30", b"-1", b"0", b"1", b"3.0", b"1e400", b"1e300"]
TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+|\[[^\[\]\n]*\]')


def reworded(content, rng):
    """The content with one or two words, numbers or lists replaced by those from elsewhere: often still well formed."""
    for _ in range(rng.integers(1, 3)):
        tokens = list(TOKEN.finditer(content))
        if not tokens:
            return content
        numbers = [token for token in tokens if token[0][:1].isdigit()]
        if numbers and rng.random() < 0.5:  # of one kind
            old, new = numbers[rng.integers(len(numbers))], NUMBERS[rng.integers(len(NUMBERS))]
        else:
            old, others = tokens[rng.integers(len(tokens))], [WORDS, [token[0] for token in tokens]]
            new = others[n := rng.integers(2)][rng.integers(len(others[n]))]
        content = content[: old.start()] + new + content[old.end() :]
    return content


def mutated(content, rng):
    """The content with one to three bits, words, lines or pieces changed."""
    if content.isascii() and rng.random() < 0.75:
        return reworded(content, rng)
    for _ in range(rng.integers(1, 4)):
        size = len(content)
        at, length = int(rng.integers(0, size + 1)), int(rng.integers(1, 20))
        kind = rng.integers(0, 8)
        if kind == 0 and size:
            at = min(at, size - 1)
            content = content[:at] + bytes([content[at] ^ (1 << int(rng.integers(0, 8)))]) + content[at + 1 :]
        elif kind == 1:
            content = content[:at] + content[at + length :]
        elif kind == 2:
            content = content[:at] + content[at : at + length] + content[at:]
        elif kind == 3:
            content = content[:at] + WORDS[rng.integers(len(WORDS))] + content[at:]
        elif kind == 4:
            content = content[:at] + WORDS[rng.integers(len(WORDS))] + content[at + length // 3 :]
        elif kind == 5 and rng.random() < 0.3:
            content = content[:at]
        elif kind == 6:
            content = content[:at] + rng.integers(0, 256, length, dtype=np.uint8).tobytes() + content[at + length :]
        else:
            lines = content.split(b"\n")
            one, other = rng.integers(0, len(lines), 2)
            lines[one], lines[other] = lines[other], lines[one]
            content = b"\n".join(lines)
    return content


def in_one_line(error, path):
    said = str(error)
    assert str(path.parent) in said and len(said.splitlines()) == 1 and len(said) < 1500, said
    return True


def by_splitting(content, wanted):
    """The columns of a CSV file without quotation marks."""
    lines = content.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = [line.split(",") for line in lines if line.strip() and not line.strip().startswith("#")]
    table = [[entry.strip() for entry in row] for row in rows]
    assert all(len(row) == len(table[0]) for row in table)
    assert all(table[0].count(name) == 1 for name in wanted)
    return {name: [float(row[table[0].index(name)]) for row in table[1:]] for name in wanted}


def check_csv(path, content):
    """Whether it was read."""
    path.write_bytes(content)
    try:
        found = columns(path, ["T", "J", "dJ"])
    except InputError as error:
        return not in_one_line(error, path)
    assert all(np.isfinite(values).all() and len(values) for values in found.values())
    if b'"' not in content:
        for name, values in by_splitting(content, found).items():
            np.testing.assert_array_equal(found[name], values)
    return True


def check_netcdf(path, content):
    """Whether it was read."""
    path.write_bytes(content)
    try:
        found = columns(path, ["T", "flux", "heat"])
    except InputError as error:
        return not in_one_line(error, path)
    assert len({len(values) for values in found.values()}) == 1
    assert all(np.isfinite(values).all() and len(values) for values in found.values())
    if content.startswith(b"\x89HDF"):
        with h5py.File(path) as file:
            stored = {name: (file[name][...], dict(file[name].attrs)) for name in found}
    else:
        with scipy.io.netcdf_file(path, mmap=False) as file:
            stored = {name: (v.data.copy(), v._attributes) for name, v in ((n, file.variables[n]) for n in found)}
    values, attributes = stored["heat"]
    if not set(attributes) & {"scale_factor", "add_offset", "_Unsigned"}:
        np.testing.assert_array_equal(found["heat"], np.asarray(values, float).ravel())
    return True


def check_run(path, content):
    """Whether it was accepted."""
    path.write_bytes(content)
    try:
        task_of(path)
    except InputError as error:
        return not in_one_line(error, path)
    return True


def grid(path, engine, form):
    heat = np.arange(6.0).reshape(2, 3)
    data = xarray.Dataset({"heat": (("flux", "T"), heat)}, coords={"flux": [0.1, 0.4], "T": [1.0, 1.5, 2.0]})
    data["heat"].attrs["units"] = "seconds"
    data.to_netcdf(path, engine=engine, format=form)
    return path.read_bytes()


FORMS = [("h5netcdf", "NETCDF4"), ("scipy", "NETCDF3_64BIT"), ("scipy", "NETCDF3_CLASSIC")]


def mutate(kind, folder, count, seed):
    """How many of so many mutated files were read."""
    rng = np.random.default_rng(seed)
    (folder / "data.csv").write_bytes(DATA)
    bases = {"csv": [DATA], "toml": [SWEEP, EVOLUTION, FIT]}
    if kind == "nc":
        bases["nc"] = [grid(folder / f"base{n}.nc", *form) for n, form in enumerate(FORMS)]
    check = {"csv": check_csv, "toml": check_run, "nc": check_netcdf}[kind]
    assert all(check(folder / f"whole.{kind}", content) for content in bases[kind])
    read = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about what they find
        for n in range(count):
            read += check(folder / f"mutated{n}.{kind}", mutated(bases[kind][n % len(bases[kind])], rng))
    return read


@pytest.mark.parametrize(("kind", "count"), [("csv", 300), ("toml", 60)])
def test_a_few_mutated_files(tmp_path, kind, count):
    assert 0 < mutate(kind, tmp_path, count, 1) < count


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("csv", 1000), ("toml", 980), ("nc", 20)])
def test_two_thousand_mutated_files(tmp_path, kind, count):
    assert 0 < mutate(kind, tmp_path, count, 2) < count


@pytest.mark.slow
def test_mutated_files_that_are_run(tmp_path, capsys):
    """The whole way: exit code 0, or one line and 1 or 2; a result that is all NaN is not 0."""
    rng = np.random.default_rng(5)
    (tmp_path / "data.csv").write_bytes(DATA)
    codes = []
    for n in range(30):
        job = tmp_path / f"job{n}.toml"
        job.write_bytes(mutated((SWEEP, EVOLUTION, FIT)[n % 3], rng))
        codes.append(main(["run", str(job), "--output", str(tmp_path / "out"), "--quiet"]))
        said = capsys.readouterr().err
        assert codes[-1] in (0, 1, 2) and said.count("\n") == (codes[-1] != 0) and "unforeseen" not in said, said
        if codes[-1] == 0 and n % 3 < 2:
            data = xarray.open_zarr(tmp_path / f"out/job{n}.zarr", consolidated=False)
            assert not any(np.isnan(values.values).all() for values in data.data_vars.values())
    assert 0 in codes and 2 in codes
