"""What befalls a store: damage, two writers, full and read-only disks. Each has one outcome, said in words."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from qdbjax.sweeps import lock, ranks, store, sweep
from qdbjax.sweeps.errors import StoreError
from qdbjax.sweeps.store import SweepStore

A, B = np.linspace(0.1, 1.0, 13), np.linspace(0.0, 1.0, 5)
AXES = {"a": A, "b": B}


def wave(a, b):
    return {"wave": a * jnp.exp(-b), "pair": jnp.stack([a, b])}


def run(out, **options):
    return sweep(wave, out=out, batch_size=10, **options, **AXES)


def files(path):
    return {each.relative_to(path): each.read_bytes() for each in path.rglob("c/**/*") if each.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run.zarr"
    run(path)
    return path


@pytest.fixture
def out(tmp_path, whole):
    """A complete store that a test may damage."""
    return shutil.copytree(whole, tmp_path / "run.zarr")


@pytest.fixture
def written(monkeypatch):
    """The first row of every block that is written."""
    seen, true = [], SweepStore.write
    monkeypatch.setattr(SweepStore, "write", lambda *given: seen.append(given[1][0].start) or true(*given))
    return seen


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << (place % 8)
    path.write_bytes(content)


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


DAMAGE = {
    "first bit": lambda path: flip(path, 0),
    "bit within": lambda path: flip(path, path.stat().st_size // 2),
    "bit of the checksum": lambda path: flip(path, path.stat().st_size - 1),
    "half": lambda path: cut(path, path.stat().st_size // 2),
    "one byte short": lambda path: cut(path, path.stat().st_size - 1),
    "three bytes": lambda path: cut(path, 3),
    "empty": lambda path: cut(path, 0),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("chunk", ["wave/c/1/0", "pair/c/1/0/0", "status/c/1/0"])
def test_a_damaged_chunk_is_never_read_and_comes_again(out, whole, written, damage, chunk):
    damage(out / chunk)
    data = store.open_dataset(out)
    name = chunk.split("/")[0]
    with pytest.raises(Exception):  # noqa: B017  whatever zarr and its codecs raise
        data[name].load()
    assert data[name][4:].equals(store.open_dataset(whole)[name][4:])
    run(out, resume=True)
    assert written == ([2] if name == "status" else [])  # a plain resume looks at no variable
    run(out, resume=True, verify=True)
    assert written == [2] and files(out) == files(whole)


def test_missing_chunks_and_coordinates_come_again(out, whole, written):
    (out / "wave/c/0/0").unlink()
    (out / "status/c/3/0").unlink()
    flip(out / "a/c/0", 5)
    run(out, resume=True, verify=True)
    assert written == [0, 6] and files(out) == files(whole)
    run(out, resume=True, verify=True)
    assert written == [0, 6]


def test_a_block_that_fails_is_no_longer_marked(out, monkeypatch):
    """Killed while it repairs, a store says what is missing to the next plain run."""
    flip(out / "wave/c/1/0", 9)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SweepStore, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run(out, resume=True, verify=True)
    assert SweepStore(out).status_of((slice(2, 4), slice(0, 5))) is None


@pytest.mark.parametrize("name", ["zarr.json", "wave/zarr.json", "status/zarr.json"])
def test_damaged_metadata_is_said(out, name):
    cut(out / name, 20)
    with pytest.raises(StoreError, match=r"is no store of a sweep, or its zarr.json is damaged"):
        run(out, resume=True)


def test_leftovers_of_killed_processes_go(out, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    chunk = out / "wave" / "c" / "1" / "0.0123456789abcdef.partial"
    chunk.write_text("half")
    template = tmp_path / f".run.zarr.template.{socket.gethostname()}.{dead.pid}"
    foreign = tmp_path / f".run.zarr.template.elsewhere.{dead.pid}"
    for path in (template, foreign):
        (path / "wave").mkdir(parents=True)
    run(out, resume=True)
    assert not any(path.exists() for path in (chunk, template)) and foreign.exists()


def test_partial_files_of_a_living_process_stay(out):
    with lock.locked(out, 1, 2):
        theirs = out / "wave" / "c" / "1" / "0.0123456789abcdef.partial"
        theirs.write_text("half")
        run(out, rank=0, world=2)
        assert theirs.exists()


SPEAK = """
import sys, time, pathlib
from qdbjax.sweeps.lock import locked
with locked(pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_until_the_first_is_dead(out):
    other = subprocess.Popen([sys.executable, "-c", SPEAK, str(out)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        words = rf"run.zarr is being written by process {other.pid} on \S+ Wait for it, or remove .*run.zarr.lock"
        for options in ({"resume": True}, {"rank": 0, "world": 2}):
            with pytest.raises(StoreError, match=words):
                run(out, **options)
        with pytest.raises(StoreError, match="is being written by process"):
            lock.refuse_if_locked(out)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert lock.lock_path(out).exists()  # stale
    lock.refuse_if_locked(out)
    assert run(out, resume=True).sizes["a"] == 13
    assert sorted(path.name for path in out.parent.iterdir()) == ["run.zarr"]


@pytest.mark.parametrize(
    ("change", "is_stale"),
    [
        ({}, False),
        ({"started": "another start"}, True),  # the number has been given to another process since
        ({"pid": 2**22 + 1, "started": None}, True),
        ({"host": "elsewhere"}, False),
        ({"pid": "x"}, False),
        (None, False),  # damaged
    ],
)
def test_which_locks_are_stale(out, change, is_stale):
    path = lock.lock_path(out)
    path.write_text("half a lo" if change is None else json.dumps(lock._own(0, 1) | change))
    long_ago = path.stat().st_mtime - lock.STALE + (100 if change == {"host": "elsewhere"} else -100)
    if change is not None:  # a process of this machine is alive or not, however long it has said nothing
        os.utime(path, (long_ago, long_ago))
    if is_stale:
        run(out, resume=True)
        assert not path.exists()
    else:
        with pytest.raises(StoreError, match="is being written by"):
            run(out, resume=True)
        assert path.exists()


@pytest.mark.parametrize("said", [{"host": "elsewhere"}, None], ids=["elsewhere", "damaged"])
def test_a_lock_that_nobody_touches_is_taken_over(out, said):
    path = lock.lock_path(out)
    path.write_text("half a lo" if said is None else json.dumps(lock._own(0, 1) | said))
    for age, is_stale in ((lock.STALE - 100, False), (lock.STALE + 100, True)):
        then = time.time() - age
        os.utime(path, (then, then))
        if is_stale:
            run(out, resume=True)
        else:
            with pytest.raises(StoreError, match="is being written by"):
                run(out, resume=True)
    assert sorted(each.name for each in out.parent.iterdir()) == ["run.zarr"]


def test_a_living_process_touches_its_lock(out, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.01)
    path = lock.lock_path(out)
    with lock.locked(out):
        begun = json.loads(path.read_text())["begun"]
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime_ns >= begun > 0
        path.write_text("{}")  # another's
        os.utime(path, (0, 0))
        time.sleep(0.1)
        assert path.stat().st_mtime == 0
    assert path.exists()


def test_a_touched_lock_does_not_make_files_old(out, monkeypatch):
    """What a process is writing stays, although its lock has been touched since."""
    with lock.locked(out, 1, 2):
        theirs = out / "wave" / "c" / "1" / "0.0123456789abcdef.partial"
        theirs.write_text("half")
        later = time.time() + 100
        os.utime(lock.lock_path(out, 1, 2), (later, later))
        run(out, rank=0, world=2)
        assert theirs.exists()


def test_a_file_system_without_links(out, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with lock.locked(out), pytest.raises(StoreError, match="is being written by"):
        run(out, resume=True)
    assert run(out, resume=True).sizes["a"] == 13 and not lock.lock_path(out).exists()


def test_a_full_disk(tmp_path, whole, monkeypatch):
    out, true, blocks = tmp_path / "run.zarr", Path.replace, []

    def full(self, target):
        if self.name.endswith(".partial") and f"{out}/pair/c" in str(self):
            blocks.append(1)
            if len(blocks) > 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        return true(self, target)

    monkeypatch.setattr(Path, "replace", full)
    words = r"No space left on device in .*run.zarr; 3 of 7 blocks of this run are finished and can be read"
    with pytest.raises(OSError, match=words) as caught:
        run(out)
    assert caught.value.errno == errno.ENOSPC and not list(out.rglob("*.partial"))
    half = store.open_dataset(out)
    assert (half["status"].values[:6] == 0).all() and (half["status"].values[6:] == -1).all()
    assert half["wave"][:6].equals(store.open_dataset(whole)["wave"][:6])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.zarr"]
    monkeypatch.undo()
    run(out, resume=True)
    assert files(out) == files(whole)


def test_another_error_of_the_writer_is_raised_as_it_is(tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("of zarr")

    monkeypatch.setattr(SweepStore, "write", broken)
    with pytest.raises(ZeroDivisionError, match="of zarr"):
        run(tmp_path / "run.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder(tmp_path, out, monkeypatch, number):
    """Even root cannot write to a read-only file system; the others not to a folder that is not theirs."""

    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(StoreError, match=rf"new.zarr: cannot be written to: {os.strerror(number)}. Give another out"):
        run(tmp_path / "new.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.zarr"]
    monkeypatch.setattr(lock.Path, "write_text", refused)
    for path, options in ((tmp_path / "new.zarr", {}), (out, {"resume": True})):
        with pytest.raises(StoreError, match=r"cannot be written to: .*. Give another out"):
            run(path, **options)


def test_a_folder_below_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"run.zarr: cannot be written to: (Not a directory|File exists)"):
        run(tmp_path / "file" / "run.zarr")


def test_two_processes_that_make_one_template(tmp_path, whole, monkeypatch):
    """The one that comes second finds the store of the first, and takes it."""
    out, true = tmp_path / "run.zarr", os.rename

    def late(source, target):
        shutil.copytree(whole, out)
        true(source, target)

    monkeypatch.setattr(os, "rename", late)
    data = run(out, rank=0, world=2)
    assert data.attrs["seconds"] == 0 and [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_shares_of_a_store(tmp_path, whole, written):
    out = tmp_path / "run.zarr"
    data = run(out, rank=1, world=3)
    assert written == [2, 8] and int((data["status"] == -1).sum()) == 65 - 20
    run(out, rank=2, world=3)
    run(out, rank=2, world=3)
    assert written == [2, 8, 4, 10]
    run(out, resume=True)  # whoever is left
    assert written == [2, 8, 4, 10, 0, 6, 12] and files(out) == files(whole)
    with lock.locked(out, 0, 3), pytest.raises(StoreError, match="is being written by"):
        run(out, rank=1, world=2)
    with lock.locked(out, 0, 3):
        run(out, rank=1, world=3)
    assert xarray.open_zarr(out, consolidated=False)["wave"].shape == (13, 5)


SLURM = {"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}
ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "5", "SLURM_ARRAY_TASK_MIN": "3"}


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        (SLURM, (2, 4)),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "3"}, (2, 3)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"} | SLURM | ARRAY, (1, 2)),
        (ARRAY, (4, 5)),
        (ARRAY | {"SLURM_ARRAY_TASK_STEP": "2"}, (2, 5)),
        (ARRAY | SLURM, (4, 5)),  # a batch script is task 0 of what it may start
        (ARRAY | {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, (9, 10)),
        ({"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2"}, (1, 2)),
        ({}, "rank='auto' needs the variables of Open MPI .*none is set. Give rank and world"),
        (ARRAY | {"SLURM_ARRAY_TASK_ID": "12"}, "=12 is none of 5 evenly spaced numbers from 3 on. .*--array=0-4"),
        (ARRAY | {"SLURM_ARRAY_TASK_STEP": "3"}, "=7 is none of 5 evenly spaced numbers"),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4(x2)"}, r"SLURM_NTASKS must be a whole number; got '4\(x2\)'"),
        ({"SLURM_PROCID": "4", "SLURM_NTASKS": "4"}, "rank must be from 0 to world - 1 = 3; got 4"),
    ],
)
def test_rank_from_the_environment(variables, wanted):
    if isinstance(wanted, str):
        with pytest.raises(ValueError, match=wanted):
            ranks.share("auto", None, variables)
    else:
        assert ranks.share("auto", None, variables) == wanted


@pytest.mark.parametrize(
    ("rank", "world", "wanted"),
    [
        (None, None, (0, 1)),
        (3, 4, (3, 4)),
        (0, None, "world must be an integer, given with the other one; got None"),
        (None, 2, "rank must be an integer, given with the other one or rank='auto'; got None"),
        ("first", 2, "rank must be an integer.* got 'first'"),
        (True, 2, "rank must be an integer.* got True"),
        (-1, 2, "rank must be from 0 to world - 1 = 1; got -1"),
        (0, 0, "rank must be from 0 to world - 1 = -1; got 0"),
        ("auto", 2, "rank='auto' reads world too; got world=2"),
    ],
)
def test_rank_as_given(rank, world, wanted):
    if isinstance(wanted, str):
        with pytest.raises(ValueError, match=wanted):
            ranks.share(rank, world, {})
    else:
        assert ranks.share(rank, world, {}) == wanted
