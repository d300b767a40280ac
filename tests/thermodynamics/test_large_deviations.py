"""Precision has its price."""

import jax
import numpy as np
import pytest
import scipy.integrate

import qdbjax as qdb
from qdbjax.thermodynamics import uncertainty_ratio


@pytest.mark.slow
def test_precision_has_its_price():
    """Q >= 1 for the energy from every bath of 2000 random classical machines."""
    rng = np.random.default_rng(4)
    energies = np.sort(rng.uniform(0.0, 3.0, size=(2000, 3)), axis=1) + np.array([0.0, 0.1, 0.2])
    couplings = rng.normal(size=(2000, 2, 3, 3))
    temperatures = np.exp(rng.uniform(np.log(0.2), np.log(5.0), size=(2000, 2)))

    def ratio(levels, couplings, temperatures):
        baths = [
            qdb.Bath(couplings[n] + couplings[n].T, qdb.Ohmic(0.01, 10.0), temperature=temperatures[n], name=str(n))
            for n in range(2)
        ]
        generator = qdb.davies(qdb.models.three_level(levels), baths)
        return uncertainty_ratio(generator, qdb.steady_state(generator), 0)

    found = np.asarray(jax.jit(jax.vmap(ratio))(energies, couplings, temperatures))
    assert found.min() >= 1 - 1e-9 and np.median(found) > 1.001


def scattered(left, right, tunnelling, potentials, temperatures):
    """Mean and noise of the electrons through two dots in series at energy 0, by Landauer, Levitov and Lesovik."""

    def integrand(angle, order):
        energy = np.tan(angle) * max(left, right, tunnelling)
        inverse = (energy + 0.5j * left) * (energy + 0.5j * right) - tunnelling**2
        through = left * right * tunnelling**2 / abs(inverse) ** 2
        f, g = (1 / (1 + np.exp((energy - mu) / T)) for mu, T in zip(potentials, temperatures, strict=True))
        noise = f * (1 - f) + g * (1 - g) + (1 - through) * (f - g) ** 2
        measure = max(left, right, tunnelling) / np.cos(angle) ** 2 / (2 * np.pi)
        return measure * through * (f - g if order == 1 else noise)

    edges = {"limit": 400, "epsabs": 0, "epsrel": 1e-9}
    return [scipy.integrate.quad(integrand, -np.pi / 2, np.pi / 2, args=(order,), **edges)[0] for order in (1, 2)]


@pytest.mark.slow
def test_coherence_makes_precision_cheaper():
    """Two dots whose electrons are exactly known: leads of any rates, potentials and temperatures, far below T."""
    rng = np.random.default_rng(7)
    rates, tunnelling = 1e-5 * rng.uniform(0.4, 2.0, size=(12, 2)), 1e-5 * rng.uniform(0.2, 1.5, size=12)
    potentials, temperatures = rng.normal(scale=2.0, size=(12, 2)), rng.uniform(0.5, 2.0, size=(12, 2))

    def readings(rates, tunnelling, potentials, temperatures):
        leads = [
            qdb.Lead(
                qdb.fermion_destroy(n, 2),
                qdb.Flat(rates[n] / (2 * np.pi)),
                temperature=temperatures[n],
                chemical_potential=potentials[n],
                name=name,
            )
            for n, name in enumerate(("left", "right"))
        ]
        generator = qdb.davies(qdb.models.double_dot([0.0, 0.0], tunnelling), leads, window=1e-3)
        ratio = uncertainty_ratio(generator, None, "left", of="particles")
        return *qdb.cumulants(generator, None, "left", of="particles", order=2), ratio

    mean, noise, ratio = map(np.asarray, jax.jit(jax.vmap(readings))(rates, tunnelling, potentials, temperatures))
    exact = np.array(
        [scattered(*r, t, mu, T) for r, t, mu, T in zip(rates, tunnelling, potentials, temperatures, strict=True)]
    )
    np.testing.assert_allclose(noise, exact[:, 1], rtol=2e-5)
    np.testing.assert_allclose(mean, exact[:, 0], rtol=2e-4)  # of order (Γ/T)/(f - g) off
    # An electron at the dots' energy, 0, leaves -μ/T in each lead.
    affinity = potentials[:, 0] / temperatures[:, 0] - potentials[:, 1] / temperatures[:, 1]
    np.testing.assert_allclose(ratio, exact[:, 1] * affinity / (2 * exact[:, 0]), rtol=5e-4)
    assert ratio.min() < 0.98
