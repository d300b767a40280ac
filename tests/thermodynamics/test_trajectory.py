"""Entropy and heat while a state relaxes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from reference.differences import slope_of
from reference.machines import ENERGIES, KET, three_level_machine

import qdbjax as qdb

START = 0.9 * np.outer(KET, KET.conj()) + 0.1 * np.eye(3) / 3
TIMES = np.linspace(0.0, 30.0, 61)


def relative_entropy(rho, sigma):
    return np.trace(rho @ (scipy.linalg.logm(rho) - scipy.linalg.logm(sigma))).real


def test_entropies():
    """Against matrix logarithms; pure states, orthogonal supports."""
    rng = np.random.default_rng(2)
    first, second = (x @ x.conj().T for x in rng.normal(size=(2, 4, 4)) + 1j * rng.normal(size=(2, 4, 4)))
    first, second = first / np.trace(first), second / np.trace(second)
    np.testing.assert_allclose(qdb.relative_entropy(first, second), relative_entropy(first, second), rtol=1e-12)
    np.testing.assert_allclose(
        qdb.von_neumann_entropy(first), -np.trace(first @ scipy.linalg.logm(first)).real, rtol=1e-12
    )
    assert abs(float(qdb.relative_entropy(first, first))) < 1e-14
    assert abs(float(qdb.von_neumann_entropy(np.outer(KET, KET.conj())))) < 1e-14
    np.testing.assert_allclose(qdb.von_neumann_entropy(np.eye(3) / 3), np.log(3), rtol=1e-14)
    assert np.isinf(qdb.relative_entropy(np.diag([0.0, 1.0]), np.diag([1.0, 0.0])))
    with pytest.raises(ValueError, match="must have one shape"):
        qdb.relative_entropy(np.eye(2) / 2, np.eye(3) / 3)


@pytest.mark.slow
@pytest.mark.parametrize("energies", [[0.0, 1.0, 2.3], [0.0, 1.0, 1.0]], ids=str)
def test_relative_entropy_never_grows(energies):
    """Towards the stationary state of two baths; its slope for one bath is minus the entropy production."""
    generator = three_level_machine((0.7, 1.5), energies)
    steady = qdb.steady_state(generator).density_matrix
    states = qdb.evolve(generator, START, TIMES).density_matrix
    distances = jax.vmap(lambda rho: qdb.relative_entropy(rho, steady))(states)
    assert np.all(np.diff(distances) < 1e-8) and distances[0] > 0.1
    single = three_level_machine((0.7,), energies)
    thermal = qdb.gibbs(np.diag(energies), temperature=0.7).density_matrix
    fine = np.linspace(2.0, 2.2, 5)
    states = qdb.evolve(single, START, fine, rtol=1e-12, atol=1e-14).density_matrix
    distance = np.asarray(jax.vmap(lambda rho: qdb.relative_entropy(rho, thermal))(states))
    slope = slope_of(distance[[0, 1, 3, 4]], 0.05)
    np.testing.assert_allclose(qdb.entropy_production(single, states[2]), -slope, rtol=1e-6)


def test_first_and_second_law_along_the_way():
    """Heat is the slope of ⟨H⟩; entropy production is positive and ends at that of the stationary state."""
    generator = three_level_machine((0.7, 1.5))
    run = qdb.evolve(generator, START, TIMES, rtol=1e-11, observables={"energy": np.diag(ENERGIES)})
    heat = jax.vmap(lambda rho: qdb.heat_currents(generator, rho))(run.density_matrix)
    production = jax.vmap(lambda rho: qdb.entropy_production(generator, rho))(run.density_matrix)
    gained = scipy.integrate.simpson(np.sum(heat, axis=1), x=TIMES)
    np.testing.assert_allclose(run.expectations["energy"][-1] - run.expectations["energy"][0], gained, rtol=1e-5)
    assert np.all(production > 0)
    steady = qdb.steady_state(generator)
    np.testing.assert_allclose(
        qdb.heat_currents(generator, steady.density_matrix), qdb.heat_currents(generator, steady), rtol=1e-9
    )
    np.testing.assert_allclose(
        qdb.entropy_production(generator, steady.density_matrix),
        qdb.entropy_production(generator, steady),
        rtol=1e-9,
    )


def test_pure_states_and_states_that_are_none():
    """A pure state that is left produces entropy at an infinite rate; a matrix that is no state is refused."""
    generator = three_level_machine((0.7,))
    assert np.isinf(qdb.entropy_production(generator, KET))
    with pytest.raises(ValueError, match="state must have trace 1"):
        qdb.heat_currents(generator, np.eye(3))


def test_leads():
    """With particles heat is energy minus μ times particles, at any time."""
    lead = qdb.Lead(qdb.annihilate(0, 1), qdb.Flat(0.01), temperature=0.3, chemical_potential=0.5)
    generator = qdb.davies(qdb.models.quantum_dot(0.8), lead)
    rho = jnp.diag(jnp.array([0.9, 0.1]))
    rates = np.asarray(generator.rates[0])
    particles = rates[1, 0] * 0.9 - rates[0, 1] * 0.1
    np.testing.assert_allclose(qdb.heat_currents(generator, rho), [(0.8 - 0.5) * particles], rtol=1e-12)
