"""How a fit converged and how it meets its data."""

from typing import TYPE_CHECKING

import numpy as np

from qdbjax.fitting import Fit
from qdbjax.plotting.figure import BATH_COLOURS, pyplot

if TYPE_CHECKING:
    import matplotlib.figure


def plot_fit(fit: Fit) -> "matplotlib.figure.Figure":
    """Loss of every start over the search, and each matched output beside its data.

    fit: from `fit`. Data with their standard errors where these were given, over the first condition if there is one
    of matching length. Returns the Figure.
    """
    matched = [name for name in fit.wanted if fit.wanted[name][0].ndim == 1]
    figure, axes = pyplot().subplots(
        1, 1 + len(matched), figsize=(4.2 * (1 + len(matched)), 3.4), layout="constrained", squeeze=False
    )
    left, *others = axes[0]
    left.semilogy(_positive(fit.history))
    left.set(xlabel="step" if len(fit.history) >= fit.steps else "stretch", ylabel="loss", title=f"Fit: {fit.verdict}")
    for ax, name, colour in zip(others, matched, np.resize(BATH_COLOURS, len(matched)), strict=True):
        value, error = fit.wanted[name]
        across = next((x for x in fit.over.values() if x.shape == value.shape), np.arange(len(value)))
        order = np.argsort(across)
        measured = fit.standard_errors and np.ptp(error) > 0
        ax.errorbar(
            across, value, np.broadcast_to(error, value.shape) if measured else None, fmt="o", ms=4, color="0.5"
        )
        ax.plot(across[order], fit.achieved[name][order], color=colour)
        ax.set(xlabel=next(iter(fit.over), "entry"), ylabel=name, title=name)
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _positive(history: np.ndarray) -> np.ndarray:
    """Losses for a logarithmic scale: counted from the lowest where they are negative."""
    finite = history[np.isfinite(history)]
    if finite.size == 0 or finite.min() > 0:
        return history
    return history - finite.min() + np.finfo(float).eps * max(1.0, np.abs(finite).max())
