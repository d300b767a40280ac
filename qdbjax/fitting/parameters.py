"""What a fit may change: numbers, arrays, leaves of any tree, with the values they may take and where to begin."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_matrix, as_real, spreads_over
from qdbjax._repr import number, summary
from qdbjax._types import AnyArray, Array, ArrayLike
from qdbjax.fitting.constructors import allowed_transform
from qdbjax.fitting.transforms import (
    AbstractEntrywiseTransform,
    AbstractTransform,
    Bounded,
    Free,
    Hermitian,
    Positive,
    Real,
    Simplex,
)

Range = tuple[ArrayLike, ArrayLike]


class Parameter(eqx.Module):
    """A free value of a fit.

    transform: from free reals to allowed values.
    start: the value of the first start.
    range: values, numbers or arrays, between which further starts are drawn; None for draws around the first, by one
        in the free reals.
    """

    transform: AbstractTransform
    start: Array
    range: Range | None

    @property
    def size(self) -> int:
        """Number of free reals."""
        return self.transform.size(self.start.shape)

    @property
    def is_entrywise(self) -> bool:
        """Whether each entry increases with one free real of its own."""
        return isinstance(self.transform, AbstractEntrywiseTransform)

    def sample(self, key: Array) -> Free:
        """The free reals of a further start: uniform over the range, or normal around the first start."""
        origin = self.transform.inverse(self.start)
        if self.range is None:
            return origin + jax.random.normal(key, origin.shape, origin.dtype)
        ends = [jnp.broadcast_to(jnp.asarray(end, self.start.dtype), self.start.shape) for end in self.range]
        low, high = (self.transform.inverse(end) for end in ends)
        return low + (high - low) * jax.random.uniform(key, low.shape, low.dtype)

    def __repr__(self) -> str:
        known = {"transform": type(self.transform).__name__}
        return summary(self, self.start, {"start": self.start}, rank=np.ndim(self.start), known=known)


def _parameter(transform: AbstractTransform, start: Any, range: Range | None) -> Parameter:
    start = jnp.asarray(start)
    ends = None if range is None else (_end(range[0], ENDS[0], start), _end(range[1], ENDS[1], start))
    for value, name in ((start, "start"), *zip(ends or (), ENDS, strict=False)):
        wrong = transform.invalid_reason(np.asarray(value))
        if wrong:
            raise ValueError(f"{name} {wrong}; got {number(value)}.")
    if ends is not None and not np.all(np.asarray(ends[0]) < np.asarray(ends[1])):
        raise ValueError(f"range must ascend; got {number(ends[0])} to {number(ends[1])}.")
    return Parameter(transform, start, ends)


ENDS = "lower end of range", "upper end of range"


def _end(value: ArrayLike, name: str, like: Array) -> Array:
    """A bound or an end of a range: a number, or an array that spreads over the start."""
    value = as_real(value, name)
    if not spreads_over(value.shape, like.shape):
        raise ValueError(f"{name} must be a number or have the shape of start, {like.shape}; got shape {value.shape}.")
    return value


def real(start: ArrayLike, *, range: Range | None = None) -> Parameter:
    """A free real number or array.

    start: any shape, the value to begin with.
    range: (low, high), between which further starts are drawn; by default around the first, a deviation of 1.
    Raises ValueError for a start that is not finite.

    >>> qdb.fitting.real(0.3)
    Parameter(transform=Real, start=0.3)
    """
    return _parameter(Real(), as_real(start, "start"), range)


def positive(start: ArrayLike, *, range: Range | None = None) -> Parameter:
    """A free positive number or array v = e^z: the search moves z.

    start: any shape, > 0, the value to begin with.
    range: (low, high), > 0, between which further starts are drawn; by default around the first, a factor of e.
    Raises ValueError for a start or a range that is not positive.

    >>> qdb.fitting.positive(0.01)
    Parameter(transform=Positive, start=0.01)
    """
    return _parameter(Positive(), as_real(start, "start"), range)


def bounded(start: ArrayLike | None = None, *, low: ArrayLike, high: ArrayLike) -> Parameter:
    """A free number or array strictly between two bounds, v = low + (high - low)/(1 + e^{-z}): the search moves z.

    start: any shape, the value to begin with; by default the middle. Further starts are drawn between the bounds.
    low: lower bound, a number or an array of the shape of start.
    high: upper bound, the same.
    Raises ValueError for bounds that do not ascend, and for a start on or outside them: dv/dz = 0 on a bound.

    >>> qdb.fitting.bounded(0.5, low=0.0, high=1.0)
    Parameter(transform=Bounded, start=0.5)
    """
    low, high = as_real(low, "low"), as_real(high, "high")
    ends = np.asarray(low), np.asarray(high)
    if not (spreads_over(low.shape, high.shape) or spreads_over(high.shape, low.shape)):
        raise ValueError(f"low and high must have shapes that spread over each other; got {low.shape}, {high.shape}.")
    if not all(np.all(np.isfinite(end)) for end in ends) or not np.all(ends[0] < ends[1]):
        raise ValueError(f"low must be below high, both finite; got {number(low)} and {number(high)}.")
    middle = 0.5 * (low + high)
    given = middle if start is None else as_real(start, "start")
    begin = jnp.broadcast_to(given, middle.shape) if given.ndim == 0 else given
    low, high = _end(low, "low", begin), _end(high, "high", begin)
    edge = 1e-3 * (high - low)
    return _parameter(Bounded(low, high), begin, (low + edge, high - edge))


def simplex(start: ArrayLike) -> Parameter:
    """Free weights that are positive and add up to 1, such as populations.

    start: (n,), n >= 2, the weights to begin with. Further starts are drawn around it.
    Raises ValueError for weights that are not positive or do not add up to 1.

    >>> qdb.fitting.simplex([0.5, 0.5]).size
    1
    """
    return _parameter(Simplex(), as_real(start, "start"), None)


def hermitian(start: ArrayLike) -> Parameter:
    """A free Hermitian matrix, such as a Hamiltonian or a coupling; it stays Hermitian.

    start: (d, d), or several (k, d, d), to begin with. Further starts are drawn around it.
    Raises ValueError for a matrix that is not Hermitian.

    >>> qdb.fitting.hermitian([[0.0, 1.0], [1.0, 0.0]]).size
    4
    """
    start = jnp.asarray(as_matrix(start, "start", ndim=(2, 3)))
    return _parameter(Hermitian(), start.astype(np.promote_types(start.dtype, jnp.complex64)), None)


class ParameterTree(eqx.Module):
    """A tree some of whose leaves are free; see `leaves` and `trainable`."""

    template: Any
    where: Callable = eqx.field(static=True)
    parameters: tuple[Parameter, ...]


def allowed(tree: Any, leaf: AnyArray) -> Parameter:
    """A free array of a tree, kept where the constructor that holds it allows it to be."""
    return _parameter(allowed_transform(tree, leaf), leaf, None)


Where = Callable[[Any], Any]
Kind = Callable[..., Parameter]


def leaves(tree: Any, *places: Where | tuple[Where, Kind]) -> ParameterTree:
    """A system, bath, gas or any other tree of which some leaves are free.

    tree: with its values to begin with; the model receives the whole tree.
    places: where, or (where, kind); where(tree) is a leaf, such as `lambda bath: bath.spectral_density.strength`; kind
        makes a parameter of its start: `real`, `positive`, `simplex`, `hermitian`, `functools.partial(bounded, low=0,
        high=1)`; by default what the constructor that holds the leaf allows, as for `trainable`.
    Raises ValueError without a place; leaves that none names are fixed.

    >>> bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=1.0)
    >>> len(qdb.fitting.leaves(bath, lambda bath: bath.temperature).parameters)
    1
    """
    if not places:
        raise ValueError("leaves needs at least one place (where, kind); a value without one is fixed as it is.")
    pairs = [place if isinstance(place, tuple) else (place, None) for place in places]
    functions = tuple(where for where, _ in pairs)
    found = tuple(allowed(tree, where(tree)) if kind is None else kind(where(tree)) for where, kind in pairs)
    return ParameterTree(tree, lambda t: tuple(where(t) for where in functions), found)


def trainable(module: Any) -> ParameterTree:
    """A tree all of whose arrays of numbers are free, such as an equinox network for a density J(ω), or a bath.

    Where the constructor that holds an array refuses its negative it stays positive, and where it refuses a matrix that
    is not Hermitian it stays Hermitian, real ones symmetric.

    module: with its values to begin with.
    Raises ValueError for a tree without arrays of real or complex numbers.

    >>> len(qdb.fitting.trainable(qdb.Ohmic(0.01, cutoff=10.0)).parameters)
    2
    """
    places = [n for n, leaf in enumerate(jax.tree.leaves(module)) if _is_array_of_numbers(leaf)]
    if not places:
        raise ValueError(f"trainable needs a module with arrays of numbers; got {type(module).__name__} without.")
    # By position, because tree_at calls it on trees whose leaves are placeholders.
    arrays = lambda tree: tuple(jax.tree.leaves(tree)[n] for n in places)  # noqa: E731
    return ParameterTree(module, arrays, tuple(allowed(module, leaf) for leaf in arrays(module)))


def _is_array_of_numbers(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(leaf.dtype, jnp.inexact)


class Parameters(eqx.Module):
    """All arguments of a model: the free ones and the fixed ones, by name."""

    free: dict[str, Parameter | ParameterTree]
    fixed: dict[str, Any]

    @property
    def named(self) -> list[tuple[str, Parameter]]:
        """Every Parameter with its name; those of a tree numbered, `name.0`, `name.1`, …"""
        found = []
        for name, each in self.free.items():
            if isinstance(each, ParameterTree):
                found += [(f"{name}.{n}", parameter) for n, parameter in enumerate(each.parameters)]
            else:
                found.append((name, each))
        return found

    @property
    def size(self) -> int:
        """Number of free reals."""
        return sum(parameter.size for _, parameter in self.named)

    @property
    def labels(self) -> list[str]:
        """A name for each free real."""
        return [
            label for name, parameter in self.named for label in parameter.transform.labels(name, parameter.start.shape)
        ]

    def start(self) -> Free:
        """The free reals of the first start."""
        return jnp.concatenate([parameter.transform.inverse(parameter.start) for _, parameter in self.named])

    def sample(self, key: Array) -> Free:
        """The free reals of a further start."""
        keys = jax.random.split(key, len(self.named))
        return jnp.concatenate([p.sample(k) for k, (_, p) in zip(keys, self.named, strict=True)])

    def free_values(self, free: Free) -> dict[str, Array]:
        """The value of every Parameter by its name."""
        values, offset = {}, 0
        for name, parameter in self.named:
            part = free[offset : offset + parameter.size]
            values[name] = parameter.transform.forward(part, parameter.start.shape)
            offset += parameter.size
        return values

    def arguments(self, free: Free) -> dict[str, Any]:
        """What the model is called with: free values, whole trees, and fixed values."""
        parts = iter(self.free_values(free).values())
        found = dict(self.fixed)
        for name, each in self.free.items():
            if isinstance(each, ParameterTree):
                found[name] = eqx.tree_at(each.where, each.template, tuple(next(parts) for _ in each.parameters))
            else:
                found[name] = next(parts)
        return found


def as_parameters(given: Mapping[str, Any]) -> Parameters:
    """Parameters and trees are free; every other value is fixed."""
    if not isinstance(given, Mapping):
        raise TypeError(f"parameters must be a mapping of names to parameters or fixed values; got {given!r}.")
    # In the order in which JAX flattens a dict, or the free reals would change places inside compiled code.
    free = {name: given[name] for name in sorted(given) if isinstance(given[name], Parameter | ParameterTree)}
    if not free:
        raise ValueError("nothing is free: give at least one parameter as positive, bounded, real, leaves, …")
    return Parameters(free, {name: value for name, value in given.items() if name not in free})
