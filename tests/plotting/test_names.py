"""Names in figures are shown as they are written, whatever matplotlib takes `$` and `_` for."""

import matplotlib

matplotlib.use("agg")

import matplotlib.text
import numpy as np
import pytest
import xarray

import qdbjax as qdb
from qdbjax.plotting import plot_currents, plot_cycle, plot_levels, plot_lines, plot_map, plot_report

BROKEN = r"$\hot$ at 5"  # no mathematics that matplotlib could draw
NAMES = (BROKEN, "_cold", "$x^2$")


@pytest.fixture(scope="module")
def maser():
    """Three levels, each pair driven by a bath."""
    rates = np.zeros((3, 3, 3))
    for bath, (low, high, ratio) in enumerate(((0, 2, 0.5), (1, 2, 0.1), (0, 1, 0.3))):
        rates[bath, low, high], rates[bath, high, low] = 1.0, ratio
    return qdb.pauli([0.0, 1.0, 3.0], dict(zip(NAMES, rates, strict=True)), temperatures=[4.0, 1.0, 1.0])


def shown(figure, wanted):
    """The text of a drawn figure that holds these words, as wide as they are without mathematics."""
    figure.canvas.draw()
    for text in figure.findobj(matplotlib.text.Text):
        words = text.get_text().replace(r"\$", "$")
        if wanted in words:
            drawn = text.get_window_extent().width
            plain = text.figure.text(0, 0, words, fontproperties=text.get_fontproperties(), parse_math=False)
            plain.set_rotation(text.get_rotation())
            np.testing.assert_allclose(drawn, plain.get_window_extent().width, atol=1.5)
            return words
    raise AssertionError(f"{wanted!r} is not in {[text.get_text() for text in figure.findobj(matplotlib.text.Text)]}")


@pytest.mark.parametrize("draw", [plot_levels, plot_currents, plot_cycle, lambda g: plot_report(qdb.balance_report(g))])
def test_baths(draw, maser):
    """In legends, boxes and beside axes; a legend leaves none out."""
    drawn = draw(maser)
    figure = getattr(drawn, "figure", drawn)
    for name in NAMES:
        assert shown(figure, name).lstrip("\N{ZERO WIDTH SPACE}").startswith(name)
    for legend in (ax.get_legend() for ax in figure.axes):
        assert legend is None or len(legend.get_texts()) == len(NAMES)


def test_selections_lines_and_variables():
    """In titles, legends and labels; what an attribute says may be mathematics."""
    values = np.arange(18.0).reshape(2, 3, 3)
    axes = {"_T": [1.0, 2.0], BROKEN: [0.0, 1.0, 2.0], "bath": list(NAMES)}
    data = xarray.Dataset({"$heat$": (tuple(axes), values)}, coords=axes)
    figure = plot_map(data, "$heat$", x=BROKEN, y="_T", select={"bath": BROKEN}).figure
    assert shown(figure, "bath " + BROKEN) == f"$heat$, bath {BROKEN}"
    assert shown(figure, "_T") == "\N{ZERO WIDTH SPACE}_T"
    lines = plot_lines(data, "$heat$", x=BROKEN, select={"_T": 1.0})
    assert [text.get_text() for text in lines.get_legend().get_texts()] == [
        r"bath \$\hot\$ at 5",
        "bath \N{ZERO WIDTH SPACE}_cold",
        r"bath \$x^2\$",
    ]
    shown(lines.figure, "bath " + BROKEN)
    data["_T"].attrs["long_name"] = r"$T_\mathrm{hot}$"
    assert plot_map(data, "$heat$", x=BROKEN, y="_T", select={"bath": BROKEN}).get_ylabel() == r"$T_\mathrm{hot}$"


@pytest.mark.slow
def test_fits():
    """Names of outputs and of conditions."""
    model = lambda x, **over: {BROKEN: x * sum(over.values())}  # noqa: E731
    over = {"$t$": np.array([0.0, 1.0, 0.0, 1.0]), BROKEN: np.array([1.0, 1.0, 2.0, 2.0])}
    found = qdb.fit(
        model, {BROKEN: qdb.fitting.match(np.array([1.0, 2.0, 2.0, 3.0]))}, {"x": qdb.fitting.positive(2.0)}, over=over
    )
    figure = qdb.plot_fit(found)
    for words in (f"{BROKEN}: data and fit", f"{BROKEN} = 1", "$t$"):
        assert words in shown(figure, words)
