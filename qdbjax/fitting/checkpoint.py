"""A search that can be stopped and taken up again, bit by bit the same."""

import os
import pathlib

import jax
import numpy as np

from qdbjax.fitting.problem import Problem
from qdbjax.fitting.search import Walker


def _signature(problem: Problem, leaves: list) -> str:
    """What must agree between the run that wrote and the one that goes on."""
    shapes = [f"{np.shape(leaf)}" for leaf in leaves]
    given = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves((problem.objective, problem.over))]
    return repr((problem.parameters.labels, shapes, given))


def store(path: str | pathlib.Path, problem: Problem, walkers: Walker, history: list[np.ndarray], taken: int) -> None:
    """Write the state of a search, whole or not at all."""
    path = pathlib.Path(path)
    leaves = jax.tree.leaves(walkers)
    arrays = {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(leaves)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez(temporary, signature=_signature(problem, leaves), taken=taken, history=np.concatenate(history), **arrays)
    temporary.replace(path)


def restore(path: str | pathlib.Path, problem: Problem, walkers: Walker) -> tuple[Walker, list[np.ndarray], int]:
    """The state that was stored, or the given one if there is no file. Raises ValueError if it is of another fit."""
    path = pathlib.Path(path)
    if not path.exists():
        return walkers, [], 0
    leaves, tree = jax.tree.flatten(walkers)
    with np.load(path) as found:
        if str(found["signature"]) != _signature(problem, leaves):
            raise ValueError(
                f"checkpoint {path} belongs to another fit (parameters, objective, conditions, starts or optimizer): "
                "give another file, or remove it."
            )
        fresh = [jax.numpy.asarray(found[f"leaf{n}"], leaf.dtype) for n, leaf in enumerate(leaves)]
        return jax.tree.unflatten(tree, fresh), [found["history"]], int(found["taken"])
