"""Arrays put together from entries: what is taken apart again gives these, and is forgotten with the array."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.numerics import entries
from qdbjax.numerics.entries import complex_array, from_entries, real_and_imaginary, stack, stack_real, unstack

X = jnp.linspace(0.1, 1.3, 6)


def cycle(a, b):
    """A function of an array that is taken apart three times."""
    array = stack([a, b, a * b])
    x, y, z = unstack(array)
    return sum(unstack(array * array)) + x * jnp.sin(y) + unstack(array)[2] * z


def written_out(a, b):
    return a**2 + b**2 + a**2 * b**2 + a * jnp.sin(b) + (a * b) ** 2


@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd, jax.jacrev, lambda f: jax.grad(jax.grad(f))])
def test_same_function_in_every_mode(mode):
    for transform in (jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(f))):
        arguments = (X[0], X[1]) if transform is jax.jit else (X[:3], X[3:])
        found, wanted = (transform(mode(f))(*arguments) for f in (cycle, written_out))
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_entries_of_a_traced_array_are_those_it_was_made_of():
    def check(a, b):
        assert [x is y for x, y in zip(unstack(stack([a, b])), (a, b), strict=True)] == [True, True]
        row, _ = unstack(stack_real([[a, b], [b, a]], a.dtype))
        assert unstack(row)[1] is b
        re, im = real_and_imaginary(complex_array(a, b))
        assert re is a
        assert im is b
        x = from_entries(jnp.stack([a, b]))
        assert unstack(x)[0] is unstack(x)[0]
        return a

    jax.jit(check)(1.0 * X[0], X[1])
    jax.vmap(check)(X, X)
    jax.grad(check)(X[0], X[1])


def test_numbers_of_python_are_not_kept():
    """They would come back without the type of the array that they became part of."""

    def check(a):
        assert all(not jax.typeof(part).weak_type for part in unstack(stack([a, jnp.asarray(2.0)])))
        return unstack(stack([jax.lax.convert_element_type(2.0, float), a]))[1]

    assert jax.jit(check)(X[0]) == X[0]


def test_complex_arrays_of_complex_parts():
    z = complex_array(X[:3], X[3:])
    found = jax.jit(lambda z: real_and_imaginary(stack(unstack(z))))(z)
    np.testing.assert_array_equal(found, [X[:3], X[3:]])


@pytest.mark.parametrize("mode", [lambda f: f, jax.grad, jax.jacfwd], ids=["value", "reverse", "forward"])
def test_nothing_is_kept_of_a_trace(mode):
    """Nor by compiled programs, whose masked branches stay in memory as functions."""

    def current(flux):
        baths = [qdb.Bath(qdb.site(n, 3), qdb.Ohmic(0.01, 10.0), temperature=1.0 - 0.5 * n) for n in range(2)]
        return qdb.heat_currents(qdb.davies(qdb.models.three_dot_ring(tunneling=0.5, flux=flux), baths))[0]

    memories = entries._STACKED._parts, entries._COMPLEX._parts
    gc.collect()
    before = [set(memory) for memory in memories]  # other tests' arrays, if their failures or caches hold them
    program = jax.jit(jax.vmap(mode(current))).lower(X)
    gc.collect()
    assert program is not None
    assert all(set(memory) <= known for memory, known in zip(memories, before, strict=True))


@pytest.mark.parametrize("generic", [False, True])
def test_a_gradient_of_a_batch_puts_no_rates_together(generic):
    """Cotangents pass entry by entry; each array of them that is put together costs as much as a tenth of the value.

    What is left: energies (cells, 3), the given Hamiltonian and its cotangent.
    """
    fixed, bias = np.array([[0.0, 0.5, 0.2], [0.5, 0.3, 0.4], [0.2, 0.4, 1.1]]), np.diag([1.0, 0.0, -0.5])

    def current(temperature, x):
        ring = qdb.models.three_dot_ring(tunneling=0.5, flux=x)
        temperatures = (temperature, 0.2)
        baths = [qdb.Bath(qdb.site(n, 3), qdb.Ohmic(0.01, 10.0), temperature=t) for n, t in enumerate(temperatures)]
        return qdb.heat_currents(qdb.davies(fixed + x * bias if generic else ring, baths))[0]

    cells = 1000
    program = jax.jit(jax.vmap(jax.grad(current, (0, 1)))).lower(X[0] + jnp.zeros(cells), jnp.linspace(0.1, 0.2, cells))
    entry = program.compile().as_text().split("\nENTRY")[1]
    tables = [line for line in entry.splitlines() if f" = f64[{cells},3,3]" in line or f" = f64[{cells},2,3,3]" in line]
    assert len(tables) <= 2 * generic
