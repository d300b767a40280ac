"""Gauss-Jordan exchange, whose solutions are tested with all others in `test_linear_equations`."""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax.numerics.gauss_jordan import LOOP, invert


def test_rows_are_interchanged(rng):
    """A permutation matrix, whose every pivot is found in another row, is inverted without rounding."""
    permutation = np.eye(LOOP)[rng.permutation(LOOP)]
    found = jax.jit(invert)(jnp.asarray(permutation))
    source = rng.normal(size=LOOP)
    np.testing.assert_array_equal(found.apply(source), permutation.T @ source)
    np.testing.assert_array_equal(found.apply_transposed(source), permutation @ source)
    assert float(found.condition_number) == 1.0


def test_no_library_up_to_three_levels():
    """The packed reals of three levels are inverted without a call that accelerators lack."""
    program = lambda n: jax.jit(lambda a: invert(a).exchanged).lower(jnp.eye(n)).as_text()  # noqa: E731
    assert "custom_call" not in program(9) and "custom_call" in program(10)
