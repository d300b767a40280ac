"""Gibbs states against golden potentials: qubit at positive, negative and large β, and degenerate levels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import cases

import qdbjax as qdb

QUBIT = [case for case in cases("gibbs_gge") if case["name"] == "qubit"]
(LEVELS,) = [case for case in cases("gibbs_gge") if case["name"].startswith("degenerate")]
gibbs = jax.jit(lambda hamiltonian, beta: qdb.gibbs(hamiltonian, inverse_temperature=beta))


@pytest.mark.parametrize("case", QUBIT, ids=lambda case: f"beta={case['inputs']['beta']}")
def test_qubit(case):
    """E, ln Z, F (1e-12); S and C, tiny at β = 40, to the rounding of ln Z."""
    w, beta, expected = case["inputs"]["w"], case["inputs"]["beta"], case["outputs"]
    state = gibbs(jnp.diag(jnp.array([0.5 * w, -0.5 * w])), jnp.array(beta))
    np.testing.assert_allclose(state.energy, expected["E"], rtol=1e-12)
    np.testing.assert_allclose(state.log_partition_function, expected["lnZ"], rtol=1e-12)
    np.testing.assert_allclose(state.free_energy, expected["F"], rtol=1e-12)
    np.testing.assert_allclose(state.entropy, expected["S"], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(state.heat_capacity, expected["C"], rtol=1e-12, atol=1e-15)
    up = 1 / (1 + np.exp(beta * w))
    np.testing.assert_allclose(state.populations, [1 / (1 + np.exp(-beta * w)), up], rtol=1e-12)
    np.testing.assert_allclose(state.density_matrix, np.diag([up, 1 - up]), rtol=1e-12)


def test_degenerate_levels():
    """Levels of degeneracy 1, 3, 2: level probabilities, E, S, C, ln Z (1e-12)."""
    levels, beta, expected = LEVELS["inputs"]["levels"], LEVELS["inputs"]["beta"], LEVELS["outputs"]
    energies = np.concatenate([[energy] * count for energy, count in levels])
    state = gibbs(jnp.diag(jnp.array(energies)), jnp.array(beta))
    groups = np.repeat(np.arange(len(levels)), [count for _, count in levels])
    for source in (state.populations, np.real(np.diagonal(state.density_matrix))):
        np.testing.assert_allclose(np.bincount(groups, weights=source), expected["level_prob"], rtol=1e-12)
    np.testing.assert_allclose(state.energy, expected["E"], rtol=1e-12)
    np.testing.assert_allclose(state.entropy, expected["S"], rtol=1e-12)
    np.testing.assert_allclose(state.heat_capacity, expected["C"], rtol=1e-12)
    np.testing.assert_allclose(np.exp(state.log_partition_function), expected["Z"], rtol=1e-12)
