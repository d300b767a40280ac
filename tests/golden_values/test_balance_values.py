"""Symmetry residuals, adjoint generators, cycles: golden values."""

import equinox as eqx
import numpy as np
import pytest
from golden_cases import array, cases
from reference.lindblad import commutator
from reference.thermal import gibbs

import qdbjax as qdb

BALANCE = qdb.balance


@eqx.filter_jit
def readings(hamiltonian, baths):
    generator = qdb.davies(hamiltonian, baths)
    steady = qdb.steady_state(generator)
    found = {"liouvillian": generator.liouvillian()}
    for product in ("GNS", "KMS"):
        residuals = BALANCE.symmetry_residuals(generator, steady, product=product)
        found[product] = residuals, BALANCE.adjoint_generator(generator, steady, product=product)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("qdb_correlations"), ids=lambda case: case["name"])
def test_symmetry_residuals(case):
    """‖D - D♯‖ in two products; L is not its own adjoint, L - L♯ - 2i[H, ·] is what D tells (1e-12)."""
    given, expected = case["inputs"], case["outputs"]
    baths = [
        qdb.Bath(array(coupling), qdb.Ohmic(eta, given["wc"]), temperature=temperature)
        for coupling, eta, temperature in zip(given["S"], given["eta"], given["T"], strict=True)
    ]
    found = readings(array(given["H"]), baths)
    turning = -commutator(array(given["H"]))
    for product in ("GNS", "KMS"):
        wanted = expected["QDB_residual_Frobenius"]
        residuals, adjoint = found[product]
        np.testing.assert_allclose(residuals.total, wanted[f"dissipator_{product}"], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(residuals.size, expected["norm_D"], rtol=1e-12)
        difference = np.asarray(found["liouvillian"]).conj().T - np.asarray(adjoint)
        np.testing.assert_allclose(np.linalg.norm(difference), wanted[f"fullL_{product}"], rtol=1e-12)
        rest = np.linalg.norm(difference - 2 * turning)
        np.testing.assert_allclose(rest, wanted[f"fullL_minus_adjoint_minus_2i[H,.]_{product}"], rtol=1e-12, atol=1e-13)
        if len(baths) == 1:
            np.testing.assert_allclose(residuals.baths[0], residuals.total, rtol=0, atol=1e-15)


def test_kms_without_gns():
    """A generator that is symmetric in the KMS product and not in the GNS product."""
    (case,) = cases("kms_vs_gns")
    given, expected = case["inputs"], case["outputs"]
    generator = qdb.lindblad(array(expected["G"]), array(expected["K"]))
    sigma = gibbs(array(given["H"]).real, 1 / given["beta"])
    assert np.abs(generator.apply(sigma)).max() < 1e-15
    heisenberg = np.asarray(generator.liouvillian()).conj().T
    for product, wanted in (("KMS", expected["KMS_residual"]), ("GNS", expected["GNS_residual"])):
        adjoint = BALANCE.adjoint_generator(generator, sigma, product=product)
        np.testing.assert_allclose(np.linalg.norm(heisenberg - adjoint), wanted, rtol=1e-12, atol=1e-12)
    assert np.abs(np.asarray(qdb.steady_state(generator).density_matrix) - sigma).max() < 1e-14


def test_classical_chain():
    """Two forward, one back: uniform populations, a current, affinity 3 ln 2."""
    (case,) = cases("classical_chain")
    expected = case["outputs"]
    generator = qdb.pauli([0.0, 1.0, 2.5], case["inputs"]["Q_to_from"])
    steady = qdb.steady_state(generator)
    np.testing.assert_allclose(steady.populations, expected["stationary"], rtol=1e-12)
    currents = BALANCE.probability_currents(generator, steady)
    np.testing.assert_allclose(currents, expected["net_current_K_to_from"], rtol=1e-12, atol=1e-15)
    cycles = BALANCE.cycle_analysis(generator, steady)
    np.testing.assert_allclose(np.abs(cycles.affinities), [expected["cycle_affinity"]], rtol=1e-12)
    for production in (cycles.entropy_production, BALANCE.entropy_split(generator, steady).schnakenberg):
        np.testing.assert_allclose(production, expected["schnakenberg_entropy_production"], rtol=1e-12)
    # Populations relax with the eigenvalues of W, the rest of L are coherences.
    found = np.linalg.eigvals(np.asarray(generator.liouvillian()))
    for value in array(expected["eigenvalues"]):
        assert np.abs(found - value).min() < 1e-12
