"""Levels of a system and the transitions that its baths drive."""

from typing import TYPE_CHECKING

import numpy as np

from qdbjax.generators import Generator
from qdbjax.generators.generator import check_generator
from qdbjax.plotting.figure import BATH_COLOURS, COLUMN, axes_to_draw_on, in_style, plain

if TYPE_CHECKING:
    import matplotlib.axes

SMALLEST_RATE = 1e-6  # of the largest; slower transitions are left out
MAX_TRANSITIONS = 24  # pairs of levels drawn, the fastest ones


@in_style
def plot_levels(generator: Generator, *, ax: "matplotlib.axes.Axes | None" = None) -> "matplotlib.axes.Axes":
    """Level diagram: a line for each level, a pair of arrows for each transition and bath.

    generator: one generator, not a batch.
    ax: matplotlib Axes, by default those of a new figure.
    Returns the Axes. Arrows point from level to level in the colour of their bath; their width grows with the logarithm
    of the rate, which is written beside them. Transitions slower than 1e-6 of the largest rate, and all but the 24
    fastest, are left out. Raises ValueError for a batch.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.plot_levels(generator).get_title(loc="left")
    'Levels and transition rates'
    """
    check_generator(generator)
    if generator.rates.ndim != 3:
        raise ValueError(f"plot_levels draws one generator; got a batch of shape {generator.rates.shape[:-3]}.")
    energies, rates = np.asarray(generator.spectrum.energies), np.asarray(generator.rates)
    pairs = _transitions_to_draw(energies, rates)
    ax = axes_to_draw_on(ax, (max(COLUMN, 0.9 + 0.55 * len(pairs)), 2.8))
    right = max(1, len(pairs)) - 0.4
    ax.hlines(energies, -0.6, right, color="#1c2833", lw=1.4, zorder=3, capstyle="round")
    _name_levels(ax, energies, right)
    for column, (bath, low, high) in enumerate(pairs):
        down_up = rates[bath, low, high], rates[bath, high, low]
        _draw_transition(ax, column, bath, energies[[low, high]], down_up, rates.max())
    for n, name in enumerate(generator.names):
        ax.plot([], [], color=BATH_COLOURS[n % len(BATH_COLOURS)], lw=3, label=_bath_label(generator, n, name))
    place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 3, "frameon": False, "fontsize": "small"}
    ax.legend(**place, borderaxespad=0.2, handlelength=1.2)
    ax.set_ylabel("energy")
    span = np.ptp(energies) or 1.0
    ax.set_ylim(energies.min() - 0.08 * span, energies.max() + 0.08 * span)
    ax.set_xlim(-0.75, right + 0.75)
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.set_title("Levels and transition rates", loc="left", pad=18)
    return ax


def _transitions_to_draw(energies: np.ndarray, rates: np.ndarray) -> list[tuple[int, int, int]]:
    """(bath, lower level, upper level) of the fastest transitions, bath by bath, longest arrows last."""
    same = np.asarray(energies[:, None] == energies[None, :])
    found = [
        (max(rates[b, m, n], rates[b, n, m]), b, *((m, n) if energies[m] <= energies[n] else (n, m)))
        for b in range(rates.shape[0])
        for m in range(len(energies))
        for n in range(m)
        if not same[m, n] and max(rates[b, m, n], rates[b, n, m]) > SMALLEST_RATE * rates.max()
    ]
    found = sorted(found, reverse=True)[:MAX_TRANSITIONS]
    return sorted(
        [(b, low, high) for _, b, low, high in found],
        key=lambda p: (p[0], energies[p[2]] - energies[p[1]], energies[p[1]]),
    )


def _name_levels(ax, energies: np.ndarray, right: float) -> None:
    """Names at the right end; levels too close to be told apart share one."""
    order = np.argsort(energies, kind="stable")
    groups: list[list[int]] = []
    for n in order:
        if groups and energies[n] - energies[groups[-1][0]] <= 0.04 * (np.ptp(energies) or 1.0):
            groups[-1].append(int(n))
        else:
            groups.append([int(n)])
    for group in groups:
        names = ", ".join(f"$E_{{{n}}}$" for n in group)
        ax.text(right + 0.1, np.mean(energies[group]), names, va="center", ha="left")


def _draw_transition(
    ax, column: int, bath: int, levels: np.ndarray, down_up: tuple[float, float], largest: float
) -> None:
    colour = BATH_COLOURS[bath % len(BATH_COLOURS)]
    (low, high), (down, up) = levels, down_up
    for shift, start, stop, rate, side in ((-0.13, high, low, down, "right"), (0.13, low, high, up, "left")):
        if rate <= SMALLEST_RATE * largest:
            continue
        width = 0.5 + 1.6 * max(0.0, 1 + np.log10(rate / largest) / 6)
        head = {"arrowstyle": "-|>", "mutation_scale": 5 + 2 * width}
        style = {**head, "color": colour, "lw": width, "shrinkA": 2, "shrinkB": 1}
        ax.annotate("", xy=(column + shift, stop), xytext=(column + shift, start), arrowprops=style, zorder=2)
        offset = -0.1 if side == "right" else 0.1
        middle = low + (0.5 if high > low else 0.0) * (high - low)
        text = {"rotation": 90, "va": "center", "ha": side, "fontsize": "x-small", "color": colour}
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}
        ax.text(column + shift + offset, middle, _format_rate(rate), **text, bbox=box, zorder=4)


def _format_rate(rate: float) -> str:
    if rate >= 1e-3:
        return f"{rate:.3g}"
    exponent = int(np.floor(np.log10(rate)))
    return rf"${rate / 10.0**exponent:.1f}\cdot 10^{{{exponent}}}$"


def _bath_label(generator: Generator, n: int, name: str) -> str:
    return f"{plain(name)}, T = {float(generator.temperatures[n]):.3g}"
