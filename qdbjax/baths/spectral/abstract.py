"""What a spectral density J(ω) = Σ_k |g_k|² δ(ω - ω_k) of a bath is, and how to make one from callables and sums.

One convention for all: the golden-rule rate is 2πJ(ω)(n + 1). A density also states its limit J(ω)/ω at ω → 0, on
which pure dephasing and the degenerate levels rest: finite (Ohmic), zero (super-Ohmic) or infinite (sub-Ohmic, flat).
"""

import abc
import functools as ft
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from qdbjax._checks import as_scalar
from qdbjax._types import Array, ArrayLike, Float

Frequencies = Float[Array, "..."]


def number(**limits) -> Array:
    """A field that holds one real number; `limits` as `as_scalar` takes them, `default` as a field does."""
    default = {"default": limits.pop("default")} if "default" in limits else {}

    def checked(value: ArrayLike) -> Array:
        return as_scalar(value, field.name, **limits)

    field = eqx.field(converter=checked, **default)
    return field


class AbstractSpectralDensity(eqx.Module):
    """J(ω) for ω >= 0, elementwise. A subclass says its parameters, J(ω)/ω (what stays finite at ω → 0) and a scale.

    finite_at_zero: whether J(ω)/ω is known to stay finite at ω → 0 whatever the parameters.
    """

    finite_at_zero: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def scale(self) -> Array:
        """The frequency beyond which J(ω) falls off; inf if it never does."""

    @property
    def landmarks(self) -> list[Array]:
        """Frequencies at which J(ω) has a kink or a narrow peak, ω = 0 apart."""
        return []

    @abc.abstractmethod
    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """J(ω)/ω at ω >= 0; its limit at ω = 0, possibly infinite."""

    def __call__(self, frequency: Frequencies) -> Frequencies:
        """J(ω) at ω > 0."""
        return frequency * self.over_frequency(frequency)

    def __add__(self, other: "AbstractSpectralDensity | Callable") -> "Sum":
        return Sum(self, other)


def _pytree(function: Callable) -> Callable:
    if not callable(function):
        raise TypeError(f"spectral density must be callable; got {function!r}.")
    # A bare function hides in the tree structure, so that the bath stays a pytree of arrays.
    return function if isinstance(function, eqx.Module) else jax.tree_util.Partial(function)


class Custom(AbstractSpectralDensity):
    """Any J(ω) that Python can compute.

    Its limit J(ω)/ω at ω = 0 is J'(0) if J(0) = 0 and infinite otherwise. A negative or non-finite value is flagged.

    function: callable of one real scalar ω > 0, energy: a function, or an equinox module whose parameters are trained.
    """

    function: Callable = eqx.field(converter=_pytree)

    @property
    def scale(self) -> Array:  # unknown
        return jnp.ones(())

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        def scalar(x):
            zero = x == 0
            safe = jnp.where(zero, jnp.ones_like(x), x)
            value, slope = jax.jvp(self.function, (jnp.zeros_like(x),), (jnp.ones_like(x),))
            limit = jnp.where(value == 0, slope, jnp.inf)
            return jnp.where(zero, limit, self.function(safe) / safe)

        return _elementwise(scalar, frequency)

    def __call__(self, frequency: Frequencies) -> Frequencies:
        return _elementwise(self.function, frequency)


def _elementwise(function: Callable, frequency: Frequencies) -> Frequencies:
    frequency = jnp.asarray(frequency)
    return jax.vmap(function)(frequency.reshape(-1)).reshape(frequency.shape)


class Sum(AbstractSpectralDensity):
    """J(ω) = Σ_i J_i(ω), several independent environments at one temperature; `J_1 + J_2` says the same.

    parts: spectral densities J_i, or callables J_i(ω); at least one.
    """

    parts: tuple[AbstractSpectralDensity, ...]

    def __init__(self, *parts: AbstractSpectralDensity | Callable):
        if not parts:
            raise ValueError("Sum needs at least one spectral density; got none.")
        self.parts = tuple(as_spectral_density(part) for part in parts)

    @property
    def scale(self) -> Array:
        return ft.reduce(jnp.maximum, [part.scale for part in self.parts])

    @property
    def landmarks(self) -> list[Array]:
        return [mark for part in self.parts for mark in part.landmarks]

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        return ft.reduce(jnp.add, [part.over_frequency(frequency) for part in self.parts])

    def __call__(self, frequency: Frequencies) -> Frequencies:
        return ft.reduce(jnp.add, [part(frequency) for part in self.parts])


def as_spectral_density(value: AbstractSpectralDensity | Callable) -> AbstractSpectralDensity:
    """A spectral density from one, or from any callable J(ω)."""
    if isinstance(value, AbstractSpectralDensity):
        return value
    if callable(value):
        return Custom(value)
    raise TypeError(f"spectral_density must be a spectral density or a callable J(ω); got {value!r}.")
