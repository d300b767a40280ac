"""Correlation functions against golden values."""

import numpy as np
import pytest
from golden_cases import array, cases

import qdbjax as qdb

CASES = cases("qdb_correlations")


def build(case):
    inputs = case["inputs"]
    couplings = [array(s) for s in (inputs["S"] if isinstance(inputs["S"], list) else [inputs["S"]])]
    baths = [
        qdb.Bath(np.real(s), qdb.Ohmic(eta, inputs["wc"]), temperature=temperature, name=str(n))
        for n, (s, eta, temperature) in enumerate(zip(couplings, inputs["eta"], inputs["T"], strict=True))
    ]
    return qdb.davies(np.real(array(inputs["H"])), baths)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden(case):
    """⟨A(t)B⟩ and ⟨B(t)A⟩ at and out of equilibrium (1e-9)."""
    generator = build(case)
    steady = qdb.steady_state(generator)
    a, b, times = array(case["inputs"]["A"]), array(case["inputs"]["B"]), case["inputs"]["t"]
    np.testing.assert_allclose(steady.density_matrix, array(case["outputs"]["rho_ss"]), rtol=0, atol=1e-11)
    for first, second, name in ((a, b, "C_AB"), (b, a, "C_BA")):
        found = qdb.correlation(generator, steady, first, second, times)
        np.testing.assert_allclose(found, array(case["outputs"][name]), rtol=0, atol=1e-9)
