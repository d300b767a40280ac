"""The report on balance: what it says is what is so."""

import functools

import jax
import numpy as np
import pytest
from reference.machines import COUPLING, ENERGIES, links, three_level_machine

import qdbjax as qdb

BALANCE = qdb.balance


def two_baths(hot, cold, energies=ENERGIES, couplings=None):
    return three_level_machine((hot, cold), energies, couplings)


def two_fields(potential):
    pairs = ((COUPLING, "a"), (COUPLING @ COUPLING, "b"))
    fields = [
        qdb.Field(np.triu(matrix, 1), qdb.Ohmic(0.02, 6.0), temperature=1.0, chemical_potential=potential, name=name)
        for matrix, name in pairs
    ]
    return qdb.davies(qdb.models.three_level(ENERGIES), fields)


def ring_in_a_gas():
    gas = qdb.Gas(np.diag([1.0, 0.7, 1.5]), temperature=0.5, name="gas")
    return qdb.low_density(qdb.models.three_dot_ring(-0.5 / np.sqrt(3), 0.75), gas)


def qubit(*temperatures):
    baths = [qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=t) for t in temperatures]
    return qdb.davies(qdb.models.qubit(1.0), baths)


# Two levels are equal, and their coherence carries what the rates count twice.
EQUAL = np.array([0.0, 1.0, 1.0])
REPORTS = {
    "thermal qubit": (
        lambda: qubit(0.7),
        "equilibrium",
        ["equilibrium: detailed balance holds", "always show one temperature, here 1/T = 1.42857", "production 0 per"],
    ),
    "qubit at T = 0": (lambda: qubit(0.0), "equilibrium", ["an eigenvalue 0", "1/T = inf"]),
    "qubit in two baths": (
        lambda: qubit(1.5, 0.4),
        "driven",
        ["all baths together pass for one in equilibrium", "0 –bath0→ 1 –bath1→ 0"],
    ),
    "a ladder": (
        lambda: two_baths(1.5, 0.4, couplings=(links((0, 1)), links((1, 2)))),
        "equilibrium",
        ["no Gibbs state; yet no cycle is driven", "production 0 per"],
    ),
    "equal levels": (
        lambda: two_baths(1.5, 0.4, EQUAL),
        "driven",
        ["coherence between levels makes the difference"],
    ),
    "one temperature": (lambda: two_baths(0.6, 0.6), "equilibrium", ["Kolmogorov ratio 1", "Flows     none"]),
    "two temperatures": (
        lambda: two_baths(1.5, 0.4),
        "driven",
        ["hot by itself obeys", "no Gibbs state", "decisive"],
    ),
    "equal T, μ ≠ 0": (
        lambda: two_fields(-0.3),
        "broken",
        ["a by itself drives a cycle of affinity 0.3", "μ = -0.3", "particles into"],
    ),
    "dilute gas": (
        ring_in_a_gas,
        "broken",
        ["gas by itself drives a cycle", "their ratios are not those of the bath", "production 0 per", "thermal, the"],
    ),
}


def local_bath():
    """One bath at T = 2 on one of two coupled qubits: its jumps are not between energy levels."""
    h, low, n = np.diag([-0.5, 0.5]), np.array([[0.0, 1.0], [0.0, 0.0]]), 1 / np.expm1(0.5)
    x = np.asarray(qdb.sigma_x())
    hamiltonian = np.kron(h, np.eye(2)) + np.kron(np.eye(2), 0.6 * h) + 0.6 * np.kron(x, x)
    jumps = np.sqrt(0.1) * np.stack([np.sqrt(n + 1) * low, np.sqrt(n) * low.T])
    return qdb.lindblad(hamiltonian, {"hot": np.kron(jumps, np.eye(2))}, temperatures=[2.0])


def of_another_temperature():
    """Rates of T = 1 that are said to be those of T = 2."""
    return qdb.pauli([0.0, 1.0], np.array([[0.0, 1.0], [np.exp(-1.0), 0.0]]), temperatures=[2.0])


# Nothing flows through one bath, and yet it is not one in equilibrium at its temperature.
REPORTS |= {
    "a local bath": (
        local_bath,
        "unbalanced",
        ["nothing flows, but", "shows T from 1.149 to 3.681", "0.174 of its norm"],
    ),
    "another temperature": (of_another_temperature, "unbalanced", ["balance at T = 1, not at its own", "production 0"]),
}

each_report = pytest.mark.parametrize("name", REPORTS)


@functools.cache
def made(name):
    """Generator and report of one case."""
    generator = REPORTS[name][0]()
    return generator, BALANCE.balance_report(generator)


@each_report
def test_report(name):
    """Verdict and words."""
    (_, report), (_, verdict, words) = made(name), REPORTS[name]
    text = repr(report)
    assert report.verdict == verdict
    for phrase in words:
        assert phrase in text, text
    assert ("pass for one in equilibrium" in text) == (name == "qubit in two baths")
    assert max(map(len, text.splitlines())) <= 120


@each_report
def test_symmetry_of_a_report(name):
    """Rates are balanced and the dissipator is its own adjoint in equilibrium and only there."""
    _, report = made(name)
    balanced, p = REPORTS[name][1] == "equilibrium", report.populations
    assert (report.imbalance < 1e-9) == (balanced or REPORTS[name][1] == "unbalanced")
    if np.all(p > 0):
        # Two levels between two baths are as in one: the sum does not tell.
        assert (float(report.symmetry.total) < 1e-10 * float(report.symmetry.size)) == (balanced or len(p) == 2)
    else:
        assert np.isnan(report.symmetry.total)


@each_report
def test_flows_of_a_report(name):
    """What the report calls decisive is what goes around: Schnakenberg's sum over cycles is that over pairs."""
    generator, report = made(name)
    flows = np.asarray(generator.rates) * report.populations[None, None, :]
    back = np.swapaxes(flows, 1, 2)
    connected = (flows > 0) & (back > 0)
    force = np.log(np.where(connected, flows, 1.0) / np.where(connected, back, 1.0))
    production = 0.5 * np.sum((flows - back) * force)
    np.testing.assert_allclose(report.rates_production, production, rtol=1e-9, atol=1e-17)
    if report.coherence < 1e-12:
        np.testing.assert_allclose(report.micro_currents, flows - back, rtol=0, atol=1e-17)
        np.testing.assert_allclose(report.cycles.entropy_production, production, rtol=1e-9, atol=1e-17)


@pytest.mark.slow
def test_report_of_what_is_not_stationary():
    """A state on its way, and a system with a dark state."""
    mixed = BALANCE.balance_report(two_baths(0.6, 0.6), np.eye(3) / 3)
    assert mixed.verdict == "transient" and "all show one temperature, 1/T = 0:" in repr(mixed)
    heat = float(np.sum(mixed.heat_currents))
    assert f"the system's energy changes by {heat:+.4g} per time" in repr(mixed) and heat < 0
    pure = BALANCE.balance_report(two_baths(0.6, 0.6), np.full((3, 3), 1 / 3))
    assert np.isnan(pure.symmetry.total) and "an eigenvalue 0" in repr(pure)
    dark = qdb.davies(
        qdb.models.three_level([0.0, 1.0, 1.0]),
        qdb.Bath(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), qdb.Ohmic(0.02, 6.0), temperature=0.5),
    )
    report = BALANCE.balance_report(dark)
    assert report.verdict == "undecided" and "more than one stationary state" in repr(report)
    with pytest.raises(TypeError, match="concrete"):
        jax.jit(lambda t: BALANCE.balance_report(two_baths(t, 0.5)).imbalance)(1.0)
