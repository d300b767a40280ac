"""Runs a function over a grid block by block: several at once where that pays, in smaller ones if memory runs out."""

import collections
import concurrent.futures
import contextlib
import functools as ft
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np

from qdbjax._checks import setting
from qdbjax._progress import ReportProgress
from qdbjax._types import AnyArray
from qdbjax.compilation.deadlock import calls_library, cores, warn_if_exposed
from qdbjax.compilation.programs import programs_of
from qdbjax.compilation.tiers import LARGE, compiler_options, default_platform, unfolded_options
from qdbjax.sweeps import memory
from qdbjax.sweeps.blocks import Region, block_shape, pad_part, split_region
from qdbjax.sweeps.grid import PointResult, map_over_grid, point_function, without_jit

MAX_FIRST_BLOCK = 2**22  # grid points; a larger grid is first compiled for a block of this size
# Points of a block of a CPU that nothing else decides. What a program needs at once should stay below 32 MB: malloc
# gives more back to the kernel, and gets it page by page in every call. With 2¹⁷ points an arbitrary 3 x 3 took 0.59 µs
# a cell for 0.36, its gradient 3.5 for 2.9, that of the ring 1.48 for 1.04; four levels took as long, and the
# ring, whose 10⁶ cells took 0.19 s for 0.28 on a quieter machine.
MAX_CPU_BLOCK = 2**15
AT_ONCE = 2  # blocks that a CPU may compute at a time
SMALLEST_AT_ONCE = 1024  # points of a block from which on it does

Device: TypeAlias = Any  # jax.Device, which is a variable to type checkers


@dataclass(frozen=True)
class Program:
    """A program compiled for one block.

    outputs: shapes and types of its results, axes of the block first.
    bytes_per_point: of these results.
    bytes_needed: for one run.
    seconds: that it took to compile.
    at_once: how many blocks its device may compute at a time.
    """

    compiled: jax.stages.Compiled
    outputs: PointResult
    bytes_per_point: int
    bytes_needed: int
    seconds: float
    at_once: int


@dataclass(frozen=True)
class GridResults:
    """Variables over the whole grid as NumPy arrays, what is known of them, and how long they took."""

    outputs: PointResult
    values: tuple[AnyArray, ...]
    status: AnyArray
    seconds: float
    compile_seconds: float
    block: tuple[int, ...]


class Compiler:
    """Compiles blocks of one function, caches the programs, and adds up the seconds.

    mapped: makes of the function at a point that of a block, like `map_over_grid`.
    """

    def __init__(
        self,
        fn: Callable,
        names: tuple[str, ...],
        name: str,
        dtypes: tuple,
        points: int,
        mapped: Callable = map_over_grid,
    ):
        fn = without_jit(fn)
        self.options = compiler_options(points)
        self.grid_function = mapped(point_function(fn, names, name), len(names))
        self.dtypes = dtypes
        self.seconds = 0.0
        self.traces: dict[tuple[int, ...], jax.stages.Traced] = {}
        self.programs = programs_of(fn)
        settings = (setting("jax_enable_x64"), setting("jax_default_device"), jax.default_backend())
        self.key = (mapped.__name__, names, name, dtypes, *settings, *self.options.items())

    def program(self, block: tuple[int, ...], device: Device | None = None) -> Program:
        """The program for blocks of this shape; device: where it runs, None for JAX's own choice."""
        key = (*self.key, block, device)
        if key not in self.programs:
            self.compile(block, [device])
        return self.programs[key]

    def compile(self, block: tuple[int, ...], devices: Sequence[Device | None]) -> None:
        """Make the programs of several devices that are not there yet, at the same time."""
        missing = [device for device in devices if (*self.key, block, device) not in self.programs]
        if not missing:
            return
        start, before = time.perf_counter(), self.seconds
        lowered = [self._lowered(block, device) for device in missing]
        text = lowered[0].as_text()
        warn_if_exposed(text)
        options = self.options | unfolded_options(self._has_large_constants(block)) or None
        compile_one = ft.partial(jax.stages.Lowered.compile, compiler_options=options)
        if len(missing) == 1:
            compiled = [compile_one(lowered[0])]
        else:
            with concurrent.futures.ThreadPoolExecutor(len(missing)) as pool:
                compiled = list(pool.map(compile_one, lowered))
        seconds = time.perf_counter() - start
        for device, each in zip(missing, compiled, strict=True):
            at_once = blocks_at_once(text, math.prod(block), device)
            self.programs[*self.key, block, device] = self._described(block, each, seconds, at_once)
        self.seconds = before + seconds

    def _traced(self, block: tuple[int, ...]) -> jax.stages.Traced:
        if block not in self.traces:
            shapes = [jax.ShapeDtypeStruct((size,), dtype) for size, dtype in zip(block, self.dtypes, strict=True)]
            start = time.perf_counter()
            self.traces[block] = jax.jit(self.grid_function).trace(*shapes)
            self.seconds += time.perf_counter() - start
        return self.traces[block]

    def lowered(self, block: tuple[int, ...]) -> jax.stages.Lowered:
        """The program for blocks of this shape before XLA."""
        return self._traced(block).lower()

    def outputs(self, block: tuple[int, ...]) -> PointResult:
        """Shapes and types of the results of a block, without compiling."""
        program = self.programs.get((*self.key, block, None))
        return self._traced(block).out_info if program is None else program.outputs

    def seconds_to_compile(self, block: tuple[int, ...], devices: Sequence[Device | None]) -> float:
        """What `compile` will take for these devices, going by the first one of them."""
        is_there = all((*self.key, block, device) in self.programs for device in devices)
        return 0.0 if is_there else self.program(block, devices[0]).seconds

    def _lowered(self, block: tuple[int, ...], device: Device | None) -> jax.stages.Lowered:
        with contextlib.nullcontext() if device is None else jax.default_device(device):
            return self._traced(block).lower()

    def _has_large_constants(self, block: tuple[int, ...]) -> bool:
        return any(np.size(constant) >= LARGE for constant in self._traced(block).jaxpr.consts)

    def _described(
        self, block: tuple[int, ...], compiled: jax.stages.Compiled, seconds: float, at_once: int
    ) -> Program:
        points, outputs = math.prod(block), self._traced(block).out_info
        each = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(outputs)) // points
        return Program(compiled, outputs, each, memory.bytes_needed(compiled, points, each), seconds, at_once)


@dataclass
class _Piece:
    """A part of a region that is one call, and its results as NumPy arrays once they are under way."""

    region: int
    part: Region
    results: concurrent.futures.Future | None = None


class BlockRunner:
    """Computes regions of a grid; where memory runs out the block is halved from then on.

    JAX's default device begins. The other ones of the machine join, each with a block at a time, as soon as they save
    more time than it takes to compile for them. Every device runs the same program: the numbers are the same.

    axes: the coordinates of the whole grid.
    block: grid points of a block along every axis.
    """

    def __init__(self, compiler: Compiler, axes: dict[str, np.ndarray], block: tuple[int, ...]):
        self.compiler, self.axes, self.block = compiler, axes, block
        self.devices: list[Device | None] = [None]
        self.others = other_devices()
        self.calls = 0

    def results(self, regions: Sequence[Region]) -> Iterator[tuple[Region, PointResult]]:
        """The regions in their order with their results as NumPy arrays, one by one."""
        waiting = collections.deque(self._pieces(enumerate(regions)))
        flying: collections.deque[_Piece] = collections.deque()
        whole = None
        threads = AT_ONCE + len(self.others)
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            while waiting or flying:
                start = time.perf_counter() - self.compiler.seconds
                try:
                    while waiting and len(flying) < self._sent_at_once(threads):
                        waiting[0].results = self._send(waiting[0].part, pool)
                        flying.append(waiting.popleft())
                    found = _arrived(flying[0])
                except (jax.errors.JaxRuntimeError, MemoryError) as error:
                    if not memory.is_out_of_memory(error) or math.prod(self.block) == 1:
                        raise
                    self.block = block_shape(self.block, math.prod(self.block) // 2)
                    again = (*flying, *waiting)
                    concurrent.futures.wait([each.results for each in flying if each.results is not None])
                    waiting = collections.deque(self._pieces((each.region, each.part) for each in again))
                    flying.clear()
                    continue
                done = flying.popleft()
                region, done.results = regions[done.region], None  # their memory serves the next block
                if self.others:
                    self._let_others_join(time.perf_counter() - self.compiler.seconds - start, len(waiting))
                whole = _joined(whole, region, done.part, found)
                del found
                following = next(itertools.chain(flying, waiting), None)
                if following is None or following.region != done.region:
                    yield region, whole
                    whole = None

    def _pieces(self, regions: Iterable[tuple[int, Region]]) -> Iterator[_Piece]:
        for number, region in regions:
            yield from (_Piece(number, part) for part in split_region(region, self.block))

    def _sent_at_once(self, threads: int) -> int:
        """How many blocks may be under way, and one more to go on with where that is every thread there is.

        Without that one, 10⁷ cells of W1 took 2.72 s for 2.55: a thread that was faster than the other waited for it.
        """
        if len(self.devices) > 1:
            return len(self.devices)
        at_once = self.compiler.program(self.block, self.devices[0]).at_once
        return at_once + 1 if at_once == threads else at_once

    def _send(self, part: Region, pool: concurrent.futures.Executor) -> concurrent.futures.Future:
        """The results of a part, padded to the size of a block, to be computed on the next device."""
        device = self.devices[self.calls % len(self.devices)]
        program = self.compiler.program(self.block, device)
        self.calls += 1
        coordinates = [
            pad_part(values, piece, size)
            for values, piece, size in zip(self.axes.values(), part, self.block, strict=True)
        ]
        if device is None:  # device_put takes longer
            arrays = [jax.numpy.asarray(values) for values in coordinates]
        else:
            arrays = jax.device_put(coordinates, device)
        # A thread for each: JAX computes on a CPU what one thread asks for one after the other.
        return pool.submit(_fetched, program.compiled, arrays, setting("jax_debug_nans"))

    def _let_others_join(self, seconds: float, left: int) -> None:
        """seconds: that a block took on one device; left: number of blocks that are still to be computed."""
        devices = [None, *self.others[: max(0, left - 1)]]
        if left * seconds * (1 - 1 / len(devices)) > self.compiler.seconds_to_compile(self.block, devices):
            self.compiler.compile(self.block, devices)
            self.devices, self.others = devices, []


def blocks_at_once(program: str, points: int, device: Device | None) -> int:
    """How many blocks of a program (its text) a device may compute at a time.

    On a CPU two: a masked evaluation keeps one core busy, and the other one works on the second block meanwhile. 10⁷
    cells of W1 took 3.4 s one by one and 2.5 s two by two; three gained no more. Not where the program calls a library,
    which can deadlock if it is called twice at once (`compilation.deadlock`), nor where a block is so small that it
    takes no longer than to hand it over.
    """
    platform = default_platform() if device is None else device.platform
    several = platform == "cpu" and cores() > 1 and points >= SMALLEST_AT_ONCE and not calls_library(program)
    return AT_ONCE if several else 1


def _fetched(compiled: jax.stages.Compiled, coordinates: list, debug_nans: bool) -> PointResult:
    with jax.debug_nans(debug_nans):  # as in the caller's thread
        return jax.device_get(execute(compiled, coordinates))


def _arrived(piece: _Piece) -> PointResult:
    assert piece.results is not None
    return piece.results.result()


def other_devices() -> list[Device]:
    """The devices of this process beside JAX's default one; none where the user has chosen that one."""
    return [] if setting("jax_default_device") is not None else jax.local_devices()[1:]


def _joined(whole: PointResult | None, region: Region, part: Region, found: PointResult) -> PointResult:
    """The results of a region to which those of a part (padded) have been added."""
    unpadded = tuple(slice(0, piece.stop - piece.start) for piece in part)
    found = jax.tree.map(lambda values: values[unpadded], found)
    if part == region:
        return found
    if whole is None:
        size = tuple(piece.stop - piece.start for piece in region)
        whole = jax.tree.map(lambda leaf: np.empty(size + leaf.shape[len(size) :], leaf.dtype), found)
    assert whole is not None
    place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, region, strict=True))
    for array, values in zip(jax.tree.leaves(whole), jax.tree.leaves(found), strict=True):
        array[place] = values
    return whole


def run_over_grid(
    fn: Callable,
    axes: dict[str, np.ndarray],
    name: str,
    batch_size: int | None,
    report_progress: ReportProgress,
    check: Callable[[PointResult], object] = lambda _: None,
) -> GridResults:
    """fn over the product of the axes.

    check: of names, shapes and types of the outputs, before anything is computed.
    """
    shape = tuple(len(values) for values in axes.values())
    compiler = compiler_of(fn, axes, name)
    if 0 in shape:
        outputs = compiler.outputs(tuple(1 for _ in shape))
        check(outputs)
        arrays = _allocate(outputs, shape)
        return GridResults(outputs, arrays.values, arrays.status, 0.0, 0.0, shape)
    if batch_size is None:
        most = MAX_CPU_BLOCK if default_platform() == "cpu" else MAX_FIRST_BLOCK
        block = block_that_fits(compiler, block_shape(shape, most))
    else:
        block = block_shape(shape, batch_size)
    program = compiler.program(block)
    check(program.outputs)
    _refuse_too_large(program, math.prod(shape))
    arrays = _allocate(program.outputs, shape)
    start, before = time.perf_counter(), compiler.seconds
    runner, flagged = BlockRunner(compiler, axes, block), FlaggedShare()
    for region, results in runner.results(list(split_region(tuple(slice(0, size) for size in shape), block))):
        for array, values in zip(jax.tree.leaves(arrays), jax.tree.leaves(results), strict=True):
            array[region] = values
        report_progress(results.status.size, flagged.with_more(results.status))
    seconds = time.perf_counter() - start - (compiler.seconds - before)
    return GridResults(program.outputs, arrays.values, arrays.status, seconds, compiler.seconds, runner.block)


def compiler_of(fn: Callable, axes: dict[str, np.ndarray], name: str) -> Compiler:
    """A compiler of blocks of the grid that these axes span."""
    dtypes = tuple(values.dtype for values in axes.values())
    return Compiler(fn, tuple(axes), name, dtypes, math.prod(len(values) for values in axes.values()))


def block_that_fits(compiler: Compiler, block: tuple[int, ...], limit: int | None = None) -> tuple[int, ...]:
    """This block, or a smaller one that needs no more than a quarter of the free memory.

    limit: bytes that this process may have of the machine's memory, None for all.
    """
    free, program = memory.bytes_free(), compiler.program(block)
    sharing = program.at_once
    if jax.default_backend() == "cpu":  # whose devices share it
        free, sharing = min(free, limit or free), max(sharing, 1 + len(other_devices()))
    budget = int(free * memory.BLOCK_FRACTION) // sharing
    if program.bytes_needed <= budget:
        return block
    return block_shape(block, max(1, math.prod(block) * budget // program.bytes_needed))


class FlaggedShare:
    """The share of grid points whose flags are not 0, as it goes."""

    def __init__(self):
        self.flagged = self.points = 0

    def with_more(self, status: AnyArray) -> str:
        """What to say of the share when these points have joined."""
        return self.with_counts(status.size, int(np.count_nonzero(status)))

    def with_counts(self, points: int, flagged: int) -> str:
        """The same, of so many points."""
        self.flagged += flagged
        self.points += points
        return f"{100 * self.flagged / self.points:.3g}% flagged" if self.flagged else "none flagged"


def _refuse_too_large(program: Program, points: int) -> None:
    total, free = program.bytes_per_point * points, memory.bytes_free()
    if total > free:
        raise MemoryError(
            f"the results of {points} points take {total / 2**30:.3g} GiB and {free / 2**30:.3g} GiB are free. "
            "Return fewer variables, or sweep part of the grid at a time."
        )


def _allocate(outputs: PointResult, shape: tuple[int, ...]) -> PointResult:
    return jax.tree.map(lambda leaf: np.empty((*shape, *leaf.shape[len(shape) :]), leaf.dtype), outputs)


def execute(compiled: jax.stages.Compiled, coordinates: list) -> PointResult:
    """One block on the device; the only place where a sweep can run out of device memory."""
    return compiled(*coordinates)
