"""Temperatures at the ends of their range: exact limits, and what comes near them."""

import jax
import numpy as np
import pytest
from programs import gradients, machine, observed, random_machine
from reference.random_matrices import random_hermitian

import qdbjax as qdb
from qdbjax import Status

BASE = random_machine(np.random.default_rng(32), 3, 2, [0.0, 1.0, 2.3])


def at(*temperatures, scale=1.0):
    return machine(BASE[0] * scale, *BASE[1:4], temperatures)


def test_absolute_zero():
    """T = 0: the ground state, no upward rate, no heat; and the limit of T → 0."""
    frozen, cool = observed([at(0.0, 0.0), at(1e-3, 1e-3)])
    assert frozen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    np.testing.assert_array_equal(np.tril(frozen["rates"].sum(axis=0)), 0.0)
    np.testing.assert_allclose(frozen["populations"], [1, 0, 0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(frozen["heat"], 0.0, rtol=0, atol=1e-15)
    np.testing.assert_allclose(frozen["rho"], cool["rho"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(frozen["rates"], cool["rates"], rtol=1e-13, atol=1e-15)
    ground = np.linalg.eigh(BASE[0])[1][:, 0]
    np.testing.assert_allclose(frozen["rho"], np.outer(ground, ground.conj()), rtol=0, atol=1e-14)


@pytest.mark.slow
def test_gradient_at_absolute_zero():
    """T = 0: the state's derivative with respect to H is that of the ground projector (perturbation theory)."""
    rng = np.random.default_rng(4)
    probe, direction = random_hermitian(rng, 3), random_hermitian(rng, 3)
    value, grads = gradients([at(0.0, 0.0)], [probe])
    energies, basis = np.linalg.eigh(BASE[0])
    ground = basis[:, 0]
    shift = basis[:, 1:] @ ((basis[:, 1:].conj().T @ direction @ ground) / (energies[0] - energies[1:]))
    wanted = 2 * np.real(ground.conj() @ probe @ shift)
    np.testing.assert_allclose(value[0], np.real(ground.conj() @ probe @ ground), rtol=1e-13)
    np.testing.assert_allclose(np.real(np.sum(grads[0][0] * direction)), wanted, rtol=1e-10)
    assert all(np.all(np.isfinite(leaf)) for leaf in grads[:4])


def test_mixed_zero_and_finite():
    """One bath at T = 0: finite currents into it, infinite entropy production."""
    (seen,) = observed([at(1.0, 0.0)])
    assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    assert seen["heat"][0] > 0 > seen["heat"][1]
    assert seen["entropy"] == np.inf


@pytest.mark.slow
@pytest.mark.parametrize("beta", [89.0, 1e3, 1e6])
def test_cold(beta):
    """βω up to 1e6: finite, positive, and the ground state; derivatives finite."""
    (seen,) = observed([at(1 / beta, 1 / beta)])
    assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    np.testing.assert_allclose(seen["populations"], np.exp(-beta * np.array([0, 1.0, 2.3])), rtol=1e-9, atol=1e-300)
    value, grads = gradients([at(1 / beta, 2 / beta)])
    assert np.isfinite(value[0])
    assert all(np.all(np.isfinite(leaf)) for leaf in grads)


def test_hot():
    """T = 1e8 mixes all levels equally, to the first order in 1/T."""
    (seen,) = observed([at(1e8, 1e8)])
    np.testing.assert_allclose(seen["populations"], 1 / 3, rtol=1e-7)
    np.testing.assert_allclose(np.diff(seen["populations"]) * 3e8, -np.diff([0, 1.0, 2.3]), rtol=1e-6)


def test_gibbs_limits():
    """T = 0±, β = 0 and negative T of a Gibbs state, degenerate ground level included."""
    hamiltonian = np.diag([0.0, 0.0, 1.5])
    gibbs = jax.jit(lambda t: qdb.gibbs(hamiltonian, temperature=t))
    np.testing.assert_allclose(np.diag(gibbs(0.0).density_matrix), [0.5, 0.5, 0.0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(gibbs(0.0).entropy, np.log(2), rtol=1e-15)
    np.testing.assert_allclose(np.diag(gibbs(np.inf).density_matrix), [1 / 3] * 3, rtol=1e-15)
    np.testing.assert_allclose(np.diag(gibbs(-1e-3).density_matrix), [0.0, 0.0, 1.0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(gibbs(1e-6).energy, 0.0, rtol=0, atol=1e-300)
