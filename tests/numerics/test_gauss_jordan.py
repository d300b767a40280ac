"""Gauss-Jordan exchange, whose solutions are tested with all others in `test_linear_equations`."""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax.numerics.gauss_jordan import invert
from qdbjax.numerics.linear_equations import INVERTED


def test_rows_are_interchanged(rng):
    """A permutation matrix, whose every pivot is found in another row, is inverted without rounding."""
    permutation = np.eye(INVERTED)[rng.permutation(INVERTED)]
    found = jax.jit(invert)(jnp.asarray(permutation))
    source = rng.normal(size=INVERTED)
    np.testing.assert_array_equal(found.apply(source), permutation.T @ source)
    np.testing.assert_array_equal(found.apply_transposed(source), permutation @ source)
    assert float(found.condition_number) == 1.0


def test_no_library():
    """The packed reals of four levels are inverted without a call that accelerators lack."""
    program = jax.jit(lambda a: invert(a).exchanged).lower(jnp.eye(INVERTED)).as_text()
    assert "custom_call" not in program
