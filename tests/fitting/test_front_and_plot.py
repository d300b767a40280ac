"""Compromises between two objectives, and the figure of a fit."""

import matplotlib

matplotlib.use("agg")

import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import fitting

GRID = {"t": np.linspace(0.0, 2.0, 9)}


def two_objectives(x):
    """Best at 0 and at 1: every x between is a compromise, x = w."""
    return {"first": x**2, "second": (x - 1.0) ** 2}


def test_front():
    """Minimising (1 - w)x² + w(x - 1)² gives x = w."""
    objectives = {"first": fitting.minimize(), "second": fitting.minimize()}
    front = fitting.pareto(two_objectives, objectives, {"x": fitting.real(0.3)}, points=5)
    wanted = np.stack([front.weights**2, (front.weights - 1) ** 2], axis=1)
    np.testing.assert_allclose(front.outcomes, wanted, atol=1e-5)
    assert np.all(front.efficient) and "5 of 5 efficient" in repr(front)
    with pytest.raises(ValueError, match="objectives must be two outputs"):
        fitting.pareto(two_objectives, {"first": fitting.minimize()}, {"x": fitting.real(0.3)})


def decay(t, rate):
    return jnp.exp(-rate * t)


def test_plot():
    """One panel for the loss, one for each matched output, with its data."""
    data = np.exp(-0.7 * GRID["t"])
    found = qdb.fit(decay, fitting.match(data, error=0.01 + 0.01 * data), {"rate": fitting.positive(2.0)}, over=GRID)
    np.testing.assert_allclose(found.values["rate"], 0.7, rtol=1e-6)
    loss, panel = qdb.plot_fit(found).axes
    assert loss.get_title() == "Loss of every start: converged"
    curve = next(line for line in panel.get_lines() if len(line.get_xdata()) == 9 and line.get_linestyle() == "-")
    np.testing.assert_allclose(curve.get_ydata(), data, rtol=1e-5)
    matplotlib.pyplot.close("all")
