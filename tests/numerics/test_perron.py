"""The dominant eigenvalue and its projector against LAPACK, with two derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from reference import differences

from qdbjax.numerics.perron import perron_eigenvalue, perron_projector


def tilted(rng, d, field):
    """A rate matrix whose jumps weigh e^{field·lift}; at field 0 its columns add up to 0."""
    rates = rng.uniform(0.1, 1.0, size=(d, d)) * (1 - np.eye(d))
    lift = rng.normal(size=(d, d))
    return rates * np.exp(field * (lift - lift.T)) - np.diag(rates.sum(axis=0))


def known(matrix):
    """λ and r lᵀ/lᵀr."""
    values, left, right = scipy.linalg.eig(matrix, left=True)
    place = np.argmax(values.real)
    projector = np.outer(right[:, place], left[:, place].conj())
    return values[place].real, (projector / np.trace(projector)).real


def along(matrix, change):
    """λ and P, and their first two derivatives along a line."""
    line = lambda x: (perron_eigenvalue(matrix + x * change), perron_projector(matrix + x * change))  # noqa: E731
    first = jax.jacfwd(line)
    return line(0.0), first(0.0), jax.jacfwd(first)(0.0)


program = jax.jit(along)


@pytest.mark.parametrize("field", [0.0, 0.7, -0.8])
def test_value_and_two_derivatives(rng, field):
    """λ and P of a rate matrix and of tilted ones, and their derivatives by differences of LAPACK's."""
    matrix, change = tilted(rng, 4, field), rng.normal(size=(4, 4))
    size = np.abs(matrix).max()
    for n in range(2):
        value, slope, bend = (np.asarray(part[n]) for part in program(matrix, change))
        line = lambda x, n=n: known(matrix + x * change)[n]  # noqa: E731
        np.testing.assert_allclose(value, line(0.0), rtol=1e-12, atol=1e-13 * size)
        np.testing.assert_allclose(slope, differences.slope(line, 0.0, 3e-4), rtol=1e-7, atol=1e-8)
        wanted = differences.curvature(line, 0.0, 1e-3)
        np.testing.assert_allclose(bend, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_reverse_mode(rng):
    """dλ = Tr[P dA]: the gradient is Pᵀ."""
    matrix = tilted(rng, 4, 0.7)
    gradient = jax.grad(lambda a: perron_eigenvalue(a))(jnp.asarray(matrix))
    np.testing.assert_allclose(gradient, known(matrix)[1].T, rtol=1e-12)
