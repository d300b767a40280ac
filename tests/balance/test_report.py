"""Cycles, levels, spectra, and the report that reads them: what it says is what is so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.differences import two_point_slope
from reference.lindblad import lindbladian
from reference.machines import COUPLING, ENERGIES, pair, three_level_machine

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
        lambda: two_baths(1.5, 0.4, couplings=(pair(0, 1), pair(1, 2))),
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


@pytest.mark.parametrize("name", REPORTS)
def test_report(name):
    """Verdict, numbers and words."""
    make, verdict, words = REPORTS[name]
    generator = make()
    report = BALANCE.balance_report(generator)
    text = repr(report)
    assert report.verdict == verdict
    for phrase in words:
        assert phrase in text, text
    assert ("pass for one in equilibrium" in text) == (name == "qubit in two baths")
    assert max(map(len, text.splitlines())) <= 120
    rates, p = np.asarray(generator.rates), report.populations
    flows = rates * p[None, None, :]
    back = np.swapaxes(flows, 1, 2)
    if report.coherence < 1e-12:
        np.testing.assert_allclose(report.micro_currents, flows - back, rtol=0, atol=1e-17)
    balanced = verdict == "equilibrium"
    assert (report.imbalance < 1e-9) == balanced
    if np.all(p > 0):
        # Two levels between two baths are as in one: the sum does not tell.
        assert (float(report.symmetry.total) < 1e-10 * float(report.symmetry.size)) == (balanced or len(p) == 2)
    else:
        assert np.isnan(report.symmetry.total)
    # What the report calls decisive is what goes around: Schnakenberg's sum over cycles is that over pairs.
    connected = (flows > 0) & (back > 0)
    force = np.log(np.where(connected, flows, 1.0) / np.where(connected, back, 1.0))
    wanted = 0.5 * np.sum((flows - back) * force)
    np.testing.assert_allclose(report.rates_production, wanted, rtol=1e-9, atol=1e-17)
    if report.coherence < 1e-12:
        np.testing.assert_allclose(report.cycles.entropy_production, wanted, rtol=1e-9, atol=1e-17)


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


def test_cycles():
    """As many as edges less a tree; each closed; ω(β_cold - β_hot) for two baths on one pair; traced for given ones."""
    generator = two_baths(1.5, 0.4)
    cycles = BALANCE.cycle_basis(generator)
    assert len(cycles) == 2 * 3 - 2 and len(BALANCE.cycle_basis(generator, by_bath=False)) == 1
    for cycle in cycles:
        for (_, to, _), (_, _, start) in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert to == start
    found = BALANCE.cycle_analysis(generator)
    for cycle, affinity in zip(cycles, np.asarray(found.affinities), strict=True):
        temperatures = np.array([1.5, 0.4])[[bath for bath, _, _ in cycle]]
        heats = np.array([ENERGIES[to] - ENERGIES[start] for _, to, start in cycle])
        np.testing.assert_allclose(affinity, -np.sum(heats / temperatures), rtol=1e-10, atol=1e-13)
    slope = jax.jit(jax.grad(lambda t: BALANCE.cycle_analysis(two_baths(t, 0.4), None, cycles).entropy_production))
    wanted = two_point_slope(lambda t: BALANCE.cycle_analysis(two_baths(t, 0.4)).entropy_production, 1.5, 1e-5)
    np.testing.assert_allclose(slope(1.5), wanted, rtol=1e-7)


def test_no_way_back():
    """A bath at T = 0 cannot lift: its cycles have no finite affinity, and a tree has none at all."""
    frozen = BALANCE.cycle_analysis(two_baths(1.0, 0.0))
    assert np.any(np.isinf(np.asarray(frozen.affinities)))
    assert BALANCE.cycle_analysis(qubit(0.7)).cycles == ()


def test_levels_and_bounds():
    """β_S is 1/T for Gibbs, whatever the zero of energy; inversion is negative; bounds are those of two baths."""
    shifted = two_baths(0.6, 0.6, ENERGIES + 5.0)
    np.testing.assert_allclose(BALANCE.effective_inverse_temperatures(shifted)[1:], 1 / 0.6, rtol=1e-12)
    generator = two_baths(1.5, 0.4)
    inverted = np.diag([0.2, 0.5, 0.3])
    assert BALANCE.effective_inverse_temperatures(generator, inverted)[1] < 0
    bounds = BALANCE.domination_bounds(generator)
    np.testing.assert_allclose([bounds.lower[1, 0], bounds.upper[1, 0]], np.exp([-1 / 0.4, -1 / 1.5]), rtol=1e-14)
    assert bounds.inside[1, 0] and not BALANCE.domination_bounds(generator, inverted).inside[1, 0]
    moving = BALANCE.dynamical_balance(generator, inverted)
    assert np.abs(moving.drift).max() > 1e-4 and np.abs(BALANCE.dynamical_balance(generator).drift).max() < 1e-15


MATRIX = np.array([[1.0, 0.4 - 0.2j], [0.4 + 0.2j, 0.5]])


def test_kms_of_a_spectrum():
    """A bath obeys it, entries transposed; a field with its μ; β(ω) and measured noise do not."""
    frequencies = np.linspace(0.1, 3.0, 12)
    bath = qdb.Bath(
        np.stack([COUPLING, COUPLING @ COUPLING]), qdb.Ohmic(0.02, 6.0), temperature=0.7, correlation=MATRIX
    )
    check = BALANCE.kms_check(bath.noise_matrix, frequencies)
    assert check.holds and "holds at T = 0.7" in repr(check)
    np.testing.assert_allclose(check.inverse_temperatures, 1 / 0.7, rtol=1e-12)
    transposed = lambda x: jnp.where(x > 0, bath.noise_matrix(x), jnp.swapaxes(bath.noise_matrix(x), 0, 1))  # noqa: E731
    assert not BALANCE.kms_check(transposed, frequencies).holds
    assert not BALANCE.kms_check(bath.noise, frequencies, temperature=0.8).holds
    local = qdb.Bath(COUPLING, qdb.Ohmic(0.02, 6.0), inverse_temperature=lambda w: 1 + 0.5 * w)
    found = BALANCE.kms_check(local.noise, frequencies)
    assert not found.holds
    np.testing.assert_allclose(found.inverse_temperatures, 1 + 0.5 * frequencies, rtol=1e-12)
    shifted = lambda x: jnp.where(x > 0, 1.0, jnp.exp(-(jnp.abs(x) + 0.3) / 0.7))  # noqa: E731
    assert BALANCE.kms_check(shifted, frequencies, chemical_potential=-0.3).holds
    with pytest.raises(ValueError, match="frequencies must be positive"):
        BALANCE.kms_check(bath.noise, np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="noise must return"):
        BALANCE.kms_check(lambda x: jnp.ones((2, 3, 4)), frequencies)


def test_given_rates_and_jumps():
    """Rates by name keep their order and their heat; jump operators are those of the master equation."""
    reference = two_baths(1.5, 0.4)
    rates = {name: np.asarray(table) for name, table in zip(reference.names, reference.rates, strict=True)}
    given = qdb.pauli(
        ENERGIES[::-1], {name: table[::-1, ::-1] for name, table in rates.items()}, temperatures=[1.5, 0.4]
    )
    one, two = qdb.steady_state(given), qdb.steady_state(reference)
    np.testing.assert_allclose(one.populations[::-1], two.populations, rtol=1e-13)
    np.testing.assert_allclose(qdb.heat_currents(given, one), qdb.heat_currents(reference, two), rtol=1e-12)
    np.testing.assert_allclose(qdb.entropy_production(given, one), qdb.entropy_production(reference, two), rtol=1e-12)
    with pytest.raises(ValueError, match="do not tell how they depend"):
        given.with_reservoirs(temperatures=[1.0, 1.0])
    h, jumps = np.diag(ENERGIES) + 0.3 * COUPLING, np.stack([np.triu(COUPLING, 1), 0.5j * COUPLING])
    made = np.asarray(qdb.lindblad(h, jumps).liouvillian())
    np.testing.assert_allclose(made, lindbladian(h, jumps), rtol=0, atol=1e-14)
    for call, words in (
        (lambda: qdb.pauli([0.0, 1.0], [[0.0, -1.0], [1.0, 0.0]]), "rates must be >= 0"),
        (lambda: qdb.pauli([0.0, 1.0], np.zeros((3, 3))), "rates must have shape"),
        (lambda: qdb.lindblad(np.eye(2), np.zeros((3, 3))), "must act on 2 levels"),
        (lambda: qdb.lindblad(np.eye(2), {"a": np.eye(2)}, temperatures=[1.0, 2.0]), "one per bath"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
