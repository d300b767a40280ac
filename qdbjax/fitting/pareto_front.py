"""The Pareto front of two objectives: compromises in which neither improves unless the other gets worse."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np

from qdbjax._checks import as_integer
from qdbjax.fitting.fitter import fit
from qdbjax.fitting.objectives import AbstractTerm, LinearTerm
from qdbjax.fitting.result import Fit


class ParetoFront(eqx.Module):
    """Compromises between two outputs, from the best of the first to the best of the second.

    names: of the two outputs.
    weights: (n,), w of the second output; the first has 1 - w.
    outcomes: (n, 2), the two outputs.
    efficient: (n,), whether no other compromise is better in one output and as good in the other.
    fits: the Fit of each.
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
    objectives: Mapping[str, LinearTerm],
    parameters: Mapping[str, Any],
    *,
    points: int = 11,
    constraints: Mapping[str, AbstractTerm] | None = None,
    **options: Any,
) -> ParetoFront:
    """Compromises between two objectives, by a sweep of their weights: (1 - w)·first + w·second for w from 0 to 1.

    model: as for `fit`.
    objectives: two outputs, each with `maximize` or `minimize`, weighted to units in which one of the first is worth
        one of the second.
    parameters: as for `fit`.
    points: number of weights w.
    constraints: further terms by output, such as `at_least` for a third one.
    options: further arguments of `fit`.
    Returns a ParetoFront, of which only convex parts are found. Raises ValueError for other than two objectives.
    *Source:* K. Miettinen, Nonlinear Multiobjective Optimization (1999), the weighting method.

    >>> model = lambda x: {"up": x, "down": 1 - x**2}
    >>> most = {"up": qdb.fitting.maximize(), "down": qdb.fitting.maximize()}
    >>> front = qdb.fitting.pareto(model, most, {"x": qdb.fitting.bounded(0.3, low=0.0, high=1.0)}, points=3)
    >>> front.outcomes[1].round(3)
    array([0.5 , 0.75])
    """
    if len(objectives) != 2 or not all(isinstance(term, LinearTerm) for term in objectives.values()):
        raise ValueError(f"objectives must be two outputs, each with maximize() or minimize(); got {dict(objectives)}.")
    points = as_integer(points, "points", 1)
    first, second = objectives
    names = first, second
    weights = np.linspace(0.0, 1.0, points)
    fits = []
    for w in weights:
        # With a weight of 0 the other output would be left undetermined.
        shares = np.clip([1 - w, w], 1e-6, None)
        terms = {name: LinearTerm(objectives[name].weight * share) for name, share in zip(names, shares, strict=True)}
        fits.append(fit(model, {**terms, **(constraints or {})}, parameters, **options))
    outcomes = np.array([[float(np.sum(each.outputs[name])) for name in names] for each in fits])
    better = -np.sign([float(objectives[name].weight) for name in names])
    scores = outcomes * better
    dominated = [
        any(np.all(other >= mine) and np.any(other > mine + 1e-9 * np.abs(mine)) for other in scores) for mine in scores
    ]
    return ParetoFront(names, weights, outcomes, ~np.array(dominated), fits)
