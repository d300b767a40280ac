"""Contracts of every spectral density: J(ω) as documented, 2πJ(n + 1), KMS, the limit ω → 0, and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts.registry import DENSITIES
from reference import differences

import qdbjax as qdb

FREQUENCIES = np.array([1e-6, 1e-3, 0.05, 0.2, 0.4, 0.7, 1.0, 1.7, 2.0, 3.3, 5.0, 8.5])
TEMPERATURES = np.array([0.015, 0.1, 0.7, 2.0, 1e3])


def everything(frequencies, temperatures):
    """For each density J(ω), γ(ω), γ(-ω) of shape (temperature, frequency), γ(0), and dγ/dω at ω, -ω."""
    table = {}
    for name, (density, *_) in DENSITIES.items():

        def at(temperature, density=density):
            bath = qdb.Bath(qdb.sigma_x(), density, temperature=temperature)
            both = bath.noise_pairs(frequencies)[0]
            zero = bath.noise(jnp.zeros(()))
            slope = jax.jvp(bath.noise, (frequencies,), (jnp.ones_like(frequencies),))[1]
            return bath.noise(frequencies), bath.noise(-frequencies), *both, zero, slope

        table[name] = density(frequencies), *jax.vmap(at)(temperatures)
    return table


program = jax.jit(everything)


@pytest.fixture(scope="module")
def table():
    return jax.tree.map(np.asarray, program(jnp.array(FREQUENCIES), jnp.array(TEMPERATURES)))


def test_every_density_has_its_contract():
    """A new class belongs into the registry."""
    classes = {thing for thing in vars(qdb.baths).values() if isinstance(thing, type)}
    densities = {thing for thing in classes if issubclass(thing, qdb.baths.AbstractSpectralDensity)}
    assert {type(density) for density, *_ in DENSITIES.values()} == densities - {qdb.baths.AbstractSpectralDensity}


@pytest.mark.parametrize("name", DENSITIES)
def test_density_is_the_documented_formula(table, name):
    """J(ω) against its formula in NumPy."""
    np.testing.assert_allclose(table[name][0], DENSITIES[name][1](FREQUENCIES), rtol=1e-13)


@pytest.mark.parametrize("name", DENSITIES)
def test_noise_is_two_pi_j_n_plus_one(table, name):
    """γ(ω > 0) = 2πJ(n + 1) and γ(-ω) = 2πJ n, by two routes of the package."""
    w, t = FREQUENCIES[None, :], TEMPERATURES[:, None]
    density = DENSITIES[name][1](w)
    emission = 2 * np.pi * density / -np.expm1(-w / t)
    absorption = emission * np.exp(-w / t)
    _, down, up, down_too, up_too, _, _ = table[name]
    for found, wanted in ((down, emission), (up, absorption), (down_too, emission), (up_too, absorption)):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("name", DENSITIES)
def test_kms(table, name):
    """γ(-ω) = e^{-βω} γ(ω) to 1e-13, β·ω from 1e-9 to 567."""
    _, down, up, *_ = table[name]
    factor = np.exp(-FREQUENCIES[None, :] / TEMPERATURES[:, None])
    assert np.all(np.abs(up - factor * down) <= 1e-13 * down)
    weighty = factor > 1e-250
    # e^{-x} in NumPy carries an error of x·eps itself.
    slack = 1e-13 * np.maximum(1, FREQUENCIES[None, :] / TEMPERATURES[:, None])
    assert np.all(np.abs(up / down / factor - 1)[weighty] <= slack[weighty])


@pytest.mark.parametrize("name", DENSITIES)
def test_zero_frequency(table, name):
    """γ(0) = 2πT lim J(ω)/ω: finite, zero or infinite."""
    np.testing.assert_allclose(table[name][5], 2 * np.pi * TEMPERATURES * DENSITIES[name][2], rtol=1e-13)


@pytest.mark.parametrize("name", DENSITIES)
def test_slope_of_noise(table, name):
    """dγ/dω by automatic differentiation against central differences of the NumPy formula."""
    density, slope = DENSITIES[name][1], table[name][6]
    smooth = (FREQUENCIES > 1e-2) & ~np.isin(FREQUENCIES, [0.4, 1.0, 2.0])  # a table has kinks at its points
    w, t = FREQUENCIES[None, smooth], TEMPERATURES[:, None]

    def gamma(x):
        return 2 * np.pi * density(x) / -np.expm1(-x / t)

    wanted = differences.slope(gamma, w, 1e-4 * w)
    np.testing.assert_allclose(slope[:, smooth], wanted, rtol=1e-8, atol=1e-9 * np.abs(gamma(w) / w).max())
