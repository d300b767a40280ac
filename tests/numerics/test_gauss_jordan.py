"""Gauss-Jordan exchange, whose solutions are tested with all others in `test_linear_equations`."""

import jax
import jax.numpy as jnp
import numpy as np

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
