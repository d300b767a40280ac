"""What cannot all be had at once: a front of best compromises between two aims."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np

from qdbjax.fitting.objectives import AbstractTerm, Push
from qdbjax.fitting.result import Fit
from qdbjax.fitting.fitter import fit


class Front(eqx.Module):
    """Compromises between two outputs, from the best of the first to the best of the second.

    names of the two; weights (n,) of the second; outcomes (n, 2); fits: the Fit of each. efficient (n,): whether no
    other of them is better in both.
    """

    names: tuple[str, str]
    weights: np.ndarray
    outcomes: np.ndarray
    efficient: np.ndarray
    fits: list[Fit]

    def __repr__(self) -> str:
        first, second = self.names
        rows = [f"  {w:.3g}: {a:.6g}, {b:.6g}" for w, (a, b) in zip(self.weights, self.outcomes, strict=True)]
        head = f"Front of {first} against {second} ({int(self.efficient.sum())} of {len(rows)} efficient)"
        return "\n".join([head, *rows])


def pareto(
    model: Callable[..., Any],
    aims: Mapping[str, Push],
    parameters: Mapping[str, Any],
    *,
    points: int = 11,
    constraints: Mapping[str, AbstractTerm] | None = None,
    **options: Any,
) -> Front:
    """Front of two aims, by a sweep of their weights: (1 - w)·first + w·second for w from 0 to 1.

    aims: two outputs with `maximize` or `minimize`, in units in which a unit of one is worth one of the other (their
    weights). constraints: further terms. options: of `fit`. Only the convex part of a front is found this way.
    Returns a Front. Raises ValueError for other than two aims.
    *Source:* K. Miettinen, Nonlinear Multiobjective Optimization (1999), the weighting method.
    """
    if len(aims) != 2 or not all(isinstance(term, Push) for term in aims.values()):
        raise ValueError(f"aims must be two outputs, each with maximize() or minimize(); got {dict(aims)}.")
    names = tuple(aims)
    weights = np.linspace(0.0, 1.0, points)
    fits = []
    for w in weights:
        # A weight of 0 would leave what does not matter anywhere at all.
        shares = np.clip([1 - w, w], 1e-6, None)
        terms = {name: Push(aims[name].weight * share) for name, share in zip(names, shares, strict=True)}
        fits.append(fit(model, {**terms, **(constraints or {})}, parameters, **options))
    outcomes = np.array([[float(np.sum(each.achieved[name])) for name in names] for each in fits])
    better = -np.sign([float(aims[name].weight) for name in names])
    scores = outcomes * better
    beaten = [
        any(np.all(other >= mine) and np.any(other > mine + 1e-9 * np.abs(mine)) for other in scores) for mine in scores
    ]
    return Front(names, weights, outcomes, ~np.array(beaten), fits)
