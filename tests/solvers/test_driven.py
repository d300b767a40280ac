"""Driven evolution: the first law along a protocol."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from reference import machines
from reference.machines import KET

import qdbjax as qdb

COUPLINGS = np.stack([machines.COUPLING, np.array([[0.0, 0.3, 0.9], [0.3, 0.5, 0.4], [0.9, 0.4, 0.0]])])


def machine(energies, angle=0.7, lamb_shift=False):
    """Two baths on three levels in a rotated basis."""
    turn = scipy.linalg.expm(angle * np.array([[0, 1, 0.3j], [-1, 0, 0.5], [0.3j, -0.5, 0]]))
    hamiltonian = (turn * jnp.asarray(energies)[None, :].astype(complex)) @ turn.conj().T
    baths = [
        qdb.Bath(COUPLINGS[n], qdb.DrudeLorentz(0.03, 6.0), temperature=temperature, name=str(n))
        for n, temperature in enumerate((0.7, 1.5))
    ]
    return qdb.davies(qdb.System(0.5 * (hamiltonian + hamiltonian.conj().T)), baths, lamb_shift=lamb_shift)


TIMES = np.array([0.0, 0.3, 2.0, 2.0, 11.0, 40.0])
SPECTRA = {**machines.SPECTRA, "one level": [0.5] * 3}


def protocol(time):
    """Three levels whose upper one rises while the hot bath warms up."""
    energies = jnp.stack([jnp.zeros(()), jnp.ones(()), 2.3 + 0.2 * jnp.tanh((time - 10) / 5)])
    baths = [
        qdb.Bath(COUPLINGS[0], qdb.DrudeLorentz(0.03, 6.0), temperature=0.7 + 0.02 * time, name="hot"),
        qdb.Bath(COUPLINGS[1], qdb.DrudeLorentz(0.03, 6.0), temperature=0.4, name="cold"),
    ]
    return qdb.davies(qdb.models.three_level(energies), baths)


def check_account(found, energy, step):
    """What was integrated along with ρ: first law to the tolerance, entropy flow from heat currents by Simpson."""
    account = found.account
    np.testing.assert_allclose(account.energy, energy, rtol=1e-12)
    np.testing.assert_allclose(energy - energy[0], account.work + np.sum(account.heat, axis=1), rtol=0, atol=1e-8)
    np.testing.assert_array_equal(account.chemical_work, 0)
    temperatures = np.stack([0.7 + 0.02 * np.asarray(found.times), np.full(len(energy), 0.4)], axis=1)
    flow = np.asarray(found.heat_currents) / temperatures
    simpson = np.cumsum(step / 3 * (flow[:-2:2] + 4 * flow[1::2] + flow[2::2]), axis=0)
    np.testing.assert_allclose(account.entropy_flow[2::2], simpson, rtol=0, atol=1e-6)
    assert np.abs(simpson[-1]).min() > 1e-2
    assert "Account(heat=[" in repr(found) and "status=ok" in repr(found)


def test_driven_first_law():
    """d⟨H⟩/dt = heat + work along a protocol; ρ(t) against a Runge-Kutta loop with the Liouvillian of the moment."""
    times = np.linspace(0.0, 20.0, 201)
    found = qdb.evolve(protocol, KET, times, observables={"level": np.diag([0.0, 0.0, 1.0])})
    hamiltonians = np.stack([np.asarray(protocol(t).system.hamiltonian) for t in times])
    energy = np.einsum("tij,tji->t", hamiltonians, found.density_matrix).real
    gained = np.sum(np.asarray(found.heat_currents), axis=1) + np.asarray(found.work_current)
    assert np.abs(found.work_current).max() > 1e-4 and np.abs(found.heat_currents).max() > 1e-3
    step = times[1] - times[0]
    simpson = np.cumsum(step / 3 * (gained[:-2:2] + 4 * gained[1::2] + gained[2::2]))
    np.testing.assert_allclose(energy[2::2] - energy[0], simpson, rtol=0, atol=1e-6)
    check_account(found, energy, step)
    liouvillian = jax.jit(lambda t: protocol(t).liouvillian())
    rho, h = np.outer(KET, KET.conj()).astype(complex).reshape(-1), 0.01
    for n in range(500):
        start, middle, end = (np.asarray(liouvillian(h * (n + x))) for x in (0, 0.5, 1))
        a = start @ rho
        b = middle @ (rho + h / 2 * a)
        c = middle @ (rho + h / 2 * b)
        rho = rho + h / 6 * (a + 2 * b + 2 * c + end @ (rho + h * c))
    np.testing.assert_allclose(found.density_matrix[50].reshape(-1), rho, rtol=0, atol=1e-7)
    np.testing.assert_allclose(found.expectations["level"], np.real(found.density_matrix[:, 2, 2]), rtol=0, atol=1e-15)


@pytest.mark.slow
def test_a_protocol_that_stands_still_is_a_constant_generator():
    """The two ways agree, each to some ten times the tolerance of its steps (2e-9 at 1e-10)."""
    generator = machine(SPECTRA["equal gaps"])
    still, constant = (qdb.evolve(each, KET, TIMES, rtol=1e-10) for each in (lambda time: generator, generator))
    np.testing.assert_allclose(still.density_matrix, constant.density_matrix, rtol=0, atol=2e-9)
    np.testing.assert_allclose(still.work_current, 0, atol=1e-15)
