"""The optimisation barrier: numbers and derivatives go through it, and the compiler keeps it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.barrier import materialize, optimization_barrier_cond


@pytest.mark.parametrize("d", [1, 3, 5])
def test_a_vector_goes_through(d):
    """Value, forward and reverse derivative are those of the identity."""
    vector, change = np.linspace(1.0, 2.0, d), np.linspace(-1.0, 1.0, d)
    value, slope = jax.jit(lambda x, dx: jax.jvp(materialize, (x,), (dx,)))(vector, change)
    np.testing.assert_array_equal(value, vector)
    np.testing.assert_array_equal(slope, change)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(materialize(x) ** 2)))(vector)
    np.testing.assert_array_equal(gradient, 2 * vector)


def test_dead_batches():
    """Results are NaN where no cell of a batch is alive, and all there where one is."""
    program = jax.jit(jax.vmap(lambda alive, x: optimization_barrier_cond(jnp.cos, alive, x)))
    x = np.array([0.0, 1.0])
    np.testing.assert_allclose(program(np.array([True, False]), x), np.cos(x), rtol=1e-15)
    assert np.all(np.isnan(program(np.array([False, False]), x)))


def test_the_compiler_keeps_it():
    """A conditional is left in the compiled program."""
    program = jax.jit(lambda x: materialize(jnp.cos(x)) ** 2)
    assert "conditional(" in program.lower(np.ones(3)).compile().as_text()


def test_operands_that_hold_functions():
    """A tree with a function among its leaves, as a network is: value and gradient."""
    program = jax.jit(
        jax.vmap(lambda x: optimization_barrier_cond(lambda tree: tree[0](tree[1]), x == x, (jnp.sin, x)))
    )
    x = np.array([0.5, 1.0])
    np.testing.assert_allclose(program(x), np.sin(x), rtol=1e-15)
    np.testing.assert_allclose(jax.grad(lambda x: jnp.sum(program(x)))(x), np.cos(x), rtol=1e-14)


def test_complex_operands():
    """Complex numbers pass as their parts: value and gradient of Re z² + 3 Im z = x² - y² + 3y."""
    of_parts = jax.vmap(
        lambda x, y: optimization_barrier_cond(lambda z: (z**2).real + 3 * z.imag, x == x, jax.lax.complex(x, y))
    )
    x, y = np.array([0.5, 1.0]), np.array([-2.0, 3.0])
    np.testing.assert_allclose(jax.jit(of_parts)(x, y), x**2 - y**2 + 3 * y, rtol=1e-14)
    slopes = jax.grad(lambda x, y: jnp.sum(of_parts(x, y)), argnums=(0, 1))(x, y)
    np.testing.assert_allclose(slopes, [2 * x, 3 - 2 * y], rtol=1e-13)
