"""Plots show the numbers they are given, with labels, flags and crossings."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray

import qdbjax as qdb
from qdbjax.plotting import plot_levels, plot_lines, plot_map


@pytest.fixture
def data():
    T, flux = np.linspace(0.2, 2.0, 6), np.linspace(0.0, 3.0, 9)
    heat = np.cos(flux)[None, :] * T[:, None]
    status = np.zeros((6, 9), np.int32)
    status[2, 3], status[4, 4] = 2, 16
    found = xarray.Dataset(
        {
            "heat": (("T", "flux", "bath"), np.stack([heat, -heat], -1)),
            "entropy": (("T", "flux"), heat**2),
            "status": (("T", "flux"), status),
        },
        coords={"T": T, "flux": flux, "bath": ["hot", "cold"]},
    )
    found["heat"].attrs.update(long_name="heat current", units="energy per time")
    found["flux"].attrs.update(long_name="magnetic flux", units="flux quanta")
    return found


def test_map_shows_the_values_and_their_labels(data):
    ax = plot_map(data, "heat", select={"bath": "cold"}, crossings={"flux": [0.5, 1.0, 9.0], "T": [1.0]})
    mesh = ax.collections[0]
    shown = mesh.get_array()
    np.testing.assert_array_equal(shown.filled(7.0), np.where(data.status == 2, 7.0, data["heat"].values[..., 1]))
    low, high = mesh.get_clim()
    assert low == -high and mesh.get_cmap().name == "RdBu_r"
    assert ax.get_xlabel() == "magnetic flux (flux quanta)" and ax.get_ylabel() == "T"
    assert mesh.colorbar.ax.get_ylabel() == "heat current (energy per time)"
    assert ax.get_title(loc="left") == "Heat current, bath cold"
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["no valid result", "near degenerate", "level crossing", "level crossing"]
    assert len(ax.lines) == 3  # 0.5 and 1.0 across, 1.0 up; 9.0 lies outside
    ax.figure.canvas.draw()


def test_map_of_one_sign_is_sequential_and_axes_can_be_swapped(data):
    ax = plot_map(data, "entropy", x="T", y="flux")
    assert ax.collections[0].get_cmap().name == "inferno"
    assert ax.get_ylabel() == "magnetic flux (flux quanta)"
    np.testing.assert_array_equal(ax.collections[0].get_array()[1], data["entropy"].values[:, 1])


def test_lines_leave_gaps_and_name_their_hue(data):
    figure, ax = plt.subplots()
    assert plot_lines(data, "heat", x="flux", select={"T": 0.2}, ax=ax) is ax and ax.figure is figure
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["bath hot", "bath cold"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), data["heat"].values[0, :, 0])
    other = plot_lines(data, "entropy", x="flux", crossings={"flux": [0.5]})
    assert np.flatnonzero(np.isnan(other.lines[4].get_ydata())).tolist() == [3]  # T[2], flux[3] is not unique
    assert other.lines[9].get_xdata().tolist() == [data.flux.values[4]]  # the warning at T[4], flux[4]
    other.figure.canvas.draw()


def test_level_diagram_names_levels_and_rates():
    hot = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=1.0, name="hot")
    generator = qdb.davies(qdb.models.qubit(1.0), [hot])
    ax = plot_levels(generator)
    words = [text.get_text() for text in ax.texts]
    down, up = float(generator.rates[0, 1, 0]), float(generator.rates[0, 0, 1])
    assert {"$E_{0}$", "$E_{1}$", f"{down:.3g}", f"{up:.3g}"} <= set(words)
    assert ax.get_legend().get_texts()[0].get_text() == "hot, T = 1"
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda d: plot_map(d, "heaat"), "variable must be one of heat, entropy, status; got 'heaat'"),
        (lambda d: plot_map(d, "heat"), r"further dimensions; choose one of each, as in select=\{'bath': 'hot'\}"),
        (lambda d: plot_map(d, "entropy", select={"bath": "hot"}), "'bath', which is no dimension of entropy: T, flux"),
        (lambda d: plot_map(d, "entropy", select={"T": 0.2}), "a map needs two axes"),
        (lambda d: plot_map(d, "entropy", crossings={"B": [1]}), "crossings names 'B'; the axes of this plot are"),
        (lambda d: plot_map(d * 1j, "entropy"), "entropy is complex"),
        (lambda d: plot_lines(d, "heat", x="flux"), "further dimensions"),
    ],
)
def test_wrong_names_are_refused_in_words(data, draw, words):
    with pytest.raises(ValueError, match=words):
        draw(data)
