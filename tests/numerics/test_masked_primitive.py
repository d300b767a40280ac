"""The primitive behind work for some cells: shared operands, nested batches, and both transposes."""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax.compilation.flat_function import FlatFunction
from qdbjax.numerics.masked_primitive import Blocks, masked_map_p

SHAPE = jax.ShapeDtypeStruct((2,), jnp.float64)
FUNCTION = FlatFunction(lambda x, y: [x * y, x + jnp.sin(y)], [SHAPE, SHAPE], [SHAPE, SHAPE])


def both(asked, x, y):
    return masked_map_p.bind(asked, x, y, function=FUNCTION, blocks=Blocks(3), batched=(False, False))


def expected(asked, x, y):
    mask = asked[..., None]
    return np.where(mask, x * y, 0.0), np.where(mask, x + np.sin(y), 0.0)


def test_nested_batches_with_shared_operands(rng):
    """One operand shared by the outer batch, one by the inner, the question by neither."""
    asked, x, y = rng.random((5, 4)) < 0.5, rng.normal(size=(4, 2)), rng.normal(size=(5, 2))
    program = jax.jit(jax.vmap(jax.vmap(both, (0, 0, None)), (0, None, 0)))
    for found, wanted in zip(program(asked, x, y), expected(asked, x[None], y[:, None]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_both_transposes(rng):
    """⟨w, J v⟩ = ⟨Jᵀw, v⟩ with J in closed form, zero for cells that do not ask."""
    asked, (x, y, v, u) = np.array([True, False, True, True]), rng.normal(size=(4, 4, 2))
    batch = jax.vmap(lambda a, x, y: jnp.sum(jnp.stack(both(a, x, y))))
    total = lambda x, y: jnp.sum(batch(asked, x, y))  # noqa: E731
    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(x, y)
    wanted = [np.where(asked[:, None], slope, 0.0) for slope in (y + 1, x + np.cos(y))]
    for found, slope in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(found, slope, rtol=1e-14, atol=1e-16)
    pushed = jax.jit(lambda *moves: jax.jvp(total, (x, y), moves)[1])(v, u)
    np.testing.assert_allclose(pushed, np.sum(wanted[0] * v) + np.sum(wanted[1] * u), rtol=1e-13)


def test_a_limit_on_bytes():
    """As many cells as the largest array has room for, wherever in the program it is made; one if it has none."""

    def cell(x):  # 30 numbers inside a loop, 40 in a branch of it
        step = lambda n, y: jax.lax.cond(y[0] > 0, lambda: jnp.tile(y, (40, 1)).sum(0), lambda: jnp.tile(y, 30)[:1])  # noqa: E731
        return jax.lax.fori_loop(0, 3, step, x)

    program = jax.make_jaxpr(cell)(jnp.ones(1))
    for limit, size in ((0, 128), (40 * 8, 1), (41 * 8, 1), (80 * 8, 2), (1, 1), (10**9, 128)):
        assert Blocks(128, bytes=limit).within_bytes(program).size == size, limit
    assert Blocks(128, minor=True, bytes=1).within_bytes(program) == Blocks(1, minor=True, bytes=1)
