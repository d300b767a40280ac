"""Driven evolution: the first law along a protocol."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.machines import COUPLING, KET, SPECTRA, three_level_machine

import qdbjax as qdb

COUPLINGS = COUPLING, COUPLING @ COUPLING


def protocol(time):
    """Three levels whose upper one rises while the hot bath warms up."""
    energies = jnp.stack([jnp.zeros(()), jnp.ones(()), 2.3 + 0.2 * jnp.tanh((time - 10) / 5)])
    baths = [
        qdb.Bath(COUPLINGS[0], qdb.DrudeLorentz(0.03, 6.0), temperature=0.7 + 0.02 * time, name="hot"),
        qdb.Bath(COUPLINGS[1], qdb.DrudeLorentz(0.03, 6.0), temperature=0.4, name="cold"),
    ]
    return qdb.davies(qdb.models.three_level(energies), baths)


TIMES = np.linspace(0.0, 20.0, 201)
STEP = TIMES[1] - TIMES[0]


def integral(slopes):
    """By Simpson's rule, at every second time but the first."""
    return np.cumsum(STEP / 3 * (slopes[:-2:2] + 4 * slopes[1::2] + slopes[2::2]), axis=0)


@pytest.fixture(scope="module")
def driven():
    """The evolution along the protocol."""
    return qdb.evolve(protocol, KET, TIMES, observables={"level": np.diag([0.0, 0.0, 1.0])})


@pytest.fixture(scope="module")
def energy(driven):
    """⟨H⟩ of its states."""
    hamiltonians = np.stack([np.asarray(protocol(t).system.hamiltonian) for t in TIMES])
    return np.einsum("tij,tji->t", hamiltonians, driven.density_matrix).real


@pytest.mark.slow
def test_driven_first_law(driven, energy):
    """d⟨H⟩/dt = heat + work along a protocol."""
    gained = np.sum(np.asarray(driven.heat_currents), axis=1) + np.asarray(driven.work_current)
    assert np.abs(driven.work_current).max() > 1e-4 and np.abs(driven.heat_currents).max() > 1e-3
    np.testing.assert_allclose(energy[2::2] - energy[0], integral(gained), rtol=0, atol=1e-6)


def test_account(driven, energy):
    """What was integrated along with ρ: the first law to the tolerance, entropy flow from heat currents by Simpson."""
    account = driven.account
    np.testing.assert_allclose(account.energy, energy, rtol=1e-12)
    np.testing.assert_allclose(energy - energy[0], account.work + np.sum(account.heat, axis=1), rtol=0, atol=1e-8)
    np.testing.assert_array_equal(account.chemical_work, 0)
    temperatures = np.stack([0.7 + 0.02 * TIMES, np.full(len(TIMES), 0.4)], axis=1)
    flow = integral(np.asarray(driven.heat_currents) / temperatures)
    np.testing.assert_allclose(account.entropy_flow[2::2], flow, rtol=0, atol=1e-6)
    assert np.abs(flow[-1]).min() > 1e-2
    assert "Account(baths=2, heat=[" in repr(driven) and "status=ok" in repr(driven)


def test_driven_states(driven):
    """ρ(t) against a Runge-Kutta loop with the Liouvillian of the moment; expectation values are those of ρ(t)."""
    liouvillian = jax.jit(lambda t: protocol(t).liouvillian())
    rho, h = np.outer(KET, KET.conj()).astype(complex).reshape(-1), 0.01
    for n in range(500):
        start, middle, end = (np.asarray(liouvillian(h * (n + x))) for x in (0, 0.5, 1))
        a = start @ rho
        b = middle @ (rho + h / 2 * a)
        c = middle @ (rho + h / 2 * b)
        rho = rho + h / 6 * (a + 2 * b + 2 * c + end @ (rho + h * c))
    np.testing.assert_allclose(driven.density_matrix[50].reshape(-1), rho, rtol=0, atol=1e-7)
    level = np.real(driven.density_matrix[:, 2, 2])
    np.testing.assert_allclose(driven.expectations["level"], level, rtol=0, atol=1e-15)


@pytest.mark.slow
def test_a_protocol_that_stands_still_is_a_constant_generator():
    """The two ways agree, each to some ten times the tolerance of its steps (2e-9 at 1e-10)."""
    generator, times = three_level_machine((0.7, 1.5), SPECTRA["equal gaps"]), [0.0, 2.0, 11.0, 40.0]
    still, constant = (qdb.evolve(each, KET, times, rtol=1e-10) for each in (lambda time: generator, generator))
    np.testing.assert_allclose(still.density_matrix, constant.density_matrix, rtol=0, atol=2e-9)
    np.testing.assert_allclose(still.work_current, 0, atol=1e-15)
