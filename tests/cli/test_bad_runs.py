"""Run files, folders and machines that are not as they should be: one line, and what is not qdbjax's stays."""

import json
import os
import re
import shutil
import subprocess
import sys

import jax
import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
import xarray
from run_files import TWO_BATHS

import qdbjax as qdb
from qdbjax.cli.execution import _choose_device, _meaningless
from qdbjax.cli.main import main
from qdbjax.cli.output_files import claim
from qdbjax.cli.registry import MAKERS
from qdbjax.cli.sweep_run import SweepRun

SWEEP = f"""
[system]
hamiltonian = [[0.5, 0], [0, -0.5]]
{TWO_BATHS}
[sweep.T]
parameter = "baths.hot.temperature"
values = [0.5, 1.0]
"""
EVOLUTION = f"""
[system]
model = "qubit"
splitting = 1.0
{TWO_BATHS}
[evolution]
initial = {{ level = 1 }}
times = {{ values = [0.0, 1.0] }}

[observables]
z = {{ pauli = "z" }}
""".replace("[[baths]]", "[[baths]]\ntemperature = 0.4", 1)
DOTS = """
[system]
model = "double_dot"
levels = [0.1, 0.4]
tunneling = 0.2

[[baths]]
kind = "lead"
name = "left"
removal = { fermion_destroy = 0 }
spectral_density = { kind = "flat", strength = 0.01 }
temperature = 0.5

[sweep.x]
parameter = "baths.left.chemical_potential"
values = [-0.5, 0.2]
"""
SPAN = "start = 0.1\nstop = 1.0\npoints = "
NAMED = "must be a plain name (letters, digits, _, no word of Python) other than status, residual, bath, level"
OBSERVABLES = [
    '"a/b"',
    "level",
    "to",
    "bath",
    "status",
    "time",
    "residual",
    '"a b"',
    '".."',
    '""',
    '".zattrs"',
    '"x.y"',
]
LIMIT = "should be less than or equal to"
WRONG = [
    (SWEEP, "values = [0.5, 1.0]", SPAN + "1" + "0" * 19, f"sweep.T.points: input {LIMIT} 100000000; got 1000"),
    (SWEEP, "values = [0.5, 1.0]", SPAN + "1" + "0" * 400, "sweep.T.points: must be below 1e308; got a whole number"),
    (
        EVOLUTION,
        "values = [0.0, 1.0]",
        "start=0.0, stop=1.0, points=10000000000",
        f"times.points: input {LIMIT} 100000",
    ),
    (SWEEP, "[[0.5, 0]", f"[[1{'0' * 400}, 0]", "system.hamiltonian.0.0: must be below 1e308; got a whole number of"),
    (SWEEP, "[[0.5, 0]", f"[[0x{'f' * 5000}, 0]", "system.hamiltonian.0.0: must be below 1e308; got a whole number of"),
    (SWEEP, "[[0.5, 0]", f"[[1{'0' * 5000}, 0]", "a number cannot be read: Exceeds the limit (4300 digits)"),
    (SWEEP, "[[0.5, 0]", "[[1e400, 0]", "system.hamiltonian: matrix entries must be finite; got inf"),
    (SWEEP, "[0.5, 1.0]", f"[0.5, 1{'0' * 400}]", "sweep.T.values.1: must be below 1e308"),
    (SWEEP, "temperature = 0.2", "temperature = [0.2, 0.3]", "baths.cold: temperature must be a single number; got sh"),
    (SWEEP, "[sweep.T]", f"x = {'[' * 3000}\n[sweep.T]", "nested too deeply"),
    (SWEEP, "[sweep.T]", f"x = {'{a=' * 3000}\n[sweep.T]", "nested too deeply"),
    (SWEEP, "[sweep.T]", "\0[sweep.T]", "not valid TOML"),
    (SWEEP, "[sweep.T]", "[sweep.heat_currents_dim0]", "ends as dimensions of the result do; choose another name"),
    (SWEEP, "[sweep.T]", "[sweep.residual]", "axis name 'residual' must be a plain name"),
    (SWEEP, '{ pauli = "x" }', "{ matrix = [[1]] }", "baths.hot: couples to dimension 1, and the system has 2 levels"),
    (
        SWEEP,
        '{ pauli = "x" }',
        '[{ pauli = "x" }, { matrix = [[1]] }]',
        "baths.hot: matrix of operator 1 must have shape (2, 2); got (1, 1)",
    ),
    (
        SWEEP,
        "temperature = 0.2",
        "temperature = 0.2\ncorrelation = [[1, 0], [0, 1]]",
        "correlation must have shape (1, ",
    ),
    (DOTS, "fermion_destroy = 0", "lower = 1", "baths.left must remove one particle, [N, D] = -D with the system's"),
    (
        DOTS,
        "{ fermion_destroy = 0 }",
        "{ matrix = [[0,0,0,0],[0,0,0,0],[1,0,0,0],[0,1,0,0]] }",
        "baths.left must remove one particle",
    ),
    (EVOLUTION, "{ level = 1 }", f"{{ ket = [1{'0' * 400}, 0] }}", "evolution.initial.ket.0: must be below 1e308"),
    (EVOLUTION, "z = ", "z_dim0 = ", "name 'z_dim0' ends as dimensions of the result do"),
    *((EVOLUTION, "\nz = ", f"\n{name} = ", NAMED) for name in OBSERVABLES),
]


def write(folder, text, name="job.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("text", "old", "new", "words"), WRONG)
def test_refused_in_one_line(tmp_path, capsys, text, old, new, words):
    assert old in text
    out = tmp_path / "out"
    assert main(["run", write(tmp_path, text.replace(old, new, 1)), "--output", str(out)]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.startswith("error: ") and "job.toml" in said.err
    assert said.err.count("\n") == 1 and len(said.err) < 1100 and said.out == "" and not out.exists()


def test_what_no_part_sees_is_refused_with_the_whole(tmp_path, capsys, monkeypatch):
    """Parts that are fine by themselves: the generator is made before anything is computed."""

    def refused(system, baths):
        raise ValueError(f"baths[1] does not fit the {system.dimension} levels.\nSecond line.")

    monkeypatch.setitem(MAKERS, "davies", refused)
    assert main(["run", write(tmp_path, SWEEP), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "job.toml: baths.cold does not fit the 2 levels." in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a run of SWEEP, which begins with a mark of byte order."""
    folder = tmp_path_factory.mktemp("run")
    assert main(["run", write(folder, "\ufeff" + SWEEP), "--output", str(folder / "out"), "--quiet"]) == 0
    return folder


def test_nothing_but_nan_is_no_success(tmp_path, capsys, done):
    """A bath that leaves populations alone: no stationary state is the one."""
    dark = SWEEP.replace('pauli = "x"', 'pauli = "z"')
    assert main(["run", write(tmp_path, dark), "--output", str(tmp_path / "out"), "--quiet"]) == 1
    said = capsys.readouterr()
    assert "job.zarr: nothing but NaN in heat_currents, entropy_production, populations: nonunique: more" in said.err
    assert said.err.count("\n") == 1 and said.out == ""
    assert np.isnan(xarray.open_zarr(tmp_path / "out/job.zarr", consolidated=False)["populations"].values).all()
    data = xarray.open_zarr(done / "out/job.zarr", consolidated=False).load()
    assert _meaningless(data, tmp_path) is None
    data["heat_currents"][0] = np.nan
    assert _meaningless(data, tmp_path) is None
    data["heat_currents"][1] = np.nan
    assert "nothing but NaN in heat_currents; no flag says why" in _meaningless(data, tmp_path)
    data["heat_currents"][1] = np.inf  # a number: of a pure state the entropy production, say
    assert _meaningless(data, tmp_path) is None


@pytest.mark.slow
def test_a_fit_that_finds_no_number_is_no_success(tmp_path, capsys):
    fit = f"""
[system]
model = "qubit"
splitting = 1.0
{TWO_BATHS.replace('pauli = "x"', 'pauli = "z"')}
[fit]
steps = 2
[fit.parameters.T]
parameter = "baths.hot.temperature"
start = 1.0
[fit.aims.heat]
quantity = "heat_currents"
select = {{ bath = "hot" }}
value = 0.1
"""
    assert main(["run", write(tmp_path, fit), "--output", str(tmp_path / "out"), "--quiet"]) == 1
    assert "job.json: nothing but NaN in the loss of the fit: nonfinite_input" in capsys.readouterr().err


def test_a_fault_of_qdbjax_is_one_line_too(tmp_path, capsys, monkeypatch):
    def fault(*_, **__):
        raise KeyError("a\nb")

    monkeypatch.setattr(SweepRun, "result", fault)
    job, out = write(tmp_path, SWEEP), str(tmp_path / "out")
    assert main(["run", job, "--output", out]) == 1
    assert (
        capsys.readouterr().err
        == "error: KeyError: 'a\\nb' (unforeseen; QDBJAX_TRACEBACK=1 shows where, for a report)\n"
    )
    monkeypatch.setenv("QDBJAX_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(["run", job, "--output", out])
    for raised, words in (
        (MemoryError(), "error: not enough memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: x."), "fewer"),
    ):
        monkeypatch.setattr(SweepRun, "result", lambda *_, raised=raised, **__: (_ for _ in ()).throw(raised))
        monkeypatch.setenv("QDBJAX_TRACEBACK", "0")
        assert main(["run", job, "--output", out]) == 1
        assert words in capsys.readouterr().err


FOREIGN = ["a folder", "a note in the store", "a link in the store", "a linked store", "an array", "a figure", "a fit"]


@pytest.mark.parametrize("kind", FOREIGN)
def test_overwrite_leaves_what_others_wrote(tmp_path, capsys, done, kind):
    job, out = write(tmp_path, SWEEP), tmp_path / "out"
    shutil.copytree(done / "out", out)
    claim(out, [out / "job.zarr", out / "job.png"], overwrite=True)  # as it is, all of it is qdbjax's
    store, figure = out / "job.zarr", out / "job.png"
    if kind == "a folder":
        os.rename(store, out / "away")
        (store / "letters").mkdir(parents=True)
    if kind == "a note in the store":
        (store / "heat_currents/notes.txt").write_text("mine")
    if kind == "a link in the store":
        (store / "0").symlink_to(figure)
    if kind == "a linked store":
        os.rename(store, out / "away")
        store.symlink_to(out / "away")
    if kind == "an array":
        os.rename(store, out / "away")
        xarray.Dataset({"mine": ("x", [1.0])}).to_zarr(store, zarr_format=2)
    if kind == "a figure":
        matplotlib.figure.Figure().savefig(figure)
    if kind == "a fit":
        (out / "job.json").write_text(json.dumps({"values": {}}))
        job = write(tmp_path, SWEEP[: SWEEP.index("[sweep.T]")] + FIT)
    before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*"))
    assert main(["run", job, "--output", str(out), "--overwrite"]) == 2
    said = capsys.readouterr().err
    assert "holds what qdbjax did not write; move it away, or choose another with --output" in said
    assert said.count("\n") == 1 and sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*")) == before


FIT = """
[fit.parameters.T]
parameter = "baths.hot.temperature"
start = 1.0
[fit.aims.heat]
quantity = "entropy_production"
goal = "maximize"
"""


def test_what_comes_while_a_run_goes_on_stays(tmp_path, capsys, done, monkeypatch):
    """A figure of somebody else's, with the name of that of the run."""
    out = tmp_path / "out"
    shutil.copytree(done / "out", out)
    (out / "job.png").unlink()
    result = SweepRun.result
    monkeypatch.setattr(SweepRun, "result", lambda *a, **k: (out / "job.png").write_text("mine") and result(*a, **k))
    assert main(["run", str(done / "job.toml"), "--output", str(out), "--resume"]) == 2
    assert "holds what qdbjax did not write" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["job.png", "job.zarr"]
    assert (out / "job.png").read_text() == "mine"


@pytest.mark.parametrize("error", [RuntimeError("no such backend"), AssertionError()])
def test_without_the_device_that_is_asked_for(capsys, monkeypatch, error):
    answers = [error, jax.devices()]

    def devices():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    set_to = {}
    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setattr(jax.config, "update", set_to.__setitem__)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    _choose_device()
    assert set_to == {"jax_platforms": "cpu"} and not answers
    assert capsys.readouterr().err == "JAX_PLATFORMS=cuda: no such device here; computing on the CPU\n"


@pytest.mark.slow
@pytest.mark.parametrize("platforms", ["cuda", "cuda,cpu", "tpu", "nonsense"])
def test_a_poor_environment(tmp_path, platforms):
    """C locale, no such device, no such backend for figures, no home: the same numbers, and a line about the device."""
    job = write(tmp_path, f'title = "±ħω → ü"\n{SWEEP}', "größe.toml")
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "MPLBACKEND": "nonsense"}
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "PYTHONIOENCODING", "LANG")}
    command = [sys.executable, "-m", "qdbjax", "run", job, "--output", str(tmp_path / "out")]
    done = subprocess.run(
        command, env={**kept, **poor, "JAX_PLATFORMS": platforms}, capture_output=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"\\xb1\\u0127\\u03c9 \\u2192 \\xfc" in done.stdout
    assert done.stderr.count(b"\n") <= 1 and b"Traceback" not in done.stderr
    assert platforms == "cuda,cpu" or b"no such device here; computing on the CPU" in done.stderr
    data = xarray.open_zarr(tmp_path / "out/größe.zarr", consolidated=False)
    generator = qdb.davies(
        np.diag([0.5, -0.5]),
        [qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=T) for T in (1.0, 0.2)],
    )
    np.testing.assert_allclose(data["heat_currents"].values[1], qdb.heat_currents(generator), rtol=1e-10)


CHAIN = f"""
[system]
model = "xxz_chain"
fields = {[1.0 + 0.1 * n for n in range(10)]}
exchange = 0.2
anisotropy = 0.5
{TWO_BATHS.replace("temperature = 0.2", "temperature = 1.5")}
[sweep.T]
parameter = "baths.hot.temperature"
values = [0.5]
"""


@pytest.mark.slow
@pytest.mark.parametrize("task", ["sweep", "fit"])
def test_the_largest_chain_compiles_in_seconds(tmp_path, capsys, task):
    """Ten spins: five minutes and more as long as the compiler multiplied the operators of 1024 levels."""
    text = (
        CHAIN
        if task == "sweep"
        else CHAIN[: CHAIN.index("[sweep.T]")] + FIT.replace("[fit.p", "[fit]\nsteps=1\n[fit.p")
    )
    assert main(["run", write(tmp_path, text), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    if task == "sweep":
        data = xarray.open_zarr(tmp_path / "out/job.zarr", consolidated=False)
        assert float(re.search(r"after ([\d.]+) s of compilation", said)[1]) < 60
        heat = data["heat_currents"].values[0]
        assert abs(heat.sum()) < 1e-12 * abs(heat).max() and heat[1] > 0
