"""Products and contractions: their values, and the precision that they ask an accelerator for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_matrices import gaussian

from qdbjax.numerics.products import adjoint_dot, contract, dot

FUNCTIONS = {"dot": lambda a, b: dot(a, b, a), "contract": lambda a, b: contract("ij,jk,kl->il", a, b, a)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_precision(rng, name):
    a, b = rng.normal(size=(2, 5, 5))
    np.testing.assert_allclose(FUNCTIONS[name](jnp.asarray(a), jnp.asarray(b)), a @ b @ a, rtol=1e-12)
    single = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    both_ways = jax.jit(jax.grad(lambda a, b: jnp.sum(FUNCTIONS[name](a, b)), (0, 1)))
    for text in (jax.jit(FUNCTIONS[name]).lower(*single).as_text(), both_ways.lower(*single).as_text()):
        assert text.count("dot_general") == text.count("precision = [HIGHEST, HIGHEST]") > 0


@pytest.mark.parametrize("d", [4, 40])
def test_dot_broadcasts(rng, d):
    """Of real and complex factors, vectors, stacks and matrices that are not square; large complex ones and others."""
    stack, vector = rng.normal(size=(3, d, d)), rng.normal(size=d)
    np.testing.assert_allclose(dot(stack, vector), stack @ vector, rtol=1e-12, atol=1e-12)
    a, b = gaussian(rng, 2, d, d + 1), gaussian(rng, 1, d + 1, d + 2)
    for left, right in ((a, b), (a, b[0]), (a.real, b.real), (a, b[0, :, 0]), (a[0], b[0, :, :1])):
        np.testing.assert_allclose(jax.jit(dot)(left, right), left @ right, rtol=0, atol=1e-13 * d)
    da = gaussian(rng, 2, d, d + 1)
    value, change = jax.jit(lambda a, b, da: jax.jvp(lambda a: dot(a, b), (a,), (da,)))(a, b, da)
    np.testing.assert_allclose((value, change), (a @ b, da @ b), rtol=0, atol=1e-13 * d)


@pytest.mark.parametrize("d", [1, 4, 8, 9, 16])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_adjoint_dot(rng, d, kind):
    """A†B and its derivatives, alone and in a batch."""
    a, b, da = (gaussian(rng, 3, d, d) if kind == "complex" else rng.normal(size=(3, d, d)) for _ in range(3))
    wanted = np.swapaxes(a.conj(), 1, 2) @ b
    of_both = jax.jit(jax.vmap(lambda a, b, da: jax.jvp(lambda a: adjoint_dot(a, b), (a,), (da,))))
    value, change = of_both(a, b, da)
    np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-13 * d)
    np.testing.assert_allclose(change, np.swapaxes(da.conj(), 1, 2) @ b, rtol=0, atol=1e-13 * d)
    np.testing.assert_allclose(jax.jit(adjoint_dot)(a[0], b[0]), wanted[0], rtol=0, atol=1e-13 * d)
    slope = jax.jit(jax.grad(lambda a: jnp.sum(jnp.abs(adjoint_dot(a, b[0])) ** 2)))(a[0])
    np.testing.assert_allclose(slope.conj(), 2 * b[0] @ wanted[0].conj().T, rtol=1e-10)


def test_first_factors_are_in_memory():
    """On a CPU, where XLA multiplies across a transposed first factor at a fraction of the speed, and nowhere else."""
    shape = jax.ShapeDtypeStruct((7, 16, 16), float)
    lowered = jax.jit(jax.vmap(adjoint_dot)).lower(shape, shape)
    on_processor = jax.default_backend() == "cpu"
    assert ("optimization_barrier" in lowered.as_text()) == on_processor
    if not on_processor:
        return
    compiled = lowered.compile().as_text()
    assert "dot(" in compiled and "lhs_contracting_dims={1}" not in compiled
    folded = jax.jit(jax.vmap(lambda a, b: dot(a.T, b))).lower(shape, shape).compile().as_text()
    assert "lhs_contracting_dims={1}" in folded
