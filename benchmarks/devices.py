"""A sweep on two devices of one machine against the same on one: two devices that XLA makes of the processor.

Run `python benchmarks/devices.py`; one JSON line per run is appended to benchmarks/results/devices.jsonl. What each
number means is in benchmarks/README.md. All ways must give the same bytes before anything is reported.
"""

import os

# XLA cuts an elementwise program into a task for every core, on one device. Without that pass a device has one thread,
# which makes it what a GPU is: one of several.
FLAGS = "--xla_force_host_platform_device_count=2 --xla_disable_hlo_passes=cpu-parallel-task-assigner"
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


def busy() -> float:
    """Seconds of processor that the whole machine has spent so far."""
    user, nice, system = map(int, pathlib.Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def one_round(ways: dict, axes: dict, rows: int) -> dict[str, float]:
    """Seconds of every way, one after the other, and the share of the machine that others had in the meantime."""
    seconds, start, used, before = {}, time.perf_counter(), time.process_time(), busy()
    for name, way in ways.items():
        begun = time.perf_counter()
        way(axes, rows)
        seconds[name] = time.perf_counter() - begun
    others = busy() - before - (time.process_time() - used)
    return {**seconds, "others": others / (time.perf_counter() - start) / os.cpu_count()}


def main() -> None:
    """Check agreement, time in turn, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=2400, help="points per axis")
    parser.add_argument("--rows", type=int, default=100, help="of a block")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds to wait for rounds with the machine to itself"
    )
    parser.add_argument(
        "--others", type=float, default=0.1, help="share of the machine from which on a round is left out"
    )
    options = parser.parse_args()
    axes = {name: np.linspace(0.1, 2.0, options.points) for name in ("a", "b")}
    ways = {"one": one, "blocks": blocks, "sharded": sharding()}
    answers = [way(axes, options.rows) for way in ways.values()]
    assert all(np.array_equal(answers[0], each) for each in answers), "answers disagree: nothing is reported"
    asleep = {"asleep": lambda *_: time.sleep(0.1)}
    end, quiet, tried = time.monotonic() + options.patience, [], 0
    while len(quiet) < options.rounds and time.monotonic() < end:
        if one_round(asleep, axes, options.rows)["others"] > options.others:
            continue
        tried += 1
        done = one_round(ways, axes, options.rows)
        if done["others"] <= options.others:
            quiet.append(done)
    assert quiet, (
        f"others had more than {options.others:.0%} of the machine in all of {tried} rounds: nothing is reported"
    )
    record = {
        "workload": "devices",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.local_device_count()} devices of one thread",
        "versions": {"jax": jax.__version__},
        "cells": options.points**2,
        "block": [options.rows, options.points],
        "ratios": {way: statistics.median(each["one"] / each[way] for each in quiet) for way in ("blocks", "sharded")},
        "seconds": {way: statistics.median(each[way] for each in quiet) for way in ways},
        "rounds": len(quiet),
        "rounds_tried": tried,
        "others": statistics.median(each["others"] for each in quiet),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(record, indent=1))
    target = pathlib.Path(__file__).parent / "results" / "devices.jsonl"
    with target.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
