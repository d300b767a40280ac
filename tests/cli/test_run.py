"""qdbjax run: files whose content equals the API, words for every wrong input, nothing half-written."""

import os
import shutil
import signal
import subprocess
import sys
import time

import matplotlib

matplotlib.use("agg")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import qdbjax as qdb
from qdbjax.cli.main import main

GOOD = """
title = "A qubit"

[system]
hamiltonian = [[0.5, "0-0.1j"], ["0.1j", -0.5]]
terms.field = { matrix = [[0, 1], [1, 0]] }

[[baths]]
name = "hot"
coupling = { pauli = "x" }
spectral_density = { kind = "sum", parts = [{ kind = "ohmic", strength = 0.01, cutoff = 10.0 },
                                            { kind = "algebraic", strength = 0.01, cutoff = 5.0 }] }

[[baths]]
name = "cold"
coupling = { matrix = [[1, 0], [0, -1]] }
spectral_density = { kind = "drude_lorentz", strength = 0.02, cutoff = 5 }
temperature = 0.2

[sweep]
T = { parameter = "baths.hot.temperature", values = [0.5, 1] }
h = { parameter = "system.terms.field.coefficient", start = 0.1, stop = 0.4, points = 3, label = "field" }

[output]
quantities = ["heat_currents", "micro_currents"]
select = { bath = "cold" }
"""


def write(folder, text, name="job.toml"):
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One run of GOOD: its folder and its exit code."""
    folder = tmp_path_factory.mktemp("run")
    return folder, main(["run", write(folder, GOOD), "--output", str(folder / "out")])


def by_hand(T, h):
    matrix = jnp.asarray([[0.5, -0.1j], [0.1j, -0.5]]) + h * jnp.asarray([[0, 1], [1, 0j]])
    density = qdb.Ohmic(0.01, 10.0) + qdb.baths.Algebraic(0.01, 5.0)
    hot = qdb.Bath(qdb.sigma_x(), density, temperature=T, name="hot")
    cold = qdb.Bath(qdb.sigma_z(), qdb.DrudeLorentz(0.02, 5.0), temperature=0.2, name="cold")
    generator = qdb.davies(matrix, [hot, cold])
    return generator, qdb.steady_state(generator)


def test_the_store_holds_what_the_functions_give(done):
    folder, code = done
    assert code == 0
    data = xarray.open_zarr(folder / "out" / "job.zarr", consolidated=False).load()
    assert data["heat_currents"].dims == ("T", "h", "bath") and list(data["bath"].values) == ["hot", "cold"]
    assert data["micro_currents"].dims == ("T", "h", "bath", "to", "from")
    np.testing.assert_allclose(data["h"].values, [0.1, 0.25, 0.4], rtol=1e-15)
    one = jax.jit(lambda T, h: (qdb.heat_currents(*by_hand(T, h)), qdb.micro_currents(*by_hand(T, h))))
    for n, T in enumerate([0.5, 1.0]):
        for m, h in enumerate([0.1, 0.25, 0.4]):
            heat, micro = one(T, jnp.asarray(h).astype(complex))
            np.testing.assert_allclose(data["heat_currents"].values[n, m], heat, rtol=1e-11)
            np.testing.assert_allclose(data["micro_currents"].values[n, m], micro, rtol=1e-11, atol=1e-20)
    assert not data["status"].values.any() and float(data["residual"].max()) < 1e-12
    assert data["h"].attrs["long_name"] == "field" and data["T"].attrs["long_name"] == "baths.hot.temperature"
    assert data.attrs["run_file"] == GOOD and data.attrs["dtype"] == "float64"


def test_figure_and_nothing_else_is_written(done):
    folder, _ = done
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["job.png", "job.zarr"]
    assert matplotlib.image.imread(folder / "out" / "job.png").shape[0] > 700


def test_refuses_to_overwrite_unless_told(done, capsys):
    folder, _ = done
    job, out = str(folder / "job.toml"), folder / "out"
    before = (out / "job.png").stat().st_mtime_ns
    assert main(["run", job, "--output", str(out)]) == 2
    assert "job.zarr: exists; give --resume to go on with it, --overwrite to replace it" in capsys.readouterr().err
    second = write(folder / "out", GOOD.replace("A qubit", "second")), folder / "out" / "job.toml"
    assert main(["run", second[0], "--output", str(out), "--overwrite"]) == 0
    second[1].unlink()
    printed = capsys.readouterr()
    data = xarray.open_zarr(out / "job.zarr", consolidated=False)
    assert data.attrs["title"] == "second" and (out / "job.png").stat().st_mtime_ns > before
    assert sorted(path.name for path in out.iterdir()) == ["job.png", "job.zarr"]
    largest = float(data["heat_currents"].sel(bath="hot").max())
    assert "second" in printed.out and f"{largest:.6g}" in printed.out
    assert "flagged cells" in printed.out and "none" in printed.out and "points/s" in printed.out


@pytest.mark.parametrize(
    ("stop", "code", "words"), [(KeyboardInterrupt, 130, "stopped by Ctrl-C"), (None, 143, "stopped by SIGTERM")]
)
def test_stopped_while_it_draws(tmp_path, done, capsys, monkeypatch, stop, code, words):
    """The store is whole; no half of a figure is left."""
    shutil.copytree(done[0] / "out", tmp_path / "out")
    (tmp_path / "out" / "job.png").unlink()

    def interrupted(self, path, **_):
        path.write_text("half")
        if stop is not None:
            raise stop
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", interrupted)
    assert main(["run", str(done[0] / "job.toml"), "--output", str(tmp_path / "out"), "--resume"]) == code
    assert f"{words}; 1 of 1 blocks are in" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["job.zarr"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_stopped_while_it_traces_ends_with_its_code(tmp_path, number, code):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "qdbjax", "run", write(tmp_path, GOOD), "--output", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.7)  # the folder is made just before tracing and compiling, which take several seconds
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert said.startswith("stopped by") and said.count("\n") == 1, said
    assert list(out.iterdir()) == []


WRONG = [
    ('title = "A qubit"', 'titel = "A"', "titel: unknown key; did you mean 'title'"),
    ("temperature = 0.2", "temprature = 0.2", "baths.1.temprature: unknown key; did you mean 'temperature'"),
    ("strength = 0.02", 'strength = "much"', "spectral_density.strength: input should be a valid number; got 'much'"),
    ("strength = 0.02", "strength = -0.02", "baths.cold: strength must be >= 0 and finite; got -0.02"),
    ("strength = 0.02", "strenght = 0.02", "baths.1.spectral_density.strenght: unknown key; did you mean 'strength'"),
    ('"drude_lorentz"', '"drude"', "baths.1.spectral_density.kind: 'drude' is unknown; allowed are algebraic"),
    ("temperature = 0.2", "temperature = -1", "baths.cold: temperature must be >= 0; got -1"),
    ("temperature = 0.2", "", "baths.cold.temperature: is missing; give it a value or sweep it"),
    ('name = "cold"', 'name = "hot"', "baths: the name 'hot' is given more than once"),
    ('name = "cold"', "", "baths.1.name: is missing"),
    ('{ pauli = "x" }', "{ site = 5 }", "baths.hot: index must be between 0 and sites - 1 = 1; got 5"),
    ('{ pauli = "x" }', '{ pauli = "w" }', "baths.0.coupling.pauli: must be 'x', 'y' or 'z'; got 'w'"),
    ('{ pauli = "x" }', "{}", "baths.0.coupling: give one of {site}"),
    ('[[0.5, "0-0.1j"]', '[[0.5, "0+0.1j"]', "system: hamiltonian must be Hermitian"),
    ('"0.1j", -0.5]', '"0.1j"]', "system.hamiltonian: must be a square matrix"),
    ('"0.1j", -0.5]', '"0.1k", -0.5]', "system.hamiltonian: '0.1k' is no number; write a complex one as"),
    ('"baths.hot.temperature"', '"baths.hto.temperature"', "names nothing; did you mean 'baths.hot.temperature'"),
    ('"system.terms.field.coefficient"', '"baths.hot.temperature"', "baths.hot.temperature is swept more than once"),
    ("values = [0.5, 1]", "values = [0.5, nan]", "sweep.T: values must be finite"),
    ("values = [0.5, 1]", "values = []", "sweep.T.values: "),
    ("values = [0.5, 1]", "values = [0.5, -1]", "baths.hot: temperature must be >= 0; got -1.0"),
    ("values = [0.5, 1]", "start = 1.0", "sweep.T: give either start, stop and points, or values"),
    ("points = 3", "points = 0", "sweep.h.points: input should be greater than or equal to 1; got 0"),
    ("points = 3", 'points = 3, scale = "cubic"', "sweep.h.scale: must be 'linear' or 'log'; got 'cubic'"),
    ("\nT = {", '\n"T hot" = {', "sweep: axis name 'T hot' must be a plain name"),
    ('["heat_currents", ', '["heat_curents", ', "output.quantities: 'heat_curents' is unknown; allowed are heat"),
    ('bath = "cold"', 'bath = "warm"', "output.select.bath: must be one of hot, cold; got 'warm'"),
    ('bath = "cold"', "level = 1", "output.select: 'level' is no dimension of heat_currents"),
    ("[output]", "[output", "not valid TOML"),
    ("[system]", '[system]\nmodel = "ring"', "system.model: 'ring' is unknown; allowed are double_dot"),
    ("[system]", '[system]\nmodel = "qubit"', "system.hamiltonian: unknown key; known keys are model, splitting"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_wrong_files_are_refused_in_one_line(tmp_path, capsys, old, new, words):
    assert old in GOOD
    out = tmp_path / "out"
    assert main(["run", write(tmp_path, GOOD.replace(old, new, 1)), "--output", str(out)]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.startswith("error: ") and "job.toml" in said.err
    assert said.err.count("\n") == 1 and said.out == "" and not out.exists()


def test_unreadable_files_and_unwritable_folders(tmp_path, capsys):
    assert main(["run", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: no such file" in capsys.readouterr().err
    assert main(["run", str(tmp_path)]) == 2
    assert "is a directory" in capsys.readouterr().err
    latin = tmp_path / "latin.toml"
    latin.write_bytes('title = "Größe"'.encode("latin-1"))
    assert main(["run", str(latin)]) == 2
    assert "not UTF-8 (byte 11)" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["run", write(tmp_path, GOOD), "--output", str(tmp_path / "file" / "out")]) == 2
    assert "cannot be written to: Not a directory; choose another with --output" in capsys.readouterr().err


def test_version_help_and_unknown_commands(capsys):
    assert main(["--version"]) == 0
    assert qdb.__version__ in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "run" in capsys.readouterr().out
    assert main(["walk"]) == 2
    capsys.readouterr()


def test_missing_package_is_named_with_the_remedy():
    code = "import sys; sys.modules['typer'] = None\nfrom qdbjax.cli.main import main\nsys.exit(main(['--version']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == 'error: typer is not installed: pip install "qdbjax[cli,plot,store]"\n'
