"""Three levels, two boson baths at μ = 0: rates, populations, micro-currents, entropy production, coherence decay.

The golden coupling is D a† + h.c. with D upper triangular; the Hermitian coupling D + Dᵀ has the same rates. Golden
currents count into the field, ours into the system.
"""

import equinox as eqx
import numpy as np
import pytest
from helpers import array, cases

import qdbjax as qdb

CASES = [case for case in cases("threelevel_two_baths") if all(bath["mu"] == 0 for bath in case["inputs"]["baths"])]


@eqx.filter_jit
def observe(energies, baths):
    generator = qdb.davies(qdb.models.three_level(energies), baths)
    state = qdb.steady_state(generator)
    currents = qdb.micro_currents(generator, state), qdb.energy_currents(generator, state)
    return generator.rates, state, *currents, qdb.entropy_production(generator, state), generator.liouvillian()


def build(case):
    energies, baths = case["inputs"]["eps"], []
    for bath in case["inputs"]["baths"]:
        d = np.array(bath["D"], float)
        baths.append(qdb.Bath(d + d.T, qdb.Ohmic(bath["kappa"], bath["wc"]), temperature=bath["T"]))
    return np.array(energies), tuple(baths)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_three_level(case):
    """All outputs that do not need a chemical potential (1e-10)."""
    expected = case["outputs"]
    rates, state, micro, energy, production, liouvillian = observe(*build(case))
    np.testing.assert_allclose(rates, array(expected["W_per_bath"]), rtol=1e-12)
    np.testing.assert_allclose(state.populations, expected["rho_diag"], rtol=1e-12)
    assert int(state.status) == 0
    for row in expected["micro_currents"]:
        m, n = row["m"], row["n"]
        found = np.asarray(micro[:, m, n])
        np.testing.assert_allclose(found, [-row["J1"], -row["J2"]], rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(micro[:, n, m], -found, rtol=0, atol=0)
        np.testing.assert_allclose(row["omega"] * found, [-row["JE1"], -row["JE2"]], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(energy, -array(expected["energy_currents"]), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(production, expected["entropy_production"], rtol=1e-10, atol=1e-15)
    particles = -np.sum(np.tril(micro), axis=(1, 2))
    np.testing.assert_allclose(particles, expected["particle_currents"], rtol=1e-10, atol=1e-15)
    decay = -np.real(np.diagonal(liouvillian)).reshape(3, 3)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(decay[off], array(expected["coherence_decay_G"])[off], rtol=1e-10)
    np.testing.assert_allclose(np.diagonal(decay), -np.diagonal(array(expected["W"])), rtol=1e-10)


def test_cases_found():
    """Both μ = 0 cases are in the file."""
    assert len(CASES) == 2
