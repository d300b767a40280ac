"""Three levels with bosonic fields: chemical potentials and local-KMS fields.

Golden currents count into the field, ours into the system.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import array, cases

import qdbjax as qdb

CASES = cases("threelevel_two_baths")
LOCAL = cases("local_kms_threelevel")


class Profile(eqx.Module):
    """β(ω) = a + b ω + c/(1 + ω) + d e^{-ω}: the profiles of all golden cases, in one program."""

    weights: jax.Array

    def __call__(self, w):
        a, b, c, d = self.weights
        return a + b * w + c / (1 + w) + d * jnp.exp(-w)


PROFILES = {
    name: Profile(jnp.array(weights))
    for name, weights in {
        "1+0.5*w": [1.0, 0.5, 0.0, 0.0],
        "2/(1+w)": [0.0, 0.0, 2.0, 0.0],
        "3*exp(-w)": [0.0, 0.0, 0.0, 3.0],
        "1.3": [1.3, 0.0, 0.0, 0.0],
    }.items()
}


@eqx.filter_jit
def readings(energies, fields):
    generator = qdb.davies(qdb.models.three_level(energies), fields)
    state = qdb.steady_state(generator)
    return {
        "rates": generator.rates,
        "state": state,
        "micro": qdb.micro_currents(generator, state),
        "energy": qdb.energy_currents(generator, state),
        "heat": qdb.heat_currents(generator, state),
        "particles": qdb.particle_currents(generator, state),
        "production": qdb.entropy_production(generator, state),
        "liouvillian": generator.liouvillian(),
        "dynamical": qdb.balance.dynamical_balance(generator, state),
        "level_temperatures": qdb.balance.effective_inverse_temperatures(generator, state),
        "cycle": qdb.balance.cycle_analysis(generator, state, (((-1, 1, 0), (-1, 2, 1), (-1, 0, 2)),)),
        "bounds": qdb.balance.domination_bounds(generator, state),
    }


def build(case, heat):
    fields = tuple(
        qdb.Field(np.array(bath["D"], float), qdb.Ohmic(bath["kappa"], bath["wc"]), **heat(bath))
        for bath in case["inputs"]["baths"]
    )
    return np.array(case["inputs"]["eps"]), fields


def check(expected, found):
    """Rates, populations, currents by transition and in total, decay of coherences."""
    np.testing.assert_allclose(found["rates"], array(expected["W_per_bath"]), rtol=1e-12)
    np.testing.assert_allclose(found["state"].populations, expected["rho_diag"], rtol=1e-12)
    assert int(found["state"].status) == 0
    for row in expected["micro_currents"]:
        m, n = row["m"], row["n"]
        into = np.asarray(found["micro"][:, m, n])
        wanted = [-row[f"J{j + 1}"] for j in range(len(into))]
        np.testing.assert_allclose(into, wanted, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(found["micro"][:, n, m], -into, rtol=0, atol=0)
        np.testing.assert_allclose(row["omega"] * into, [-row[f"JE{j + 1}"] for j in range(len(into))], 1e-10, 1e-15)
    np.testing.assert_allclose(found["energy"], -array(expected["energy_currents"]), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found["particles"], -array(expected["particle_currents"]), rtol=1e-10, atol=1e-15)
    if expected["kolmogorov_ratio_123"] is not None:
        np.testing.assert_allclose(found["cycle"].ratios, [expected["kolmogorov_ratio_123"]], rtol=1e-10)
    np.testing.assert_allclose(found["level_temperatures"][1:], expected["beta_S_ref"][1:], rtol=1e-10)
    dynamical = found["dynamical"]
    np.testing.assert_allclose(
        dynamical.balance.T, array(expected["dyn_detailed_balance_deviation_68b"]), rtol=1e-10, atol=1e-15
    )
    np.testing.assert_allclose(dynamical.micro_currents, found["micro"], rtol=0, atol=1e-17)
    assert np.abs(dynamical.drift).max() < 1e-14
    known = np.isfinite(np.asarray(dynamical.from_lowest))
    np.testing.assert_allclose(dynamical.from_lowest[known], dynamical.micro_currents[known], rtol=0, atol=1e-15)
    decay = -np.real(np.diagonal(found["liouvillian"])).reshape(3, 3)
    np.testing.assert_allclose(decay, array(expected["coherence_decay_G"]), rtol=1e-10)
    # Those who decay and turn: every eigenvalue of L.
    wanted = array(expected["full_L_eigenvalues"])
    for value in np.linalg.eigvals(found["liouvillian"]):
        assert np.abs(wanted - value).min() < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_two_fields(case):
    """Different temperatures and chemical potentials; equal ones still carry current if μ ≠ 0 (1e-10)."""
    fields = build(case, lambda bath: {"temperature": bath["T"], "chemical_potential": bath["mu"]})
    found = readings(*fields)
    check(case["outputs"], found)
    np.testing.assert_allclose(found["production"], case["outputs"]["entropy_production"], rtol=1e-10, atol=1e-15)
    potentials = np.array([bath["mu"] for bath in case["inputs"]["baths"]])
    # Gibbs domination, (45): a pair that two fields push in opposite directions stays between their Gibbs factors.
    temperatures, bounds = np.array([bath["T"] for bath in case["inputs"]["baths"]]), found["bounds"]
    for m in range(3):
        for n in range(m):
            factors = np.exp(-(case["inputs"]["eps"][m] - case["inputs"]["eps"][n] - potentials) / temperatures)
            np.testing.assert_allclose([bounds.lower[m, n], bounds.upper[m, n]], [factors.min(), factors.max()], 1e-12)
            if found["micro"][0, m, n] * found["micro"][1, m, n] < -1e-20:
                assert bounds.inside[m, n]
    np.testing.assert_allclose(found["heat"], found["energy"] - potentials * found["particles"], rtol=0, atol=1e-16)


@pytest.mark.slow
@pytest.mark.parametrize("case", LOCAL, ids=lambda case: case["name"])
def test_local_kms(case):
    """One field with a temperature for each frequency: steady state, current and its direction, inversion."""
    expected, profile = case["outputs"], PROFILES[case["inputs"]["beta_function"]]
    energies, fields = build(case, lambda bath: {"inverse_temperature": profile})
    found = readings(energies, fields)
    check(expected, found)
    assert np.isnan(found["production"])
    populations = np.asarray(found["state"].populations)
    np.testing.assert_allclose(
        populations[1:] / populations[0], [expected["rho22_over_rho11"], expected["rho33_over_rho11"]]
    )
    cycle = float(found["micro"][0, 1, 0])  # lifted from 0 to 1: one quantum in, or out
    np.testing.assert_allclose(cycle, -expected["J_21_formula"], rtol=1e-10, atol=1e-15)
    if abs(expected["delta"]) < 1e-12:
        assert abs(cycle) < 1e-15
    elif np.all(np.array(case["inputs"]["baths"][0]["D"])[np.triu_indices(3, 1)] != 0):
        assert np.sign(cycle) == -np.sign(expected["delta"])
    if case["name"].startswith("inversion"):
        beta_31, beta_32 = (float(profile(jnp.asarray(energies[2] - energies[n]))) for n in (0, 1))
        inverted = beta_32 > (energies[2] - energies[0]) / (energies[2] - energies[1]) * beta_31
        assert (populations[1] > populations[0]) == inverted


def test_a_hermitian_coupling_is_the_same_at_zero_chemical_potential():
    """H_I = (D + D†) ⊗ B has the rates of D a† + h.c."""
    case = CASES[0]
    energies, fields = build(case, lambda bath: {"temperature": bath["T"]})
    couplings = [np.asarray(field.removal) for field in fields]
    baths = tuple(
        qdb.Bath(d + d.T, field.spectral_density, temperature=field.temperature)
        for d, field in zip(couplings, fields, strict=True)
    )
    rates = qdb.davies(qdb.models.three_level(energies), baths).rates
    np.testing.assert_allclose(rates, qdb.davies(qdb.models.three_level(energies), fields).rates, rtol=1e-13)
