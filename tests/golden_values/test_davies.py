"""Davies generators against golden matrices: rates, Liouvillians, kernels, asymptotic states, currents."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import array, cases
from programs import golden_degenerate as degenerate, golden_qubit as qubit
from reference.lindblad import commutator
from scipy.optimize import linear_sum_assignment

import qdbjax as qdb
from qdbjax import Status

QUBIT = cases("davies_qubit_ohmic")
DEGENERATE = cases("davies_degenerate")
(CORRELATED,) = cases("davies_correlated")


@eqx.filter_jit
def liouvillian_rates_state(hamiltonian, bath):
    generator = qdb.davies(hamiltonian, bath)
    return generator.liouvillian(), generator.rates, qdb.steady_state(generator)


@eqx.filter_jit
def asymptotic_and_heat(hamiltonian, bath, rho0):
    generator = qdb.davies(hamiltonian, bath)
    state = qdb.asymptotic_state(generator, rho0)
    return state.density_matrix, state.kernel_dimension, qdb.heat_currents(generator, state)


noise = jax.jit(lambda bath, frequency: bath.noise(frequency))


def bare(outputs):
    """The golden Liouvillian without its Lamb shift, L + i[H_LS, ·]."""
    return array(outputs["L"]) - commutator(array(outputs["H_LS"]))


def same_spectrum(found, expected, tolerance):
    """Whether two sets of complex numbers agree in some order."""
    distance = np.abs(found[:, None] - expected[None, :])
    return distance[linear_sum_assignment(distance)].max() <= tolerance


@pytest.mark.parametrize("case", QUBIT, ids=lambda case: case["name"])
def test_qubit(case):
    """Noise at ±ω and 0, L, Gibbs state, T1 and T2 rates (1e-9)."""
    inputs, expected = case["inputs"], case["outputs"]
    hamiltonian, bath = qubit(inputs)
    gamma = noise(bath, jnp.array([inputs["w0"], -inputs["w0"], 0.0]))
    wanted = [expected["gamma_plus"], expected["gamma_minus"], expected["gamma_zero"]]
    np.testing.assert_allclose(gamma, wanted, rtol=1e-12)
    liouvillian, rates, state = liouvillian_rates_state(hamiltonian, bath)
    scale = np.abs(bare(expected)).max()
    np.testing.assert_allclose(liouvillian, bare(expected), rtol=0, atol=1e-9 * scale)
    # Levels ascend: 0 is down, 1 is up. W[to, from] times the matrix element sin²θ.
    flip = np.sin(inputs["theta"]) ** 2
    np.testing.assert_allclose(rates[0], flip * np.array([[0, wanted[0]], [wanted[1], 0]]), rtol=1e-12)
    np.testing.assert_allclose(np.sum(rates), expected["T1_rate"], rtol=1e-9)
    np.testing.assert_allclose(-np.real(liouvillian[1, 1]), expected["T2_rate"], rtol=1e-9)
    assert int(state.status) & ~int(Status.NEAR_DEGENERATE) == 0
    np.testing.assert_allclose(state.density_matrix, array(expected["rho_ss"]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.populations[1] / state.populations[0], wanted[1] / wanted[0], rtol=1e-12)


def test_one_bath_is_not_near_degenerate():
    """However fast the qubit relaxes: the state of one bath is Gibbs, and no dropped term changes a current."""
    flags = [int(liouvillian_rates_state(*qubit(case["inputs"]))[2].status) for case in QUBIT]
    assert not any(flag & Status.NEAR_DEGENERATE for flag in flags)


@pytest.mark.parametrize("case", DEGENERATE, ids=range(len(DEGENERATE)))
def test_degenerate_liouvillian_and_state(case):
    """L with all cross terms, its eigenvalues, and the steady state or its refusal (1e-9)."""
    expected, inputs = case["outputs"], case["inputs"]
    liouvillian, _, state = liouvillian_rates_state(*degenerate(case))
    np.testing.assert_allclose(liouvillian, bare(expected), rtol=0, atol=1e-9 * np.abs(bare(expected)).max())
    eigenvalues = np.linalg.eigvals(np.asarray(liouvillian))
    wanted = np.linalg.eigvals(bare(expected)) if inputs["lamb"] else array(expected["eigenvalues_L"])
    assert same_spectrum(eigenvalues, wanted, 1e-9)
    assert int(state.kernel_dimension) == expected["kernel_dimension"]
    if expected["kernel_dimension"] == 1:
        assert int(state.status) == 0
        np.testing.assert_allclose(state.density_matrix, array(expected["rho_inf"][0]), rtol=0, atol=1e-9)
    else:
        assert int(state.status) & Status.NONUNIQUE
        assert np.all(np.isnan(state.populations))
        assert np.all(np.isnan(np.diagonal(state.density_matrix)))


PAIRS = [(n, m) for n, case in enumerate(DEGENERATE) for m in range(len(case["inputs"]["rho0"]))]


@pytest.mark.parametrize(("number", "start"), PAIRS)
def test_degenerate_asymptotic_state(number, start):
    """ρ∞ of every initial state, kernel dimension, and heat at ρ∞ (1e-9)."""
    case = DEGENERATE[number]
    expected, rho0 = case["outputs"], array(case["inputs"]["rho0"][start]).astype(complex)
    rho, kernel, heat = asymptotic_and_heat(*degenerate(case), rho0)
    np.testing.assert_allclose(rho, array(expected["rho_inf"][start]), rtol=0, atol=1e-9)
    np.testing.assert_allclose(kernel, expected["kernel_dimension"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(heat, expected["heat_currents_into_system_at_rho_inf"][start], rtol=0, atol=1e-12)


def correlated(correlation):
    inputs = CORRELATED["inputs"]
    couplings = np.stack([array(inputs["S1"]), array(inputs["S2"])])
    density = qdb.Ohmic(inputs["eta"], inputs["wc"])
    return np.diag(inputs["eps"]), qdb.Bath(couplings, density, temperature=inputs["T"], correlation=correlation)


def test_correlated_liouvillian_and_state():
    """L, its eigenvalues and ρ_ss of two couplings with a complex correlation (1e-10)."""
    expected = CORRELATED["outputs"]
    liouvillian, rates, state = liouvillian_rates_state(*correlated(array(CORRELATED["inputs"]["M"])))
    scale = np.abs(array(expected["L"])).max()
    np.testing.assert_allclose(liouvillian, array(expected["L"]), rtol=0, atol=1e-10 * scale)
    assert same_spectrum(np.linalg.eigvals(np.asarray(liouvillian)), array(expected["eigenvalues_L"]), 1e-10)
    np.testing.assert_allclose(state.density_matrix, array(expected["rho_ss"]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.populations, np.diagonal(array(expected["rho_ss"])).real, rtol=1e-12)
    golden_rates = np.real(array(expected["L"]))[::4, ::4]
    np.testing.assert_allclose(rates[0], golden_rates * (1 - np.eye(3)), rtol=0, atol=1e-12)
    assert int(state.status) == 0


def test_correlated_index_order():
    """Swapping a and b in γ_ab changes L by the stated norm."""
    matrix = array(CORRELATED["inputs"]["M"])
    right, wrong = (liouvillian_rates_state(*correlated(m))[0] for m in (matrix, matrix.T))
    stated = CORRELATED["outputs"]["norm_L_minus_L_with_transposed_gamma"]
    np.testing.assert_allclose(np.linalg.norm(right - wrong), stated, rtol=1e-10)
