"""States in time against golden values."""

import numpy as np
import pytest
from golden_cases import array, cases
from programs import golden_degenerate, golden_qubit

import qdbjax as qdb

QUBITS, CORRELATED, DEGENERATE = cases("davies_qubit_ohmic"), cases("davies_correlated"), cases("davies_degenerate")


@pytest.mark.parametrize("case", QUBITS, ids=lambda case: case["name"])
def test_golden_qubit(case):
    """ρ(t) of the golden qubit, which turns with the Lamb-shifted frequency (1e-8)."""
    inputs = case["inputs"]
    generator = qdb.davies(*golden_qubit(inputs), lamb_shift=True)
    found = qdb.evolve(generator, array(inputs["rho0"]), [inputs["t"]])
    np.testing.assert_allclose(found.density_matrix[0], array(case["outputs"]["rho_t"]), rtol=0, atol=1e-8)


def test_golden_correlated():
    """ρ(t) with two correlated couplings (1e-9)."""
    (case,) = CORRELATED
    inputs = case["inputs"]
    couplings = np.stack([array(inputs["S1"]), array(inputs["S2"])])
    density = qdb.Ohmic(inputs["eta"], inputs["wc"])
    bath = qdb.Bath(couplings, density, temperature=inputs["T"], correlation=array(inputs["M"]))
    found = qdb.evolve(qdb.davies(np.diag(inputs["eps"]), bath), array(inputs["rho0"]), [inputs["t"]], rtol=1e-11)
    np.testing.assert_allclose(found.density_matrix[0], array(case["outputs"]["rho_t"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (n > 1), id=str(n)) for n, case in enumerate(DEGENERATE)],
)
def test_golden_degenerate(case):
    """ρ(t) with equal gaps, dark states, collective decay (1e-9)."""
    generator = qdb.davies(*golden_degenerate(case), lamb_shift=case["inputs"]["lamb"])
    for start, wanted in zip(case["inputs"]["rho0"], case["outputs"]["rho_t"], strict=True):
        found = qdb.evolve(generator, array(start), [case["inputs"]["t"]], rtol=1e-11)
        np.testing.assert_allclose(found.density_matrix[0], array(wanted), rtol=0, atol=1e-9)
