"""qdbjax run of a fit: planted parameters from CSV and NetCDF, goals without data, and words for wrong input."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
import xarray

import qdbjax as qdb
from qdbjax.cli.data_file import columns
from qdbjax.cli.errors import InputError
from qdbjax.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "examples/18_fit_to_measured_currents.toml"

QUBIT = """
[system]
model = "qubit"
splitting = 1.0

[[baths]]
name = "bath"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", cutoff = 10.0 }

[evolution]
initial = { level = 1 }

[observables]
z = { pauli = "z" }

[fit]
data = "decay.csv"

[fit.parameters]
strength = { start = 0.03, parameter = "baths.bath.spectral_density.strength" }
T = { parameter = "baths.bath.temperature", kind = "bounded", range = [0.05, 3.0] }

[fit.over.t]
parameter = "time"
column = "t"

[fit.aims]
excited = { quantity = "populations", select = { level = 1 }, column = "p", error = "error" }
z = { quantity = "z", column = "z", error = 0.02 }
"""

GOALS = """
[system]
model = "qubit"

[[baths]]
name = "hot"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }

[[baths]]
name = "cold"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }
temperature = 0.4

[fit.parameters]
splitting = { parameter = "system.splitting", kind = "bounded", range = [0.1, 3.0] }

[fit.over]
T = { parameter = "baths.hot.temperature", values = [1.0, 1.2] }

[fit.aims]
heat = { goal = "maximize", quantity = "heat_currents", select = { bath = "hot" } }
levels = { goal = "at_least", quantity = "populations", value = 0.05 }
"""


def relaxing(time, strength, temperature):
    """Excited population of the qubit from its golden-rule rates, in NumPy."""
    scale = 2 * np.pi * strength * np.exp(-0.1)
    down, up = scale / -np.expm1(-1 / temperature), scale / np.expm1(1 / temperature)
    return up / (down + up) + down / (down + up) * np.exp(-(down + up) * time)


def job(folder, text, name="job.toml"):
    path = folder / name
    path.write_text(text)
    return path


def decay():
    time = np.linspace(0.0, 60.0, 31)
    return {"t": time, "p": relaxing(time, 0.012, 0.6), "z": 2 * relaxing(time, 0.012, 0.6) - 1}


@pytest.mark.slow
def test_example_18(tmp_path, capsys):
    """Parameters that made the data lie within four standard errors; the data are what the file says."""
    text = (EXAMPLE.parent / "18_measured_currents.csv").read_text()
    hot, flux, heat, error = np.genfromtxt(text.splitlines()[3:], delimiter=",").T
    energies = np.cos(2 * np.pi * (flux[:, None] + np.arange(3)) / 3)
    omega = energies[:, None, :] - energies[:, :, None] + np.eye(3)
    rates = 0.0
    into = 0.0
    for strength, T in ((0.013, hot[:, None, None]), (0.007, 0.25)):
        quanta = 1 / np.expm1(abs(omega) / T) + (omega > 0)
        rate = 2 * np.pi * strength * abs(omega) * np.exp(-abs(omega) / 10) * quanta / 9 * (1 - np.eye(3))
        rates, into = rates + rate, into + (rate if strength == 0.013 else 0)
    total = rates - np.eye(3) * rates.sum(axis=1)[:, None, :]
    total[:, 0] = 1.0
    p = np.linalg.solve(total, np.tile([1.0, 0, 0], (len(hot), 1))[..., None])[..., 0]
    made = -np.einsum("kij,kij,kj->k", omega, into, p)
    assert 10 < np.sum(((heat - made) / error) ** 2) < 45  # 24 data with 1 % noise

    assert main(["run", str(EXAMPLE), "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "converged, target attained" in said and "cold_strength = 0.007" in said
    found = qdb.fitting.load_fit(tmp_path / f"{EXAMPLE.stem}.json")
    for name, planted in {"hot_strength": 0.013, "cold_strength": 0.007, "T_cold": 0.25}.items():
        assert abs(found.values[name] - planted) < 4 * found.standard_errors[name] < 0.3 * planted
    assert (tmp_path / f"{EXAMPLE.stem}.png").stat().st_size > 20_000


@pytest.mark.slow
def test_evolution_from_csv(tmp_path):
    """Strength and temperature of a bath from the decay of a qubit."""
    rows = [f"{t:.17g},{p:.17g},{z:.17g},0.01" for t, p, z in zip(*decay().values(), strict=True)]
    (tmp_path / "decay.csv").write_text("\n".join(["t,p,z,error", *rows]))
    assert main(["run", str(job(tmp_path, QUBIT)), "--output", str(tmp_path), "--quiet"]) == 0
    found = json.loads((tmp_path / "job.json").read_text())
    assert found["verdict"] == "converged"
    np.testing.assert_allclose([found["values"]["strength"], found["values"]["T"]], [0.012, 0.6], rtol=1e-6)


@pytest.mark.parametrize(("engine", "form"), [("h5netcdf", "NETCDF4"), ("scipy", "NETCDF3_64BIT")])
def test_netcdf(tmp_path, engine, form):
    """A grid of two dimensions becomes rows, its coordinates columns, in both formats."""
    heat = np.arange(6.0).reshape(2, 3)
    grid = xarray.Dataset({"heat": (("flux", "T"), heat)}, coords={"flux": [0.1, 0.4], "T": [1.0, 1.5, 2.0]})
    grid.to_netcdf(tmp_path / "grid.nc", engine=engine, format=form)
    found = columns(tmp_path / "grid.nc", ["T", "flux", "heat"])
    np.testing.assert_array_equal(found["heat"], np.arange(6.0))
    np.testing.assert_array_equal(found["T"], [1.0, 1.5, 2.0] * 2)
    np.testing.assert_array_equal(found["flux"], [0.1] * 3 + [0.4] * 3)
    (tmp_path / "broken.nc").write_bytes(b"no netcdf")
    with pytest.raises(InputError, match=r"broken.nc: is no NetCDF file"):
        columns(tmp_path / "broken.nc", ["T"])


@pytest.mark.slow
def test_goals_without_data(tmp_path):
    """The splitting that carries most heat while both levels keep 5 %; where it binds, by scanning closed forms."""
    assert main(["run", str(job(tmp_path, GOALS)), "--output", str(tmp_path), "--quiet"]) == 0
    found = qdb.fitting.load_fit(tmp_path / "job.json")
    gap = np.linspace(0.1, 3.0, 3001)
    heat, lowest = 0.0, 1.0
    for hot in (1.0, 1.2):
        n, m = 1 / np.expm1(gap / hot), 1 / np.expm1(gap / 0.4)
        scale = 2 * np.pi * 0.01 * gap * np.exp(-gap / 10)
        excited = (n + m) / (2 * (n + m + 1))
        heat = heat + gap * scale * (n * (1 - excited) - (n + 1) * excited)
        lowest = np.minimum(lowest, excited)
    best = gap[np.argmax(np.where(lowest >= 0.05, heat, -np.inf))]
    np.testing.assert_allclose(found.values["splitting"], best, atol=1e-3)
    assert found.verdict == "converged"


WRONG = [
    ('data = "decay.csv"', 'data = "decoy.csv"', "decoy.csv: no such file"),
    ('data = "decay.csv"', "", 'over.t reads a column, and no data file is named: give data = "FILE.csv"'),
    ('column = "p"', 'column = "pp"', "decay.csv: has no column 'pp'; did you mean 'p'"),
    ('column = "z"', 'column = "word"', "'word' is no finite number in row 1 of the data (it is 'low')"),
    ('error = "error"', 'error = "gap"', "'gap' is no finite number in row 2 of the data (it is 'nan')"),
    ("error = 0.02", 'goal = "at_most", weight = 2.0', "goal 'at_most' takes no weight"),
    ("error = 0.02", "error = -0.02", "fit.aims.z: error must be positive and finite; got -0.02"),
    ("level = 1 }, c", "level = 2 }, c", "fit.aims.excited.select.level: must be one of 0, 1; got 2"),
    (
        "level = 1 }, c",
        "bath = 1 }, c",
        "fit.aims.excited.select: 'bath' is no dimension of populations",
    ),
    ("select = { level = 1 }, ", "", "fit.aims.excited.select: a column needs one number: choose level as well"),
    ('quantity = "z"', 'quantity = "zz"', "fit.aims.z.quantity: 'zz' is unknown; allowed are heat_currents"),
    ('quantity = "z"', 'quantity = "residual"', "residual belongs to stationary states, not to an evolution"),
    ("start = 0.03", "start = -0.03", "fit.parameters.strength: start must be positive and finite; got -0.03"),
    ("start = 0.03", "begin = 0.03", "fit.parameters.strength.begin: unknown key; known keys are parameter, kind"),
    ("start = 0.03, ", "", "fit.parameters.strength: give a start, a range, or baths.bath.spectral_density.strength"),
    (
        '"baths.bath.temperature"',
        '"baths.bath.temprature"',
        "fit.parameters.T.parameter: 'baths.bath.temprature'",
    ),
    ('"baths.bath.temperature"', '"system.splitting"', "baths.bath.temperature: is missing; give it a value or fit it"),
    (", range = [0.05, 3.0]", "", "fit.parameters.T: a bounded parameter needs range = [low, high]"),
    ("range = [0.05, 3.0]", "range = [3.0, 0.05]", "fit.parameters.T: range must ascend; got [3.0, 0.05]"),
    ('parameter = "time"', 'parameter = "baths.bath.spectral_density.cutoff"', "without times and one condition"),
    ("[fit]", '[output]\nplot = "z"\n[fit]', "[output] belongs to a sweep or an evolution"),
    ("[fit]", '[fit]\noptimizer = "newton"', "fit.optimizer: must be 'levenberg_marquardt', 'bfgs' or 'adam'"),
    ("[fit.over.t]", '[fit.over.s]\nparameter = "time"\nvalues = [0.0]\n[fit.over.t]', "and one condition"),
    ("[fit.over.t]", '[fit.over.w]\nparameter = "system.splitting"\nvalues = [1.0]\n[fit.over.t]', "the same length"),
    (
        '"baths.bath.temperature", kind = "bounded", range = [0.05, 3.0] }',
        '"system.splitting" }\n[fit.over.T_bath]\nparameter = "baths.bath.temperature"\n'
        f"values = {[0.5] * 30 + [-1.0]}",
        "baths.bath: temperature must be >= 0; got -1",
    ),
    ("[fit]", "[fit]\nsteps = 0", "fit.steps: input should be greater than or equal to 1; got 0"),
    ('column = "t"', "values = [0.0, 1.0]", "fit.aims.excited: has shape (31,), the quantity (2,), rows first"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_wrong_fits_are_refused_in_one_line(tmp_path, capsys, old, new, words):
    rows = [f"{t},{p},{z},0.01,low,{1 if p == 1 else 'nan'}" for t, p, z in zip(*decay().values(), strict=True)]
    (tmp_path / "decay.csv").write_text("\n".join(["# a comment", "t, p, z, error, word, gap", *rows]))
    assert old in QUBIT
    assert main(["run", str(job(tmp_path, QUBIT.replace(old, new, 1))), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.startswith("error: ") and said.err.count("\n") == 1 and said.out == ""
    assert not (tmp_path / "out/job.json").exists()
