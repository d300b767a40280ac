"""Low-density limit against every golden family of it: t matrix, rates, ratios, currents, entropy, generator, time."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import array, cases
from reference.lindblad import commutator

import qdbjax as qdb

ORDER = np.array([1, 0, 2])  # levels +, 0, - of the golden data among j = 0, 1, 2 of the model
OFF = ~np.eye(3, dtype=bool)


def ring_in_gas(inputs, beta=None):
    potential = np.diag(inputs["V_loc"]).astype(float)
    beta = inputs["beta"] if beta is None else beta
    gas = qdb.Gas(potential, temperature=1 / beta, density=1.0, mass=inputs["m"])
    return qdb.models.three_dot_ring(inputs["tau"], inputs["phi"]), gas


@eqx.filter_jit
def golden_order(system, gas, populations):
    """In the order of the golden data."""
    generator = qdb.low_density(system, gas)
    basis = jnp.asarray(generator.spectrum.basis)
    rho = basis @ jnp.diag(populations[np.argsort(ORDER)]).astype(complex) @ basis.conj().T
    steady = qdb.steady_state(generator)
    place = np.ix_(ORDER, ORDER)
    return {
        "energies": generator.spectrum.energies[ORDER],
        "rates": generator.rates[0][place],
        "ratios": qdb.balance.violation_ratios(generator)[0][place],
        "K": qdb.balance.probability_currents(generator)[place],
        "J": qdb.balance.pair_energy_currents(generator)[place],
        "conditions": qdb.balance.thermalization_conditions(generator)[place],
        "at_gibbs": qdb.balance.entropy_split(generator),
        "at_p": qdb.balance.entropy_split(generator, rho),
        "populations": steady.populations[ORDER],
        "status": steady.status,
        "liouvillian": generator.liouvillian(),
        "rho": steady.density_matrix,
    }


def readings(case):
    inputs = case["inputs"]
    return golden_order(*ring_in_gas(inputs), jnp.asarray(inputs["p_nonequilibrium"]))


RATES = [*cases("ldl_three_dot_fig1"), *cases("ldl_generic_flux"), *cases("ldl_born_scaling")]
CURRENTS = [case for case in RATES if "K" in case["outputs"]]
each_case = pytest.mark.parametrize("case", RATES, ids=lambda case: case["name"])
each_current = pytest.mark.parametrize("case", CURRENTS, ids=lambda case: case["name"])


@each_case
def test_rates_and_balance(case):
    """Rates, their ratios, the current around the ring, and a stationary state that is thermal."""
    expected, found = case["outputs"], readings(case)
    np.testing.assert_allclose(found["rates"][OFF], 2 * np.pi * array(expected["R"])[OFF], rtol=1e-12)
    np.testing.assert_allclose(found["ratios"], array(expected["I"]), rtol=1e-11)
    np.testing.assert_allclose(found["K"][0, 2], expected["K_cyc"], rtol=1e-9, atol=1e-17)
    assert int(found["status"]) == 0
    gibbs = np.exp(-case["inputs"]["beta"] * np.asarray(found["energies"]))
    np.testing.assert_allclose(found["populations"], gibbs / gibbs.sum(), rtol=1e-13)
    liouvillian = np.asarray(found["liouvillian"])
    assert np.abs(liouvillian @ np.asarray(found["rho"]).reshape(-1)).max() < 1e-14 * np.abs(liouvillian).max()


@each_current
def test_currents_and_conditions(case):
    """Probability and heat by pairs, and the three lines of the conditions to thermalize."""
    expected, found = case["outputs"], readings(case)
    atol = 1e-9 * abs(expected["K_cyc"]) + 1e-17
    np.testing.assert_allclose(found["K"], array(expected["K"]), rtol=0, atol=atol)
    np.testing.assert_allclose(found["J"], array(expected["J"]), rtol=0, atol=atol)
    conditions = np.asarray(found["conditions"])
    assert np.abs(conditions.sum(axis=1)).max() < 1e-13 * np.abs(found["rates"]).max()
    lines = {"eq30a_lhs": -conditions[1, 0], "eq30a_rhs": conditions[1, 2], "eq30b_rhs": conditions[0, 2]}
    for name, value in lines.items():
        assert abs(value - expected[name]) < 1e-9 * np.abs(conditions).max() + 1e-17


@each_current
def test_entropy(case):
    """Its two terms and their sum, at Gibbs and at other populations."""
    expected, found = case["outputs"], readings(case)
    for name, split in (("entropy_at_gibbs", found["at_gibbs"]), ("entropy_at_p", found["at_p"])):
        wanted = [expected[name][term] for term in ("schnakenberg_term", "dbe_violation_term", "sigma_eq25")]
        # Where detailed balance holds the terms are rounding of the golden data themselves.
        np.testing.assert_allclose([split.schnakenberg, split.violation, split.total], wanted, rtol=1e-9, atol=1e-15)


WITH_GENERATOR = [case for case in RATES if "generator_nu1_rowmajor" in case["outputs"]]


@pytest.mark.parametrize("case", WITH_GENERATOR, ids=lambda case: case["name"])
def test_the_whole_generator(case):
    """Coherences, equal gaps and the forward-scattering shift included."""
    system, gas = ring_in_gas(case["inputs"])
    generator = qdb.low_density(system, gas)
    frame = np.asarray(generator.spectrum.basis)[:, ORDER]
    liouvillian = np.asarray(generator.liouvillian()) - commutator(np.asarray(system.hamiltonian))
    both = np.kron(frame, frame.conj())
    expected = array(case["outputs"]["generator_nu1_rowmajor"])
    found = both.conj().T @ liouvillian @ both
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    shift = np.real(np.diagonal(frame.conj().T @ np.asarray(generator.lamb_shift) @ frame))
    np.testing.assert_allclose(shift, case["outputs"]["forward_shift_nu1"], rtol=1e-12)
    decay = -np.real(np.diagonal(found).reshape(3, 3)[0, 1])
    lost = np.array(case["outputs"]["total_out_rate_incl_elastic_nu1"])
    assert decay < 0.5 * (lost[0] + lost[1])  # elastic collisions that leave the phase alone give some of it back
    assert not np.any(qdb.low_density(system, gas, forward_scattering=False).lamb_shift)


@pytest.mark.parametrize("case", cases("ldl_tmatrix"), ids=lambda case: case["name"])
def test_t_matrix(case):
    inputs, expected = case["inputs"], case["outputs"]
    found = qdb.scattering(*ring_in_gas(inputs, beta=1.0), [inputs["E_total"]])
    frame = np.asarray(found.spectrum.basis)
    local = frame @ np.asarray(found.t[0]) @ frame.conj().T
    np.testing.assert_allclose(local, array(expected["t_localbasis"]), rtol=0, atol=1e-14)
    np.testing.assert_allclose(np.asarray(found.wave_numbers[0])[ORDER], array(expected["k"]), rtol=0, atol=1e-15)
    assert np.array_equal(np.asarray(found.open[0])[ORDER], expected["open"])
    assert float(found.unitarity[0]) < 1e-14
    s = np.abs(np.asarray(found.s_matrix[0])[np.ix_(ORDER, ORDER)]) ** 2
    both = np.outer(expected["open"], expected["open"])
    lost = array(expected["inelastic_probability_trans_plus_refl"])
    # Even waves are half of the incoming particle; what changes the level leaves to both sides.
    np.testing.assert_allclose(np.where(both & OFF, 0.5 * s, 0), np.where(both & OFF, lost, 0), rtol=0, atol=1e-13)


@pytest.mark.slow
def test_figure_1():
    (case,) = cases("ldl_fig1_curve")
    inputs = case["inputs"]
    for scaled, *expected in case["outputs"]["rows"]:
        system, gas = ring_in_gas(inputs, beta=scaled / 0.5)
        ratios = golden_order(system, gas, jnp.full(3, 1 / 3))["ratios"]
        np.testing.assert_allclose([ratios[0, 2], ratios[1, 0], ratios[1, 2]], expected, rtol=1e-11)


@pytest.mark.slow
def test_dynamics():
    (case,) = cases("ldl_dynamics")
    inputs = case["inputs"]
    generator = qdb.low_density(*ring_in_gas(inputs))
    found = qdb.evolve(generator, array(inputs["rho0_local_basis"]), inputs["times"]).density_matrix
    for rho, expected in zip(found, case["outputs"]["rho_t_local_basis"], strict=True):
        np.testing.assert_allclose(rho, array(expected), rtol=0, atol=1e-9)
