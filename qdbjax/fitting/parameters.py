"""What a fit may change: numbers, arrays, leaves of any tree, with the values they may take and where to begin."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, as_matrix, as_real, as_scalar
from qdbjax.fitting.transforms import AbstractTransform, Bounded, Free, Hermitian, Positive, Real, Simplex

Range = tuple[float, float]


class Parameter(eqx.Module):
    """A free value: its transform, where to begin, and the range of other beginnings (None for about the first)."""

    transform: AbstractTransform
    start: Array
    range: Range | None = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Number of free reals."""
        return self.transform.size(self.start.shape)

    @property
    def monotonic(self) -> bool:
        """Whether each entry has one free real of its own."""
        return isinstance(self.transform, Real | Positive | Bounded)

    def sample(self, key: Array) -> Array:
        """Another beginning: free reals uniform over the range, or normal about the start."""
        origin = self.transform.inverse(self.start)
        if self.range is None:
            return origin + jax.random.normal(key, origin.shape, origin.dtype)
        ends = [jnp.broadcast_to(jnp.asarray(end, self.start.dtype), self.start.shape) for end in self.range]
        low, high = (self.transform.inverse(end) for end in ends)
        return low + (high - low) * jax.random.uniform(key, low.shape, low.dtype)

    def __repr__(self) -> str:
        return (
            f"Parameter({type(self.transform).__name__}, start={np.array2string(np.asarray(self.start), precision=6)})"
        )


def _parameter(transform: AbstractTransform, start: Any, range: Range | None) -> Parameter:
    for value, name in ((start, "start"), *((end, "range") for end in range or ())):
        wrong = transform.refusal(np.asarray(value))
        if wrong:
            raise ValueError(f"{name} {wrong}; got {np.asarray(value)}.")
    if range is not None and not range[0] < range[1]:
        raise ValueError(f"range must ascend; got {range}.")
    return Parameter(transform, jnp.asarray(start), None if range is None else (float(range[0]), float(range[1])))


def real(start: ArrayLike, *, range: Range | None = None) -> Parameter:
    """A free real number or array. start: where to begin; range: (low, high), where other starts of many begin."""
    return _parameter(Real(), as_real(start, "start"), range)


def positive(start: ArrayLike, *, range: Range | None = None) -> Parameter:
    """A free positive number or array, moved by its logarithm. start, range: as for `real`, above 0."""
    return _parameter(Positive(), as_real(start, "start"), range)


def bounded(low: ArrayLike, high: ArrayLike, start: ArrayLike | None = None) -> Parameter:
    """A free number between two bounds, by default begun in the middle; other beginnings anywhere between.

    Raises ValueError for bounds that do not ascend and for a start on or outside them: there the map has no slope.
    """
    low, high = as_scalar(low, "low"), as_scalar(high, "high")
    if not float(low) < float(high):
        raise ValueError(f"low must be below high; got {float(low)} and {float(high)}.")
    start = 0.5 * (low + high) if start is None else as_real(start, "start")
    edge = 1e-3 * (float(high) - float(low))
    return _parameter(Bounded(low, high), start, (float(low) + edge, float(high) - edge))


def simplex(start: ArrayLike) -> Parameter:
    """Free weights (n,), positive with sum 1."""
    return _parameter(Simplex(), as_real(start, "start"), None)


def hermitian(start: ArrayLike) -> Parameter:
    """A free Hermitian matrix (d, d)."""
    start = jnp.asarray(as_matrix(start, "start"))
    return _parameter(Hermitian(), start.astype(np.promote_types(start.dtype, jnp.complex64)), None)


class Tree(eqx.Module):
    """A tree some of whose leaves are free; see `leaves` and `trainable`."""

    template: Any
    where: Callable = eqx.field(static=True)
    parameters: tuple[Parameter, ...]


def leaves(tree: Any, *pairs: tuple[Callable[[Any], Any], Callable[..., Parameter]]) -> Tree:
    """A system, bath, gas or any other tree of which the named leaves are free.

    pairs: (where, kind): where(tree) is a leaf, such as `lambda bath: bath.spectral_density.strength`; kind one of
    `real`, `positive`, `simplex`, `hermitian` or a function of the start such as `lambda x: bounded(0, 1, x)`. What is
    not named stays as it is. The model function receives the whole tree.
    """
    if not pairs:
        raise ValueError("leaves needs at least one pair (where, kind); a value without a kind is fixed as it is.")
    functions = tuple(where for where, _ in pairs)
    found = tuple(kind(where(tree)) for where, kind in pairs)
    return Tree(tree, lambda t: tuple(where(t) for where in functions), found)


def trainable(module: Any) -> Tree:
    """A module all of whose real arrays are free, such as an equinox network as J(ω)."""
    places = [n for n, leaf in enumerate(jax.tree.leaves(module)) if eqx.is_inexact_array(leaf)]
    if not places:
        raise ValueError(f"trainable needs a module with arrays of numbers; got {type(module).__name__} without.")
    # By place, because tree_at asks with placeholders in the leaves.
    arrays = lambda tree: tuple(jax.tree.leaves(tree)[n] for n in places)  # noqa: E731
    return Tree(module, arrays, tuple(Parameter(Real(), leaf, None) for leaf in arrays(module)))


class Parameters(eqx.Module):
    """All that is free, by name, and all that is fixed."""

    free: dict[str, Parameter | Tree]
    fixed: dict[str, Any]

    @property
    def singles(self) -> list[tuple[str, Parameter]]:
        """Every Parameter with its name; those of a tree numbered."""
        found = []
        for name, each in self.free.items():
            if isinstance(each, Tree):
                found += [(f"{name}.{n}", parameter) for n, parameter in enumerate(each.parameters)]
            else:
                found.append((name, each))
        return found

    @property
    def size(self) -> int:
        """Number of free reals."""
        return sum(parameter.size for _, parameter in self.singles)

    @property
    def labels(self) -> list[str]:
        """A name for each free real."""
        return [
            label
            for name, parameter in self.singles
            for label in parameter.transform.labels(name, parameter.start.shape)
        ]

    def start(self) -> Free:
        """The free reals to begin with."""
        return jnp.concatenate([parameter.transform.inverse(parameter.start) for _, parameter in self.singles])

    def sample(self, key: Array) -> Free:
        """Free reals of another beginning."""
        keys = jax.random.split(key, len(self.singles))
        return jnp.concatenate([p.sample(k) for k, (_, p) in zip(keys, self.singles, strict=True)])

    def split(self, free: Free) -> list[Array]:
        """Values of every Parameter in turn."""
        values, place = [], 0
        for _, parameter in self.singles:
            part = free[place : place + parameter.size]
            values.append(parameter.transform.forward(part, parameter.start.shape))
            place += parameter.size
        return values

    def values(self, free: Free) -> dict[str, Any]:
        """What the model is called with, fixed values included."""
        parts = iter(self.split(free))
        found = dict(self.fixed)
        for name, each in self.free.items():
            if isinstance(each, Tree):
                found[name] = eqx.tree_at(each.where, each.template, tuple(next(parts) for _ in each.parameters))
            else:
                found[name] = next(parts)
        return found

    def table(self, free: Free) -> dict[str, Array]:
        """Free values by name, in the units of the user."""
        return {name: value for (name, _), value in zip(self.singles, self.split(free), strict=True)}


def as_parameters(given: Mapping[str, Any]) -> Parameters:
    """Parameters and trees are free; every other value is fixed."""
    if not isinstance(given, Mapping):
        raise TypeError(f"parameters must be a mapping of names to parameters or fixed values; got {given!r}.")
    # In the order in which JAX flattens a dict, or the free reals would change places inside compiled code.
    free = {name: given[name] for name in sorted(given) if isinstance(given[name], Parameter | Tree)}
    if not free:
        raise ValueError("nothing is free: give at least one parameter as positive, bounded, real, leaves, …")
    return Parameters(free, {name: value for name, value in given.items() if name not in free})
