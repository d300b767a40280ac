"""Files of a search that was stopped, from which it goes on to the same numbers, bit by bit.

A file says of which fit it is: its parameters, fixed values, conditions, objective and settings, each by name, and what
the model gives at the starts and beside them. A fit that differs is refused with the difference named; numbers of the
model are compared to half of the digits, so that a file may move to another machine.
"""

import functools as ft
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array
from qdbjax.compilation.description import describe, where_they_differ
from qdbjax.fitting.problem import Evaluation, Problem
from qdbjax.fitting.search import SearchState

BESIDE = 0.1  # distance in free reals of the second points at which models are compared
Look = Callable[[Array], Evaluation]


def _description(problem: Problem, settings: dict[str, Any]) -> dict[str, str]:
    """What must agree between the fit that wrote a checkpoint and the one that reads it, in words."""
    found = {f"free value {name!r}": describe(each) for name, each in problem.parameters.free.items()}
    found |= {f"fixed value {name!r}": describe(each) for name, each in problem.parameters.fixed.items()}
    found |= {f"condition {name!r}": describe(each) for name, each in problem.over.items()}
    found |= {f"term for {name!r}": describe(each) for name, each in problem.objective.terms.items()}
    if problem.objective.function is not None:
        found["objective"] = describe(problem.objective.function)
    return found | {name: describe(each) for name, each in settings.items()}


class Checkpoint:
    """A file of one search.

    path: of the file.
    problem, settings: of the search, what must agree.
    look: evaluations at points (start, n), by the program of the search itself, so that nothing is compiled for the
        comparison.
    points: (start, n), the starts.
    """

    def __init__(self, path: str | pathlib.Path, problem: Problem, settings: dict[str, Any], look: Look, points: Array):
        self.path = pathlib.Path(path)
        self.description = _description(problem, settings)
        self.look, self.points = look, points

    @ft.cached_property
    def probe(self) -> np.ndarray:
        """(2, start), the loss at the starts and beside them: another model or objective gives other numbers."""
        beside = self.points + BESIDE * jax.random.normal(jax.random.key(0), self.points.shape, self.points.dtype)
        return np.stack([np.asarray(self.look(points).loss) for points in (self.points, beside)])

    def store(self, states: SearchState, history: list[np.ndarray], steps_made: int) -> None:
        """Write the states of a search, whole or not at all."""
        arrays: dict[str, Any] = {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(states))}
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.npz")
        np.savez(
            temporary,
            description=json.dumps(self.description),
            probe=self.probe,
            steps_made=steps_made,
            history=np.concatenate(history),
            **arrays,
        )
        temporary.replace(self.path)

    def restore(self, states: SearchState) -> tuple[SearchState, list[np.ndarray], int]:
        """States, history and steps that were stored, or the given states if there is no file.

        Raises ValueError for the file of another fit, and for one that is none.
        """
        if not self.path.exists():
            return states, [], 0
        try:
            with self.path.open("rb") as file, np.load(file) as found:
                stored = {name: found[name] for name in found.files}
            description, steps_made = json.loads(str(stored["description"])), int(stored["steps_made"])
            probe, history = stored["probe"], stored["history"]
        except Exception as error:  # a truncated or foreign file fails in as many ways as it can be broken
            raise ValueError(
                f"checkpoint {self.path} cannot be read ({type(error).__name__}): remove it, or give another file."
            ) from None
        self._refuse(description, probe)
        leaves, tree = jax.tree.flatten(states)
        restored = [jnp.asarray(stored[f"leaf{n}"], leaf.dtype) for n, leaf in enumerate(leaves)]
        return jax.tree.unflatten(tree, restored), [history], steps_made

    def _refuse(self, description: dict[str, str], probe: np.ndarray) -> None:
        """Raise ValueError for the first difference."""
        for name in sorted({*description, *self.description}):
            here, there = self.description.get(name, "absent"), description.get(name, "absent")
            if here != there:
                here, there = where_they_differ(here, there)
                self._raise(f"{name} is {here} here and {there} there")
        digits = float(np.finfo(probe.dtype).eps) ** 0.5
        here = self.probe
        if here.shape != probe.shape or not np.allclose(here, probe, rtol=digits, atol=0.0, equal_nan=True):
            where = "" if here.shape != probe.shape else f": a loss of {_first(here, probe)} at the same parameters"
            self._raise(f"the model is another one{where}")

    def _raise(self, difference: str) -> None:
        raise ValueError(
            f"checkpoint {self.path} belongs to another fit: {difference}. Give another file, or remove it."
        )


def _first(here: np.ndarray, there: np.ndarray) -> str:
    """The first pair of numbers that differ."""
    place = np.unravel_index(int(np.argmax(~np.isclose(here, there, rtol=1e-12, atol=0.0, equal_nan=True))), here.shape)
    return f"{here[place]:.6g} here and {there[place]:.6g} there"
