"""Cumulants of qubit and refrigerator, Onsager matrices. Golden counts into the bath, ours into the system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import cases
from reference.machines import links

import qdbjax as qdb
from qdbjax.thermodynamics import (
    fano_factor,
    fluctuation_symmetry,
    noise_matrix,
    onsager_matrix,
    transition_response,
    uncertainty_ratio,
)

FIELDS = np.linspace(-1.7, 0.9, 6)


@jax.jit
def qubit(splitting, strengths, temperatures, potentials, cutoff):
    lowering = np.array([[0.0, 0.0], [1.0, 0.0]])
    fields = [
        qdb.Field(
            lowering, qdb.Ohmic(strengths[n], cutoff), temperature=temperatures[n], chemical_potential=potentials[n]
        )
        for n in range(2)
    ]
    generator = qdb.davies(qdb.models.qubit(splitting), fields)
    steady = qdb.steady_state(generator)
    return {
        "energy": qdb.cumulants(generator, steady, 0, order=4),
        "particles": qdb.cumulants(generator, steady, 0, of="particles", order=4),
        "fano": fano_factor(generator, steady, 0),
        "uncertainty": uncertainty_ratio(generator, steady, 0),
        "symmetry": fluctuation_symmetry(generator, FIELDS),
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("fcs_qubit"), ids=lambda case: str(case["inputs"]["T"]))
def test_qubit(case):
    """Four cumulants of quanta and energy, Fano factor, uncertainty ratio (1e-10)."""
    given, expected = case["inputs"], case["outputs"]
    found = qubit(given["w0"], *(jnp.asarray(given[key]) for key in ("kappa", "T", "mu")), given["wc"])
    sign = (-1.0) ** np.arange(1, 5)
    np.testing.assert_allclose(found["energy"], sign * expected["energy_cumulants_into_bath1"], rtol=1e-10)
    np.testing.assert_allclose(found["particles"], sign * expected["number_cumulants_into_bath1"], rtol=1e-10)
    np.testing.assert_allclose(found["fano"], expected["fano"], rtol=1e-10)
    np.testing.assert_allclose(found["uncertainty"], expected["TUR_ratio"], rtol=1e-10)
    np.testing.assert_allclose(found["symmetry"], 0, atol=1e-15)


@jax.jit
def refrigerator(energies, temperatures, strengths, cutoff):
    pairs = {"cold": (0, 1), "hot": (1, 2), "room": (0, 2)}
    baths = []
    for n, (name, (low, high)) in enumerate(pairs.items()):
        baths.append(
            qdb.Bath(links((low, high)), qdb.Ohmic(strengths[n], cutoff), temperature=temperatures[n], name=name)
        )
    generator = qdb.davies(qdb.models.three_level(energies), baths)
    steady = qdb.steady_state(generator)
    return {name: qdb.cumulants(generator, steady, name, order=3) for name in pairs}


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("absorption_refrigerator"), ids=lambda case: str(case["inputs"]["levels"]))
def test_refrigerator(case):
    """Three cumulants of the energy of three baths (1e-9), odd ones zero where the machine stands still."""
    given, expected = case["inputs"], case["outputs"]
    temperatures = jnp.asarray([given["Tc"], given["Th"], given["Tr"]])
    strengths = jnp.asarray([given["kappa"][name] for name in ("cold", "hot", "room")])
    found = refrigerator(jnp.asarray(given["levels"], float), temperatures, strengths, given["wc_cutoff"])
    for name, wanted in expected["energy_into_bath_cumulants"].items():
        # What is zero by symmetry is rounding (1e-14) in the golden values.
        wanted = np.where(np.abs(wanted) < 2e-14, 0.0, np.array([-1, 1, -1]) * wanted)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-9, atol=1e-14)


@jax.jit
def responses(energies, removals, strengths, cutoff, beta, potential):
    fields = [
        qdb.Field(
            removals[n],
            qdb.Ohmic(strengths[n], cutoff),
            inverse_temperature=beta,
            chemical_potential=potential,
        )
        for n in range(2)
    ]
    generator = qdb.davies(qdb.models.three_level(energies), fields)
    steady = qdb.steady_state(generator)
    return {
        "onsager": onsager_matrix(generator),
        "noise": noise_matrix(generator, steady),
        "transitions": transition_response(generator),
        "populations": steady.populations,
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("onsager"), ids=lambda case: case["name"])
def test_onsager(case):
    """Response matrix, its symmetry at equilibrium and only there, noise = 2 response, response of each transition."""
    given, expected = case["inputs"], case["outputs"]
    removals = jnp.asarray([given["D1"], given["D2"]], float)
    beta, potential = given["beta0"], given["mu0"]
    found = responses(jnp.asarray(given["eps"]), removals, jnp.asarray(given["kappa"]), given["wc"], beta, potential)
    onsager = np.asarray(found["onsager"])
    np.testing.assert_allclose(found["populations"], expected["reference_populations"], rtol=1e-9)
    np.testing.assert_allclose(onsager, expected["response_matrix_K"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(onsager - onsager.T), expected["K_asymmetry_norm"], rtol=1e-9, atol=1e-15)
    assert (potential == 0) == (np.abs(onsager - onsager.T).max() < 1e-10 * np.abs(onsager).max())
    fluctuations = np.abs(0.5 * np.asarray(found["noise"]) - onsager).max() / np.abs(onsager).max()
    assert (potential == 0) == (fluctuations < 1e-10)
    # Along δμ = μ_2 - μ_1 and δβ/β of source equation (48), forces in the order (μβ_1, -β_1, μβ_2, -β_2).
    by_potential = 0.5 * beta * np.array([-1, 0, 1, 0])
    by_temperature = 0.5 * beta * np.array([potential, -1, -potential, 1])
    table = np.asarray(found["transitions"])
    for row in expected["per_transition_J_2to1"]:
        slopes = -0.5 * (table[0, row["m"], row["n"]] - table[1, row["m"], row["n"]])
        np.testing.assert_allclose(slopes @ by_potential, row["dJ_ddmu"], rtol=1e-9)
        np.testing.assert_allclose(slopes @ by_temperature, row["dJ_d_dbeta_over_beta0"], rtol=1e-9)
        if "Gamma_57b" in row:
            above = row["omega"] - potential
            np.testing.assert_allclose(slopes @ by_potential, -row["Gamma_57b"], rtol=1e-9)
            np.testing.assert_allclose(slopes @ by_temperature, -above * row["Gamma_57b"], rtol=1e-9)
