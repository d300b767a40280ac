"""Runs a function over a grid block by block: compiles once per block shape, halves blocks where memory runs out."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import numpy as np

from qdbjax._progress import ReportProgress
from qdbjax.compilation.deadlock import warn_if_exposed
from qdbjax.compilation.programs import programs_of
from qdbjax.compilation.tiers import LARGE, compiler_options, unfolded_options
from qdbjax.sweeps import memory
from qdbjax.sweeps.blocks import Region, block_shape, pad_part, split_region
from qdbjax.sweeps.grid import PointResult, map_over_grid, point_function, without_jit

MAX_FIRST_BLOCK = 2**22  # grid points; a larger grid is first compiled for a block of this size


@dataclass(frozen=True)
class Program:
    """A program compiled for one block.

    outputs: shapes and types of its results, axes of the block first.
    bytes_per_point: of these results.
    bytes_needed: for one run.
    """

    compiled: jax.stages.Compiled
    outputs: PointResult
    bytes_per_point: int
    bytes_needed: int


@dataclass(frozen=True)
class GridResults:
    """Variables over the whole grid as NumPy arrays, what is known of them, and how long they took."""

    outputs: PointResult
    values: tuple[np.ndarray, ...]
    status: np.ndarray
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
        settings = (jax.config.jax_enable_x64, jax.config.jax_default_device, jax.default_backend())
        self.key = (mapped.__name__, names, name, dtypes, *settings, *self.options.items())

    def program(self, block: tuple[int, ...]) -> Program:
        """The program for blocks of this shape."""
        key = (*self.key, block)
        if key not in self.programs:
            start, before = time.perf_counter(), self.seconds
            self.programs[key] = self._compile(block)
            self.seconds = before + time.perf_counter() - start
        return self.programs[key]

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
        program = self.programs.get((*self.key, block))
        return self._traced(block).out_info if program is None else program.outputs

    def _compile(self, block: tuple[int, ...]) -> Program:
        traced = self._traced(block)
        lowered = traced.lower()
        warn_if_exposed(lowered.as_text())
        has_large_constants = any(np.size(constant) >= LARGE for constant in traced.jaxpr.consts)
        compiled = lowered.compile(compiler_options=self.options | unfolded_options(has_large_constants) or None)
        points = math.prod(block)
        total = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(traced.out_info))
        return Program(
            compiled, traced.out_info, total // points, memory.bytes_needed(compiled, points, total // points)
        )


class BlockRunner:
    """Computes regions of a grid, block by block; where memory runs out the block is halved from then on.

    axes: the coordinates of the whole grid.
    block: grid points of a block along every axis.
    """

    def __init__(self, compiler: Compiler, axes: dict[str, np.ndarray], block: tuple[int, ...]):
        self.compiler, self.axes, self.block = compiler, axes, block

    def results(self, region: Region) -> Iterator[tuple[Region, PointResult]]:
        """The parts of a region with their results as NumPy arrays, one by one."""
        regions = list(split_region(region, self.block))
        while regions:
            part = regions[0]
            try:
                found = self._computed(part)
            except (jax.errors.JaxRuntimeError, MemoryError) as error:
                if not memory.is_out_of_memory(error) or math.prod(self.block) == 1:
                    raise
                self.block = block_shape(self.block, math.prod(self.block) // 2)
                regions = [piece for part in regions for piece in split_region(part, self.block)]
                continue
            regions.pop(0)
            yield part, found

    def _computed(self, region: Region) -> PointResult:
        program = self.compiler.program(self.block)
        coordinates = [
            jax.numpy.asarray(pad_part(values, part, size))
            for values, part, size in zip(self.axes.values(), region, self.block, strict=True)
        ]
        unpadded = tuple(slice(0, part.stop - part.start) for part in region)
        results = jax.device_get(execute(program.compiled, coordinates))
        return jax.tree.map(lambda values: values[unpadded], results)


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
    block = block_shape(shape, MAX_FIRST_BLOCK) if batch_size is None else block_shape(shape, batch_size)
    if batch_size is None:
        block = block_that_fits(compiler, block)
    program = compiler.program(block)
    check(program.outputs)
    _refuse_too_large(program, math.prod(shape))
    arrays = _allocate(program.outputs, shape)
    start, before = time.perf_counter(), compiler.seconds
    runner, flagged = BlockRunner(compiler, axes, block), FlaggedShare()
    for region, results in runner.results(tuple(slice(0, size) for size in shape)):
        for array, values in zip(jax.tree.leaves(arrays), jax.tree.leaves(results), strict=True):
            array[region] = values
        report_progress(results.status.size, flagged.with_more(results.status))
    seconds = time.perf_counter() - start - (compiler.seconds - before)
    return GridResults(program.outputs, arrays.values, arrays.status, seconds, compiler.seconds, runner.block)


def compiler_of(fn: Callable, axes: dict[str, np.ndarray], name: str) -> Compiler:
    """A compiler of blocks of the grid that these axes span."""
    dtypes = tuple(values.dtype for values in axes.values())
    return Compiler(fn, tuple(axes), name, dtypes, math.prod(len(values) for values in axes.values()))


def block_that_fits(compiler: Compiler, block: tuple[int, ...]) -> tuple[int, ...]:
    """This block, or a smaller one that needs no more than a quarter of the free memory."""
    budget = int(memory.bytes_free() * memory.BLOCK_FRACTION)
    program = compiler.program(block)
    if program.bytes_needed <= budget:
        return block
    return block_shape(block, max(1, math.prod(block) * budget // program.bytes_needed))


class FlaggedShare:
    """The share of grid points whose flags are not 0, as it goes."""

    def __init__(self):
        self.flagged = self.points = 0

    def with_more(self, status: np.ndarray) -> str:
        """What to say of the share when these points have joined."""
        self.flagged += int(np.count_nonzero(status))
        self.points += status.size
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
