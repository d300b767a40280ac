"""Reductions over axes of a few entries, written out for blocks of cells: values of NumPy, and a barrier that stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.batch_minor import over_cells
from qdbjax.numerics.short_reduction import FEW, MANY

CELLS = 3
REDUCED = {"sum": np.sum, "max": np.max, "min": np.min, "all": np.all, "any": np.any}


@pytest.mark.parametrize("size", [FEW, 6, 7, 9, MANY])
@pytest.mark.parametrize("name", REDUCED)
def test_values(rng, name, size):
    """One axis, two short ones after each other, and two that have few entries together."""
    x = rng.normal(size=(CELLS, size, size, 3))
    given = x > -1.5 if name in ("all", "any") else x
    function = lambda x: [getattr(jnp, name)(x, axis) for axis in (0, 1, (0, 1))]  # noqa: E731
    found = jax.jit(over_cells(function, [True], CELLS))(given)
    small = jax.jit(over_cells(lambda x: [getattr(jnp, name)(x, (0, 2))], [True], CELLS))(given[:, :, 0, :, None])
    for axis, ours in zip((1, 2, (1, 2)), found, strict=True):
        np.testing.assert_allclose(ours, REDUCED[name](given, axis=axis), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(small[0], REDUCED[name](given[:, :, 0, :, None], axis=(1, 3)), rtol=1e-13, atol=1e-13)


def test_nan_stays(rng):
    """A sum and a largest entry of what holds a NaN are NaN, in its own cell alone."""
    x = rng.normal(size=(CELLS, 9))
    x[1, 8] = np.nan
    for found in jax.jit(over_cells(lambda x: [jnp.sum(x), jnp.max(x)], [True], CELLS))(x):
        np.testing.assert_array_equal(np.isnan(found), [False, True, False])


def test_integers(rng):
    """First operands that are no floating-point numbers, by which the barrier is made opaque."""
    x = rng.integers(-9, 9, size=(CELLS, 7))
    np.testing.assert_array_equal(jax.jit(over_cells(lambda x: [jnp.sum(x)], [True], CELLS))(x)[0], x.sum(axis=1))


@pytest.mark.parametrize("first", [np.zeros(CELLS), np.zeros(CELLS, np.int32)])
def test_barrier_stays(first):
    """Compiled for a processor, the sum is a branch of its own, whatever the first operand of a cell is."""
    shapes = (jax.ShapeDtypeStruct(first.shape, first.dtype), jax.ShapeDtypeStruct((CELLS, 9, 9), np.float64))
    program = jax.jit(over_cells(lambda _, x: [jnp.sum(jnp.abs(x), axis=1)], [True, True], CELLS))
    assert " conditional(" in program.lower(*shapes).compile().as_text()


def test_accelerator(monkeypatch):
    """On an accelerator, where a branch makes the host wait, the reduction is left to XLA."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    program = jax.jit(over_cells(lambda x: [jnp.sum(jnp.abs(x), axis=1)], [True], CELLS))
    lowered = program.lower(jax.ShapeDtypeStruct((CELLS, 9, 9), np.float64)).as_text()
    assert "stablehlo.reduce" in lowered and "stablehlo.case" not in lowered
