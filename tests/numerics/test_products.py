"""Products and contractions: their values, and the precision that they ask an accelerator for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.products import contract, dot

FUNCTIONS = {"dot": lambda a, b: dot(a, b, a), "contract": lambda a, b: contract("ij,jk,kl->il", a, b, a)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_precision(rng, name):
    a, b = rng.normal(size=(2, 5, 5))
    np.testing.assert_allclose(FUNCTIONS[name](jnp.asarray(a), jnp.asarray(b)), a @ b @ a, rtol=1e-12)
    single = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    both_ways = jax.jit(jax.grad(lambda a, b: jnp.sum(FUNCTIONS[name](a, b)), (0, 1)))
    for text in (jax.jit(FUNCTIONS[name]).lower(*single).as_text(), both_ways.lower(*single).as_text()):
        assert text.count("dot_general") == text.count("precision = [HIGHEST, HIGHEST]") > 0


def test_dot_broadcasts(rng):
    stack, vector = rng.normal(size=(3, 4, 4)), rng.normal(size=4)
    np.testing.assert_allclose(dot(stack, vector), stack @ vector, rtol=1e-12)
