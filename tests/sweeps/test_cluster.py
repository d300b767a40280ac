"""sweep(…, cluster=…): the numbers of one process from the workers of a Dask cluster, whatever dies under it."""

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import types

import cloudpickle
import dask
import dask_jobqueue.local
import distributed
import jax.numpy as jnp
import numpy as np
import pytest
from distributed.comm import CommClosedError

from qdbjax.sweeps import ClusterError, cluster as clusters, grid_run, sweep, worker
from qdbjax.sweeps.store import SweepStore

AXES = {"a": np.linspace(0.1, 1.0, 13), "b": np.linspace(0.0, 1.0, 5)}
SHIFT = jnp.linspace(0.0, 1.0, 5)  # double precision, which workers do not have of themselves
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "default::DeprecationWarning")


def wave(a, b):
    value = jnp.where(a < 0.3, jnp.nan, jnp.sin(a) * jnp.exp(-b) + SHIFT.sum())
    return {"wave": value, "pair": jnp.stack([a, b])}


def files(path):
    return {each.relative_to(path): each.read_bytes() for each in path.rglob("c/**/*") if each.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The store of a single process."""
    path = tmp_path_factory.mktemp("whole") / "run.zarr"
    sweep(wave, out=path, batch_size=10, **AXES)
    return path


@contextlib.contextmanager
def client_of(**options):
    options = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL, **options}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def threads():
    """Two workers within this process, which start in no time."""
    with client_of(n_workers=2, threads_per_worker=1, processes=False) as client:
        yield client


def test_two_workers_write_the_bytes_of_one_process(tmp_path, whole, threads, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(worker, "_Run", lambda order, true=worker._Run: made.append(order.sha256) or true(order))
    out = tmp_path / "run.zarr"
    for address in (threads, threads.scheduler.address):
        data = sweep(wave, out=out, batch_size=10, cluster=address, progress=True, **AXES)
        assert files(out) == files(whole) and len(files(out)) == 2 + 3 * 7
        assert data.attrs["seconds"] > 0 and data.attrs["device"] == "cpu: cpu"
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 7 and said[-1].startswith("wave: 65 of 65 points") and "23.1% flagged" in said[-1]
        shutil.rmtree(out)
    assert len(made) == 1  # a program serves all blocks, and the second sweep
    sweep(wave, out=out, batch_size=20, cluster=threads, **AXES)  # other blocks in the same place
    assert SweepStore(out).chunk == (4, 5) and len(made) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.zarr"]


def test_what_is_done_is_not_sent(tmp_path, whole, threads, monkeypatch):
    out, seen = tmp_path / "run.zarr", []
    sweep(wave, out=out, batch_size=10, **AXES)
    store = SweepStore(out)
    for region in store.blocks()[2:4]:
        store.forget(region)
    true = SweepStore.write
    monkeypatch.setattr(SweepStore, "write", lambda *given: seen.append(given[1][0].start) or true(*given))
    sweep(wave, out=out, resume=True, cluster=threads, **AXES)
    assert sorted(seen) == [4, 6] and files(out) == files(whole)


def test_a_worker_keeps_within_its_memory(tmp_path, whole, threads, monkeypatch):
    """Half a block at a time, and the same store."""
    assert threads.submit(worker.memory_limit, pure=False).result() > 2**20 and worker.memory_limit() is None
    sizes, true = [], grid_run.execute
    needed = grid_run.compiler_of(wave, AXES, "wave").program((2, 5)).bytes_needed
    monkeypatch.setattr(worker, "_runs", {})
    monkeypatch.setattr(worker, "memory_limit", lambda: 2 * needed)  # of which a block may have a quarter
    monkeypatch.setattr(grid_run, "execute", lambda *given: sizes.append(given[1][0].size) or true(*given))
    sweep(wave, out=tmp_path / "run.zarr", batch_size=10, cluster=threads, **AXES)
    assert sizes == [1] * 13 and files(tmp_path / "run.zarr") == files(whole)


def refusal(tmp_path, client, fn=wave, kind=ClusterError):
    """The one line with which a sweep is refused; no lock is left."""
    with pytest.raises(kind) as caught:
        sweep(fn, out=tmp_path / "run.zarr", batch_size=10, cluster=client, **AXES)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.lock*"))
    return str(caught.value)


def test_workers_that_differ_are_refused(tmp_path, threads, monkeypatch):
    true = worker.said_of_itself
    for name, version in (("JAX", "9.9"), ("qdbjax", "7"), ("Python", "2.7"), ("jaxlib", "1")):
        there = {**true(), name: version}
        monkeypatch.setattr(clusters.Workers, "_greeting", lambda self, there=there: there)
        words = rf"^{name} is '?{true()[name]}'? here and '?{version}'? there, on the workers of .* one environment\.$"
        assert re.search(words, refusal(tmp_path, threads))
    assert not list(tmp_path.iterdir())


def test_workers_without_the_package(tmp_path, threads, monkeypatch):
    def missing(*_):
        raise ModuleNotFoundError("No module named 'qdbjax'")

    monkeypatch.setattr(clusters.Workers, "_result", missing)
    words = r"the workers of .* cannot import qdbjax \(No module named 'qdbjax'\). Install it there"
    assert re.search(words, refusal(tmp_path, threads))


def test_a_worker_that_comes_later_is_looked_at_too(tmp_path, threads, monkeypatch):
    later = {**worker.said_of_itself(), "platform": "gpu"}
    monkeypatch.setattr(worker, "said_of_itself", lambda: later)
    monkeypatch.setattr(worker, "_runs", {})
    words = r"platform is gpu here and cpu there, on worker \S+ Give all of them one environment"
    assert re.search(words, refusal(tmp_path, threads))


def test_a_store_that_workers_do_not_see(tmp_path, threads, monkeypatch):
    def elsewhere(path, mode):
        return SweepStore(path.with_name("elsewhere"), mode)

    monkeypatch.setattr(worker, "SweepStore", elsewhere)
    monkeypatch.setattr(worker, "_runs", {})
    words = r"worker \S+ does not see the store .*Give an out that all workers share"
    assert re.search(words, refusal(tmp_path, threads))


class Lock:
    """What cannot travel."""

    def __reduce__(self):
        raise ValueError("stays here")


class Trap:
    """What cannot be made where it arrives."""

    def __reduce__(self):
        return __import__, ("no_such_module_anywhere",)


def test_functions_that_do_not_travel(tmp_path, threads, monkeypatch):
    monkeypatch.setattr(worker, "_runs", {})
    for thing, kind, words in (
        (Lock(), TypeError, r"fn cannot be sent to workers \(.*stays here"),
        (Trap(), ClusterError, r"cannot load the function .*no_such_module_anywhere.*Client.upload_file"),
    ):
        assert re.search(words, refusal(tmp_path, threads, lambda a, b, thing=thing: {"wave": a * b}, kind))
        shutil.rmtree(tmp_path / "run.zarr", ignore_errors=kind is TypeError)


def test_several_threads_are_refused(tmp_path):
    with client_of(n_workers=1, threads_per_worker=2, processes=False) as client:
        assert re.search(r"worker \S+ has 2 threads.*--nthreads 1", refusal(tmp_path, client))


def test_waiting_for_the_first_worker_is_said(tmp_path, capsys):
    with client_of(n_workers=0, threads_per_worker=1, processes=False) as client:
        coming = threading.Timer(0.5, client.cluster.scale, [1])
        coming.start()
        data = sweep(wave, out=tmp_path / "run.zarr", batch_size=40, cluster=client, progress=True, **AXES)
        coming.join()
        address = client.scheduler.address
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"waiting for a worker of {address}" and len(said) == 1 + 2
    assert data["status"].shape == (13, 5) and (data["status"] >= 0).all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cluster": "tcp://127.0.0.1:1"}, ValueError, "belongs to a store. Name one, as in out='run.zarr'"),
        ({"out": "run.zarr", "cluster": "10.0.0.1"}, ValueError, "as in 'tcp://10.0.0.1:8786'; got '10.0.0.1'"),
        ({"out": "run.zarr", "cluster": 3}, TypeError, "must be a distributed.Client or the address .*; got 3"),
        ({"out": "run.zarr", "cluster": "tcp://x:1", "rank": 0, "world": 2}, ValueError, "rank and world share a"),
    ],
)
def test_bad_options(tmp_path, monkeypatch, options, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        sweep(wave, **options, **AXES)
    assert not list(tmp_path.iterdir())


def test_a_worker_without_room(tmp_path, whole, threads, monkeypatch):
    true = SweepStore.write

    def full(store, region, results):
        if region[0].start >= 6:
            raise OSError(28, "No space left on device")
        true(store, region, results)

    monkeypatch.setattr(SweepStore, "write", full)
    words = r"fails with No space left on device; 3 of 7 blocks are in .*Mend it, and resume"
    assert re.search(words, refusal(tmp_path, threads))
    monkeypatch.undo()
    sweep(wave, out=tmp_path / "run.zarr", resume=True, cluster=threads, **AXES)
    assert files(tmp_path / "run.zarr") == files(whole)


def test_no_scheduler(tmp_path):
    with dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}):
        words = r"no Dask scheduler answers at tcp://127.0.0.1:1 .*Start one with"
        assert re.search(words, refusal(tmp_path, "tcp://127.0.0.1:1"))


def test_a_scheduler_that_goes_while_a_block_is_fetched(tmp_path, whole, threads, monkeypatch):
    """What a client raises whose connection breaks then; a block that raises the same is the block's failure."""
    blocks, true = [], distributed.Client._gather

    def gather(client, futures, *given, **options):
        blocks.extend(each for each in futures if each.key.startswith("compute"))
        if len(blocks) == 3:
            raise CommClosedError("in <TCP (closed) ConnectionPool.gather>: Stream is closed")
        return true(client, futures, *given, **options)

    monkeypatch.setattr(distributed.Client, "_gather", gather)
    words = r"the scheduler at \S+ is gone, .*; [234567] of 7 blocks are in .*Start it, and resume"
    assert re.search(words, refusal(tmp_path, threads))
    monkeypatch.undo()
    sweep(wave, out=tmp_path / "run.zarr", resume=True, cluster=threads, **AXES)
    assert files(tmp_path / "run.zarr") == files(whole)

    def closed(*_):
        raise CommClosedError("the line is dead")

    shutil.rmtree(tmp_path / "run.zarr")
    monkeypatch.setattr(clusters, "compute", closed)
    words = r"a worker fails with the line is dead; 0 of 7 blocks are in .*Mend it, and resume"
    assert re.search(words, refusal(tmp_path, threads))


def test_a_block_that_kills_every_worker(tmp_path, threads, monkeypatch):
    def deadly(*_):
        raise distributed.KilledWorker("compute-1", types.SimpleNamespace(address="tcp://10.0.0.7:1"), 3)

    monkeypatch.setattr(clusters, "compute", deadly)
    words = r"^4 workers died of one block, the last one at tcp://10.0.0.7:1; 0 of 7 blocks are in .*smaller batch_size"
    assert re.search(words, refusal(tmp_path, threads))


# What dies. Each worker is a process of its own, made by spawn, without a setting of its own.


@pytest.fixture(scope="module")
def spawned():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 10}),
        client_of(n_workers=2, threads_per_worker=1) as it,
    ):
        yield it


def killing(folder):
    """A function whose first worker dies while it compiles."""
    client, mark = os.getpid(), str(folder / "killed")

    def wave(a, b):
        if os.getpid() != client and not os.path.exists(mark):
            with open(mark, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        value = jnp.where(a < 0.3, jnp.nan, jnp.sin(a) * jnp.exp(-b) + SHIFT.sum())
        return {"wave": value, "pair": jnp.stack([a, b])}

    return wave


def die_in_the_third_block():
    """Within a worker: half of the third block is written, and no more."""
    from qdbjax.sweeps.store import SweepStore

    true, seen = SweepStore.write, []

    def write(store, region, results):
        seen.append(region)
        if len(seen) == 3:
            store.variables["wave"][region] = results.values[0]
            os.kill(os.getpid(), signal.SIGKILL)
        true(store, region, results)

    SweepStore.write = write


@pytest.mark.slow
def test_killed_workers_are_replaced(tmp_path, whole, spawned):
    before = set(spawned.run(os.getpid).values())
    sweep(killing(tmp_path), out=tmp_path / "compiling.zarr", batch_size=10, cluster=spawned, **AXES)
    assert (tmp_path / "killed").exists() and files(tmp_path / "compiling.zarr") == files(whole)
    spawned.wait_for_workers(2)
    assert len(before - set(spawned.run(os.getpid).values())) == 1
    for address in spawned.scheduler_info()["workers"]:
        spawned.run(die_in_the_third_block, workers=[address])
    sweep(wave, out=tmp_path / "writing.zarr", batch_size=10, cluster=spawned, **AXES)
    assert files(tmp_path / "writing.zarr") == files(whole)
    spawned.wait_for_workers(2)
    assert not before & set(spawned.run(os.getpid).values())


def command(*arguments):
    """A process of Dask's command line, in a session of its own."""
    start = [sys.executable, "-m", "dask", *map(str, arguments)]
    return subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.slow
def test_workers_as_jobs_of_a_batch_system(tmp_path, whole, monkeypatch):
    """dask-jobqueue's cluster of local jobs: scripts written and started as by its SLURMCluster, with no queue."""
    jobs = {"cores": 1, "processes": 1, "memory": "4GB", "log_directory": tmp_path}
    loopback = {"host": "127.0.0.1", "dashboard_address": ":0"}
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    out = tmp_path / "run.zarr"
    cluster = dask_jobqueue.local.LocalCluster(**jobs, scheduler_options=loopback)
    with cluster, distributed.Client(cluster) as client:
        assert "dask_worker" in cluster.job_script()
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=60)
        sweep(wave, out=out, batch_size=10, cluster=client, **AXES)
    assert files(out) == files(whole)


def slow_writing():
    """Within a worker: half a second for every block."""
    from qdbjax.sweeps.store import SweepStore

    true = SweepStore.write
    SweepStore.write = lambda *given: time.sleep(0.5) or true(*given)


@pytest.mark.slow
def test_a_killed_scheduler_leaves_a_store_to_resume(tmp_path, whole, capfd):
    out, place = tmp_path / "run.zarr", tmp_path / "scheduler.json"
    processes = [command("scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", place, "--no-dashboard")]
    try:
        processes += [command("worker", "--scheduler-file", place, "--nthreads", 1, "--no-dashboard")]
        deadline = time.monotonic() + 60
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        address = json.loads(place.read_text())["address"]
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
            client.run(slow_writing)

        def kill_after_two_blocks():
            while time.monotonic() < deadline and len(files(out)) < 2 * 3 + 2:
                time.sleep(0.05)
            processes[0].kill()

        killer = threading.Thread(target=kill_after_two_blocks)
        killer.start()
        words = r"the scheduler at tcp://\S+ is gone, .*; [2345] of 7 blocks are in .*Start it, and resume"
        assert re.search(words, refusal(tmp_path, address))
        killer.join()
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "Traceback" not in capfd.readouterr().err
    sweep(wave, out=out, resume=True, **AXES)
    assert files(out) == files(whole)
