"""Cycles, currents and reports as figures: what is drawn is what flows, and colours are told apart by everyone."""

import matplotlib

matplotlib.use("agg")

import itertools

import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.plotting import plot_currents, plot_cycle, plot_levels, plot_report
from qdbjax.plotting.figure import BATH_COLOURS, COLUMN

# Linear RGB without the cones for long, middle or short waves. *Source:* G. M. Machado, M. M. Oliveira and
# L. A. F. Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009), severity 1.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, seen):
    """CIE L*a*b* of a colour as it is seen."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = TO_XYZ @ np.clip(np.asarray(seen) @ linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = [np.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture(scope="module")
def maser():
    """Three levels, each pair driven by a bath: one cycle that all heat goes around."""
    energies, W = [0.0, 1.0, 3.0], np.zeros((3, 3, 3))
    for bath, (low, high, temperature) in enumerate(((0, 2, 4.0), (1, 2, 1.0), (0, 1, 1.0))):
        gap = energies[high] - energies[low]
        W[bath, low, high], W[bath, high, low] = 1.0, np.exp(-gap / temperature)
    names = ("hot", "cold", "work")
    return qdb.pauli(energies, dict(zip(names, W, strict=True)), temperatures=[4.0, 1.0, 1.0])


@pytest.mark.parametrize("seen", BLINDNESS)
def test_colours_of_baths_are_told_apart(seen):
    """A difference of 10 is plain at a glance; the pair of a hot and a cold bath has more than 40."""
    seen = BLINDNESS[seen]
    for one, other in itertools.combinations(BATH_COLOURS, 2):
        assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > 10, (one, other)
    hot, cold = BATH_COLOURS[:2]
    assert np.linalg.norm(lab(hot, seen) - lab(cold, seen)) > 40


def arrows(ax):
    return [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]


def test_the_cycle_goes_the_way_of_its_affinity(maser):
    """Hot lifts 0 → 2, cold lowers 2 → 1, work lowers 1 → 0; A = Σ ω/T in closed form."""
    ax = plot_cycle(maser)
    affinity = 2.0 / 1.0 + 1.0 / 1.0 - 3.0 / 4.0
    assert f"affinity {affinity:.3g}," in ax.get_title(loc="left")
    places = {text.get_text(): np.array(text.get_position()) for text in ax.texts if text.get_text().startswith("$E_")}
    drawn = {matplotlib.colors.to_hex(each.arrow_patch.get_edgecolor()): each for each in arrows(ax)}
    for bath, (start, to) in enumerate(((0, 2), (2, 1), (1, 0))):
        arrow = drawn[BATH_COLOURS[bath]]
        np.testing.assert_allclose(arrow.xy, places[f"$E_{{{to}}}$"])
        np.testing.assert_allclose(arrow.get_position(), places[f"$E_{{{start}}}$"])
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"hot", "cold", "work"}
    ax.figure.canvas.draw()


def test_currents_are_as_wide_as_they_are_large_and_point_the_right_way(maser):
    ax = plot_currents(maser)
    energy = np.asarray(qdb.energy_currents(maser))
    nodes = {text.get_text().split("\n")[0]: text for text in ax.texts if "\n" in text.get_text()}
    for name, value in zip(maser.names, energy, strict=True):
        assert float(nodes[name].get_text().split("\n")[1]) == pytest.approx(value, rel=5e-3)
        assert nodes[name].get_position()[0] == (0.0 if value > 0 else 3.0)
    flows = [each for each in arrows(ax) if each.arrow_patch.get_alpha() is not None]
    widths = {matplotlib.colors.to_hex(each.arrow_patch.get_edgecolor()): each for each in flows}
    assert len(flows) == 3
    for bath, value in enumerate(energy):
        each = widths[BATH_COLOURS[bath]]
        assert each.arrow_patch.get_linewidth() == pytest.approx(0.6 + 5 * abs(value) / np.abs(energy).max())
        end = each.xy if value < 0 else each.get_position()
        assert tuple(end) == nodes[maser.names[bath]].get_position()
    ax.figure.canvas.draw()


def test_a_report_shows_heat_and_populations(maser):
    report = qdb.balance_report(maser)
    above, below = plot_report(report).axes
    np.testing.assert_allclose([bar.get_width() for bar in above.patches], report.heat_currents)
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], report.populations)
    assert above.get_title(loc="left").startswith("Driven steady state")
    assert f"{report.entropy_production:.3g}" in below.get_title(loc="left")
    above.figure.canvas.draw()


def test_figures_are_one_column_wide_and_hold_their_text(maser):
    """Nothing that is written is cut off at the width of a column, at 8 points and smaller."""
    for ax in (
        plot_cycle(maser),
        plot_currents(maser),
        plot_levels(maser),
        plot_report(qdb.balance_report(maser)).axes[0],
    ):
        figure = ax.figure
        assert figure.get_figwidth() <= COLUMN + 0.3
        figure.canvas.draw()
        box = figure.bbox
        for text in [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]:
            if text.get_text() and text.get_visible():
                extent = text.get_window_extent()
                assert extent.x0 >= box.x0 - 2 and extent.x1 <= box.x1 + 2, text.get_text()
                assert text.get_fontsize() <= 8.5


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda g: plot_cycle(g, number=3), "number must be from 0 to 0; got 3"),
        (lambda g: plot_cycle(qdb.pauli([0.0, 1.0], [[0.0, 1.0], [0.5, 0.0]])), "generator has no cycle"),
    ],
)
def test_what_is_not_there_is_said(maser, draw, words):
    with pytest.raises(ValueError, match=words):
        draw(maser)
