"""Functions of pairs of levels against loops over all pairs, in both layouts."""

import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.pairs import antisymmetric_tables, largest_over_pairs


@pytest.mark.parametrize("d", [1, 2, 3, 6, 7])
def test_tables_of_antisymmetric_matrices(d, rng):
    energies = rng.normal(size=d)
    matrix = energies[None, :] - energies[:, None]
    found = antisymmetric_tables(lambda x: [(jnp.exp(x), jnp.exp(-x)), (x, -x)], jnp.asarray(matrix))
    assert len(found) == 2
    np.testing.assert_allclose(found[0], np.exp(matrix), rtol=1e-14)
    np.testing.assert_array_equal(found[1], matrix)


@pytest.mark.parametrize("d", [1, 2, 3, 6, 7])
def test_the_largest_over_pairs(d, rng):
    x, y = rng.normal(size=(2, d))
    for pairs in (~np.eye(d, dtype=bool), np.abs(x[:, None] - x[None, :]) > 0.5, np.zeros((d, d), bool)):
        wanted = max(
            (abs(x[m] + x[n]) * (y[m] - y[n]) ** 2 for m, n in zip(*np.nonzero(pairs), strict=True)), default=0.0
        )
        found = largest_over_pairs(lambda m, n: jnp.abs(m[0] + n[0]) * (m[1] - n[1]) ** 2, jnp.asarray(pairs), x, y)
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
