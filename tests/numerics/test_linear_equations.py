"""Linear equations by exchange, inverse and LU: both systems, condition numbers, and what is singular."""

import jax
import numpy as np
import pytest

from qdbjax.numerics.linear_equations import INVERTED, solve_and_factorize


@jax.jit
@jax.vmap
def solved(matrix, source):
    first, found = solve_and_factorize(matrix, source)
    return first, found.apply(source), found.apply_transposed(source), found.condition_number


@pytest.mark.parametrize("n", [1, 2, 5, 9, 10, INVERTED, INVERTED + 1, 40])
def test_solutions(rng, n):
    """A batch of matrices, of which one has zeros on its diagonal and one is ill conditioned."""
    matrices, sources = rng.normal(size=(7, n, n)), rng.normal(size=(7, n))
    if n > 1:
        np.fill_diagonal(matrices[3], 0.0)
        matrices[5, :, 0] = matrices[5, :, 1] + 1e-7 * matrices[5, :, 0]
    first, x, y, condition = map(np.asarray, solved(matrices, sources))
    for k, matrix in enumerate(matrices):
        inverse = np.linalg.inv(matrix)
        wanted = np.linalg.norm(matrix, np.inf) * np.linalg.norm(inverse, np.inf)
        least = 0.3 if n > INVERTED else 1 - 1e-6  # of LU it is estimated
        assert least * wanted <= condition[k] <= wanted * (1 + 1e-6)
        np.testing.assert_allclose(first[k], x[k], rtol=0, atol=1e-13 * wanted * np.abs(inverse).max())
        np.testing.assert_allclose(x[k], inverse @ sources[k], rtol=0, atol=1e-13 * wanted * np.abs(inverse).max())
        np.testing.assert_allclose(y[k], inverse.T @ sources[k], rtol=0, atol=1e-13 * wanted * np.abs(inverse).max())


@pytest.mark.parametrize("n", [2, 5, INVERTED, INVERTED + 1])
def test_singular(rng, n):
    """A column of zeros, two equal rows, and nothing at all: infinite or beyond rounding, and no NaN in solutions."""
    zeros, equal, nothing = rng.normal(size=(n, n)), rng.normal(size=(n, n)), np.zeros((n, n))
    zeros[:, n // 2] = 0.0
    equal[-1] = equal[0]
    first, x, y, condition = map(np.asarray, solved(np.stack([zeros, equal, nothing]), rng.normal(size=(3, n))))
    assert np.all(condition > 1e14) and np.isinf(condition[[0, 2]]).all()
    assert not any(np.isnan(each).any() for each in (first, x, y))
    np.testing.assert_array_equal([first[[0, 2]], x[[0, 2]]], 0.0)


def test_estimate(rng):
    """Of 100 random matrices none has its condition number below a tenth of the true one, nor above it."""
    matrices = rng.normal(size=(100, 24, 24)) * np.exp(rng.normal(size=(100, 24, 24)))
    found = np.asarray(solved(matrices, np.ones((100, 24)))[-1])
    wanted = np.array([np.linalg.norm(x, np.inf) * np.linalg.norm(np.linalg.inv(x), np.inf) for x in matrices])
    assert np.all(found <= wanted * (1 + 1e-9)) and np.all(found >= 0.1 * wanted)
    assert np.median(found / wanted) > 0.7
