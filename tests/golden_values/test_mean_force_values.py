"""Mean force against golden values: one oscillator exactly, an Ohmic bath to second order, the damped oscillator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import array, cases

import qdbjax as qdb

X, Z = qdb.sigma_x(), qdb.sigma_z()
total = jax.jit(lambda h, rest, beta: qdb.mean_force(h, rest, inverse_temperature=beta))
weak = jax.jit(
    lambda h, s, eta, cutoff, t: qdb.states.weak_mean_force(h, qdb.Bath(s, qdb.Ohmic(eta, cutoff), temperature=t))
)
oscillator = jax.jit(
    lambda frequency, damping, cutoff, temperature, mass: qdb.states.damped_oscillator(
        frequency, damping=damping, cutoff=cutoff, temperature=temperature, mass=mass
    )
)


def coupling(theta):
    return np.cos(theta) * Z - np.sin(theta) * X


@pytest.mark.parametrize("case", cases("hmf_qubit_mode"), ids=lambda case: f"theta={case['inputs']['theta']:.2f}")
def test_qubit_and_mode(case):
    """H*, ρ and ln Z* of a qubit and an oscillator of 60 levels (1e-12)."""
    given, expected = case["inputs"], case["outputs"]
    a = qdb.destroy(given["Nfock"])
    rest, unit = given["Omega"] * a.T @ a, np.eye(given["Nfock"])
    hamiltonian = np.kron(0.5 * given["wq"] * Z, unit) + np.kron(np.eye(2), rest)
    hamiltonian = hamiltonian + given["g"] * np.kron(coupling(given["theta"]), a + a.T)
    found = total(hamiltonian, rest, given["beta"])
    np.testing.assert_allclose(found.hamiltonian, array(expected["H_star"]).real, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.density_matrix, array(expected["rho_S"]).real, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.log_partition_function, expected["lnZstar"], rtol=1e-12)


@pytest.mark.parametrize("case", cases("hmf_weak_coupling"), ids=lambda case: f"theta={case['inputs']['theta']:.2f}")
def test_ohmic_bath(case):
    """δρ of a qubit in an Ohmic bath (1e-12)."""
    given, expected = case["inputs"], case["outputs"]
    numbers = (given[name] for name in ("eta", "wc", "T"))
    found = weak(0.5 * given["wq"] * Z, coupling(given["theta"]), *numbers)
    change = np.asarray(found.density_matrix) - array(expected["rho_gibbs"]).real
    np.testing.assert_allclose(change, array(expected["delta_rho"]).real, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", cases("hmf_damped_oscillator"), ids=lambda case: f"gamma={case['inputs']['gamma']}")
def test_damped_oscillator(case):
    """⟨x²⟩, ⟨p²⟩, Ω* and M* (1e-13)."""
    given, expected = case["inputs"], case["outputs"]
    found = oscillator(*(jnp.asarray(given[name]) for name in ("w0", "gamma", "wD")), 1 / given["beta"], given["M"])
    np.testing.assert_allclose(found.position_variance, expected["x2"], rtol=1e-13)
    np.testing.assert_allclose(found.momentum_variance, expected["p2"], rtol=1e-13)
    np.testing.assert_allclose(found.frequency, expected["omega_eff"], rtol=1e-13)
    np.testing.assert_allclose(found.mass, expected["M_eff"], rtol=1e-13)
