"""Blocks on all devices of a machine: the same numbers in the same order, as soon as it pays."""

import itertools
import json
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.sweeps import grid_run, sweep

AXES = {"a": np.linspace(0.1, 1.0, 13), "b": np.linspace(0.0, 1.0, 5)}


def wave(a, b):
    return {"wave": jnp.sin(a) * jnp.exp(-b), "pair": jnp.stack([a, b])}


@pytest.fixture(scope="module")
def whole():
    return sweep(wave, **AXES)


@pytest.fixture
def sent(monkeypatch):
    """Two further devices, which are the one there is; in which order blocks are sent and fetched."""
    device = jax.local_devices()[0]
    monkeypatch.setattr(grid_run, "other_devices", lambda: [device, device])
    monkeypatch.setattr(grid_run.Compiler, "seconds_to_compile", lambda *given: 0.0)
    log, send, arrived = [], grid_run.BlockRunner._send, grid_run._arrived
    monkeypatch.setattr(grid_run.BlockRunner, "_send", lambda *given: log.append("sent") or send(*given))
    monkeypatch.setattr(grid_run, "_arrived", lambda piece: log.append("fetched") or arrived(piece))
    return log


@pytest.mark.parametrize("out", [None, "run.zarr"])
def test_three_devices_have_a_block_each(tmp_path, whole, sent, out):
    data = sweep(wave, batch_size=10, out=out and tmp_path / out, **AXES)
    for name in whole.variables:
        np.testing.assert_array_equal(data[name].values, whole[name].values)
    assert data.attrs["block"] == [2, 5]
    # One by one until the others have joined, then three at a time.
    assert sent[:7] == ["sent", "fetched", "sent", "sent", "sent", "fetched", "sent"]
    assert sent.count("sent") == sent.count("fetched") == 7


def test_no_more_devices_than_blocks(sent):
    sweep(wave, batch_size=10, b=AXES["b"], a=AXES["a"][:6])  # a inside b: blocks of one b and six a
    assert sent == ["sent", "fetched", *["sent"] * 3, "fetched", "sent", *["fetched"] * 3]


def test_out_of_memory_on_several_devices(whole, sent, monkeypatch):
    """What was under way is sent again in smaller blocks, what was done is not."""
    true, points = grid_run.execute, []

    def tight(compiled, coordinates):
        points.append(int(np.prod([len(values) for values in coordinates])))
        if points[-1] > 5 and len(points) >= 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte.")
        return true(compiled, coordinates)

    monkeypatch.setattr(grid_run, "execute", tight)
    data = sweep(wave, batch_size=10, **AXES)
    for name in whole.variables:
        np.testing.assert_array_equal(data[name].values, whole[name].values)
    # Six rows are done when the fourth block fails, and two more blocks are under way.
    assert data.attrs["block"] == [1, 5] and points == [10] * 6 + [5] * 7


def library(a, b):
    return {"value": jnp.linalg.eigvalsh(jnp.eye(2) * a)[0] + b}


@pytest.mark.parametrize(
    ("fn", "rows", "most"),
    [(wave, 4, 2), (wave, 1, 1), (library, 4, 1)],
    ids=["two blocks at once", "small blocks", "a library is called"],
)
def test_two_blocks_at_once_on_one_device(tmp_path, monkeypatch, fn, rows, most):
    """The same numbers, and never two calls of a library: on two cores they can wait for each other for ever."""
    axes = {"a": np.linspace(0.1, 1.0, 10 * rows), "b": np.linspace(0.0, 1.0, 400)}
    whole = sweep(fn, batch_size=10**6, **axes)
    monkeypatch.setattr(grid_run, "cores", lambda: 2)
    busy, seen, true = [], [], grid_run.execute

    def execute(*given):
        busy.append(1)
        seen.append(len(busy))
        time.sleep(0.02)
        try:
            return true(*given)
        finally:
            busy.pop()

    monkeypatch.setattr(grid_run, "execute", execute)
    for out in (None, tmp_path / "run.zarr"):
        data = sweep(fn, batch_size=rows * 400, out=out, **axes)
        for name in whole.variables:
            np.testing.assert_array_equal(data[name].values, whole[name].values)
    assert len(seen) == 20 and max(seen) == most


def test_a_thread_does_not_wait_for_the_other(monkeypatch):
    """While the first block is computed, the second thread goes on from the second block to the third."""
    monkeypatch.setattr(grid_run, "cores", lambda: 2)
    begun, third, went_on, true = itertools.count(1), threading.Event(), [], grid_run.execute

    def execute(*given):
        number = next(begun)
        if number == 1:
            went_on.append(third.wait(20))
        elif number == 3:
            third.set()
        return true(*given)

    monkeypatch.setattr(grid_run, "execute", execute)
    sweep(wave, batch_size=1600, a=np.linspace(0.1, 1.0, 16), b=np.linspace(0.0, 1.0, 400))
    assert went_on == [True] and next(begun) == 5


def test_a_large_sweep_in_memory_is_cut_into_blocks():
    axes = {"a": np.linspace(0.1, 1.0, 500), "b": np.linspace(0.0, 1.0, 400)}
    data = sweep(wave, **axes)
    assert data.attrs["block"] == [72, 400]  # seven even parts of at most 2¹⁵ points
    np.testing.assert_allclose(data["wave"], np.sin(axes["a"])[:, None] * np.exp(-axes["b"]), rtol=1e-14)


def test_others_join_when_it_pays():
    compiler = grid_run.compiler_of(lambda a, b: a * b, AXES, "product")  # nobody else's programs
    seconds = compiler.program((2, 5)).seconds
    for left, each, joined in ((7, 0.27 * seconds, False), (7, 0.3 * seconds, True), (1, 1e9, False)):
        runner = grid_run.BlockRunner(compiler, AXES, (2, 5))
        runner.others = [jax.local_devices()[0]]
        runner._let_others_join(each, left)
        assert (len(runner.devices) == 2) == joined, left
        compiler.programs.pop((*compiler.key, (2, 5), jax.local_devices()[0]), None)


def test_a_chosen_device_works_alone(monkeypatch):
    device = jax.local_devices()[0]
    monkeypatch.setattr(jax, "local_devices", lambda: [device, "another"])
    assert grid_run.other_devices() == ["another"]
    with jax.default_device(device):
        assert grid_run.other_devices() == []


PROGRAM = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
from qdbjax.sweeps import grid_run, sweep
jax.config.update("jax_enable_x64", True)
def current(T, flux):
    return jnp.stack([jnp.tanh(flux / T) * jnp.exp(-T), jnp.linalg.eigvalsh(jnp.array([[T, flux], [flux, 1.0]]))[0]])
used, send = [], grid_run.execute
def execute(compiled, coordinates):
    found = send(compiled, coordinates)
    used.append(sorted(device.id for device in found.status.devices()))
    return found
grid_run.execute = execute
grid_run.Compiler.seconds_to_compile = lambda *given: 0.0
axes = dict(T=np.linspace(0.3, 1.0, 7), flux=np.linspace(0.0, 3.0, 13))
data = sweep(current, batch_size=20, out=sys.argv[1], **axes)
print(json.dumps([jax.local_device_count(), used, data["current"].values.tobytes().hex()]))
"""


@pytest.mark.slow
def test_two_devices_give_the_bytes_of_one(tmp_path, monkeypatch):
    told = []
    for devices in (1, 2):
        monkeypatch.setenv("XLA_FLAGS", f"--xla_force_host_platform_device_count={devices}")
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / f"{devices}.zarr")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
    assert [each[0] for each in told] == [1, 2]
    assert {tuple(used) for used in told[0][1]} == {(0,)} and sorted(told[1][1]) == [[0]] * 4 + [[1]] * 3
    assert told[0][2] == told[1][2] and len(told[0][2]) == 2 * 7 * 13 * 2 * 8
