"""Gauss-Jordan exchange, whose solutions are tested with all others in `test_linear_equations`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.gauss_jordan import LAUNCHED, invert
from qdbjax.numerics.linear_equations import INVERTED


def test_rows_are_interchanged(rng):
    """A permutation matrix, whose every pivot is found in another row, is inverted without rounding."""
    permutation = np.eye(INVERTED)[rng.permutation(INVERTED)]
    found = jax.jit(invert)(jnp.asarray(permutation))
    source = rng.normal(size=INVERTED)
    np.testing.assert_array_equal(found.apply(source), permutation.T @ source)
    np.testing.assert_array_equal(found.apply_transposed(source), permutation @ source)
    assert float(found.condition_number) == 1.0


def test_no_library(monkeypatch):
    """The packed reals of four levels are inverted without a library on a CPU, of three on accelerators too."""
    program = lambda n: jax.jit(lambda a: invert(a).exchanged).lower(jnp.eye(n)).as_text()  # noqa: E731
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert "custom_call" not in program(INVERTED)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "custom_call" not in program(LAUNCHED) and "custom_call" in program(LAUNCHED + 1)


def test_library(rng, monkeypatch):
    """What the library gives is the same inverse, and is told where there is none."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    matrix, source = rng.normal(size=(INVERTED, INVERTED)), rng.normal(size=INVERTED)
    found = jax.jit(invert)(jnp.asarray(matrix))
    np.testing.assert_allclose(found.apply(source), np.linalg.solve(matrix, source), rtol=1e-10)
    np.testing.assert_allclose(found.apply_transposed(source), np.linalg.solve(matrix.T, source), rtol=1e-10)
    assert np.isinf(jax.jit(invert)(jnp.zeros_like(matrix)).condition_number)


@pytest.mark.parametrize("coupled", [[0, 1, 4, 8], [2, 3], range(9)])
def test_unknowns_passed_over(rng, coupled):
    """Unknowns with an equation of their own, ±1 at the diagonal, may be passed over, wherever they stand."""
    coupled = list(coupled)
    matrix, source = np.diag(np.where(np.arange(9) % 2 == 0, 1.0, -1.0)), rng.normal(size=9)
    matrix[np.ix_(coupled, coupled)] = rng.normal(size=(len(coupled), len(coupled)))
    found = jax.jit(invert)(jnp.asarray(matrix), jnp.zeros(9, bool).at[jnp.asarray(coupled)].set(True))
    np.testing.assert_allclose(found.apply(source), np.linalg.solve(matrix, source), rtol=1e-12)
    np.testing.assert_allclose(found.apply_transposed(source), np.linalg.solve(matrix.T, source), rtol=1e-12)
    expected = np.linalg.norm(matrix, np.inf) * np.linalg.norm(np.linalg.inv(matrix), np.inf)
    np.testing.assert_allclose(found.condition_number, expected, rtol=1e-12)


def test_singular_where_coupled():
    """Two coupled unknowns with one equation between them: no inverse, and solutions of 0."""
    matrix = np.diag([1.0, 2.0, -1.0])
    matrix[:2, :2] = [[1.0, 1.0], [1.0, 1.0]]
    found = jax.jit(invert)(jnp.asarray(matrix), jnp.asarray([True, True, False]))
    assert np.isinf(found.condition_number)
    np.testing.assert_array_equal(found.apply(np.ones(3)), np.zeros(3))


def test_reverse_mode(rng):
    """∂(c·A⁻¹b)/∂A = -(A⁻ᵀc)(A⁻¹b)ᵀ, by reverse mode through every step."""
    matrix, b, c = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    found = jax.jit(jax.grad(lambda a: jnp.dot(c, invert(a).apply(b), precision="highest")))(matrix)
    np.testing.assert_allclose(found, -np.outer(np.linalg.solve(matrix.T, c), np.linalg.solve(matrix, b)), rtol=1e-9)
