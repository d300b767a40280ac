"""Exponential, logarithm, root and inverse of Hermitian matrices, two derivatives each, at equal eigenvalues too."""

import jax
import mpmath
import numpy as np
import pytest
import scipy.linalg
from reference import differences
from reference.random_matrices import random_hermitian, with_spectrum

from qdbjax.numerics.matrix_functions import (
    exp_second_difference,
    expm_hermitian,
    inverse_hermitian,
    logm_hermitian,
    sqrt_hermitian,
)

RNG = np.random.default_rng(8)
MOVE = random_hermitian(RNG, 4)
PAIRS = {
    "exp": (expm_hermitian, scipy.linalg.expm),
    "log": (logm_hermitian, scipy.linalg.logm),
    "root": (sqrt_hermitian, scipy.linalg.sqrtm),
    "inverse": (inverse_hermitian, np.linalg.inv),
}
PLACES = {
    "random": with_spectrum(RNG, [0.2, 0.5, 1.4, 2.0]),
    "equal in a basis": with_spectrum(RNG, [0.7, 0.7, 0.7, 1.5]),
    "equal on the diagonal": np.diag([0.7, 0.7, 1.5, 1.5]).astype(complex),
    "unit": np.eye(4, dtype=complex),
}


def line(function):
    def along(step, place):
        return function(place + step * MOVE)

    first = jax.jacfwd(along)
    return jax.jit(lambda place: (along(0.0, place), first(0.0, place), jax.jacfwd(first)(0.0, place)))


PROGRAMS = {name: line(pair[0]) for name, pair in PAIRS.items()}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", PAIRS)
def test_two_derivatives(name, place):
    """Against scipy and its central differences."""
    known = lambda x: PAIRS[name][1](PLACES[place] + x * MOVE)  # noqa: E731
    value, first, second = PROGRAMS[name](PLACES[place])
    np.testing.assert_allclose(value, known(0.0), rtol=0, atol=1e-13)
    slope, bend = differences.slope(known, 0.0, 1e-3), differences.curvature(known, 0.0, 1e-3)
    np.testing.assert_allclose(first, slope, rtol=0, atol=1e-7 * np.abs(slope).max())
    np.testing.assert_allclose(second, bend, rtol=0, atol=1e-6 * np.abs(bend).max())


@pytest.mark.parametrize("arguments", [(1.0, 0.0, -1.0), (0.9, 1.0, -1.0), (1.0, 1.0, -1.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.00999, 0.0101, 0.3, 40.0])
def test_second_difference_of_the_exponential(arguments, size):
    """Against its definition in 80 digits, on both sides of where the series ends."""
    with mpmath.workdps(80):
        apart = [size * mpmath.mpf(x) + mpmath.mpf(10) ** -18 * n for n, x in enumerate(arguments)]
        a, b, c = map(mpmath.exp, apart)
        x, y, z = apart
        expected = float(((a - b) / (x - y) - (b - c) / (y - z)) / (x - z))
    found = exp_second_difference(*(np.float64(size * x) for x in arguments))
    assert abs(found - expected) < 1e-13 * expected
