"""What flows: the cycle that costs most, energy between baths and levels, and a report as a figure."""

import types
from typing import TYPE_CHECKING

import numpy as np

from qdbjax.balance import BalanceReport, cycle_analysis
from qdbjax.balance.report import BALANCE_VERDICTS
from qdbjax.generators import Generator
from qdbjax.generators.generator import check_generator
from qdbjax.plotting.figure import (
    BATH_COLOURS,
    COLUMN,
    TITLE,
    axes_to_draw_on,
    in_style,
    label_of,
    plain,
    pyplot,
    tens_of,
    wrapped,
    write_without,
)
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike
from qdbjax.thermodynamics import energy_currents, micro_currents

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

SMALLEST_FLOW = 1e-6  # of the largest; smaller ones are left out
MAX_FLOWS = 16  # arrows drawn, the largest flows


@in_style
def plot_cycle(
    generator: Generator,
    state: StateLike | None = None,
    *,
    number: int | None = None,
    ax: "matplotlib.axes.Axes | None" = None,
) -> "matplotlib.axes.Axes":
    """One cycle of transitions: levels in turn, an arrow for each step in the colour of its bath.

    generator: one generator, not a batch, with concrete numbers.
    state: as for `heat_currents`; by default the stationary one.
    number: of the cycle (`qdbjax.balance.cycle_basis`); by default the one that produces most entropy.
    ax: matplotlib Axes, by default those of a new figure.
    Returns the Axes. Arrows point in the direction of positive affinity; the title says affinity and turns per time.
    Raises ValueError for a generator without cycles, for another number, and for a batch.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.plotting.plot_cycle(generator).get_title(loc="left")
    'Cycle of affinity 1, 0.00696 turns per time'
    """
    found = cycle_analysis(generator, state)
    if not found.cycles:
        raise ValueError("generator has no cycle of transitions: nothing can go around. See plot_levels.")
    affinities, currents = np.asarray(found.affinities), np.asarray(found.currents)
    if number is None:
        number = int(np.nanargmax(np.where(currents == 0, 0.0, np.abs(affinities * currents))))
    if not 0 <= number < len(found.cycles):
        raise ValueError(f"number must be from 0 to {len(found.cycles) - 1}; got {number}.")
    ax = axes_to_draw_on(ax, (COLUMN, 3.0))
    cycle = found.cycles[number]
    if affinities[number] < 0:
        cycle = tuple((bath, start, to) for bath, to, start in reversed(cycle))
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(cycle)) / len(cycle)
    places = {start: (float(np.cos(a)), float(np.sin(a))) for (_, _, start), a in zip(cycle, angles, strict=True)}
    for bath, to, start in cycle:
        style = {"arrowstyle": "-|>", "connectionstyle": "arc3,rad=-0.25", "shrinkA": 13, "shrinkB": 13}
        colour = BATH_COLOURS[bath % len(BATH_COLOURS)]
        arrow = {**style, "color": colour, "mutation_scale": 11, "lw": 1.6}
        ax.annotate("", xy=places[to], xytext=places[start], arrowprops=arrow)
    energies = np.asarray(generator.spectrum.energies)
    box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": "0.3", "lw": 0.8}
    for level, (x, y) in places.items():
        ax.text(x, y, f"$E_{{{level}}}$", ha="center", va="center", bbox=box)
        ax.text(1.34 * x, 1.34 * y, f"{energies[level]:.3g}", ha="center", va="center", fontsize="small", color="0.3")
    for bath in dict.fromkeys(bath for bath, *_ in cycle):
        ax.plot([], [], color=BATH_COLOURS[bath % len(BATH_COLOURS)], lw=2, label=plain(found.names[bath]))
    force, turns = abs(affinities[number]), found.turns(number)
    ax.set_title(f"Cycle of affinity {force:.3g}, {turns:.3g} turns per time", loc="left", pad=16)
    _finish(ax, (-1.6, 1.6), (-1.5, 1.5))
    ax.set_aspect("equal")
    return ax


def _finish(ax: "matplotlib.axes.Axes", x: tuple[float, float], y: tuple[float, float]) -> None:
    """Limits, no axes, and the legend of baths above."""
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    ax.set_axis_off()
    place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 3, "frameon": False, "fontsize": "small"}
    ax.legend(**place, borderaxespad=0.2, handlelength=1.2)


@in_style
def plot_currents(
    generator: Generator, state: StateLike | None = None, *, ax: "matplotlib.axes.Axes | None" = None
) -> "matplotlib.axes.Axes":
    """Energy that flows between baths and levels: an arrow for each bath and transition, as wide as its current.

    generator: one generator, not a batch.
    state: as for `heat_currents`; by default the stationary one.
    ax: matplotlib Axes, by default those of a new figure.
    Returns the Axes. Baths that give energy stand on the left and those that take it on the right, with their energy
    current; levels in the middle. An arrow at the levels points the way in which its bath moves the system. Flows below
    1e-6 of the largest, and all but the 16 largest, are left out. Raises ValueError for a batch.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.plotting.plot_currents(generator).get_title(loc="left")
    'Energy per time from baths into the levels'
    """
    check_generator(generator)
    if generator.rates.ndim != 3:
        raise ValueError(f"plot_currents draws one generator; got a batch of shape {generator.rates.shape[:-3]}.")
    own = state_of(generator, state)
    energies, totals = np.asarray(generator.spectrum.energies), np.asarray(energy_currents(generator, own))
    flows = _flows(energies, np.asarray(micro_currents(generator, own)))
    ax = axes_to_draw_on(ax, (COLUMN, 2.8))
    low, span = energies.min(), np.ptp(energies) or 1.0
    height = (energies - low) / span
    ax.hlines(height, 0.9, 2.1, color="#1c2833", lw=1.4, zorder=2)
    for n, y in enumerate(height):
        ax.text(2.16, y, f"$E_{{{n}}}$", va="center", ha="left", fontsize="small")
    largest = max((abs(power) for power, *_ in flows), default=1.0)
    columns = dict(zip(sorted({flow[1] for flow in flows}), np.linspace(1.1, 1.9, 2 + len(totals))[1:-1], strict=False))
    sides = _sides(totals)
    for power, bath, start, to in flows:
        colour, width = BATH_COLOURS[bath % len(BATH_COLOURS)], 0.6 + 5.0 * abs(power) / largest
        move = {"arrowstyle": "-|>", "color": colour, "lw": 1.2, "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
        x, ends = columns[bath], (height[start], height[to])
        ax.annotate("", xy=(x, ends[1]), xytext=(x, ends[0]), arrowprops=move, zorder=4)
        node, middle = sides[bath], (x, 0.5 * sum(ends))
        (tail, head), gaps = ((node, middle), (14, 2)) if power > 0 else ((middle, node), (2, 18))
        flow = {"arrowstyle": "-|>", "color": colour, "lw": width, "mutation_scale": 8 + width, "alpha": 0.45}
        flow |= dict(zip(("shrinkA", "shrinkB"), gaps, strict=True))
        ax.annotate("", xy=head, xytext=tail, arrowprops=flow, zorder=3)
    for bath, (name, place) in enumerate(zip(generator.names, sides, strict=True)):
        colour = BATH_COLOURS[bath % len(BATH_COLOURS)]
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "lw": 1.2}
        words = f"{plain(name)}\n{totals[bath]:+.3g}"
        ax.text(*place, words, ha="center", va="center", bbox=box, fontsize="small", zorder=5)
    ax.set_title("Energy per time from baths into the levels", loc="left")
    ax.set_xlim(-0.5, 3.5)
    ax.set_ylim(-0.15, 1.15)
    ax.set_axis_off()
    return ax


def _flows(energies: np.ndarray, currents: np.ndarray) -> list[tuple[float, int, int, int]]:
    """(energy per time into the system, bath, from, to) of the largest flows, in the direction of the net current."""
    found = []
    for bath, table in enumerate(currents):
        for m in range(len(energies)):
            for n in range(m):
                to, start = (m, n) if table[m, n] > 0 else (n, m)
                found.append((float((energies[m] - energies[n]) * table[m, n]), bath, start, to))
    largest = max((abs(flow[0]) for flow in found if np.isfinite(flow[0])), default=0.0)
    kept = [flow for flow in found if abs(flow[0]) > SMALLEST_FLOW * largest]
    return sorted(kept, key=lambda flow: -abs(flow[0]))[:MAX_FLOWS]


def _sides(totals: np.ndarray) -> list[tuple[float, float]]:
    """Where each bath stands: on the left if it gives energy, on the right if it takes some, from the top."""
    places = {}
    for x, members in ((0.0, np.flatnonzero(totals > 0)), (3.0, np.flatnonzero(~(totals > 0)))):
        for bath, y in zip(members, np.linspace(1, 0, len(members) + 2)[1:-1], strict=True):
            places[int(bath)] = (x, float(y))
    return [places[bath] for bath in range(len(totals))]


@in_style
def plot_report(report: BalanceReport) -> "matplotlib.figure.Figure":
    """A balance report as a figure: its verdict, heat from every bath, and populations.

    report: from `balance_report`.
    Returns the Figure, one column wide.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> len(qdb.plotting.plot_report(qdb.balance_report(generator)).axes)
    2
    """
    figure, (above, below) = pyplot().subplots(2, 1, figsize=(COLUMN, 3.4), layout="constrained")
    baths = np.arange(len(report.names))
    colours = [BATH_COLOURS[n % len(BATH_COLOURS)] for n in baths]
    above.barh(baths, report.heat_currents, color=colours)
    above.set_yticks(baths, [_with_temperature(report, n) for n in baths])
    above.invert_yaxis()
    above.axvline(0.0, color="0.3", lw=0.6)
    power = tens_of(report.heat_currents)
    heat = {"long_name": "heat into the system", "units": "energy per time"}
    above.set_xlabel(label_of(types.SimpleNamespace(attrs=heat), "heat", power))
    write_without(above.xaxis, power)
    above.set_title(wrapped(_capital(BALANCE_VERDICTS[report.verdict]), TITLE), loc="left")
    levels = np.arange(len(report.populations))
    below.bar(levels, report.populations, color="#7b7d7d")
    below.set_xticks(levels, [f"$E_{{{n}}}$" for n in levels])
    below.set_ylabel("population")
    below.set_title(f"Entropy production {report.entropy_production:.3g} per time", loc="left")
    for ax in (above, below):
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _with_temperature(report: BalanceReport, bath: int | np.integer) -> str:
    temperature = report.temperatures[bath]
    return plain(report.names[bath]) + ("" if np.isnan(temperature) else f"\nT = {temperature:.3g}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
