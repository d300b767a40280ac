"""qdbjax new, check and plot: files to begin with that run, what a file would compute, figures of stores."""

import pathlib
import re
import shutil
import tomllib

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
import xarray

import qdbjax as qdb
from qdbjax.cli import execution, new_file
from qdbjax.cli.main import main
from qdbjax.sweeps import grid_run
from qdbjax.sweeps.store import SweepStore

ROOT = pathlib.Path(__file__).parents[2]
SMALL = """
title = "A qubit"
[system]
model = "qubit"
splitting = 1.0
[[baths]]
name = "bath"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }
[sweep.T]
parameter = "baths.bath.temperature"
start = 0.5
stop = 1.0
points = 5000
[output]
quantities = ["populations", "heat_currents"]
"""


def said_by(capsys, *command):
    """Exit code, output and errors."""
    code = main(list(map(str, command)))
    return code, *capsys.readouterr()


@pytest.fixture
def nothing_runs(monkeypatch):
    """Nothing may be compiled or computed."""

    def fail(*_):
        raise AssertionError("computed")

    monkeypatch.setattr(grid_run.Compiler, "compile", fail)
    monkeypatch.setattr(grid_run, "execute", fail)


def test_a_new_file_is_right(tmp_path, capsys, monkeypatch, nothing_runs):
    monkeypatch.chdir(tmp_path)
    assert said_by(capsys, "new") == (0, "written run.toml\n", "")
    assert said_by(capsys, "new", "sub/two") == (0, "written sub/two.toml\n", "")
    code, said, _ = said_by(capsys, "check", "run.toml")
    assert code == 0 and "run.toml is right" in said and re.search(r"points +10000\n", said)
    code, _, error = said_by(capsys, "new")
    assert code == 2 and error == "error: run.toml: exists; give another name\n"


def test_what_is_commented_out_is_right_too(tmp_path):
    """Each section that stands behind # in the new file."""
    text = (ROOT / "qdbjax/cli/template.toml").read_text()
    for name in ("generator", "evolution", "cumulants", "performance"):
        start = text.index(f"# [{name}]")
        section = text[start : text.index("\n\n", start)]
        shown = "\n".join(line[2:] if re.match(r"# [\[\w]", line) else line for line in section.splitlines())
        changed = text.replace(section, shown.replace('"light"', "[]"))
        assert changed != text and name in tomllib.loads(changed)
        (tmp_path / "job.toml").write_text(changed)
        execution.task_of(tmp_path / "job.toml")


def test_examples(tmp_path, capsys, monkeypatch):
    code, said, _ = said_by(capsys, "new", "--list")
    there = sorted(path.stem for path in (ROOT / "examples").glob("*.toml"))
    assert code == 0 and [line.split()[0] for line in said.splitlines()] == there
    assert all(len(line.split()) > 5 for line in said.splitlines())
    for name in there:
        assert said_by(capsys, "new", tmp_path / name, "--example", name)[0] == 0
        assert (tmp_path / f"{name}.toml").read_bytes() == (ROOT / "examples" / f"{name}.toml").read_bytes()
    assert (tmp_path / "18_measured_currents.csv").exists()
    (tmp_path / "bare").mkdir()
    monkeypatch.chdir(tmp_path / "bare")  # without FILE.toml an example keeps its name
    assert said_by(capsys, "new", "--example", there[0])[:2] == (0, f"written {there[0]}.toml\n")
    assert said_by(capsys, "new")[:2] == (0, "written run.toml\n")
    code, _, error = said_by(capsys, "new", tmp_path / "x", "--example", "01_three_dots")
    assert code == 2 and "did you mean '01_three_dot_currents'?" in error and error.count("\n") == 1


def test_the_wheel_holds_the_examples():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = [*(ROOT / "examples").glob("*.toml"), *(ROOT / "examples").glob("*.csv")]
    assert wheel["force-include"] == {f"examples/{p.name}": f"qdbjax/cli/examples/{p.name}" for p in sorted(wanted)}


def test_examples_of_an_installed_package(tmp_path, monkeypatch):
    """There they lie within the package."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "mine.toml").write_text("# One thing. Another.\n#\ntitle = 'x'\n")
    monkeypatch.setattr(new_file.resources, "files", lambda _: tmp_path)
    assert new_file.example_names() == {"mine": "One thing"}


def test_check_says_what_a_run_would_do(tmp_path, capsys, nothing_runs):
    job = tmp_path / "job.toml"
    job.write_text(SMALL)
    code, said, _ = said_by(capsys, "check", job)
    assert code == 0
    for words in (
        r"system +2 levels, baths bath\n",
        r"axis +T: 5000 points from 0.5 to 1\n",
        r"variable +populations \(T, level\) float64\n",
        r"variable +heat_currents \(T, bath\) float64\n",
        r"blocks +5 of 1000 points, 35.2 KB each\n",  # (2 + 1 + 1) · 8 + 4 bytes
        r"results +176 KB before compression\n",
        r"compilation +about \d+ s the first time \(\d+ instructions, quick\)\n",
        r"figures +populations\n",
    ):
        assert re.search(words, said), words
    assert [path.name for path in tmp_path.iterdir()] == ["job.toml"]
    assert "optimised" in said_by(capsys, "check", job, "--optimize")[1]
    job.write_text(SMALL.replace("strength = 0.01", "strength = -1.0"))
    code, said, error = said_by(capsys, "check", job)
    assert code == 2 and said == "" and "baths.bath: strength must be >= 0" in error and error.count("\n") == 1


@pytest.mark.slow
def test_check_is_what_a_run_does(tmp_path, capsys):
    job, out = tmp_path / "job.toml", tmp_path / "out.zarr"
    job.write_text(SMALL)
    assert main(["run", str(job), "--out", str(out), "--quiet"]) == 0
    store = SweepStore(out)
    assert store.chunk == (1000,) and len(store.blocks()) == 5
    data = xarray.open_zarr(out, consolidated=False)
    assert sum(values.nbytes for values in data.data_vars.values()) == 36 * 5000


def test_check_of_a_fit(capsys):
    code, said, _ = said_by(capsys, "check", ROOT / "examples/18_fit_to_measured_currents.toml")
    assert code == 0 and re.search(r"condition +T_hot: 24 rows from 0.4 to 2\n", said) and "aim " in said


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The store of a sweep in Python over two axes, with a further dimension, half of it computed."""
    folder = tmp_path_factory.mktemp("plot")
    axes = {"a": np.linspace(0.0, 1.0, 8), "b": np.linspace(0.0, 2.0, 5)}
    data = qdb.sweep(lambda a, b: {"wave": a * b, "pair": (a, b)}, out=folder / "run.zarr", batch_size=10, **axes)
    assert data["wave"].shape == (8, 5)
    return folder / "run.zarr"


def test_plot_of_a_sweep_in_python(store, tmp_path, capsys):
    assert said_by(capsys, "plot", store) == (0, f"written {store.parent / 'run.png'}\n", "")
    assert said_by(capsys, "plot", store)[0] == 0  # its own figure is replaced
    target = tmp_path / "pair.png"
    assert said_by(capsys, "plot", store, "-o", target, "--variable", "pair_1")[0] == 0
    assert matplotlib.image.imread(target).std() > 0.05
    half = shutil.copytree(store, tmp_path / "half.zarr")
    SweepStore(half).forget((slice(2, 4), slice(0, 5)))
    code, said, _ = said_by(capsys, "plot", half, "-o", tmp_path / "half.png")
    assert code == 0 and said.endswith("half.png; 25.0% of its points are not computed yet\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--variable", "wav"], "has no variable 'wav'; there are pair_0, pair_1, wave; did you mean 'wave'?"),
        (["-o", "x.pdf"], "x.pdf: figures are PNG files; give a name that ends in .png"),
        (["-o", "mine.png"], "holds what qdbjax did not write"),
        (["-o", "none/x.png"], "cannot be written: No such file or directory"),
    ],
)
def test_figures_that_cannot_be(store, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.png").write_text("mine")
    code, said, error = said_by(capsys, "plot", store, *options)
    assert code == 2 and words in error and error.count("\n") == 1 and said == ""
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


def test_plot_of_damage_and_of_no_store(store, tmp_path, capsys):
    damaged = shutil.copytree(store, tmp_path / "damaged.zarr")
    chunk = damaged / "wave" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    code, _, error = said_by(capsys, "plot", damaged, "--variable", "wave")
    assert code == 1 and "a chunk cannot be read" in error and not (tmp_path / "damaged.png").exists()
    code, _, error = said_by(capsys, "plot", tmp_path / "none.zarr")
    assert code == 2 and "no such store" in error


@pytest.mark.slow
def test_figure_of_a_run_file_is_that_of_the_run(tmp_path, capsys, monkeypatch):
    """The same slice, lines and title."""
    (tmp_path / "job.toml").write_text(
        SMALL.replace("5000", "5") + "select = { level = 1 }\ncrossings = { T = [0.7] }\n"
    )
    assert main(["run", str(tmp_path / "job.toml"), "--out", str(tmp_path / "run.zarr"), "--quiet"]) == 0
    first = (tmp_path / "run.png").read_bytes()
    (tmp_path / "run.png").unlink()
    assert said_by(capsys, "plot", tmp_path / "run.zarr")[0] == 0
    assert (tmp_path / "run.png").read_bytes() == first
    assert said_by(capsys, "plot", tmp_path / "run.zarr", "--variable", "heat_currents")[0] == 0
    assert (tmp_path / "run.png").read_bytes() == first != (tmp_path / "run-heat_currents.png").read_bytes()


def test_exit_codes_are_in_the_help(capsys):
    for command in ([], ["run"]):
        assert main([*command, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        for words in ("Exit codes: 0, done; 1, the run failed", "2, wrong input", "130, stopped by Ctrl-C", "143,"):
            assert words in said
    documented = (ROOT / "examples/README.md").read_text()
    assert all(f"{code}," in documented for code in (0, 1, 2, 130, 143))
