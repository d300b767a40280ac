"""How a fit converged and how it meets its data."""

from typing import TYPE_CHECKING

import numpy as np

from qdbjax.fitting import Fit
from qdbjax.plotting.figure import BATH_COLOURS, COLUMN, in_style, plain, pyplot

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

MAX_LINES = 6  # one for each value of the further conditions


@in_style
def plot_fit(fit: Fit) -> "matplotlib.figure.Figure":
    """Loss of every start over the search, and below it each matched output with its data.

    fit: from `fit`.
    Returns the Figure. Data carry their standard errors where these were given; they are drawn over the first condition
    of their length, one line for each value of the further conditions, or over the fitted values where these are more
    than six.

    >>> model = lambda T: {"p": qdb.gibbs(qdb.models.qubit(1.0), temperature=T).populations[1]}
    >>> found = qdb.fit(model, {"p": qdb.fitting.match(0.2)}, {"T": qdb.fitting.positive(1.0)})
    >>> len(qdb.plot_fit(found).axes)
    1
    """
    matched = [name for name in fit.targets if fit.targets[name][0].ndim == 1]
    size = COLUMN, 2.4 * (1 + len(matched))
    figure, axes = pyplot().subplots(1 + len(matched), 1, figsize=size, layout="constrained", squeeze=False)
    first, *others = axes[:, 0]
    first.semilogy(np.arange(1, len(fit.history) + 1), _shift_to_positive(fit.history))
    first.set(xlabel="step", ylabel="loss", title=f"Loss of every start: {fit.verdict}")
    for ax, name in zip(others, matched, strict=True):
        _draw_comparison(ax, fit, name)
    for ax in axes[:, 0]:
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_comparison(ax: "matplotlib.axes.Axes", fit: Fit, name: str) -> None:
    """Data and fit over the first condition, a line for each value of the others; data over fit if these are many."""
    value, error = fit.targets[name]
    measured = bool(fit.standard_errors) and np.ptp(error) > 0
    bars = np.broadcast_to(error, value.shape) if measured else np.zeros(value.shape)
    over = {key: values for key, values in fit.over.items() if values.shape == value.shape}
    x, positions = next(iter(over.items()), ("entry", np.arange(len(value))))
    others = np.stack([values for key, values in over.items() if key != x] or [np.zeros(len(value))])
    distinct, group = np.unique(others, axis=1, return_inverse=True)
    ax.set(title=f"{plain(name)}: data and fit")
    if distinct.shape[1] > MAX_LINES:
        ax.errorbar(fit.outputs[name], value, bars, fmt="o", color="0.5")
        ends = [min(value.min(), fit.outputs[name].min()), max(value.max(), fit.outputs[name].max())]
        ax.plot(ends, ends, color=BATH_COLOURS[0])
        ax.set(xlabel="fit", ylabel="data")
        return
    for n, colour in zip(range(distinct.shape[1]), np.resize(BATH_COLOURS, distinct.shape[1]), strict=True):
        rows = np.flatnonzero(group.reshape(-1) == n)
        rows = rows[np.argsort(positions[rows])]
        line_label = ", ".join(f"{plain(key)} = {values[rows[0]]:g}" for key, values in over.items() if key != x)
        ax.errorbar(positions[rows], value[rows], bars[rows] if measured else None, fmt="o", color=colour, alpha=0.5)
        ax.plot(positions[rows], fit.outputs[name][rows], color=colour, label=line_label or None)
    if distinct.shape[1] > 1:
        ax.legend(frameon=False)
    ax.set(xlabel=plain(x), ylabel=plain(name))


def _shift_to_positive(history: np.ndarray) -> np.ndarray:
    """Losses for a logarithmic scale: counted from the lowest where they are negative."""
    finite = history[np.isfinite(history)]
    if finite.size == 0 or finite.min() > 0:
        return history
    return history - finite.min() + np.finfo(float).eps * max(1.0, np.abs(finite).max())
