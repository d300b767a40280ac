"""What a constructor allows for one of its arrays, found by asking it.

A module checks its values where it is made. So the range of an array is not written down a second time: the constructor
is given the array's negative, and a matrix with an anti-Hermitian part, and what it refuses the fit avoids.
"""

import dataclasses
import inspect
from typing import Any

import jax.numpy as jnp
import numpy as np

from qdbjax._types import AnyArray
from qdbjax.fitting.transforms import AbstractTransform, Complex, Hermitian, Positive, Real, Symmetric


def allowed_transform(tree: Any, leaf: AnyArray) -> AbstractTransform:
    """The transform that keeps an array of a tree where the constructor that holds it allows it to be.

    Positive where its negative is refused, Hermitian (or symmetric) where an anti-Hermitian part is; free otherwise,
    and where the constructor cannot be asked, as one that makes its own arrays (the layers of a network).
    """
    value = np.asarray(leaf)
    free = Complex() if np.iscomplexobj(value) else Real()
    place = _holder(tree, leaf)
    if place is None or not np.all(np.isfinite(value)):
        return free
    accepts = lambda new: _accepts(*place, new)  # noqa: E731
    if not accepts(value) or not accepts(2 * value):
        return free
    bound = Hermitian() if np.iscomplexobj(value) else Symmetric()
    if bound.invalid_reason(value) is None and value.shape[-1] > 1 and not accepts(value + _tilt(value)):
        return bound
    return Positive() if Positive().invalid_reason(value) is None and not accepts(-value) else free


def _tilt(value: np.ndarray) -> np.ndarray:
    """A real anti-Hermitian matrix of the size of a matrix."""
    d = value.shape[-1]
    upper = np.triu(np.ones((d, d), value.dtype), 1)
    return (np.abs(value).max() or 1.0) * (upper - upper.T)


def _holder(tree: Any, leaf: AnyArray) -> tuple[Any, str] | None:
    """The module of a tree that holds an array as a field, and the name of that field."""
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            if getattr(tree, field.name, None) is leaf:
                return tree, field.name
        children = [getattr(tree, field.name, None) for field in dataclasses.fields(tree)]
    elif isinstance(tree, dict):
        children = list(tree.values())
    else:
        children = list(tree) if isinstance(tree, tuple | list) else []
    return next((found for child in children if (found := _holder(child, leaf)) is not None), None)


def _accepts(module: Any, name: str, value: np.ndarray | np.generic) -> bool:
    """Whether a module like this one can be made with another value of one field."""
    wanted = inspect.signature(type(module)).parameters
    given = {key: getattr(module, key) for key in wanted if hasattr(module, key)}
    if name not in given:
        return False
    try:
        type(module)(**{**given, name: jnp.asarray(value)})
    except Exception:  # a constructor refuses in its own words
        return False
    return True
