"""A generalized Gibbs state of two spins against golden values, and the inverse problem."""

import jax
import numpy as np
import pytest
from golden_cases import array, cases

import qdbjax as qdb

(CASE,) = [case for case in cases("gibbs_gge") if "GGE" in case["name"]]
GIVEN, EXPECTED = CASE["inputs"], CASE["outputs"]
X, Y, Z = qdb.sigma_x(), qdb.sigma_y(), qdb.sigma_z()
MAGNETIZATION = 0.5 * (np.kron(Z, np.eye(2)) + np.kron(np.eye(2), Z))
HAMILTONIAN = GIVEN["h"] * MAGNETIZATION + 0.25 * GIVEN["J"] * np.real(
    np.kron(X, X) + np.kron(Y, Y) + GIVEN["Delta"] * np.kron(Z, Z)
)
CHARGES = np.stack([HAMILTONIAN, MAGNETIZATION])
MULTIPLIERS = np.array([GIVEN["lambda_H"], GIVEN["lambda_M"]])
AVERAGES = np.array([EXPECTED["E"], EXPECTED["M"]])
forward = jax.jit(lambda x: qdb.generalized_gibbs(CHARGES, multipliers=x))
inverse = jax.jit(lambda x: qdb.generalized_gibbs(CHARGES, averages=x))


@pytest.mark.parametrize("solve, numbers", [(forward, MULTIPLIERS), (inverse, AVERAGES)], ids=["forward", "inverse"])
def test_two_spins(solve, numbers):
    """Everything from the multipliers, and from the averages (1e-12)."""
    state = solve(numbers)
    assert int(state.status) == 0
    np.testing.assert_allclose(state.multipliers, MULTIPLIERS, rtol=1e-12)
    np.testing.assert_allclose(state.averages, AVERAGES, rtol=1e-12)
    np.testing.assert_allclose(state.log_partition_function, EXPECTED["lnZ"], rtol=1e-12)
    np.testing.assert_allclose(state.entropy, EXPECTED["S"], rtol=1e-12)
    np.testing.assert_allclose(state.covariance, EXPECTED["covariance_HM"], rtol=1e-12)
    np.testing.assert_allclose(state.density_matrix, array(EXPECTED["rho"]).real, rtol=0, atol=1e-13)
