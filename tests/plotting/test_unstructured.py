"""Maps and lines of refined sweeps: every point in its place, colours between them, what is not valid left empty."""

import matplotlib

matplotlib.use("agg")

import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.sweeps import Refine, sweep

SQUARE = {"x": np.linspace(-1.0, 1.0, 9), "y": np.linspace(0.0, 100.0, 9)}


def disc(x, y):
    inside = x * x + (y / 50 - 1) ** 2 < 0.5
    return {"inside": jnp.where(inside, 1.0, -1.0), "pair": jnp.stack([x, y])}


@pytest.fixture(scope="module")
def data():
    return sweep(disc, axes=SQUARE, refine=Refine(1 / 64, variables=["inside"]))


def pixels(ax):
    """The colours of a figure, and a function from a place in the map to its row and column."""
    canvas = ax.figure.canvas
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    def at(x, y):
        column, row = ax.transData.transform((x, y))
        return image[image.shape[0] - 1 - int(row), int(column)]

    return at


def test_a_map_of_points(data):
    ax = qdb.plot_map(data, "inside")
    assert ax.get_xlabel() == "y" and ax.get_ylabel() == "x" and ax.get_xlim() == (0.0, 100.0)
    at = pixels(ax)
    for radius, red in ((0.5, True), (0.66, True), (0.76, False), (0.9, False)):
        for angle in np.linspace(0.1, 6.2, 12):
            colour = at(50 + 50 * radius * np.sin(angle), radius * np.cos(angle))
            assert (colour[0] > colour[2] + 50) is red or (colour[2] > colour[0] + 50) is not red
            assert (colour[0] > colour[2]) == red
    turned = qdb.plot_map(data, "inside", x="x", y="y", crossings={"x": [0.0]})
    assert turned.get_xlabel() == "x" and turned.get_legend() is not None


def test_slices_flags_and_what_is_refused(data):
    ax = qdb.plot_map(data, "pair", x="x", y="y", select={"pair_dim0": 1})
    at = pixels(ax)
    assert at(0.0, 95.0).sum() > at(0.0, 5.0).sum() + 200  # it grows with y
    hole = qdb.plot_map(data.assign(inside=data["inside"].where(data["inside"] < 0)), "inside", x="x", y="y")
    assert hole.get_legend().get_texts()[0].get_text() == "no valid result"
    assert np.ptp(pixels(hole)(0.0, 50.0)) < 10 < np.ptp(pixels(hole)(0.9, 50.0))  # grey, and a colour
    warned = qdb.plot_map(data.assign(status=data["status"] | 16), "inside", x="x", y="y")
    assert warned.get_legend().get_texts()[0].get_text() == "near degenerate"
    for call, words in (
        (lambda: qdb.plot_map(data, "pair"), "pair has further dimensions"),
        (lambda: qdb.plot_map(data, "nothing"), "variable"),
        (lambda: qdb.plot_map(data, "inside", x="z"), "'z' is no axis; those are x, y"),
        (lambda: qdb.plot_map(data, "inside", x="x", y="x"), "a map needs two axes"),
        (lambda: qdb.plot_lines(data, "inside"), "the points lie along x, y: use plot_map"),
    ):
        with pytest.raises((ValueError, KeyError), match=words):
            call()


def test_points_with_three_axes():
    data = sweep(
        lambda x, y, z: jnp.where(x + z > 0.1, y, -y - 1),
        axes={name: np.linspace(0.0, 1.0, 3) for name in "xyz"},
        refine=Refine(0.2),
    )
    ax = qdb.plot_map(data, "value", x="x", y="y", select={"z": 0.01})
    assert ax.get_xlabel() == "x"
    with pytest.raises(ValueError, match="further axis 'z'"):
        qdb.plot_map(data, "value", x="x", y="y")


def test_lines_over_one_axis():
    data = sweep(lambda T: {"heat": jnp.stack([jnp.tanh(9 * T), T])}, T=np.linspace(-1.0, 1.0, 5), refine=Refine(1e-2))
    ax = qdb.plot_lines(data, "heat")
    assert ax.get_xlabel() == "T"
    x, y = ax.get_lines()[0].get_data()
    assert (np.diff(x) > 0).all()
    np.testing.assert_allclose(y, np.tanh(9 * np.asarray(x)), rtol=1e-12)
    with pytest.raises(ValueError, match="a map needs two axes"):
        qdb.plot_map(data, "heat")
