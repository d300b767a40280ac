"""qdbjax run --out and --resume: a store block by block, stopped and gone on with; qdbjax info."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import matplotlib

matplotlib.use("agg")

import dask
import numpy as np
import pytest
import xarray
from run_files import TWO_BATHS

from qdbjax.cli import execution
from qdbjax.cli.main import main
from qdbjax.sweeps import grid_run, lock, store
from qdbjax.sweeps.store import SweepStore

RUN = f"""
title = "A qubit"
[system]
hamiltonian = [[0.5, 0], [0, -0.5]]
{TWO_BATHS}"""
RUN += """
[sweep]
T = { parameter = "baths.hot.temperature", start = 0.4, stop = 1.0, points = 8, unit = "meV" }
[output]
quantities = ["heat_currents", "populations"]
"""
EVOLUTION = RUN[: RUN.index("[sweep]")].replace('name = "hot"', 'name = "hot"\ntemperature = 0.4') + (
    "[evolution]\ninitial = { level = 1 }\ntimes = { values = [0.0, 1.0] }\n"
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """One grid point a block."""
    monkeypatch.setattr(store, "SMALLEST", 1)


@pytest.fixture
def written(monkeypatch):
    """The first point of every block that is written."""
    seen, true = [], SweepStore.write
    monkeypatch.setattr(SweepStore, "write", lambda *given: seen.append(given[1][0].start) or true(*given))
    return seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder with the file, the store of a finished run, and that of one without --out."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "job.toml").write_text(RUN)
    before, store.SMALLEST = store.SMALLEST, 1
    assert main(["run", str(folder / "job.toml"), "--out", str(folder / "run.zarr"), "--quiet"]) == 0
    store.SMALLEST = before
    assert main(["run", str(folder / "job.toml"), "--output", str(folder / "plain"), "--quiet"]) == 0
    return folder


@pytest.fixture
def folder(tmp_path, whole):
    """A copy that a test may damage."""
    return shutil.copytree(whole, tmp_path / "copy")


def run(folder, *options, text=None, name="run.zarr"):
    if text is not None:
        (folder / "job.toml").write_text(text)
    return main(["run", str(folder / "job.toml"), "--out", str(folder / name), *options])


def files(path):
    return {each.relative_to(path): each.read_bytes() for each in path.rglob("c/**/*") if each.is_file()}


def test_the_store_holds_what_a_plain_run_writes(whole):
    stored = xarray.open_zarr(whole / "run.zarr", consolidated=False)
    plain = xarray.open_zarr(whole / "plain" / "job.zarr", consolidated=False)
    assert SweepStore(whole / "run.zarr").chunk == (1,)
    assert sorted(stored.variables) == sorted(plain.variables)
    for name in stored.variables:
        assert stored[name].dims == plain[name].dims and stored[name].attrs == plain[name].attrs, name
        np.testing.assert_array_equal(stored[name].values.tolist(), plain[name].values.tolist())
    assert stored.attrs["run_file"] == RUN and stored.attrs["title"] == "A qubit"
    assert sorted(path.name for path in whole.iterdir()) == ["job.toml", "plain", "run.png", "run.zarr"]


def test_info_says_what_a_store_is(folder, capsys):
    SweepStore(folder / "run.zarr").forget((slice(3, 4),))
    status = SweepStore(folder / "run.zarr", "r+").status
    status[1:2] = 16
    assert main(["info", str(folder / "run.zarr")]) == 0
    said = capsys.readouterr().out
    for words in (
        "title             A qubit",
        "axis              T, baths.hot.temperature: 8 points from 0.4 to 1, meV",
        "variable          heat_currents (T, bath) float64, energy per time",
        "blocks            7 of 8 done of 1 points",
        "flagged           14.29% of 7 points: 1 near_degenerate",
        "made with         qdbjax 0.1.0, JAX ",
        "made on           cpu: cpu, 20",
    ):
        assert words in said, said
    assert re.search(r"size +[\d.]+ MB on disk\n", said) and re.search(r"configuration +#[0-9a-f]{12}\n", said)
    assert "being written" not in said
    with lock.locked(folder / "run.zarr"):
        assert main(["info", str(folder / "run.zarr")]) == 0
    assert f"being written by  process {os.getpid()} on " in capsys.readouterr().out


def test_info_of_what_is_none(tmp_path, capsys, folder):
    (tmp_path / "mine").mkdir()
    (tmp_path / "fit.json").write_text("{}")
    xarray.Dataset({"x": ("a", [1.0])}).to_zarr(tmp_path / "other.zarr", zarr_format=2, consolidated=True)
    (folder / "run.zarr" / "status" / "zarr.json").write_text("{")
    for path, words in (
        (tmp_path / "none.zarr", "no such store"),
        (folder / "job.toml", "is a file; give a store\n"),
        (tmp_path / "fit.json", "is a file; give a store; what a fit found is read by qdbjax.fitting.load_fit"),
        (tmp_path / "mine", "is no store that qdbjax has written"),
        (tmp_path / "other.zarr", "is no store that qdbjax has written"),
        (folder / "run.zarr", "is no store that qdbjax has written, or it is damaged"),
    ):
        assert main(["info", str(path)]) == 2
        said = capsys.readouterr()
        assert words in said.err and said.err.count("\n") == 1 and said.out == ""


@pytest.mark.parametrize(
    ("stop", "code", "words"),
    [("SIGINT", 130, "Ctrl-C"), pytest.param("SIGTERM", 143, "SIGTERM", marks=pytest.mark.slow)],
)
def test_stopped_and_gone_on_with(tmp_path, whole, capsys, monkeypatch, written, stop, code, words):
    true, seen = grid_run.execute, []

    def stopping(*given):
        seen.append(1)
        if len(seen) == 4:
            os.kill(os.getpid(), getattr(signal, stop))
        return true(*given)

    monkeypatch.setattr(grid_run, "execute", stopping)
    assert run(tmp_path, text=RUN) == code
    said = capsys.readouterr()
    assert said.err == f"stopped by {words}; 3 of 8 blocks are in {tmp_path}/run.zarr; the same with --resume goes on\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.toml", "run.zarr"]
    assert run(tmp_path) == 2
    assert "run.zarr: exists; give --resume to go on with it, --overwrite to replace it" in capsys.readouterr().err
    assert run(tmp_path, "--resume") == 0
    assert sorted(written) == list(range(8)) and files(tmp_path / "run.zarr") == files(whole / "run.zarr")
    assert "heat current into the system" in capsys.readouterr().out and (tmp_path / "run.png").exists()
    assert run(tmp_path, "--resume", "--quiet") == 0  # nothing is left to do, and the figure is drawn anew
    assert len(written) == 8


@pytest.mark.slow
def test_resume_alone_means_the_store_of_the_run(tmp_path, monkeypatch):
    (tmp_path / "job.toml").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["run", "job.toml", "--resume", "--quiet"]) == 0
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["job.png", "job.zarr"]
    assert SweepStore(tmp_path / "results" / "job.zarr").chunk == (1,)


def test_damage_is_repaired_on_request(folder, whole, capsys, written):
    chunk = folder / "run.zarr" / "populations" / "c" / "5" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-2])
    (folder / "run.png").unlink()
    assert run(folder, "--resume") == 1
    said = capsys.readouterr().err
    assert "run.zarr: a chunk cannot be read (" in said and "--resume --verify computes it again" in said
    assert not (folder / "run.png").exists() and said.count("\n") == 1  # damaged data are never drawn
    assert run(folder, "--resume", "--verify", "--quiet") == 0
    assert written == [5] and files(folder / "run.zarr") == files(whole / "run.zarr")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("temperature = 0.2", "temperature = 0.3", "baths.1.temperature is 0.3 here and 0.2 there"),
        ("stop = 1.0", "stop = 2.0", "axis T is "),
        ('"heat_currents", "populations"', '"heat_currents"', "output.quantities is 'heat_currents' here"),
        ('pauli = "x"', 'pauli = "y"', "baths.0.coupling.pauli is 'y' here and 'x' there"),
        ("[0, -0.5]]", "[0, -0.6]]", "system.hamiltonian is "),
        ("cutoff = 10.0", "cutoff = 11.0", "baths.0.spectral_density.cutoff is 11.0 here and 10.0 there"),
        ("[sweep]", "# a comment\n[sweep]", None),
        ('unit = "meV"', 'unit = "eV", label = "another"', None),
        ('title = "A qubit"', 'title = "Two levels"', None),
        ("[output]", '[output]\nplot = "populations"', None),
    ],
)
def test_what_another_file_is(folder, capsys, written, old, new, words):
    assert old in RUN
    assert run(folder, "--resume", "--quiet", text=RUN.replace(old, new, 1)) == (0 if words is None else 2)
    said = capsys.readouterr().err
    assert said == "" if words is None else f"belongs to another sweep: {words}" in said and said.count("\n") == 1
    assert not written


FIT = RUN[: RUN.index("[sweep]")] + (
    '[fit.parameters.T]\nparameter = "baths.hot.temperature"\nstart = 1.0\n'
    '[fit.aims.heat]\nquantity = "entropy_production"\ngoal = "maximize"\n'
)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (FIT, [], "--out, --resume, --verify, --rank, --world and --cluster belong to a sweep, not to a fit"),
        (RUN, ["--cluster", "10.0.0.1"], "--cluster: cluster must be the address of a Dask scheduler, as in 'tcp://"),
        (RUN, ["--cluster", "tcp://a:1", "--rank", "0"], "--cluster: rank and world share a store among processes"),
        (RUN, ["--verify"], "--verify looks at a store that is there; give --resume with it"),
        (RUN, ["--resume", "--overwrite"], "--overwrite begins anew, and --resume and --rank go on; give one of them"),
        (RUN, ["--rank", "2", "--world", "2"], "--rank, --world: rank must be from 0 to world - 1 = 1; got 2"),
        (RUN, ["--rank", "one", "--world", "2"], "rank must be an integer, given with the other one or rank='auto'"),
        (RUN, ["--rank", "-1", "--world", "2"], "rank must be from 0 to world - 1 = 1; got -1"),
        (RUN, ["--rank", "auto"], "rank='auto' needs the variables of Open MPI"),
        (RUN, ["--world", "2"], "rank must be an integer"),
    ],
)
def test_options_that_do_not_fit(tmp_path, capsys, monkeypatch, text, options, words):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_")):
            monkeypatch.delenv(name)
    assert run(tmp_path, *options, text=text) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["job.toml"]


@pytest.mark.slow
def test_overwrite_replaces_a_store_that_nobody_writes(folder, capsys, written):
    with lock.locked(folder / "run.zarr"):
        assert run(folder, "--overwrite") == 2
        assert f"is being written by process {os.getpid()} on" in capsys.readouterr().err
        assert run(folder, "--resume") == 2
        assert "is being written by" in capsys.readouterr().err
    note = folder / "run.zarr" / "populations" / "notes.txt"
    note.write_text("mine")
    assert run(folder, "--overwrite") == 2
    assert "holds what qdbjax did not write" in capsys.readouterr().err and not written
    note.unlink()
    assert run(folder, "--overwrite", "--quiet") == 0
    assert len(written) == 8


def test_processes_that_share_a_store(tmp_path, whole, capsys, monkeypatch, written):
    assert run(tmp_path, "--rank", "1", "--world", "2", text=RUN) == 0
    assert f"4 of 8 blocks are in {tmp_path}/run.zarr; others compute the rest" in capsys.readouterr().out
    assert not (tmp_path / "run.png").exists() and written == [1, 3, 5, 7]
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert run(tmp_path, "--rank", "auto") == 0  # the last one draws
    assert (tmp_path / "run.png").exists() and files(tmp_path / "run.zarr") == files(whole / "run.zarr")


def test_a_store_that_is_too_large_to_draw(folder, capsys, monkeypatch):
    (folder / "run.png").unlink()
    monkeypatch.setattr(execution, "SHOWN_BYTES", 100)
    assert run(folder, "--resume") == 0
    assert "8 of 8 done" in capsys.readouterr().out and not (folder / "run.png").exists()


def test_a_full_disk_is_said(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SweepStore, "write", full)
    assert run(tmp_path, text=RUN) == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said and "0 of 8 blocks of this run are finished" in said
    assert said.count("\n") == 1 and "resume it" in said


@pytest.mark.slow
def test_an_evolution_has_a_store_too(tmp_path):
    assert run(tmp_path, "--quiet", text=EVOLUTION) == 0
    data = xarray.open_zarr(tmp_path / "run.zarr", consolidated=False)
    assert data["populations"].dims == ("time", "level") and data["time"].values.tolist() == [0.0, 1.0]
    assert run(tmp_path, "--quiet", "--resume") == 0 and (tmp_path / "run.png").exists()
    relabelled = EVOLUTION.replace("1.0] }", '1.0], label = "t" }')
    assert run(tmp_path, "--quiet", "--resume", text=relabelled) == 0
    later = EVOLUTION.replace("[0.0, 1.0]", "[0.0, 2.0]")
    assert run(tmp_path, "--quiet", "--resume", text=later) == 2


@pytest.mark.slow
def test_a_process_stopped_while_it_writes(tmp_path):
    (tmp_path / "job.toml").write_text(RUN.replace("points = 8", "points = 1000000"))
    command = [sys.executable, "-m", "qdbjax", "run", str(tmp_path / "job.toml"), "--out", str(tmp_path / "run.zarr")]
    process = subprocess.Popen([*command, "--quick"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run.zarr" / "status" / "c" / "1").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert re.match(r"stopped by .*; \d+ of 128 blocks are in .*; the same with --resume goes on\n$", said), said
    resumed = subprocess.run([*command, "--quick", "--resume"], capture_output=True, text=True, check=False, timeout=60)
    assert resumed.returncode == 0 and "points/s" in resumed.stdout, resumed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.toml", "run.png", "run.zarr"]


def test_no_scheduler_is_said_in_a_line(tmp_path, capfd):
    with dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}):
        assert run(tmp_path, "--cluster", "tcp://127.0.0.1:1", text=RUN) == 1
    said = capfd.readouterr().err
    assert said.startswith("error: no Dask scheduler answers at tcp://127.0.0.1:1 (") and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["job.toml"]
