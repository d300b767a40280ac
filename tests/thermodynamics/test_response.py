"""Response of currents: derivatives, noise and Kubo's correlation functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.differences import two_point_slope
from reference.machines import SPINS, level_between_leads
from reference.thermal import fermi

import qdbjax as qdb
from qdbjax.thermodynamics import (
    affinities,
    conductances,
    kubo_matrix,
    noise_matrix,
    onsager_matrix,
    second_order_response,
)


@jax.jit
def dot(zeeman, temperatures, potentials):
    leads = [
        qdb.Lead(
            SPINS,
            qdb.baths.LorentzianBand(0.01 * (1 + n), 0.2, 1.5),
            temperature=temperatures[n],
            chemical_potential=potentials[n],
        )
        for n in range(2)
    ]
    generator = qdb.davies(qdb.models.spinful_dot(-0.3, 1.1, zeeman), leads)
    steady = qdb.steady_state(generator)
    return {
        "onsager": onsager_matrix(generator),
        "noise": noise_matrix(generator, steady),
        "kubo": kubo_matrix(generator, steady),
        "cumulants": qdb.cumulants(generator, steady, 0, of="particles", order=3),
        "particles": qdb.particle_currents(generator, steady),
        "entropy": qdb.cumulants(generator, steady, None, of="entropy", order=2),
        "production": qdb.entropy_production(generator, steady),
    }


@pytest.mark.slow
@pytest.mark.parametrize("zeeman", [0.4, 0.0], ids=["split", "degenerate"])
def test_three_routes_to_conductance(zeeman):
    """A dot between equal leads: derivatives, noise, and Kubo's correlation functions agree and are symmetric."""
    found = dot(zeeman, jnp.asarray([0.7, 0.7]), jnp.asarray([0.4, 0.4]))
    onsager, size = np.asarray(found["onsager"]), np.abs(found["onsager"]).max()
    assert np.abs(onsager - onsager.T).max() < 1e-10 * size
    assert np.abs(onsager - 0.5 * np.asarray(found["noise"])).max() < 1e-10 * size
    assert np.abs(onsager - np.asarray(found["kubo"])).max() < 1e-10 * size
    assert np.linalg.eigvalsh(onsager).min() > -1e-12 * size


@pytest.mark.slow
def test_driven_dot():
    """Out of equilibrium the routes part; first cumulants are currents and entropy production."""
    found = dot(0.4, jnp.asarray([0.7, 0.5]), jnp.asarray([0.6, 0.1]))
    np.testing.assert_allclose(found["cumulants"][0], found["particles"][0], rtol=1e-12)
    np.testing.assert_allclose(found["entropy"][0], found["production"], rtol=1e-12)
    onsager = np.asarray(found["onsager"])
    assert np.abs(onsager - 0.5 * np.asarray(found["noise"])).max() > 1e-3 * np.abs(onsager).max()


def level_currents(reservoirs):
    """(μ, T) of two leads in turn → particles and heat of each, one level between them in closed form."""
    found = []
    occupations, rates = [fermi(0.1 - m, t) for m, t in reservoirs], [1e-3, 2e-3]
    flow = rates[0] * rates[1] * 2 * np.pi / sum(rates) * (occupations[0] - occupations[1])
    for sign, (potential, _) in zip((1, -1), reservoirs, strict=True):
        found += [sign * flow, sign * flow * (0.1 - potential)]
    return np.array(found)


RESERVOIRS = np.array([[0.2, 0.05], [-0.1, 0.08]])


def one_level():
    return level_between_leads(0.1, (1e-3, 2e-3), RESERVOIRS[:, 1], RESERVOIRS[:, 0])


def test_conductances():
    """Particles and heat against μ and T of each lead, driven, against differences of the closed form."""
    found = np.asarray(conductances(one_level()))
    for column in range(4):
        wanted = two_point_slope(level_currents, RESERVOIRS, 1e-5, np.eye(4)[column].reshape(2, 2))
        np.testing.assert_allclose(found[:, column], wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_second_order_response():
    """∂²J/∂X∂X of a driven dot against second differences of the closed form in the affinities (μ/T, -1/T)."""
    generator = one_level()
    found = np.asarray(second_order_response(generator))
    forces = np.asarray(affinities(generator))

    def currents(x):
        pairs = np.array([[-x[0] / x[1], -1 / x[1]], [-x[2] / x[3], -1 / x[3]]])
        particles, _, back, _ = level_currents(pairs)
        return np.array([particles, 0.1 * particles, back, 0.1 * back])

    for j in range(4):
        for k in range(4):
            a, b = 1e-3 * np.eye(4)[j], 1e-3 * np.eye(4)[k]
            corners = [s * t * currents(forces + s * a + t * b) for s in (1, -1) for t in (1, -1)]
            np.testing.assert_allclose(found[:, j, k], sum(corners) / 4e-6, rtol=1e-5, atol=1e-10)
