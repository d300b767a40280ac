"""Principal values against closed forms, over twelve decades of widths and distances, and the estimates of error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.principal_value import principal_value

RATIOS = np.array([1e-9, 1e-6, 1e-4, 0.03, 0.5, 1.0, 4.0, 1e2, 1e4, 1e6, 1e9])


@jax.jit
@jax.vmap
def lorentzian(pole, center, width, mark):
    bell = lambda x: (1 / (1 + ((x[0] - center) / width) ** 2)[None],)  # noqa: E731
    return tuple(each[0] for each in principal_value(bell, pole[None], [mark], jnp.abs(center) + width))


@jax.jit
@jax.vmap
def power(pole, exponent):
    root = lambda x: (jnp.where(x[0] > 0, jnp.where(x[0] > 0, x[0], 1.0) ** (exponent - 1), 0.0)[None],)  # noqa: E731
    return tuple(each[0] for each in principal_value(root, pole[None], [0.0], 1.0, deep=True))


def grid(*columns):
    return (jnp.asarray(x.reshape(-1)) for x in np.meshgrid(*columns, indexing="ij"))


def test_lorentzian_of_any_width():
    """P∫ dx/(1 + (x - c)²/w²)/(ω - x) = πw(ω - c)/((ω - c)² + w²)."""
    pole, center, width = grid(np.array([-2.0, 0.0, 0.3, 1.0]), np.array([0.0, 1.0]), RATIOS)
    found, error, size = lorentzian(pole, center, width, center)
    away = pole - center
    wanted = 0.5 * width * away / (away**2 + width**2)
    # Rounding of x - c, on which the bell of height 1 depends as (x - c)/w, shows where the integral vanishes.
    rounding = 3e-16 * np.where(away == 0, 1 + center / width, 1.0)
    assert np.all(np.abs(found - wanted) <= 1e-12 * size + rounding)
    assert np.all((error <= 1e-10 * size) | (away == 0))


@pytest.mark.parametrize(
    ("exponent", "tolerance"),
    [(0.08, 1e-9), *((s, 1e-11) for s in (0.1, 0.2, 0.3, 0.45, 0.5, 0.6, 0.7, 0.8)), (0.9, 1e-9)],
)
def test_powers_at_both_ends(exponent, tolerance):
    """P∫₀^∞ x^{s-1}dx/(ω - x) = πω^{s-1}cot πs, and -π|ω|^{s-1}/sin πs for ω < 0: singular at 0, slow at infinity."""
    poles = np.array([1e-6, 0.01, 1.0, 30.0, 1e6, -1e-6, -0.5, -1e5])
    found, error, size = power(jnp.asarray(poles), jnp.full(poles.shape, exponent))
    angle = np.where(poles > 0, np.cos(np.pi * exponent), -1.0) / np.sin(np.pi * exponent)
    wanted = 0.5 * np.abs(poles) ** (exponent - 1) * angle
    assert np.all(np.abs(found - wanted) <= tolerance * np.asarray(size))
    assert np.all(error <= 1e-8 * size)


@pytest.mark.parametrize("width", [0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6])
def test_a_peak_without_mark_is_noticed(width):
    """The estimate is of the order of the error, up to 1."""
    pole = jnp.asarray([0.2, 0.7, 1.3, -0.6])
    one = jnp.ones_like(pole)
    found, error, size = lorentzian(pole, one, width * one, 0 * one)
    away = np.asarray(pole) - 1
    actual = np.max(np.abs(found - 0.5 * width * away / (away**2 + width**2)) / size)
    assert np.max(error / size) >= 0.1 * min(actual, 1.0) and actual > 1e-5


@pytest.mark.parametrize("exponent", [0.0, -0.2, 1.0, 1.2, 0.02, 0.99])
def test_divergent(exponent):
    """A power that diverges at 0 or at infinity, or nearly so, has no finite estimate."""
    assert np.isposinf(power(jnp.asarray([0.7]), jnp.asarray([exponent]))[1]).all()


def test_derivatives():
    """Forward and reverse, by the pole, the place, the width: those of the closed form."""

    def value(pole, center, width):
        return lorentzian(pole[None], center[None], width[None], center[None])[0][0]

    def closed(pole, center, width):
        return 0.5 * width * (pole - center) / ((pole - center) ** 2 + width**2)

    point = tuple(map(jnp.asarray, (0.3, 1.1, 1e-3)))
    wanted = jax.grad(closed, (0, 1, 2))(*point)
    for derivative in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(derivative(value, (0, 1, 2))(*point), wanted, rtol=1e-10)


def test_derivative_by_a_pole_on_a_mark():
    """1/2w of the Lorentzian at its centre: there the points move along the function, not with the mark."""

    def value(pole):
        mark = jnp.zeros((1,))
        return lorentzian(pole[None], mark, mark + 0.3, mark)[0][0]

    np.testing.assert_allclose(jax.grad(value)(jnp.zeros(())), 0.5 / 0.3, rtol=1e-10)
