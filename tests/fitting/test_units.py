"""What is maximised does not depend on its unit, its weight, or how small it is."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import qdbjax as qdb
from qdbjax import fitting

GAP = {"splitting": fitting.bounded(0.3, low=0.05, high=6.0)}


def current(splitting, strength, T_hot):
    """Heat through a qubit between two baths of one strength."""
    baths = [
        qdb.Bath(qdb.sigma_x(), qdb.Ohmic(strength, 5.0), temperature=T_hot),
        qdb.Bath(qdb.sigma_x(), qdb.Ohmic(strength, 5.0), temperature=0.2),
    ]
    generator = qdb.davies(qdb.models.qubit(splitting), baths)
    return qdb.heat_currents(generator, qdb.steady_state(generator, qdb.solvers.Populations()))[0]


def best_splitting(T_hot):
    """Where ω² e^{-ω/ω_c} (n_h - n_c)/(n_h + n_c + 1) is largest."""

    def heat(w):
        hot, cold = 1 / np.expm1(w / T_hot), 1 / np.expm1(w / 0.2)
        return -(w**2) * np.exp(-w / 5.0) * (hot - cold) / (hot + cold + 1)

    return minimize_scalar(heat, bounds=(0.05, 6.0), method="bounded", options={"xatol": 1e-9}).x


@pytest.mark.slow
@pytest.mark.parametrize("strength", [1e-25, 1e-16, 1e-9, 1e-5, 1e-2, 10.0])
@pytest.mark.parametrize("T_hot", [0.5, 2.0])
def test_small_and_large_currents(strength, T_hot):
    """Currents of 1e-25 to 10 have their maximum where a scan of the closed form has it."""
    known = {"strength": jnp.asarray(strength), "T_hot": jnp.asarray(T_hot)}
    found = qdb.fit(current, fitting.maximize(), {**GAP, **known})
    np.testing.assert_allclose(found.values["splitting"], best_splitting(T_hot), rtol=1e-5)
    assert found.verdict == "converged"


@pytest.mark.parametrize("weight", [1e-12, 1e-3, 1.0, 1e8])
def test_a_weight_alone_changes_the_loss_only(weight):
    """The same splitting, and the loss times the weight."""
    known = {"strength": jnp.asarray(1e-4), "T_hot": jnp.asarray(1.0)}
    found = qdb.fit(current, fitting.maximize(jnp.asarray(weight)), {**GAP, **known})
    np.testing.assert_allclose(found.values["splitting"], best_splitting(1.0), rtol=1e-5)
    np.testing.assert_allclose(-found.loss / weight, found.outputs["value"], rtol=1e-12)


def test_a_start_where_nothing_is_seen():
    """Loss 0 at the start has no unit, but its slope has one."""
    found = qdb.fit(lambda x: 1e-20 * (x - x**2), fitting.maximize(), {"x": fitting.real(0.0)})
    np.testing.assert_allclose(found.values["x"], 0.5, rtol=1e-6)


def peak(x, y, unit):
    return unit * (3 - (x - 1) ** 2 - 2 * (y - x) ** 2)


def loss(output):
    return -output


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_functions_of_outputs_have_no_unit_either(unit):
    """As an objective of one's own."""
    found = qdb.fit(peak, loss, {"x": fitting.real(0.3), "y": fitting.real(-0.4), "unit": jnp.asarray(unit)})
    np.testing.assert_allclose([found.values["x"], found.values["y"]], [1.0, 1.0], rtol=1e-6)


@pytest.mark.slow
def test_infinity_is_no_maximum():
    """A loss of -∞ with a slope of 0 is a step too far, back from which the search goes on."""
    found = qdb.fit(lambda x: jnp.where(x < 2, x - 0.05 * x**2, jnp.inf), fitting.maximize(), {"x": fitting.real(1.5)})
    assert 1.99 < found.values["x"] < 2 and np.isfinite(found.loss)


def test_a_search_cut_short_is_no_maximum():
    """After three steps nothing is known of an extremum."""
    free = {"x": fitting.real(0.0), "y": fitting.real(1.0)}
    found = qdb.fit(lambda x, y: -((1 - x) ** 2) - 100 * (y - x**2) ** 2, fitting.maximize(), free, steps=3)
    assert found.verdict == "unfinished" and "not converged" in repr(found)


def loop(tunneling, flux, potential):
    """Probability that circulates in equilibrium in a ring that scatters a gas."""
    ring = qdb.models.three_dot_ring(tunneling=-tunneling, flux=flux)
    gas = qdb.Gas(jnp.diag(potential), temperature=0.5, density=1.0, mass=1.0)
    return qdb.balance.probability_currents(qdb.low_density(ring, gas))[1, 2]


@pytest.mark.slow
def test_the_largest_loop_current():
    """Weight 1 comes to the maximum that SciPy finds in a thousand times larger units; it once came to a 17th of it."""
    import jax
    from scipy.optimize import minimize

    free = {
        "tunneling": fitting.bounded(low=0.05, high=1.0),
        "flux": fitting.bounded(low=0.05, high=1.45),
        "potential": fitting.bounded([1.0, 0.7, 1.5], low=0.1, high=5.0),
    }
    found = qdb.fit(loop, fitting.maximize(), free, starts=6, seed=1, steps=100)
    scaled = jax.jit(jax.value_and_grad(lambda v: -1e3 * loop(v[0], v[1], v[2:])))
    ends = [
        minimize(lambda v: tuple(map(np.asarray, scaled(v))), start, jac=True, method="L-BFGS-B", bounds=BOX)
        for start in np.random.default_rng(2).uniform(*np.transpose(BOX), size=(6, 5))
    ]
    np.testing.assert_allclose(-found.loss, -1e-3 * min(end.fun for end in ends), rtol=1e-4)


BOX = [(0.05, 1.0), (0.05, 1.45), *[(0.1, 5.0)] * 3]
