"""Groups of numbers within a width of each other: chains of neighbours are one group, however long."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.grouping import connected, linked


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_chains_are_one_group(rng, count):
    """Numbers 0.9 apart in any order, width 1: all linked; with one gap of 1.1 in the middle, two groups."""
    chain = 0.9 * np.arange(count)
    broken = chain + 0.2 * (np.arange(count) >= count // 2)
    order = rng.permutation(count)
    both = jnp.asarray(np.stack([chain, broken])[:, order])
    found = np.asarray(jax.jit(jax.vmap(lambda values: linked(values, jnp.ones(()))))(both))
    side = (np.arange(count) >= count // 2)[order]
    assert found[0].all()
    np.testing.assert_array_equal(found[1], side[:, None] == side[None, :])
    near = np.abs(both[:, :, None] - both[:, None, :]) <= 1
    np.testing.assert_array_equal(jax.jit(jax.vmap(connected))(near), found)
