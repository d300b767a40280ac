"""Small matrices entry by entry, against NumPy: sizes that are written out and sizes that are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_matrices import gaussian

from qdbjax.numerics import small as matrix

sizes = pytest.mark.parametrize("d", [1, 2, 3, 4, 9])


@sizes
def test_products(rng, d):
    """A B, V†AV and stacks of products, of real and complex factors; a factor that is known while tracing."""
    a, b, known = gaussian(rng, d, d), rng.normal(size=(d, d)), np.eye(d)[::-1].copy()
    products = jax.jit(lambda a, b: (matrix.matmul(a, b), matrix.matmul(known, a), matrix.in_frame(a, b)))
    for found, wanted in zip(products(a, b), (a @ b, known @ a, a.conj().T @ b @ a), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13 * d)
    stacks = gaussian(rng, 3, d, d), gaussian(rng, d, d)
    np.testing.assert_allclose(jax.jit(matrix.compose)(*stacks), stacks[0] @ stacks[1], rtol=0, atol=1e-13 * d)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_inverse(rng, d):
    """Rows and columns may differ by any factor."""
    scales = 10.0 ** np.array([0.0, -90.0, 70.0])[:d]
    plain = gaussian(rng, d, d)
    invert = jax.jit(lambda x: matrix.join(matrix.inverse(matrix.split(x)), x.dtype))
    found = np.asarray(invert(scales[:, None] * plain)) * scales[None, :]
    np.testing.assert_allclose(found, np.linalg.inv(plain), rtol=1e-12)


@sizes
def test_parts(rng, d):
    """Diagonals, entries and back, reductions."""
    x = rng.normal(size=(d, d))
    parts = jax.jit(lambda x: (matrix.diagonal(x), matrix.diagonal_matrix(x[0]), matrix.largest(x), matrix.total(x)))
    for found, wanted in zip(parts(x), (np.diag(x), np.diag(x[0]), x.max(), x.sum()), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
    np.testing.assert_array_equal(matrix.nested(matrix.all_entries(jnp.asarray(x)), x.shape), x)
    np.testing.assert_allclose(matrix.entrywise(jnp.hypot, jnp.asarray(x), jnp.asarray(x)), np.hypot(x, x), rtol=1e-15)
    assert matrix.every(jnp.isfinite, jnp.asarray(x))
    assert not matrix.every(jnp.isfinite, jnp.asarray(np.where(np.eye(d, dtype=bool), np.nan, x)))
