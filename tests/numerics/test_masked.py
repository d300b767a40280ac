"""Work for some cells of a batch: right where asked, zeros elsewhere, nested vmap, and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.masked import masked_cond, masked_map
from qdbjax.numerics.masked_primitive import Blocks

CELLS = 37  # not a multiple of any block
BLOCKS = Blocks(8)


def work(x, y):
    return {"sum": jnp.sum(x * x) * y, "vector": jnp.sin(x) * y}


def expected(x, y):
    return {"sum": np.sum(x * x, axis=-1) * y, "vector": np.sin(x) * y[..., None]}


def data(rng, *shape):
    return rng.normal(size=(*shape, 3)), rng.normal(size=shape)


PATTERNS = {
    "none": lambda n: np.zeros(n, bool),
    "one": lambda n: np.arange(n) == 5,
    "some": lambda n: np.arange(n) % 3 == 0,
    "all": lambda n: np.ones(n, bool),
}
patterns = pytest.mark.parametrize("pattern", PATTERNS)


def some_of(wanted, x, y):
    return masked_map(wanted, work, (x, y), BLOCKS)


masked = jax.jit(jax.vmap(some_of))
nested = jax.jit(jax.vmap(jax.vmap(some_of, in_axes=(0, 0, None)), in_axes=(0, 0, 0)))


@patterns
def test_for_some(rng, pattern):
    """A block of eight at a time; zeros in cells that do not ask."""
    wanted = PATTERNS[pattern](CELLS)
    x, y = data(rng, CELLS)
    found = masked(jnp.asarray(wanted), jnp.asarray(x), jnp.asarray(y))
    for name, value in expected(x, y).items():
        mask = wanted if value.ndim == 1 else wanted[:, None]
        np.testing.assert_allclose(found[name], np.where(mask, value, 0.0), rtol=1e-15)


def test_for_some_nested(rng):
    """Under two vmaps, one operand shared by the inner one."""
    wanted = rng.random((4, 5)) < 0.4
    x, y = data(rng, 4, 5)[0], rng.normal(size=4)
    found = nested(jnp.asarray(wanted), jnp.asarray(x), jnp.asarray(y))
    value = np.sum(x * x, axis=-1) * y[:, None]
    np.testing.assert_allclose(found["sum"], np.where(wanted, value, 0.0), rtol=1e-15)


def test_for_some_alone(rng):
    """Without vmap."""
    x, y = data(rng)
    for wanted in (True, False):
        found = some_of(jnp.array(wanted), jnp.asarray(x), jnp.asarray(y))
        np.testing.assert_allclose(found["vector"], np.sin(x) * y * wanted, rtol=1e-15)


@jax.jit
@jax.vmap
def chosen(wanted, x, y):
    otherwise = {"sum": -y, "vector": jax.ShapeDtypeStruct((3,), float)}
    return masked_cond(wanted, work, (x, y), otherwise, BLOCKS)


@patterns
def test_where_asked(rng, pattern):
    """The function where asked, the alternative elsewhere (zeros where it is only a shape)."""
    wanted = PATTERNS[pattern](CELLS)
    x, y = data(rng, CELLS)
    found = chosen(jnp.asarray(wanted), jnp.asarray(x), jnp.asarray(y))
    value = expected(x, y)
    np.testing.assert_allclose(found["sum"], np.where(wanted, value["sum"], -y), rtol=1e-15)
    np.testing.assert_allclose(found["vector"], np.where(wanted[:, None], value["vector"], 0.0), rtol=1e-15)


def total(x, y, wanted):
    found = chosen(wanted, x, y)
    return jnp.sum(found["sum"]) + jnp.sum(found["vector"])


@jax.jit
def slopes(x, y, wanted):
    """Reverse gradient, and forward derivative along (x, y)."""
    along = jax.jvp(lambda *point: total(*point, wanted), (x, y), (x, y))[1]
    return jax.grad(total, argnums=(0, 1))(x, y, wanted), along


@patterns
def test_derivatives(rng, pattern):
    """Reverse and forward, with the derivative of the alternative where not asked."""
    wanted = PATTERNS[pattern](CELLS)
    x, y = data(rng, CELLS)
    (by_x, by_y), forward = slopes(jnp.asarray(x), jnp.asarray(y), jnp.asarray(wanted))
    want_x = np.where(wanted[:, None], 2 * x * y[:, None] + np.cos(x) * y[:, None], 0.0)
    want_y = np.where(wanted, np.sum(x * x + np.sin(x), axis=-1), -1.0)
    np.testing.assert_allclose(by_x, want_x, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(by_y, want_y, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(forward, np.sum(want_x * x) + np.sum(want_y * y), rtol=1e-12)


@jax.jit
@jax.vmap
def curvature(wanted, x):
    """Third power where asked, by masked_map: value, first and second derivative."""
    cube = lambda point: masked_map(wanted, lambda v: v * v * v, (point,), BLOCKS)  # noqa: E731
    return cube(x), jax.grad(cube)(x), jax.jacfwd(jax.grad(cube))(x)


@patterns
def test_second_derivatives(rng, pattern):
    """x³, 3x², 6x where asked, zeros elsewhere."""
    wanted = PATTERNS[pattern](CELLS)
    x = rng.normal(size=CELLS)
    for found, value in zip(curvature(jnp.asarray(wanted), jnp.asarray(x)), (x**3, 3 * x**2, 6 * x), strict=True):
        np.testing.assert_allclose(found, np.where(wanted, value, 0.0), rtol=1e-14)


def test_unasked_cells_cost_no_nan():
    """A function that is NaN where nobody asks leaves value and gradient alone."""
    wanted = np.arange(CELLS) % 2 == 0
    x = np.where(wanted, 2.0, -1.0)

    def safe(x, w):
        return masked_cond(w, jnp.sqrt, (x,), jnp.zeros(()), BLOCKS)

    value, slope = jax.jit(jax.vmap(jax.value_and_grad(safe)))(jnp.asarray(x), jnp.asarray(wanted))
    np.testing.assert_allclose(value, np.where(wanted, np.sqrt(2.0), 0.0), rtol=1e-15)
    np.testing.assert_allclose(slope, np.where(wanted, 0.5 / np.sqrt(2.0), 0.0), rtol=1e-15)
