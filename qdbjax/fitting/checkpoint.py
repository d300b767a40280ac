"""Files of a search that was stopped, from which it goes on to the same numbers, bit by bit.

A file says of which fit it is: its parameters, fixed values, conditions, objective and settings, each by name, and what
the model gives at the starts and beside them. A fit that differs is refused with the difference named; numbers of the
model are compared to half of the digits, so that a file may move to another machine.
"""

import dataclasses
import functools as ft
import hashlib
import inspect
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array
from qdbjax.fitting.problem import Evaluation, Problem
from qdbjax.fitting.search import SearchState

BESIDE = 0.1  # distance in free reals of the second points at which models are compared
Look = Callable[[Array], Evaluation]
SHOWN = 8  # numbers of an array that are written out; of more, a hash
LINE = 60  # letters of a description in an error
DEPTH = 6  # of functions within functions that are described


def _describe(value: Any, depth: int = DEPTH) -> str:
    """A value by what it holds: numbers exactly, functions by name and what they close over."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _describe_array(value)
    if isinstance(value, bool | int | float | complex | str | bytes | None):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_describe(each, depth)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"({', '.join(_describe(each, depth) for each in value)})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):  # every equinox module
        fields = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
        held = ", ".join(f"{name}={_describe(getattr(value, name), depth)}" for name in fields)
        return f"{type(value).__name__}({held})"
    if isinstance(value, ft.partial):  # and jax.tree_util.Partial
        return f"partial{_describe((value.func, value.args, value.keywords), depth)}"
    if inspect.isfunction(value):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)] if depth > 0 else []
        inside = ", ".join(_describe(each, depth - 1) for each in (*cells, *(value.__defaults__ or ())))
        return f"{value.__qualname__}({inside})"
    return getattr(value, "__qualname__", type(value).__qualname__)


def _describe_array(array: Any) -> str:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    array = np.asarray(array)
    if array.size == 1:
        return repr(array.reshape(()).item())
    if array.size <= SHOWN:
        return f"{array.dtype} {array.tolist()}"
    return f"{array.dtype} {array.shape} #{hashlib.sha256(array.tobytes()).hexdigest()[:12]}"


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _description(problem: Problem, settings: dict[str, Any]) -> dict[str, str]:
    """What must agree between the fit that wrote a checkpoint and the one that reads it, in words."""
    found = {f"free value {name!r}": _describe(each) for name, each in problem.parameters.free.items()}
    found |= {f"fixed value {name!r}": _describe(each) for name, each in problem.parameters.fixed.items()}
    found |= {f"condition {name!r}": _describe(each) for name, each in problem.over.items()}
    found |= {f"term for {name!r}": _describe(each) for name, each in problem.objective.terms.items()}
    if problem.objective.function is not None:
        found["objective"] = _describe(problem.objective.function)
    return found | {name: _describe(each) for name, each in settings.items()}


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
        arrays = {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(states))}
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
                here, there = _where_they_differ(here, there)
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


def _where_they_differ(here: str, there: str) -> tuple[str, ...]:
    """Two descriptions from the part on in which they differ."""
    length = next((n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), 0)
    words = here[:length].rpartition(", ")
    begin = max(len(words[0] + words[1]), here.rfind("(", 0, length) + 1) if len(here + there) > LINE else 0
    return tuple(text[begin : begin + LINE] + (" …" if len(text) > begin + LINE else "") for text in (here, there))


def _first(here: np.ndarray, there: np.ndarray) -> str:
    """The first pair of numbers that differ."""
    place = np.unravel_index(int(np.argmax(~np.isclose(here, there, rtol=1e-12, atol=0.0, equal_nan=True))), here.shape)
    return f"{here[place]:.6g} here and {there[place]:.6g} there"
