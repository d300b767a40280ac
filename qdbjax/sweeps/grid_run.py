"""Runs a function over a grid block by block: compiles once per block shape, halves blocks where memory runs out."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

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
    """Variables over the whole grid as NumPy arrays, and how long they took."""

    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    status: np.ndarray
    seconds: float
    compile_seconds: float
    block: tuple[int, ...]


class Compiler:
    """Compiles blocks of one function, caches the programs, and adds up the seconds."""

    def __init__(self, fn: Callable, names: tuple[str, ...], name: str, dtypes: tuple, points: int):
        fn = without_jit(fn)
        self.options = compiler_options(points)
        self.grid_function = map_over_grid(point_function(fn, names, name), len(names))
        self.dtypes = dtypes
        self.seconds = 0.0
        self.programs = programs_of(fn)
        settings = (jax.config.jax_enable_x64, jax.config.jax_default_device, jax.default_backend())
        self.key = (names, name, dtypes, *settings, *self.options.items())

    def program(self, block: tuple[int, ...]) -> Program:
        """The program for blocks of this shape."""
        key = (*self.key, block)
        if key not in self.programs:
            start = time.perf_counter()
            self.programs[key] = self._compile(block)
            self.seconds += time.perf_counter() - start
        return self.programs[key]

    def _trace(self, block: tuple[int, ...]) -> jax.stages.Traced:
        shapes = [jax.ShapeDtypeStruct((size,), dtype) for size, dtype in zip(block, self.dtypes, strict=True)]
        return jax.jit(self.grid_function).trace(*shapes)

    def outputs(self, block: tuple[int, ...]) -> PointResult:
        """Shapes and types of the results of a block, without compiling."""
        return self._trace(block).out_info

    def _compile(self, block: tuple[int, ...]) -> Program:
        traced = self._trace(block)
        lowered = traced.lower()
        warn_if_exposed(lowered.as_text())
        has_large_constants = any(np.size(constant) >= LARGE for constant in traced.jaxpr.consts)
        compiled = lowered.compile(compiler_options=self.options | unfolded_options(has_large_constants) or None)
        points = math.prod(block)
        total = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(traced.out_info))
        return Program(
            compiled, traced.out_info, total // points, memory.bytes_needed(compiled, points, total // points)
        )


def run_over_grid(
    fn: Callable,
    axes: dict[str, np.ndarray],
    name: str,
    batch_size: int | None,
    report_progress: Callable[[int], None],
) -> GridResults:
    """fn over the product of the axes. Where memory runs out the block is halved and the sweep goes on."""
    shape = tuple(len(values) for values in axes.values())
    dtypes = tuple(values.dtype for values in axes.values())
    compiler = Compiler(fn, tuple(axes), name, dtypes, math.prod(shape))
    if 0 in shape:
        outputs = compiler.outputs(tuple(1 for _ in shape))
        arrays = _allocate(outputs, shape)
        return GridResults(outputs.names, arrays.values, arrays.status, 0.0, 0.0, shape)
    block = _choose_block(compiler, shape, batch_size)
    program = compiler.program(block)
    _refuse_too_large(program, math.prod(shape))
    arrays = _allocate(program.outputs, shape)
    start, before = time.perf_counter(), compiler.seconds
    regions = list(split_region(tuple(slice(0, size) for size in shape), block))
    while regions:
        region = regions[0]
        try:
            _fill(arrays, compiler.program(block), axes, region, block)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error) or math.prod(block) == 1:
                raise
            block = block_shape(block, math.prod(block) // 2)
            regions = [part for region in regions for part in split_region(region, block)]
            continue
        regions.pop(0)
        report_progress(math.prod(part.stop - part.start for part in region))
    seconds = time.perf_counter() - start - (compiler.seconds - before)
    return GridResults(program.outputs.names, arrays.values, arrays.status, seconds, compiler.seconds, block)


def _choose_block(compiler: Compiler, shape: tuple[int, ...], batch_size: int | None) -> tuple[int, ...]:
    if batch_size is not None:
        return block_shape(shape, batch_size)
    block = block_shape(shape, MAX_FIRST_BLOCK)
    budget = int(memory.bytes_free() * memory.BLOCK_FRACTION)
    program = compiler.program(block)
    if program.bytes_needed <= budget:
        return block
    return block_shape(shape, max(1, math.prod(block) * budget // program.bytes_needed))


def _refuse_too_large(program: Program, points: int) -> None:
    total, free = program.bytes_per_point * points, memory.bytes_free()
    if total > free:
        raise MemoryError(
            f"the results of {points} points take {total / 2**30:.3g} GiB and {free / 2**30:.3g} GiB are free. "
            "Return fewer variables, or sweep part of the grid at a time."
        )


def _allocate(outputs: PointResult, shape: tuple[int, ...]) -> PointResult:
    return jax.tree.map(lambda leaf: np.empty((*shape, *leaf.shape[len(shape) :]), leaf.dtype), outputs)


def _fill(
    arrays: PointResult, program: Program, axes: dict[str, np.ndarray], region: Region, block: tuple[int, ...]
) -> None:
    coordinates = [
        jax.numpy.asarray(pad_part(values, part, size))
        for values, part, size in zip(axes.values(), region, block, strict=True)
    ]
    results = jax.device_get(execute(program.compiled, coordinates))
    unpadded = tuple(slice(0, part.stop - part.start) for part in region)
    for array, result in zip(jax.tree.leaves(arrays), jax.tree.leaves(results), strict=True):
        array[region] = result[unpadded]


def execute(compiled: jax.stages.Compiled, coordinates: list) -> PointResult:
    """One block on the device; the only place where a sweep can run out of device memory."""
    return compiled(*coordinates)
