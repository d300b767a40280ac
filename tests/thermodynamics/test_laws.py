"""Both laws along a protocol, and the quasi-static limit."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from reference.machines import level_between_leads
from reference.thermal import entropy, fermi

import qdbjax as qdb
from qdbjax import thermodynamics
from qdbjax.solvers import Account, Evolution

TEMPERATURE, POINTS = 0.6, 9
Z, X = qdb.sigma_z(), qdb.sigma_x()


class Stretch(eqx.Module):
    """A qubit whose splitting grows and whose axis turns, s(t) = sin²(πt/2τ): slow at both ends."""

    duration: jax.Array

    def hamiltonian(self, time):
        done = jnp.sin(0.5 * jnp.pi * time / self.duration) ** 2
        return 0.5 * (1 + done) * jnp.asarray(Z) + 0.3 * done * jnp.asarray(X)

    def __call__(self, time):
        bath = qdb.Bath(X + 0.4 * Z, qdb.Ohmic(0.05, 10.0), temperature=TEMPERATURE)
        return qdb.davies(self.hamiltonian(time), bath)


@jax.jit
def stretched(duration):
    protocol = Stretch(duration)
    times = duration * jnp.linspace(0.0, 1.0, POINTS)
    start = qdb.gibbs(protocol.hamiltonian(0.0), temperature=TEMPERATURE)
    run = qdb.evolve(protocol, start.density_matrix, times, rtol=1e-9, atol=1e-11)
    end = qdb.gibbs(protocol.hamiltonian(duration), temperature=TEMPERATURE)
    return run, thermodynamics.second_law(run, temperature=TEMPERATURE), end.free_energy - start.free_energy


def test_two_laws_of_an_isothermal_protocol():
    """ΔU = W + Q to the tolerance of the integration, U from the states; Σ >= 0 and growing; W - ΔF = T Σ."""
    duration = 30.0
    run, found, _ = jax.tree.map(np.asarray, stretched(duration))
    hamiltonians = np.stack([Stretch(duration).hamiltonian(t) for t in run.times])
    energy = np.einsum("tij,tji->t", hamiltonians, run.density_matrix).real
    np.testing.assert_allclose(found.energy, energy, rtol=1e-12)
    np.testing.assert_allclose(energy - energy[0], found.work + found.heat[:, 0], rtol=0, atol=1e-8)
    entropies = entropy(run.density_matrix)
    produced = entropies - entropies[0] - found.heat[:, 0] / TEMPERATURE
    np.testing.assert_allclose(found.entropy_produced, produced, rtol=0, atol=1e-8)
    assert np.all(np.diff(found.entropy_produced) > 0) and found.entropy_produced[-1] > 1e-3
    free = energy - TEMPERATURE * entropies
    np.testing.assert_allclose(found.dissipated_work, found.work - (free - free[0]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.dissipated_work, TEMPERATURE * produced, rtol=0, atol=1e-8)
    assert "entropy produced=" in repr(found) and "dissipated work=" in repr(found)


@pytest.mark.slow
def test_slow_driving_dissipates_in_proportion_to_its_speed():
    """W_diss τ tends to a constant and W to the difference of equilibrium free energies."""
    durations = np.array([100.0, 200.0, 400.0, 800.0])
    lost, work, difference = [], [], []
    for duration in durations:
        _, found, free = stretched(duration)
        lost.append(float(found.dissipated_work[-1]))
        work.append(float(found.work[-1]))
        difference.append(float(free))
    excess = np.array(work) - np.array(difference)
    for each in (np.array(lost), excess):
        steady = each * durations
        np.testing.assert_allclose(steady, steady[-1], rtol=0.02)
        # What is left of the next order halves with every doubling.
        np.testing.assert_allclose(np.diff(steady)[1:] / np.diff(steady)[:-1], 0.5, atol=0.15)
        assert each[-1] > 0
    # For a quasi-static path W is the integral of <dH/ds> in equilibrium: nothing of the evolution.
    path = np.linspace(0, 1, 401)
    push = []
    for s in path:
        values, vectors = np.linalg.eigh(0.5 * (1 + s) * Z + 0.3 * s * X)
        weights = np.exp(-values / TEMPERATURE)
        push.append(np.sum(weights * np.diag(vectors.T @ (0.5 * Z + 0.3 * X) @ vectors)) / weights.sum())
    np.testing.assert_allclose(difference[0], scipy.integrate.simpson(push, x=path), rtol=1e-8)


@pytest.mark.slow
def test_chemical_work():
    """A level lifted between two leads: ΔU = W + W_chem + ΣQ; the particles that each lead brings by plain NumPy."""
    temperatures, potentials, widths = (0.4, 0.3), (0.5, -0.2), (0.02, 0.03)

    def protocol(time):
        return level_between_leads(0.1 + 0.05 * time, widths, temperatures, potentials)

    run = qdb.evolve(protocol, np.diag([0.8, 0.2]), np.linspace(0.0, 20.0, 5))
    found = thermodynamics.second_law(run)
    gained = found.work + found.chemical_work + np.sum(found.heat, axis=1)
    np.testing.assert_allclose(found.energy - found.energy[0], gained, rtol=0, atol=1e-9)
    assert np.all(np.diff(found.entropy_produced) > 0) and found.free_energy is None and found.dissipated_work is None

    def slopes(time, y):
        level, filled = (
            0.1 + 0.05 * time,
            [fermi(0.1 + 0.05 * time - m, t) for m, t in zip(potentials, temperatures, strict=True)],
        )
        currents = [2 * np.pi * j * (f - y[0]) for j, f in zip(widths, filled, strict=True)]
        heat = [(level - m) * c for m, c in zip(potentials, currents, strict=True)]
        return [sum(currents), *heat, sum(m * c for m, c in zip(potentials, currents, strict=True)), 0.05 * y[0]]

    plain = scipy.integrate.solve_ivp(slopes, (0, 20), [0.2, 0, 0, 0, 0], rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(found.heat[-1], plain[1:3], rtol=0, atol=1e-8)
    np.testing.assert_allclose([found.chemical_work[-1], found.work[-1]], plain[3:], rtol=0, atol=1e-8)


def test_what_second_law_refuses():
    """A constant generator, and an evolution without its states."""
    constant = Evolution(jnp.arange(2.0), jnp.eye(2), None, {}, None, None, None, jnp.int32(0))
    with pytest.raises(ValueError, match="second_law needs a driven evolution"):
        thermodynamics.second_law(constant)
    account = Account(*[jnp.zeros((2, 1))] * 2, *[jnp.zeros(2)] * 3)
    driven = Evolution(jnp.arange(2.0), jnp.eye(2), None, {}, None, None, account, jnp.int32(0))
    with pytest.raises(ValueError, match="second_law needs the states"):
        thermodynamics.second_law(driven)
