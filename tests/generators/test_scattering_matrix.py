"""Scattering off a gas particle: unitarity, the optical theorem, a hard core."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_matrices import random_hermitian

import qdbjax as qdb

RNG = np.random.default_rng(5)


@jax.jit
def scattered(hamiltonian, potential, mass, energies):
    found = qdb.scattering(hamiltonian, qdb.Gas(potential, temperature=1.0, mass=mass), energies)
    k = jnp.where(found.open, jnp.real(found.wave_numbers), 1.0)
    inside = jnp.where(found.open, 1 / k, 0.0).astype(complex)
    daggered = jnp.swapaxes(found.t.conj(), 1, 2)
    both = found.open[:, :, None] & found.open[:, None, :]
    theorem = found.t - daggered + 2j * mass * daggered @ (inside[:, :, None] * found.t)
    return found.unitarity, jnp.max(jnp.abs(jnp.where(both, theorem, 0.0))) / jnp.max(jnp.abs(found.t))


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("sign", [1, -1, 0])
def test_unitarity_and_optical_theorem(d, sign):
    """Any Hermitian V: repulsive, attractive, indefinite; between, near and far above thresholds."""
    hamiltonian, potential = random_hermitian(RNG, d), random_hermitian(RNG, d)
    potential = sign * potential @ potential if sign else potential
    levels = np.linalg.eigvalsh(hamiltonian)
    near = levels[:, None] + np.array([-1e-9, 1e-9, 1e-3, 0.1])[None]
    energies = np.concatenate([near.reshape(-1), np.linspace(levels[0] + 0.01, levels[-1] + 5, 17), [1e6]])
    unitarity, theorem = scattered(hamiltonian, potential, 0.8, np.resize(energies, 38))
    assert np.abs(unitarity).max() < 1e-13 and theorem < 1e-13


RING = qdb.models.three_dot_ring(-0.3, 0.3)
V = np.diag([1.0, 0.7, 1.5])


def test_a_hard_core():
    """V → ∞ is right: t → k/im, every particle is reflected, and changes no level."""
    hard = qdb.Gas(1e9 * V, temperature=1.0)
    found = qdb.scattering(RING, hard, [5.0])
    np.testing.assert_allclose(found.t[0], np.diag(np.asarray(found.wave_numbers[0])) / 1j, rtol=0, atol=3e-8)
    np.testing.assert_allclose(found.s_matrix[0], -np.eye(3), rtol=0, atol=1e-8)
    assert np.abs(qdb.low_density(RING, hard).rates).max() < 1e-15


def test_what_cannot_scatter():
    """A gas for another system, and energies that are no vector."""
    gas = qdb.Gas(V, temperature=1.0)
    with pytest.raises(ValueError, match="scatters off 3 levels but the system has 2"):
        qdb.scattering(np.diag([0.0, 1.0]), gas, [1.0])
    with pytest.raises(ValueError, match="energies must be a vector"):
        qdb.scattering(RING, gas, 1.0)
