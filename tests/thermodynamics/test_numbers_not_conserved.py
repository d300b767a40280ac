"""Particle currents of an operator that does not commute with the Hamiltonian: Tr[N D(ρ)], never the part that does."""

import jax
import numpy as np
import pytest
from reference.random_matrices import random_hermitian, random_state

import qdbjax as qdb


def jump_sum(generator, rho, number):
    """Tr[N D_b(ρ)] from the jump operators, in NumPy."""
    flows = []
    for operators in generator.jump_operators():
        change = 0
        for k in operators:
            square = k.conj().T @ k
            change = change + k @ rho @ k.conj().T - 0.5 * (square @ rho + rho @ square)
        flows.append(np.trace(number @ change).real)
    return np.array(flows)


def one(d, rng):
    baths = [qdb.Bath(random_hermitian(rng, d), qdb.Ohmic(0.01, 10.0), temperature=T) for T in (1.0, 0.4)]
    return qdb.davies(random_hermitian(rng, d), baths), random_state(rng, d), random_hermitian(rng, d)


def test_a_spin_across_its_field():
    h, rho = np.diag([0.5, -0.5]), np.array([[0.4, 0.3], [0.3, 0.6]])
    generator = qdb.davies(h, qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=1.0))
    # σ_x decays at half the sum of the rates down and up, 2πηω e^{-ω/ω_c} coth(ω/2T).
    rate = np.pi * 0.01 * np.exp(-0.1) / np.tanh(0.5)
    np.testing.assert_allclose(qdb.particle_currents(generator, rho, number=qdb.sigma_x()), [-0.6 * rate], rtol=1e-12)
    turned, number = np.array([[0.4, -0.3j], [0.3j, 0.6]]), qdb.sigma_y()
    np.testing.assert_allclose(qdb.particle_currents(generator, turned, number=number), [-0.6 * rate], rtol=1e-12)
    assert np.isnan(jax.jit(lambda n: qdb.particle_currents(generator, rho, number=n))(qdb.sigma_x())).all()


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 3])
def test_random_operators(d, rng):
    """Five machines of each dimension, every one with an operator that is conserved too."""
    traced = jax.jit(lambda made, rho, number: qdb.particle_currents(made, rho, number=number))
    for _ in range(5):
        generator, rho, number = one(d, rng)
        np.testing.assert_allclose(
            qdb.particle_currents(generator, rho, number=number), jump_sum(generator, rho, number), rtol=1e-11
        )
        assert np.isnan(traced(generator, rho, number)).all()
        h = np.asarray(generator.system.hamiltonian)
        kept = h @ h + 2 * h
        for found in (qdb.particle_currents(generator, rho, number=kept), traced(generator, rho, kept)):
            np.testing.assert_allclose(found, jump_sum(generator, rho, kept), rtol=1e-9)


@pytest.mark.parametrize(
    "gap", [1e-7, *(pytest.param(gap, marks=pytest.mark.slow) for gap in (0.0, 1e-15, 1e-9, 1e-5))]
)
def test_levels_that_rounding_mixes_keep_their_number(gap, rng):
    """Close levels of different occupation: N is conserved, whatever eigh makes of them."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    h, number = turn @ np.diag([0.0, 1.0, 1.0 + gap]) @ turn.T, turn @ np.diag([0.0, 1.0, 2.0]) @ turn.T
    h, number = (h + h.T) / 2, (number + number.T) / 2
    generator = qdb.davies(h, qdb.Bath(random_hermitian(rng, 3).real, qdb.Ohmic(0.01, 10.0), temperature=1.0))
    traced = jax.jit(lambda made, n: qdb.particle_currents(made, np.eye(3) / 3, number=n))
    np.testing.assert_allclose(traced(generator, number), jump_sum(generator, np.eye(3) / 3, number), rtol=1e-6)
