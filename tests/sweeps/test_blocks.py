"""Blocks cover a grid once, never exceed their size, and keep inner axes whole."""

import numpy as np
import pytest

from qdbjax.sweeps.blocks import block_shape, pad_part, split_region


@pytest.mark.parametrize("shape", [(1,), (7,), (200, 200), (3, 1, 5), (13, 11, 2), (1, 1)])
@pytest.mark.parametrize("points", [1, 2, 6, 10, 97, 10**6])
def test_cover_once(shape, points):
    block = block_shape(shape, points)
    assert np.prod(block) <= points or np.prod(block) == 1
    count = np.zeros(shape, int)
    for region in split_region(tuple(slice(0, n) for n in shape), block):
        assert all(part.stop - part.start <= size for part, size in zip(region, block, strict=True))
        count[region] += 1
    assert (count == 1).all()


def test_outermost_axis_is_cut_first():
    assert block_shape((200, 200), 40000) == (200, 200)
    assert block_shape((200, 200), 7000) == (34, 200)  # 35 would leave a last slab of 25
    assert block_shape((200, 200), 150) == (1, 100)


def test_padding_repeats_the_last_coordinate():
    np.testing.assert_array_equal(pad_part(np.array([1.0, 2.0, 3.0]), slice(2, 3), 2), [3.0, 3.0])
