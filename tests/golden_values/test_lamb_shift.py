"""The Lamb shift against golden values."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import array, cases
from programs import golden_degenerate as degenerate, golden_qubit as qubit

import qdbjax as qdb
from qdbjax.baths import lamb_matrix

QUBIT, DEGENERATE = cases("davies_qubit_ohmic"), cases("davies_degenerate")
shift = eqx.filter_jit(lamb_matrix)


@eqx.filter_jit
def with_and_without(hamiltonian, bath):
    shifted, bare = (qdb.davies(hamiltonian, bath, lamb_shift=flag) for flag in (True, False))
    return shifted.liouvillian(), shifted.lamb_shift, bare.lamb_shift, qdb.steady_state(shifted).density_matrix


@pytest.mark.parametrize("case", QUBIT, ids=lambda case: case["name"])
def test_qubit(case):
    """s(±ω), s(0), H_LS and L of the whole golden case, the shifted splitting included (1e-10)."""
    inputs, expected = case["inputs"], case["outputs"]
    hamiltonian, bath = qubit(inputs)
    found = shift(bath, jnp.array([inputs["w0"], -inputs["w0"], 0.0]))[0, 0]
    np.testing.assert_allclose(found, [expected["s_plus"], expected["s_minus"], expected["s_zero"]], rtol=1e-10)
    liouvillian, added, none, rho = with_and_without(hamiltonian, bath)
    np.testing.assert_allclose(
        added, array(expected["H_LS"]), rtol=0, atol=1e-10 * np.abs(array(expected["H_LS"])).max()
    )
    scale = np.abs(array(expected["L"])).max()
    np.testing.assert_allclose(liouvillian, array(expected["L"]), rtol=0, atol=1e-10 * scale)
    assert not np.any(none)
    np.testing.assert_allclose(rho, array(expected["rho_ss"]), rtol=0, atol=1e-12)
    split = np.real(added[0, 0] - added[1, 1]) + inputs["w0"]
    np.testing.assert_allclose(split, expected["lamb_shifted_splitting"], rtol=1e-10)


@pytest.mark.slow
def test_dark_state():
    """Degenerate levels with a dark state, Lamb shift on: the whole golden Liouvillian."""
    (case,) = (case for case in DEGENERATE if case["inputs"]["lamb"])
    expected = case["outputs"]
    liouvillian, added, _, _ = with_and_without(*degenerate(case))
    np.testing.assert_allclose(added, array(expected["H_LS"]), rtol=0, atol=1e-10)
    assert np.abs(array(expected["H_LS"])).max() > 1e-3
    np.testing.assert_allclose(liouvillian, array(expected["L"]), rtol=0, atol=1e-10)


def test_cases_found():
    """Four golden qubits, one golden dark state with a Lamb shift."""
    assert len(QUBIT) == 4 and sum(case["inputs"]["lamb"] for case in DEGENERATE) == 1


def test_two_baths_add():
    """H_LS of two baths is the sum."""
    baths = [
        qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.02, 5.0), temperature=0.7, name="hot"),
        qdb.Bath(qdb.sigma_x() + qdb.sigma_z(), qdb.Ohmic(0.05, 3.0), temperature=0.3, name="cold"),
    ]
    made = [qdb.davies(np.diag([0.0, 1.0]), some, lamb_shift=True).lamb_shift for some in (baths, *baths)]
    np.testing.assert_allclose(made[0], made[1] + made[2], rtol=0, atol=1e-15)
    assert np.abs(made[2]).max() > 1e-3
