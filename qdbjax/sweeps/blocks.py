"""Blocks of a grid: all of one shape, so that one compiled program serves them all; outermost axes are cut first."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

Region = tuple[slice, ...]


def block_shape(shape: tuple[int, ...], points: int) -> tuple[int, ...]:
    """The largest block of at most `points` grid points (at least one) that cuts outer axes first, into even parts."""
    block = list(shape)
    for axis, size in enumerate(shape):
        inner = math.prod(shape[axis + 1 :])
        fit = max(1, min(size, points // max(inner, 1)))
        pieces = math.ceil(size / fit) if size else 1
        block[axis] = max(1, math.ceil(size / pieces))
        if block[axis] > 1 or inner <= points:
            break
    return tuple(block)


def split_region(region: Region, block: tuple[int, ...]) -> Iterator[Region]:
    """The parts of a region that fit into a block, outermost axis slowest."""
    cuts = [
        [slice(start, min(start + size, part.stop)) for start in range(part.start, part.stop, size)]
        for part, size in zip(region, block, strict=True)
    ]
    return itertools.product(*cuts)


def pad_part(coordinates: np.ndarray, part: slice, size: int) -> np.ndarray:
    """The coordinates of a part, the last one repeated up to the size of a block."""
    values = coordinates[part]
    return np.concatenate([values, np.repeat(values[-1:], size - len(values))])
