"""The pure core of a sweep: the swept function at one grid point, and over a grid by nested vmap.

Nested, not flattened: an operation that depends on one axis only is done once per value of that axis. The eigensystem
of a ring swept over temperature and flux is computed once per flux.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._call import call_by_name
from qdbjax._labels import Named, collect_names
from qdbjax._status import Status, collect, raise_flag
from qdbjax._types import AnyArray, Array, ArrayLike, Int
from qdbjax.sweeps.labels import STATUS as STATUS


class Told(NamedTuple):
    """What an output says of its dimensions: their names, and labels along some of them."""

    dims: tuple[str, ...]
    coordinates: tuple[tuple[str, tuple[str, ...]], ...]


class PointResult(eqx.Module):
    """What one call of the swept function returns: its variables by name, what they tell of themselves, its status."""

    names: tuple[str, ...] = eqx.field(static=True)
    told: tuple[Told | None, ...] = eqx.field(static=True)
    values: tuple[AnyArray, ...]
    status: Int[AnyArray, "..."]


def without_jit(fn: Callable) -> Callable:
    """The function under jax.jit or equinox.filter_jit: statuses cannot leave an inner jit, and one jit is enough."""
    while hasattr(fn, "lower") and hasattr(fn, "__wrapped__"):
        fn = fn.__wrapped__
    return fn


def point_function(fn: Callable, names: tuple[str, ...], name: str) -> Callable[..., PointResult]:
    """fn, called by name, as a function of positional coordinates; name: of an output without a key."""

    def at_point(*coordinates: Array) -> PointResult:
        with collect_names() as told:
            with collect() as found:
                result = call_by_name(fn, dict(zip(names, coordinates, strict=True)))
            flags = list(found)
            found = list(_variables(result, name, name, flags, top=True))
        if not found:
            raise TypeError(f"fn must return at least one array; got {result!r}.")
        _check_names([each for each, _ in found], names)
        tells = tuple(_told(told.get(id(value)), value) for _, value in found)
        variables = {each: jnp.asarray(value) for each, value in found}
        return PointResult(tuple(variables), tells, tuple(variables.values()), _combine(flags, variables))

    return at_point


def _told(named: Named | None, value: Any) -> Told | None:
    return Told(named.dims, named.coordinates) if named is not None and len(named.dims) == np.ndim(value) else None


def _check_names(outputs: list[str], axes: tuple[str, ...]) -> None:
    """Raise ValueError where one name would stand for two things, of which the dataset would keep one."""
    for name in outputs:
        if name == STATUS:
            raise ValueError("output 'status' must be one integer, the flags of the grid point. Rename another output.")
        if name in axes:
            raise ValueError(f"output {name!r} has the name of an axis. Return a dict with another key.")
        if outputs.count(name) > 1:
            raise ValueError(f"fn returns two outputs {name!r} (keys of nested dicts are joined by _). Rename one.")


def _combine(flags: list, variables: Mapping[str, Array]) -> Int[Array, ""]:
    if flags:
        status = jnp.zeros((), jnp.int32)
        for flag in flags:
            code = jnp.asarray(flag, jnp.int32)
            status = status | (code if code.ndim == 0 else jnp.bitwise_or.reduce(code.reshape(-1)))
        return status
    # No solve could report (none was made, or all inside jax.grad): NaN is then the only sign of a failure.
    has_nan = jnp.zeros((), bool)
    for value in variables.values():
        has_nan = has_nan | jnp.any(jnp.isnan(value))
    return raise_flag(has_nan, Status.NONFINITE_INPUT)


def _variables(result: Any, name: str, path: str, flags: list, *, top: bool) -> Iterator[tuple[str, ArrayLike]]:
    """Names and arrays of an output; its own status, and that of every result with `_asdict`, joins the flags."""
    prefix = "" if top else f"{name}_"
    if isinstance(result, Mapping) or hasattr(result, "_asdict"):
        has_own_status = not isinstance(result, Mapping)
        for key, value in (result._asdict() if has_own_status else result).items():
            if not isinstance(key, str):
                raise TypeError(f"keys of fn's output must be strings; got {key!r} in {path}.")
            if key == STATUS and has_own_status and _is_integer(value):
                flags.append(value)
            else:
                yield from _variables(value, f"{prefix}{key}", f"{path}[{key!r}]", flags, top=False)
    elif isinstance(result, (tuple, list)):
        for n, value in enumerate(result):
            yield from _variables(value, f"{name}_{n}", f"{path}[{n}]", flags, top=False)
    elif not isinstance(result, (jax.Array, np.ndarray, np.generic, bool, int, float, complex)):
        raise TypeError(
            "fn must return arrays, results with `_asdict` such as a SteadyState, or a dict or tuple of them; "
            f"{path} is a {type(result).__name__}. Return the arrays inside it, such as .populations."
        )
    elif name == STATUS and _is_integer(result) and np.ndim(result) == 0:
        flags.append(result)
    else:
        yield name, result


def _is_integer(value: Any) -> bool:
    return isinstance(value, (jax.Array, np.ndarray, np.generic, int)) and jnp.issubdtype(
        jnp.result_type(value), jnp.integer
    )


def map_over_points(at_point: Callable[..., PointResult], axes: int) -> Callable[..., PointResult]:
    """The function mapped over points: one vector of coordinates for every axis, all of one length."""
    return jax.vmap(at_point, in_axes=(0,) * axes)


def map_over_grid(at_point: Callable[..., PointResult], axes: int) -> Callable[..., PointResult]:
    """The function mapped over the Cartesian product of its coordinates, first axis outermost."""
    for axis in reversed(range(axes)):
        at_point = jax.vmap(at_point, in_axes=tuple(0 if n == axis else None for n in range(axes)))
    return at_point
