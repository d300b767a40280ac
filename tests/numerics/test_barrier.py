"""The optimisation barrier: numbers and derivatives go through it, and the compiler keeps it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.barrier import materialize, opaque_true, optimization_barrier_cond
from qdbjax.numerics.entries import stack


@pytest.mark.parametrize("d", [1, 3, 5])
def test_a_vector_goes_through(d):
    """Value, forward and reverse derivative are those of the identity."""
    vector, change = np.linspace(1.0, 2.0, d), np.linspace(-1.0, 1.0, d)
    value, slope = jax.jit(lambda x, dx: jax.jvp(materialize, (x,), (dx,)))(vector, change)
    np.testing.assert_array_equal(value, vector)
    np.testing.assert_array_equal(slope, change)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(materialize(x) ** 2)))(vector)
    np.testing.assert_array_equal(gradient, 2 * vector)


def test_it_is_passed_whatever_the_first_number():
    """The condition is made of a number of the first cell, which may be negative, infinite or none at all."""
    program = jax.jit(jax.vmap(lambda x: optimization_barrier_cond(jnp.cos, x, x)))
    for first in (0.0, 2.0, -3.0, 1e300, -1e-320, np.inf, np.nan):
        x = np.array([first, 1.0])
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(program(x), np.cos(x), rtol=1e-15)


def test_a_batch_without_cells():
    assert jax.vmap(lambda x: optimization_barrier_cond(jnp.cos, x, x))(jnp.zeros(0)).shape == (0,)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_one_condition_for_a_batch(shape):
    """It has no batch axis, however many maps there are, and no derivative."""
    x = jnp.ones((4, 5, *shape))
    for values in (x, jax.lax.complex(x, x)):
        assert jax.vmap(jax.vmap(opaque_true, out_axes=None), out_axes=None)(values).shape == ()
        assert bool(opaque_true(values))
    slope = jax.grad(lambda x: jnp.where(opaque_true(x), x, 0.0))(2.0)
    assert slope == 1


def test_parts_that_do_not_vary():
    """Energies of which some are fixed: derivative of (x + 1)·2 + (x²)·3 in every mode, its second one too."""
    of = lambda x: jnp.dot(materialize(stack([jnp.ones(()), x + 1, x * x])), np.array([5.0, 2.0, 3.0]))  # noqa: E731
    for transform in (jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(f))):
        x = jnp.asarray(0.7) if transform is jax.jit else jnp.array([0.7, -2.0])
        for mode in (jax.grad, jax.jacfwd):
            np.testing.assert_allclose(transform(mode(of))(x), 2 + 6 * x, rtol=1e-14)
            np.testing.assert_allclose(transform(jax.grad(mode(of)))(x), 6 * jnp.ones_like(x), rtol=1e-14)


def test_complex_matrices():
    """Value and derivatives of a matrix, each once, in every mode."""
    z = np.arange(9.0).reshape(3, 3) + 1j * np.arange(9.0, 0.0, -1.0).reshape(3, 3)
    np.testing.assert_array_equal(jax.jit(materialize)(z), z)
    of = lambda x, f: jnp.sum(jnp.abs(f(jax.lax.complex(x, x**2))) ** 2)  # noqa: E731
    for mode in (jax.grad, jax.jacfwd, jax.jacrev, lambda f: jax.jacfwd(jax.grad(f))):
        found, wanted = (jax.jit(mode(lambda x, f=f: of(x, f)))(z.real) for f in (materialize, lambda z: z))
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_the_compiler_keeps_it():
    """A conditional is left in the compiled program."""
    program = jax.jit(lambda x: materialize(jnp.cos(x)) ** 2)
    assert "conditional(" in program.lower(np.ones(3)).compile().as_text()
    of_batch = jax.jit(jax.vmap(lambda x: materialize(jnp.stack([0.0 * x, jnp.cos(x), x])) ** 2))
    assert "conditional(" in of_batch.lower(np.ones(3)).compile().as_text()


def test_operands_that_hold_functions():
    """A tree with a function among its leaves, as a network is: value and gradient."""
    program = jax.jit(jax.vmap(lambda x: optimization_barrier_cond(lambda tree: tree[0](tree[1]), x, (jnp.sin, x))))
    x = np.array([0.5, 1.0])
    np.testing.assert_allclose(program(x), np.sin(x), rtol=1e-15)
    np.testing.assert_allclose(jax.grad(lambda x: jnp.sum(program(x)))(x), np.cos(x), rtol=1e-14)


def test_complex_operands():
    """Complex numbers pass as their parts: value and gradient of Re z² + 3 Im z = x² - y² + 3y."""
    of_parts = jax.vmap(
        lambda x, y: optimization_barrier_cond(lambda z: (z**2).real + 3 * z.imag, x, jax.lax.complex(x, y))
    )
    x, y = np.array([0.5, 1.0]), np.array([-2.0, 3.0])
    np.testing.assert_allclose(jax.jit(of_parts)(x, y), x**2 - y**2 + 3 * y, rtol=1e-14)
    slopes = jax.grad(lambda x, y: jnp.sum(of_parts(x, y)), argnums=(0, 1))(x, y)
    np.testing.assert_allclose(slopes, [2 * x, 3 - 2 * y], rtol=1e-13)
