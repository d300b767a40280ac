"""Seconds of each stage of a store, for the rehearsal of a large sweep in docs/scaling.md.

Run `python benchmarks/store_stages.py`; one JSON line per run is appended to benchmarks/results/store_stages.jsonl.
What each number means is in benchmarks/README.md.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from distributed import Client, LocalCluster

import qdbjax as qdb
from qdbjax.sweeps.grid import PointResult
from qdbjax.sweeps.labels import Labels
from qdbjax.sweeps.store import SweepStore, make_template

jax.config.update("jax_enable_x64", True)
BLOCKS, TASKS = 1055, 400


def wave(a, b):
    """Numbers whose last digits look random, as those of a current do: they compress as badly."""
    return jnp.sin(a) * jnp.exp(-b)


def seconds_of(function, *arguments) -> float:
    """One call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def blocks_of(folder: pathlib.Path, rows: int, columns: int, count: int) -> tuple[SweepStore, PointResult]:
    """A store of so many blocks of this shape, empty, and the results of one."""
    shape = jax.ShapeDtypeStruct((rows, columns), jnp.float64)
    outputs = PointResult(("wave",), (None,), (shape,), jax.ShapeDtypeStruct((rows, columns), jnp.int32))
    axes = {"a": np.linspace(0.1, 2.0, rows * count), "b": np.linspace(0.0, 1.0, columns)}
    general = {"configuration": "{}"}
    make_template(folder, axes, outputs, (rows, columns), Labels(), general)
    values = np.asarray(wave(jnp.asarray(axes["a"][:rows, None]), jnp.asarray(axes["b"][None, :])))
    return SweepStore(folder, "r+"), PointResult(("wave",), (None,), (values,), np.zeros((rows, columns), np.int32))


def stages(rows: int, columns: int, rounds: int, folder: pathlib.Path) -> dict[str, float]:
    """Seconds a block to write, to check and to read, and bytes a cell."""
    store, results = blocks_of(folder, rows, columns, rounds)
    regions = store.blocks()
    seconds = {
        "write": statistics.median(seconds_of(store.write, region, results) for region in regions),
        "verify": statistics.median(seconds_of(store.is_sound, region) for region in regions),
        "read": statistics.median(seconds_of(lambda: store.variables["wave"][region]) for region in regions),  # noqa: B023
    }
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    return {**seconds, "cells": rows * columns, "bytes_per_cell": size / (rows * columns * rounds)}


def scan(folder: pathlib.Path) -> dict[str, float]:
    """Seconds to make a store of 1055 blocks, to open it, and to find out which blocks are done when all are."""
    start = time.perf_counter()
    store, results = blocks_of(folder, 1, 32, BLOCKS)
    made = time.perf_counter() - start
    for region in store.blocks():
        store.write(region, results)
    opened = seconds_of(SweepStore, folder, "r+")
    return {"template": made, "open": opened, "scan": seconds_of(lambda: [store.status_of(r) for r in store.blocks()])}


def cluster(folder: pathlib.Path) -> dict[str, float]:
    """Seconds of processor and wall a block that Dask needs beside computing: two workers, small blocks."""
    axes = {"a": np.linspace(0.1, 2.0, TASKS), "b": np.linspace(0.0, 1.0, 32)}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local, Client(local) as client:
        qdb.sweep(wave, out=folder / "first.zarr", batch_size=32, cluster=client, axes=axes)
        wall = seconds_of(lambda: qdb.sweep(wave, out=folder / "c.zarr", batch_size=32, cluster=client, axes=axes))
    alone = seconds_of(lambda: qdb.sweep(wave, out=folder / "one.zarr", batch_size=32, axes=axes))
    return {"seconds_per_block": wall / TASKS, "one_process": alone / TASKS}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        record = {
            "workload": "store_stages",
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "block of 64 workers": stages(30, 31623, options.rounds, folder / "small.zarr"),
            "block of one": stages(176, 31623, options.rounds, folder / "large.zarr"),
            f"{BLOCKS} blocks": scan(folder / "scan.zarr"),
            "cluster": cluster(folder),
            "load": os.getloadavg()[0],
        }
    print(json.dumps(record, indent=1))
    target = pathlib.Path(__file__).parent / "results" / "store_stages.jsonl"
    with target.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
