"""Bounds are kept, whatever they cost and in whatever unit: against closed forms and a scan."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import minimize, minimize_scalar

import qdbjax as qdb
from qdbjax import Status, fitting

FREE = {"x": fitting.real(0.1), "y": fitting.real(0.3)}


def valley(x, y, centre, steepness, units):
    """Lowest at the centre; the sum that is bounded."""
    height = (x - centre[0]) ** 2 + steepness * (y - centre[1]) ** 2
    return {"height": units[0] * height, "sum": units[1] * (x + y)}


def lowest(centre, steepness, bound, sign):
    """Its lowest point with sign · (x + y - bound) <= 0, by a Lagrange multiplier."""
    over = sign * (sum(centre) - bound)
    pull = 2 * max(over, 0.0) / (1 + 1 / steepness) * sign
    return np.array([centre[0] - pull / 2, centre[1] - pull / (2 * steepness)])


DRAWN = [
    (np.random.default_rng(n).uniform(-2, 2, size=2), 10 ** np.random.default_rng(n).uniform(-1, 2), bound, sign)
    for n, (bound, sign) in enumerate([(0.5, 1), (-1.5, 1), (3.9, 1), (0.0, 1), (1e-3, 1)] * 2 + [(2.0, -1), (0.0, -1)])
]


@pytest.mark.parametrize(("centre", "steepness", "bound", "sign"), DRAWN)
def test_quadratic_programs(centre, steepness, bound, sign):
    """Bounds that bind and that do not, one of 0 and a small one, from below and from above."""
    goal = fitting.at_most if sign > 0 else fitting.at_least
    known = {"centre": jnp.asarray(centre), "steepness": jnp.asarray(steepness), "units": jnp.ones(2)}
    found = qdb.fit(valley, {"height": fitting.minimize(), "sum": goal(bound)}, {**FREE, **known})
    wanted = lowest(centre, steepness, bound, sign)
    np.testing.assert_allclose([found.values["x"], found.values["y"]], wanted, atol=2e-6)
    assert found.verdict == "converged" and found.status == 0
    assert sign * (found.outputs["sum"] - bound) <= 1e-6 * (abs(bound) or 0.4)  # of the bound, or of the start


@pytest.mark.slow
def test_a_bound_in_a_narrow_valley():
    """Where the bound is a thousandth of how far its output moves, rounds get stuck and begin afresh."""
    centre, known = [1.0, 0.4], {"steepness": jnp.asarray(70.0), "units": jnp.ones(2)}
    moved = lambda **given: {**(found := valley(**given)), "sum": found["sum"] - 0.4}  # 0 at the start  # noqa: E731
    terms = {"height": fitting.minimize(), "sum": fitting.at_most(1e-3)}
    found = qdb.fit(moved, terms, {**FREE, **known, "centre": jnp.asarray(centre)})
    np.testing.assert_allclose([found.values["x"], found.values["y"]], lowest(centre, 70.0, 0.401, 1), atol=1e-5)


@pytest.mark.slow
def test_the_best_start_keeps_the_bound():
    """One start comes to rest out of reach of x³ - 3x >= 3, at a lower loss; the other is the answer."""
    model = lambda x: {"a": x, "b": x**3 - 3 * x}  # noqa: E731
    terms = {"a": fitting.minimize(), "b": fitting.at_least(3.0)}
    found = qdb.fit(model, terms, {"x": fitting.real(-1.5, range=(2.0, 3.0))}, starts=2, steps=1000)
    np.testing.assert_allclose(found.values["x"], np.roots([1, 0, -3, -3])[0].real, rtol=1e-6)
    assert found.losses[0] < 0 < found.loss and found.verdict == "converged"


@pytest.mark.parametrize("units", [(1e-30, 1.0), (1e30, 1e-30), (1e-9, 1e12), (1e6, 1e-24), (1.0, 1e30)])
def test_units_change_nothing(units):
    """Of what is minimised and of what is bounded, 60 powers of ten apart."""
    known = {"centre": jnp.asarray([1.0, 0.4]), "steepness": jnp.asarray(3.0), "units": jnp.asarray(units)}
    terms = {"height": fitting.minimize(), "sum": fitting.at_most(0.7 * units[1])}
    found = qdb.fit(valley, terms, {**FREE, **known})
    np.testing.assert_allclose([found.values["x"], found.values["y"]], lowest([1.0, 0.4], 3.0, 0.7, 1), atol=2e-6)
    assert found.verdict == "converged"


def spending(x, unit):
    return {"gain": x, "spent": unit * x**2}


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_outputs_that_rest_at_the_start(unit):
    """Neither output nor slope says what a bound is measured in: the bound does."""
    terms = {"gain": fitting.maximize(), "spent": fitting.at_most(jnp.asarray(4 * unit))}
    found = qdb.fit(spending, terms, {"x": fitting.real(0.0), "unit": jnp.asarray(unit)})
    np.testing.assert_allclose(found.values["x"], 2.0, rtol=1e-6)


@pytest.mark.slow
def test_both_modes_take_the_same_steps():
    """The gradient of the merit, forward from all slopes and backward from one pull for each bound."""
    known = {"centre": jnp.asarray([1.0, 0.4]), "steepness": jnp.asarray(3.0), "units": jnp.ones(2)}
    terms = {"height": fitting.minimize(), "sum": fitting.at_most(0.7)}
    forward, reverse = (qdb.fit(valley, terms, {**FREE, **known}, mode=mode) for mode in ("forward", "reverse"))
    assert forward.steps == reverse.steps
    np.testing.assert_allclose(forward.history, reverse.history, rtol=1e-9)


@pytest.mark.slow
def test_steps_too_coarse_are_not_called_rest():
    """At a rate of 0.2 adam keeps x >= ½ but never comes to rest at it: no verdict of convergence."""
    model = lambda x: {"a": x**2, "b": x}  # noqa: E731
    terms = {"a": fitting.minimize(), "b": fitting.at_least(0.5)}
    found = qdb.fit(model, terms, {"x": fitting.real(0.2)}, optimizer=optax.adam(0.2), steps=20000)
    assert found.verdict == "unfinished" and found.steps < 20000 and found.outputs["b"] > 0.5


@pytest.mark.slow
def test_a_loss_that_would_run_away():
    """e^x outgrows any penalty, so that the first rounds are lost; the bound holds all the same, from three starts."""
    free = {"x": fitting.real(0.0, range=(-1.0, 1.0)), "y": fitting.real(0.5, range=(-1.0, 1.0))}
    model = lambda x, y: {"gain": jnp.exp(3 * x) + y, "spent": x + y**2}  # noqa: E731
    found = qdb.fit(model, {"gain": fitting.maximize(), "spent": fitting.at_most(2.0)}, free, starts=3)
    best = minimize_scalar(lambda y: -np.exp(3 * (2 - y**2)) - y, bounds=(-1, 1), method="bounded")
    np.testing.assert_allclose(found.outputs["gain"], -best.fun, rtol=1e-5)
    assert found.outputs["spent"] <= 2 * (1 + 1e-6) and found.verdict == "converged"


@pytest.mark.slow
def test_a_bound_out_of_reach_is_said():
    """x² + 1 <= ½ has no solution: the nearest point, and its verdict."""
    free = {"x": fitting.real(0.7)}
    found = qdb.fit(
        lambda x: {"a": x, "b": x**2 + 1}, {"a": fitting.minimize(), "b": fitting.at_most(0.5)}, free, steps=1000
    )
    assert found.verdict == "stalled" and found.status & int(Status.TARGET_NOT_ATTAINED)
    np.testing.assert_allclose(found.values["x"], 0.0, atol=1e-3)
    assert "b: 1. <= 0.5" in repr(found)


@pytest.mark.slow
def test_several_bounds_without_another_aim():
    """One for each entry, found from outside of them."""
    found = qdb.fit(lambda x, y: jnp.stack([x, y]), fitting.at_least([0.3, 0.4]), FREE)
    assert found.verdict == "converged" and np.all(found.outputs["value"] >= np.array([0.3, 0.4]) * (1 - 1e-6))


def test_data_beside_a_bound():
    """Least squares with x + y <= s is a projection, and nothing varies across the bound: errors σ/√2."""
    data, sigma, most = np.array([1.3, 0.5]), 0.1, 1.2
    model = lambda x, y: {"data": jnp.stack([x, y]), "sum": x + y}  # noqa: E731
    terms = {"data": fitting.match(data, error=sigma), "sum": fitting.at_most(most)}
    found = qdb.fit(model, terms, FREE)
    np.testing.assert_allclose([found.values["x"], found.values["y"]], data - (data.sum() - most) / 2, atol=1e-6)
    across = np.array([[1.0, -1.0], [-1.0, 1.0]]) / 2
    np.testing.assert_allclose(found.covariance, sigma**2 * across, atol=1e-9)
    np.testing.assert_allclose(found.standard_errors["x"], sigma / np.sqrt(2), rtol=1e-6)
    assert found.identifiability.rank == 2
    loose = qdb.fit(model, {**terms, "sum": fitting.at_most(5.0)}, FREE)
    np.testing.assert_allclose(loose.covariance, sigma**2 * np.eye(2), atol=1e-12)


@pytest.mark.slow
def test_other_optimizers_keep_bounds():
    """Rounds begin anew whatever makes the steps."""
    found = qdb.fit(
        lambda x: {"a": x**2, "b": x},
        {"a": fitting.minimize(), "b": fitting.at_least(0.5)},
        {"x": fitting.real(0.2)},
        optimizer=optax.adam(0.02),
        steps=2000,
    )
    np.testing.assert_allclose(found.values["x"], 0.5, rtol=1e-4)


def landscape(x, numbers, units):
    """A valley with ripples, and two bounds across it."""
    stiffness, pull, mixing, weights = numbers
    height = 0.5 * x @ stiffness @ x - pull @ x + 0.3 * jnp.sum(jnp.cos(mixing[0] @ x)) + 3.0
    walls = [jnp.tanh(mixing[1] @ x) @ weights + 0.1 * jnp.sum(x**2), jnp.sum(jnp.exp(0.3 * (mixing[2] @ x)))]
    return {"height": units[0] * height, "walls": units[1] * jnp.stack(walls)}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_random_landscapes(mode):
    """Where SLSQP comes to rest too, or lower, in units up to 40 powers of ten apart, by both modes of derivatives."""
    agreed = 0
    for seed in range(24):
        rng, n = np.random.default_rng(seed), 4
        root = rng.normal(size=(n, n))
        drawn = root @ root.T + 0.1 * np.eye(n), 3 * rng.normal(size=n), rng.normal(size=(3, n, n)), rng.normal(size=n)
        numbers, units = tuple(map(jnp.asarray, drawn)), 10 ** rng.uniform(-20, 20, size=2)
        begin = 0.3 * rng.normal(size=n)
        value = jax.jit(lambda x, numbers=numbers: landscape(x, numbers, jnp.ones(2)))
        slope = jax.jit(jax.jacfwd(lambda x, numbers=numbers: landscape(x, numbers, jnp.ones(2))))
        most = np.asarray(value(begin)["walls"]) + rng.uniform(-0.3, 0.6, size=2)
        wall = {
            "type": "ineq",
            "fun": lambda x, most=most, value=value: most - np.asarray(value(x)["walls"]),
            "jac": lambda x, slope=slope: -np.asarray(slope(x)["walls"]),
        }
        height = lambda x, value=value: float(value(x)["height"])  # noqa: E731
        downhill = lambda x, slope=slope: np.asarray(slope(x)["height"])  # noqa: E731
        other = minimize(height, begin, jac=downhill, constraints=wall, method="SLSQP", options={"ftol": 1e-13})
        found = qdb.fit(
            landscape,
            {"height": fitting.minimize(), "walls": fitting.at_most(most * units[1])},
            {"x": fitting.real(begin), "numbers": numbers, "units": jnp.asarray(units)},
            mode=mode,
            steps=1000,
        )
        assert np.all(found.outputs["walls"] <= units[1] * (most + 1e-5 * abs(most))) and found.verdict == "converged"
        agreed += found.loss / units[0] <= other.fun + 1e-5 * max(1.0, abs(other.fun))
    assert agreed >= 23  # in one of them they rest in different valleys


BAD_BOUNDS = (
    (lambda: fitting.at_most(np.nan), "bound must be finite; got nan"),
    (lambda: fitting.at_least([0.0, np.inf]), "bound must be finite"),
    (lambda: qdb.fit(lambda x: x, fitting.at_most([1.0, 2.0]), {"x": fitting.real(0.0)}), "a bound has shape"),
)


@pytest.mark.parametrize(("call", "words"), BAD_BOUNDS, ids=[words for _, words in BAD_BOUNDS])
def test_bad_bounds_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
