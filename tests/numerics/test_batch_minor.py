"""A function of one cell with the cells along the last axis: what `jax.vmap` gives, for every kind of equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equinox.internal import nonbatchable, unvmap_all, unvmap_any, unvmap_max

from qdbjax.numerics.batch_minor import over_cells

CELLS = 5


def shapes(x, y):
    """Axes moved, merged, cut and filled."""
    table = jnp.concatenate([x.T, x, jnp.stack([y, 2 * y, y])])
    cut = jnp.pad(table[::2, 1:], ((1, 0), (0, 2)), constant_values=3.0)
    return cut.reshape(-1), jnp.squeeze(table[:1], 0), jnp.broadcast_to(y[:, None], (3, 4)), jnp.flip(x, 0)


def reductions(x, y):
    """Sums, extrema and their places, running sums."""
    return jnp.sum(x, 0), jnp.max(x, 1), jnp.argmax(x, 0), jnp.argmin(y), jnp.all(x > 0), jnp.cumsum(x, 1), jnp.prod(y)


def own_places(x, y):
    """Rows and entries at places of each cell's own, beyond both ends too, along another axis, and of a long vector."""
    at = jnp.argmax(y) * 7 - 5
    row = jax.lax.dynamic_slice(x, (at, jnp.int64(0)), (1, 3))
    part = jax.lax.dynamic_slice(x, (at, jnp.argmin(y)), (1, 2))
    column = jax.lax.dynamic_slice(x, (jnp.int64(0), at), (3, 1))
    return row, part, column, jax.lax.dynamic_slice(y, (at,), (1,)), jax.lax.dynamic_slice(jnp.tile(y, 9), (at,), (1,))


def products(x, y):
    """Contractions with and without a batch axis, one of more terms than are written out."""
    wide = jnp.tile(x, (1, 8))
    batched = jax.lax.dot_general(x, 2 * x, (((1,), (1,)), ((0,), (0,))))
    return x @ y, x @ x.T, wide @ wide.T, batched, jnp.einsum("ij,jk,k->i", x, x, y), jnp.ones((3, 3)) @ x


def complex_numbers(x, y):
    """Parts put together and taken apart."""
    z = jax.lax.complex(x, x.T)
    return jnp.real(z @ z.conj()), jnp.imag(jnp.exp(z)), jnp.abs(z), jnp.where(y[0] > 0, z, 1.0).real


def own_length(x, y):
    """A loop whose number of steps differs from cell to cell, what it counts with being shared at first."""

    def more(carry):
        return (carry[1] < 10.0) & (carry[0] < 50)

    def step(carry):
        return carry[0] + 1, carry[1] * (1.0 + jnp.abs(y[0])), carry[2] + carry[0].astype(float) * x[0, 0]

    return jax.lax.while_loop(more, step, (jnp.int32(0), jnp.ones(()), jnp.zeros(())))


def one_length(x, y):
    """Loops of one length for all cells: one that counts, one over slices, one backwards."""
    counted = jax.lax.fori_loop(0, 3, lambda k, a: a.at[k].multiply(2.0) + x[k] * k.astype(float), y)
    carry, stacked = jax.lax.scan(lambda a, row: (a + row, (a * row, jnp.ones(2))), jnp.zeros(3), x)
    back = jax.lax.scan(lambda a, k: (a * x[0, 0] + k, a), 0.0, jnp.arange(4.0), reverse=True)
    return counted, carry, stacked, back


def branches(x, y):
    """One branch for all, one chosen by each cell, among two and among three, and one by the platform."""
    shared = jax.lax.cond(jnp.sum(jnp.ones(3)) > 2, lambda a: a * 2, lambda a: a, y)
    own = jax.lax.cond(y[0] > 0, lambda a: jnp.sin(a), lambda a: jnp.zeros_like(a), y)
    three = jax.lax.switch(jnp.argmax(y), [lambda a: a, lambda a: a * 2, lambda a: a.T], x)
    by_platform = jax.lax.platform_dependent(x, cpu=lambda a: a + 1, default=lambda a: a - 1)
    return shared, own, three, by_platform


def shared_counters(x, y):
    """A loop that ends when the last cell does, as diffrax writes it: its counters stay shared, in a branch too."""

    def more(carry):
        return unvmap_any(carry[1] < 10.0) & (carry[0] < 50)

    def step(carry):
        count, value, _ = carry
        count = jax.lax.cond(unvmap_all(value > 0), lambda k: k + 1, lambda k: k + 2, count)
        value = jnp.where(value < 10.0, value * (1.0 + jnp.abs(y[0])), value)
        return nonbatchable(count), value, unvmap_max(count)

    start = jnp.int32(0), jnp.ones(()), jnp.int32(0)
    count, value, last = jax.lax.while_loop(more, step, start)
    _, stacked = jax.lax.scan(lambda k, row: (nonbatchable(k + 1), (k, row * x[0, 0])), 0, x)
    return nonbatchable(count), value, last, stacked


@jax.custom_jvp
def halved(x):
    return 0.5 * x


@halved.defjvp
def _halved_jvp(primals, tangents):
    return halved(*primals), 0.5 * tangents[0]


def rules(x, y):
    """Functions with rules of their own, and the derivatives of a function taken before."""
    solved = jax.lax.custom_linear_solve(
        lambda v: (x + 9 * jnp.eye(3)) @ v,
        y,
        lambda _, b: jnp.linalg.solve(x + 9 * jnp.eye(3), b),
        lambda _, b: jnp.linalg.solve((x + 9 * jnp.eye(3)).T, b),
    )
    slope = jax.grad(lambda v: jnp.sum(jnp.sin(v) * jax.jit(lambda w: w * w)(v)))(y)
    return halved(x), solved, slope, jax.checkpoint(jnp.cos)(y)


def by_vmap(x, y):
    """What has no rule of its own: gathers, scatters, sorting, a library's decomposition."""
    place = jnp.argsort(y)
    return x[place], jnp.zeros(3).at[place].add(y), jnp.sort(x, axis=1), jnp.linalg.eigh(x + x.T)[0]


def over_all(x, y):
    """What is asked of all cells together, each of which answers otherwise."""
    return nonbatchable(unvmap_any(y > 1.0)), nonbatchable(unvmap_all(y < 1.0)), nonbatchable(unvmap_max(y))


def shared_only(x, y):
    """Results that no cell changes."""
    return jnp.arange(3), jnp.ones((2, 2)), y


FUNCTIONS = [
    shapes,
    reductions,
    own_places,
    products,
    complex_numbers,
    own_length,
    one_length,
    branches,
    shared_counters,
    over_all,
    rules,
    by_vmap,
    shared_only,
]


@pytest.mark.parametrize("batched", [(True, True), (True, False), (False, True)], ids=["both", "first", "second"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_as_vmap(rng, function, batched):
    x, y = rng.normal(size=(CELLS, 3, 3)), rng.normal(size=(CELLS, 3))
    operands = [a if is_batched else a[1] for a, is_batched in zip((x, y), batched, strict=True)]
    axes = [0 if is_batched else None for is_batched in batched]
    flat = lambda *values: jax.tree.leaves(function(*values))  # noqa: E731
    wanted = jax.jit(jax.vmap(flat, in_axes=axes))(*operands)
    found = jax.jit(over_cells(flat, batched, CELLS))(*operands)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


def test_nothing_crosses_cells(rng):
    """A cell that is not a number, and one whose loop never ends by itself, leave the others as they are."""
    x, y = rng.normal(size=(CELLS, 3, 3)), rng.normal(size=(CELLS, 3))
    y[2], y[3] = np.nan, 0.0
    flat = lambda *values: jax.tree.leaves((own_length(*values), reductions(*values)))  # noqa: E731
    found = jax.jit(over_cells(flat, (True, True), CELLS))(x, y)
    for n in (0, 1, 4):
        for one, other in zip(found, flat(x[n], y[n]), strict=True):
            np.testing.assert_allclose(one[n], other, rtol=1e-13)


def test_batch_minor_layout():
    """The matrices of all cells are one array with the cells last, and sums of products become no `dot`."""
    text = jax.jit(over_cells(lambda a: [a @ a + 1.0], (True,), 7)).lower(jnp.ones((7, 3, 3))).as_text()
    assert "tensor<3x3x7xf64>" in text and "dot_general" not in text
