"""A sweep on two devices of one machine against the same on one: two devices that XLA makes of the processor.

Run `python benchmarks/devices.py`; one JSON line per run is appended to benchmarks/results/devices.jsonl. What each
number means is in benchmarks/README.md. All ways must give the same bytes before anything is reported.
"""

import os

# A CPU device of XLA uses all cores by itself. One thread a device makes it what a GPU is: one of several.
FLAGS = "--xla_force_host_platform_device_count=2 --xla_cpu_multi_thread_eigen=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}"

import argparse
import json
import pathlib
import platform
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)


def wave(a, b):
    """Sines and exponentials: elementwise, as populations of a ring are."""
    x = a
    for n in range(8):
        x = jnp.sin(x * b + n) + jnp.exp(-x * x)
    return x


def one(axes, rows):
    """The sweep on the first device alone."""
    with jax.default_device(jax.local_devices()[0]):
        return qdb.sweep(wave, axes=axes, batch_size=rows * len(axes["b"]))["wave"].values


def blocks(axes, rows):
    """The sweep as it is: a block on each device."""
    return qdb.sweep(wave, axes=axes, batch_size=rows * len(axes["b"]))["wave"].values


def sharding():
    """The other way, as a function like these: one call for a block of each device, cut along the first axis."""
    mesh = jax.make_mesh((jax.local_device_count(),), ("device",), axis_types=(AxisType.Auto,))
    along, everywhere = PartitionSpec("device"), PartitionSpec()
    over_grid = jax.vmap(jax.vmap(wave, in_axes=(None, 0)), in_axes=(0, None))
    mapped = jax.shard_map(over_grid, mesh=mesh, in_specs=(along, everywhere), out_specs=along)
    program = jax.jit(mapped)

    def sharded(axes, rows):
        a, together = axes["a"], rows * mesh.size
        inner = jax.device_put(axes["b"], NamedSharding(mesh, everywhere))
        found = np.empty((len(a), len(axes["b"])))
        for start in range(0, len(a), together):
            outer = jax.device_put(a[start : start + together], NamedSharding(mesh, along))
            found[start : start + together] = jax.device_get(program(outer, inner))
        return found

    return sharded


def main() -> None:
    """Check agreement, time in turn, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=3200, help="points per axis")
    parser.add_argument("--rows", type=int, default=100, help="of a block")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    axes = {name: np.linspace(0.1, 2.0, options.points) for name in ("a", "b")}
    ways = {"one": one, "blocks": blocks, "sharded": sharding()}
    answers = [way(axes, options.rows) for way in ways.values()]
    assert all(np.array_equal(answers[0], each) for each in answers), "answers disagree: nothing is reported"
    samples: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start, used = time.perf_counter(), time.process_time()
            way(axes, options.rows)
            samples[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - used)
    ratios = {
        name: statistics.median(a / b for a, b in zip(samples["one"], samples[name], strict=True))
        for name in ("blocks", "sharded")
    }
    record = {
        "workload": "devices",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.local_device_count()} devices of one thread",
        "versions": {"jax": jax.__version__},
        "cells": options.points**2,
        "block": [options.rows, options.points],
        "ratios": ratios,
        "seconds": {name: statistics.median(values) for name, values in samples.items()},
        "least_seconds": {name: min(values) for name, values in samples.items()},
        "processor_seconds": {name: statistics.median(values) for name, values in processor.items()},
        "load": os.getloadavg()[0],
    }
    print(json.dumps(record, indent=1))
    target = pathlib.Path(__file__).parent / "results" / "devices.jsonl"
    with target.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
