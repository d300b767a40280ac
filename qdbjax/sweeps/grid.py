"""The pure core of a sweep: one cell, and the cell over a grid by nested vmap.

Nested, not flattened: an operation that depends on one axis only is done once per value of that axis. The eigensystem
of a ring swept over temperature and flux is computed once per flux.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, collect, raise_flag
from qdbjax._types import Array, Int
from qdbjax.solvers import SteadyState

STATUS = "status"


class Cell(eqx.Module):
    """What one call of the swept function gave: its variables by name, and its flags."""

    names: tuple[str, ...] = eqx.field(static=True)
    values: tuple[Array, ...]
    status: Int[Array, "..."]


def without_jit(fn: Callable) -> Callable:
    """The function under jax.jit or equinox.filter_jit: statuses cannot leave an inner jit, and one jit is enough."""
    while hasattr(fn, "lower") and hasattr(fn, "__wrapped__"):
        fn = fn.__wrapped__
    return fn


def cell_of(fn: Callable, names: tuple[str, ...], name: str) -> Callable[..., Cell]:
    """fn as a function of positional coordinates that returns a Cell."""

    def cell(*coordinates: Array) -> Cell:
        with collect() as found:
            result = fn(**dict(zip(names, coordinates, strict=True)))
        flags = list(found)
        variables = dict(_variables(result, name, name, flags, top=True))
        if not variables:
            raise TypeError(f"fn must return at least one array; got {result!r}.")
        for taken in set(variables) & set(names):
            raise ValueError(f"output {taken!r} has the name of an axis. Return a dict with another key.")
        return Cell(tuple(variables), tuple(variables.values()), _merged(flags, variables))

    return cell


def _merged(flags: list, variables: Mapping[str, Array]) -> Int[Array, ""]:
    if flags:
        status = jnp.zeros((), jnp.int32)
        for flag in flags:
            status = status | jnp.asarray(flag, jnp.int32)
        return status
    # No solve could report (none was made, or all inside jax.grad): NaN is then the only sign of a bad cell.
    bad = jnp.zeros((), bool)
    for value in variables.values():
        bad = bad | jnp.any(jnp.isnan(value))
    return raise_flag(bad, Status.NONFINITE_INPUT)


def _variables(result: Any, name: str, path: str, flags: list, *, top: bool) -> Iterator[tuple[str, Array]]:
    """Names and arrays of an output; integer outputs called `status` join the flags."""
    prefix = "" if top else f"{name}_"
    if isinstance(result, SteadyState):
        flags.append(result.status)
        yield f"{prefix}populations", result.populations
        yield f"{prefix}residual", result.residual
    elif isinstance(result, Mapping) or hasattr(result, "_asdict"):
        for key, value in (result if isinstance(result, Mapping) else result._asdict()).items():
            if not isinstance(key, str):
                raise TypeError(f"keys of fn's output must be strings; got {key!r} in {path}.")
            yield from _variables(value, f"{prefix}{key}", f"{path}[{key!r}]", flags, top=False)
    elif isinstance(result, (tuple, list)):
        for n, value in enumerate(result):
            yield from _variables(value, f"{name}_{n}", f"{path}[{n}]", flags, top=False)
    elif not isinstance(result, (jax.Array, np.ndarray, np.generic, bool, int, float, complex)):
        raise TypeError(
            f"fn must return arrays, a SteadyState, or a dict or tuple of them; {path} is a {type(result).__name__}. "
            "Return the arrays inside it, such as .populations."
        )
    else:
        array = jnp.asarray(result)
        if name == STATUS and jnp.issubdtype(array.dtype, jnp.integer) and array.ndim == 0:
            flags.append(array)
        else:
            yield name, array


def over_grid(cell: Callable[..., Cell], axes: int) -> Callable[..., Cell]:
    """The cell mapped over the Cartesian product of its coordinates, first axis outermost."""
    for axis in reversed(range(axes)):
        cell = jax.vmap(cell, in_axes=tuple(0 if n == axis else None for n in range(axes)))
    return cell
