"""What a sweep would do, found without computing or compiling it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from qdbjax.sweeps.axes import function_name
from qdbjax.sweeps.grid_run import compiler_of
from qdbjax.sweeps.labels import Labels
from qdbjax.sweeps.store import check_names
from qdbjax.sweeps.store_run import Sweep, chunk_shape


class Plan(NamedTuple):
    """The outputs of a sweep, its blocks, and the size of its program.

    points: of the grid.
    dims: of each variable, by name.
    types: of each variable, by name.
    block: points of one call along every axis.
    bytes_per_point: of the results, flags included.
    instructions: that XLA is given.
    """

    points: int
    dims: dict[str, tuple[str, ...]]
    types: dict[str, str]
    block: tuple[int, ...]
    bytes_per_point: int
    instructions: int

    @property
    def bytes_per_block(self) -> int:
        """Of the results of one call."""
        return self.bytes_per_point * math.prod(self.block)


def plan_of(fn: Callable, axes: dict[str, np.ndarray], labels: Labels) -> Plan:
    """The plan of a sweep into a store. Raises TypeError or ValueError for outputs and labels that do not fit."""
    swept = Sweep(fn, axes, function_name(fn), labels, None)
    compiler = compiler_of(fn, axes, swept.name)
    block = chunk_shape(swept, compiler, 1)
    outputs = compiler.outputs(block)
    check_names(outputs.names)
    named = labels.completed(axes, outputs)
    leaves = dict(zip(outputs.names, outputs.values, strict=True))
    dims = {name: (*axes, *named.dims_of(name, len(leaf.shape) - len(axes))) for name, leaf in leaves.items()}
    total = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(outputs))
    instructions = compiler.lowered(block).as_text().count(" = ")
    types = {name: str(leaf.dtype) for name, leaf in leaves.items()}
    return Plan(swept.points, dims, types, block, total // math.prod(block), instructions)
