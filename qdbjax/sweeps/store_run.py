"""Runs a function over a grid into a store: blocks are written while the next ones are computed."""

import contextlib
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from qdbjax._progress import progress_bar
from qdbjax.sweeps.blocks import Region, block_shape
from qdbjax.sweeps.cluster import Workers, checked_cluster, packed, workers_of
from qdbjax.sweeps.configuration import as_attributes, configuration_of, difference
from qdbjax.sweeps.errors import StoreError
from qdbjax.sweeps.grid import PointResult
from qdbjax.sweeps.grid_run import MAX_FIRST_BLOCK, BlockRunner, Compiler, FlaggedShare, block_that_fits, compiler_of
from qdbjax.sweeps.labels import Labels
from qdbjax.sweeps.lock import locked, remove_leftovers
from qdbjax.sweeps.ranks import share
from qdbjax.sweeps.store import SweepStore, check_names, chunk_points, make_template

WAITING = 2  # blocks that are computed and not yet being written: what memory holds beside the one being computed


@dataclass(frozen=True)
class Destination:
    """Where a sweep is stored, and which part of it this process computes.

    path: of the store.
    resume: go on with a store that is there.
    verify: look at every checksum of it first.
    rank, world: block n is computed where n mod world is rank; processes of world > 1 join a store that is there.
    cluster: Client or address of a Dask cluster whose workers compute, None for this process.
    """

    path: Path
    resume: bool = False
    verify: bool = False
    rank: int = 0
    world: int = 1
    cluster: Any = None


@dataclass(frozen=True)
class StoreRun:
    """What a run has added to a store.

    points: computed by it.
    seconds, compile_seconds: that it took.
    block: grid points of one call along every axis.
    """

    points: int
    seconds: float
    compile_seconds: float
    block: tuple[int, ...]


class Sweep:
    """What is swept: function, axes, name, labels, and grid points of a block (None: as many as are of use)."""

    def __init__(self, fn: Callable, axes: dict[str, np.ndarray], name: str, labels: Labels, batch_size: int | None):
        self.fn, self.axes, self.name, self.labels, self.batch_size = fn, axes, name, labels, batch_size
        self.shape = tuple(len(values) for values in axes.values())
        self.points = math.prod(self.shape)
        self.configuration = configuration_of(fn, axes, self.points, labels.origin)


def run_into_store(sweep: Sweep, to: Destination, general: dict[str, Any], progress: bool | None) -> StoreRun:
    """Compute the blocks that are not in the store yet. general: attributes of a new store."""
    if _is_there(to.path) and not to.resume and to.world == 1:
        raise StoreError(f"{to.path} exists. Give resume=True to go on with it, or another out.")
    compiler = compiler_of(sweep.fn, sweep.axes, sweep.name)
    with contextlib.ExitStack() as stack:
        workers = None
        if to.cluster is not None:
            workers = stack.enter_context(workers_of(to.cluster, packed(sweep.fn, sweep.axes, sweep.name), progress))
            sweep.configuration = {**sweep.configuration, "platform": workers.platform}
            general = {**general, "device": workers.device, **as_attributes(sweep.configuration)}
        with _writable(to.path):
            to.path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(to.path, to.rank, to.world))
            remove_leftovers(to.path)
        if not _is_there(to.path):
            chunk = chunk_shape(sweep, compiler, to.world if workers is None else workers.number)
            outputs = compiler.outputs(chunk)
            check_names(outputs.names)
            labels = sweep.labels.completed(sweep.axes, outputs)
            general = {**general, "block": list(chunk)}
            with _writable(to.path):
                make_template(to.path, sweep.axes, outputs, chunk, labels, general)
        store = SweepStore(to.path, "r+")
        _refuse_other(store, sweep)
        store.remove_partial_files()
        return _fill(store, sweep, to, compiler, progress, workers)


def _is_there(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Say in words where a store cannot be made."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be written to: {error.strerror or error}. Give another out.") from None


def chunk_shape(sweep: Sweep, compiler: Compiler, world: int) -> tuple[int, ...]:
    """A block that every process would choose, whatever memory it has."""
    if sweep.batch_size is not None:
        return _block(sweep, sweep.batch_size)
    points = min(MAX_FIRST_BLOCK, chunk_points(sweep.points, 0, world))
    block = _block(sweep, points)
    total = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(compiler.outputs(block)))
    return _block(sweep, min(points, chunk_points(sweep.points, total // math.prod(block), world)))


def _block(sweep: Sweep, points: int) -> tuple[int, ...]:
    return tuple(max(1, size) for size in block_shape(sweep.shape, points))


def _refuse_other(store: SweepStore, sweep: Sweep) -> None:
    """Raise StoreError if the store belongs to another sweep."""
    found = difference(sweep.configuration, store.configuration)
    if found is None and sweep.batch_size is not None:
        block = _block(sweep, sweep.batch_size)
        if block != store.chunk:
            found = f"a block of batch_size={sweep.batch_size} is {block} here and {store.chunk} there"
    if found is not None:
        raise StoreError(f"{store.path} belongs to another sweep: {found}. Give another out, or remove it.")


def _fill(
    store: SweepStore, sweep: Sweep, to: Destination, compiler: Compiler, progress: bool | None, workers: Workers | None
) -> StoreRun:
    if to.verify:
        labels = sweep.labels.completed(sweep.axes, compiler.outputs(store.chunk))
        store.repair_coordinates({**sweep.axes, **labels.coordinates})
    own = store.blocks()[to.rank :: to.world]
    pending, flagged = [], FlaggedShare()
    for region in own:
        status = store.status_of(region)
        if status is not None and to.verify and not store.is_sound(region):
            store.forget(region)
            status = None
        if status is None:
            pending.append(region)
        else:
            flagged.with_more(status)
    if not pending:
        return StoreRun(0, 0.0, 0.0, store.chunk)
    done, total = flagged.points, sum(_size(region) for region in own)
    _refuse_other_outputs(store, compiler)
    block = store.chunk if workers is not None else block_that_fits(compiler, store.chunk)
    runner, start, before = BlockRunner(compiler, sweep.axes, block), time.perf_counter(), compiler.seconds
    with progress_bar(total, sweep.name, progress, done=done) as report:
        if workers is not None:
            for points, number in workers.compute(store, pending, _left(store)):
                report(points, flagged.with_counts(points, number))
        else:
            with _Writer(store, len(pending)) as writer:
                for region, results in runner.results(pending):
                    writer.put(region, results)
                    report(results.status.size, flagged.with_more(results.status))
    seconds = time.perf_counter() - start - (compiler.seconds - before)
    return StoreRun(total - done, seconds, compiler.seconds, runner.block)


def _left(store: SweepStore) -> Callable[[], str]:
    """What is to be said of the store by a sweep that ends early."""

    def said() -> str:
        blocks = store.blocks()
        return f"{sum(map(store.is_done, blocks))} of {len(blocks)} blocks are in {store.path}"

    return said


def _size(region: Region) -> int:
    return math.prod(part.stop - part.start for part in region)


def _refuse_other_outputs(store: SweepStore, compiler: Compiler) -> None:
    """Raise StoreError if the function returns something else than the store holds: the description missed it."""
    outputs = compiler.outputs(store.chunk)
    here = {
        name: f"{leaf.dtype} {(*store.shape, *leaf.shape[len(store.shape) :])}"
        for name, leaf in zip(outputs.names, outputs.values, strict=True)
    }
    found = difference(here, {name: f"{array.dtype} {array.shape}" for name, array in store.variables.items()})
    if found is not None:
        raise StoreError(f"{store.path} belongs to another sweep: {found}. Give another out, or remove it.")


class _Writer:
    """A thread that writes blocks in the order in which they are put; what it fails with is raised by the next call.

    store: where to.
    blocks: number of blocks to write.
    """

    def __init__(self, store: SweepStore, blocks: int):
        self.store, self.blocks, self.written = store, blocks, 0
        self.waiting: queue.Queue = queue.Queue(WAITING)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while (block := self.waiting.get()) is not None:
            try:
                self.store.write(*block)
                self.written += 1
            except BaseException as error:
                self.failure = error

    def put(self, region: Region, results: PointResult) -> None:
        """Wait for room, and leave a block to the thread."""
        self._raise()
        self.waiting.put((region, results))

    def _raise(self) -> None:
        error = self.failure
        if isinstance(error, OSError):
            path = self.store.path
            raise OSError(
                error.errno,
                f"{error.strerror or error} in {path}; {self.written} of {self.blocks} blocks of this run are finished "
                "and can be read. Make room, and resume it",
            ) from error
        if error is not None:
            raise error

    def __enter__(self) -> "_Writer":
        self.thread.start()
        return self

    def __exit__(self, kind, *_) -> None:
        """Write what is computed, whatever ends the run, and raise what the thread has met."""
        self.waiting.put(None)
        self.thread.join()
        if kind is None:
            self._raise()


def destination(
    out: Any, resume: bool, verify: bool, rank: int | str | None, world: int | None, cluster: Any
) -> Destination:
    """The arguments of a sweep, checked. Raises TypeError or ValueError for what is none."""
    if cluster is None:
        return Destination(_checked_path(out), resume, verify, *share(rank, world))
    if rank is not None or world is not None:
        raise ValueError("rank and world share a store among processes without a cluster. Leave them out, or cluster.")
    return Destination(_checked_path(out), resume, verify, cluster=checked_cluster(cluster))


def _checked_path(out: Any) -> Path:
    """The path of a store. Raises for what is none."""
    if not isinstance(out, str | os.PathLike):
        raise TypeError(f"out must be a path, as in out='run.zarr'; got {out!r}.")
    if "://" in os.fspath(out):
        raise ValueError(f"out must be a folder of a file system; got {out!r}.")
    return Path(out).absolute()
