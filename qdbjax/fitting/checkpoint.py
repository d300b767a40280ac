"""Files of a search that was stopped, from which it goes on to the same numbers, bit by bit."""

import os
import pathlib

import jax
import numpy as np

from qdbjax.fitting.problem import Problem
from qdbjax.fitting.search import SearchState


def _signature(problem: Problem, leaves: list) -> str:
    """What must agree between the fit that wrote a checkpoint and the one that reads it."""
    shapes = [f"{np.shape(leaf)}" for leaf in leaves]
    given = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves((problem.objective, problem.over))]
    return repr((problem.parameters.labels, shapes, given))


def store(
    path: str | pathlib.Path, problem: Problem, states: SearchState, history: list[np.ndarray], steps_made: int
) -> None:
    """Write the states of a search, whole or not at all."""
    path = pathlib.Path(path)
    leaves = jax.tree.leaves(states)
    arrays = {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(leaves)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez(
        temporary,
        signature=_signature(problem, leaves),
        steps_made=steps_made,
        history=np.concatenate(history),
        **arrays,
    )
    temporary.replace(path)


def restore(
    path: str | pathlib.Path, problem: Problem, states: SearchState
) -> tuple[SearchState, list[np.ndarray], int]:
    """States, history and steps that were stored, or the given states if there is no file.

    Raises ValueError for the file of another fit.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return states, [], 0
    leaves, tree = jax.tree.flatten(states)
    with np.load(path) as found:
        if str(found["signature"]) != _signature(problem, leaves):
            raise ValueError(
                f"checkpoint {path} belongs to another fit (parameters, objective, conditions, starts or optimizer): "
                "give another file, or remove it."
            )
        restored = [jax.numpy.asarray(found[f"leaf{n}"], leaf.dtype) for n, leaf in enumerate(leaves)]
        return jax.tree.unflatten(tree, restored), [found["history"]], int(found["steps_made"])
