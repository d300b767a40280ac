"""Bose and Fermi factors and their derivatives against mpmath, from x = 0 to 1e6 and at T = 0."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from qdbjax.numerics.statistics import bose, fermi, magnitude, thermal_energy

X = np.array([1e-300, 1e-8, 1e-3, 0.3, 0.69, 0.71, 1.0, 3.0, 30.0, 700.0, 800.0, 1e3, 1e6])


def with_slopes(function):
    """Value and both derivatives, elementwise."""
    return jax.jit(jax.vmap(lambda x, t: (function(x, t), *jax.grad(function, argnums=(0, 1))(x, t))))


FUNCTIONS = {"energy": thermal_energy, "bose": bose, "fermi": fermi}
PROGRAMS = {name: with_slopes(function) for name, function in FUNCTIONS.items()}


def exact(name, x, t):
    """Value, ∂/∂x and ∂/∂T in 80 digits."""
    with mpmath.workdps(700):  # 1/x of x = 1e-300 cancels
        x, t = mpmath.mpf(float(x)), mpmath.mpf(float(t))
        z = x / t
        if name == "fermi":
            f = 1 / (mpmath.exp(z) + 1)
            slope = -1 / (4 * mpmath.cosh(z / 2) ** 2)
            return f, slope / t, -slope * z / t
        n = 1 / mpmath.expm1(z)
        slope = -1 / (4 * mpmath.sinh(z / 2) ** 2)
        if name == "bose":
            return n, slope / t, -slope * z / t
        return x * n, n + z * slope, -(z**2) * slope


def check(name, x, t, rtol=1e-13, floor=1e-290):
    found = PROGRAMS[name](jnp.asarray(x), jnp.asarray(t))
    for n in range(len(x)):
        wanted = exact(name, x[n], t[n])
        for part, value in zip(found, wanted, strict=True):
            value = float(value)
            slack = rtol * max(1, abs(x[n] / t[n]))
            if np.isfinite(value):
                np.testing.assert_allclose(part[n], value, rtol=slack, atol=floor, err_msg=f"{x[n]} {t[n]}")


@pytest.mark.parametrize("temperature", [1.0, 0.37])
def test_thermal_energy(temperature):
    """ωn(ω): value to rounding; derivatives, which cancel near x = 0, to 1e-13 of 1."""
    x = X * temperature
    t = np.full_like(x, temperature)
    value, by_x, by_t = (np.asarray(p) for p in PROGRAMS["energy"](jnp.asarray(x), jnp.asarray(t)))
    for n in range(len(x)):
        wanted = [float(p) for p in exact("energy", x[n], t[n])]
        np.testing.assert_allclose(value[n], wanted[0], rtol=2e-15 * max(1, X[n]), atol=1e-290)
        np.testing.assert_allclose(by_x[n], wanted[1], rtol=1e-13 * max(1, X[n]), atol=1e-290)
        np.testing.assert_allclose(by_t[n], wanted[2], rtol=1e-13 * max(1, X[n]), atol=1e-15 if X[n] < 1 else 1e-290)


def test_thermal_energy_at_zero():
    """ω = 0: T, with slope 0 (the mean of both sides) in ω and 1 in T; T = 0: nothing at all."""
    x, t = jnp.array([0.0, 0.0, 1.0, -1.0]), jnp.array([0.7, 0.0, 0.0, 0.0])
    value, by_x, by_t = PROGRAMS["energy"](x, t)
    np.testing.assert_array_equal(value, [0.7, 0, 0, 0])
    np.testing.assert_array_equal(by_x, [0, 0, 0, 0])
    np.testing.assert_allclose(by_t, [1, 0, 0, 0], rtol=1e-15)


def test_thermal_energy_is_even():
    """The same at -ω."""
    t = jnp.full(X.shape, 0.6)
    for up, down in zip(PROGRAMS["energy"](jnp.asarray(X), t), PROGRAMS["energy"](jnp.asarray(-X), t), strict=True):
        np.testing.assert_array_equal(np.abs(up), np.abs(down))


def test_bose():
    """n(ω), ω > 0."""
    check("bose", X[1:], np.full(len(X) - 1, 1.0))
    check("bose", 0.2 * X[2:], np.full(len(X) - 2, 0.2))


def test_bose_limits():
    """n(-ω) = -1 - n(ω); T = 0 gives 0 and -1; infinite at ω = 0."""
    value, by_x, by_t = PROGRAMS["bose"](jnp.array([-1.0, 2.0, -2.0, 0.0]), jnp.array([1.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(value, [-1 - 1 / np.expm1(1.0), 0, -1, np.inf], rtol=1e-15)
    assert np.all(np.isfinite(by_x))
    assert np.all(np.isfinite(by_t))


def test_fermi():
    """f(ε) at ±ε, negative temperatures included."""
    both = np.concatenate([X, -X, [0.0]])
    # Of a filled state the derivative f(1 - f) is known to eps absolutely: 1 - f cancels.
    check("fermi", both, np.full_like(both, 1.0), floor=1e-14)
    check("fermi", both, np.full_like(both, -0.7), floor=1e-14)
    check("fermi", X, np.full_like(X, 1.0))


def test_fermi_limits():
    """A step at T = 0, ½ at ε = 0 and at T = ∞; derivatives finite."""
    energy = jnp.array([-1.0, 0.0, 1.0, 3.0, -3.0])
    temperature = jnp.array([0.0, 0.0, 0.0, np.inf, np.inf])
    value, by_x, by_t = PROGRAMS["fermi"](energy, temperature)
    np.testing.assert_array_equal(value, [1, 0.5, 0, 0.5, 0.5])
    np.testing.assert_array_equal(by_x, 0)
    assert np.all(np.isfinite(by_t))


def test_magnitude():
    """|x| with slope 0 at 0."""
    slopes = jax.vmap(jax.grad(magnitude))(jnp.array([-2.0, 0.0, 3.0]))
    np.testing.assert_array_equal(slopes, [-1, 0, 1])
