"""A sweep of ten million cells of W1 into a store, against bare jitted calls: seconds, loss, peak memory.

Run `python benchmarks/sweep_store.py`; one JSON line per run is appended to benchmarks/results/sweep_store.jsonl. What
each number means is in benchmarks/README.md. The store must hold the bare call's numbers before anything is reported.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)


def heat_and_status(t_hot, flux):
    """Heat current from the hot bath, as in w1_ring_sweep.py, and the flags that a store keeps beside it."""
    system = qdb.models.three_dot_ring(0.5, flux)
    hot = qdb.Bath(qdb.site(0, 3), qdb.Ohmic(0.01, 10.0), temperature=t_hot, name="hot")
    cold = qdb.Bath(qdb.site(1, 3), qdb.Ohmic(0.01, 10.0), temperature=0.2, name="cold")
    generator = qdb.davies(system, [hot, cold])
    steady = qdb.steady_state(generator)
    return qdb.heat_currents(generator, steady)[0], steady.status


def heat_ring(t_hot, flux):
    """The current alone; a program that returns no flags does not compute them."""
    return heat_and_status(t_hot, flux)[0]


def axes(points: int) -> dict[str, np.ndarray]:
    """Temperature and flux."""
    return {"t_hot": np.linspace(0.2, 2.0, points), "flux": np.linspace(0.0, 3.0, points)}


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def stored(points: int, folder: str):
    """One sweep into a new store, and its seconds.

    Stores of earlier rounds stay until the end: after many files were deleted Linux looks longer for the inode of every
    new one (ext4 does not take one again for minutes), which was a tenth of the processor time measured here.
    """
    out = pathlib.Path(tempfile.mkdtemp(dir=folder), "run.zarr")
    start = time.perf_counter()
    data = qdb.sweep(heat_ring, out=out, **axes(points))
    return data, time.perf_counter() - start


def memory_of(mode: str, points: int) -> dict[str, float]:
    """Peak memory and seconds, with compilation, of a process that does one thing."""
    command = [sys.executable, __file__, "--points", str(points), "--mode", mode]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def alone(mode: str, points: int) -> None:
    """What such a process does."""
    before, start = peak_gib(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if mode == "store":
            stored(points, folder)
        else:
            jax.block_until_ready(bare(heat_and_status, points)[0](*map(jnp.asarray, axes(points).values())))
    print(json.dumps({"imports_gib": before, "peak_gib": peak_gib(), "seconds": time.perf_counter() - start}))


def bare(function, points: int):
    """The jitted function over the whole grid, compiled, and the seconds that took."""
    arguments = [jnp.asarray(each) for each in axes(points).values()]
    over_grid = jax.vmap(jax.vmap(function, in_axes=(None, 0)), in_axes=(0, None))
    start = time.perf_counter()
    return jax.jit(over_grid).lower(*arguments).compile(), time.perf_counter() - start


def loss(samples: dict[str, list[float]], name: str) -> float:
    """By how much the store takes longer than a bare call of the same round, the median."""
    return statistics.median(b / a - 1 for a, b in zip(samples[name], samples["store"], strict=True))


def main() -> None:
    """Check agreement, time in turn, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=3163, help="points per axis")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=["store", "bare"])
    options = parser.parse_args()
    if options.mode:
        alone(options.mode, options.points)
        return
    memory = {mode: memory_of(mode, options.points) for mode in ("store", "bare")}
    program, compile_seconds = bare(heat_and_status, options.points)
    calls = {"bare": program, "bare, no flags": bare(heat_ring, options.points)[0]}
    arguments = [jnp.asarray(each) for each in axes(options.points).values()]
    samples: dict[str, list[float]] = {name: [] for name in (*calls, "store")}
    processor: dict[str, list[float]] = {name: [] for name in samples}
    with tempfile.TemporaryDirectory() as folder:
        data, _ = stored(options.points, folder)
        ours, (theirs, flags) = data["heat_ring"].values, jax.device_get(program(*arguments))
        assert np.array_equal(data["status"].values, flags), "flags disagree: nothing is reported"
        difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        assert difference < 1e-12, "answers disagree: nothing is reported"
        del ours, theirs, flags
        for _ in range(options.rounds):
            for name, call in calls.items():
                start, used = time.perf_counter(), time.process_time()
                jax.block_until_ready(call(*arguments))
                samples[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - used)
            used = time.process_time()
            data, spent = stored(options.points, folder)
            samples["store"].append(spent)
            processor["store"].append(time.process_time() - used)
        written = [each.stat().st_size for each in pathlib.Path(folder).rglob("*") if each.is_file()]
    median = {name: statistics.median(values) for name, values in samples.items()}
    record = {
        "workload": "sweep_store",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}",
        "versions": {"jax": jax.__version__},
        "flags": os.environ.get("XLA_FLAGS", ""),
        "cells": options.points**2,
        "block": list(map(int, data.attrs["block"])),
        "seconds": median,
        "least_seconds": {name: min(values) for name, values in samples.items()},
        "processor_seconds": {name: statistics.median(values) for name, values in processor.items()},
        "loss": {name: loss(samples, name) for name in calls},
        "loss_in_processor_time": {name: loss(processor, name) for name in calls},
        "bytes_on_disk": sum(written) // (options.rounds + 1),
        "compile_seconds": compile_seconds,
        "memory": memory,
        "agreement": difference,
        "load": os.getloadavg()[0],
    }
    print(json.dumps(record, indent=1))
    target = pathlib.Path(__file__).parent / "results" / "sweep_store.jsonl"
    with target.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
