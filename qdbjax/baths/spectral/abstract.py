"""What a spectral density J(ω) = Σ_k |g_k|² δ(ω - ω_k) of a bath is, and how to make one from callables and sums.

One convention for all: the golden-rule rate is 2πJ(ω)(n + 1). A density also states its limit J(ω)/ω at ω → 0, on
which pure dephasing and the degenerate levels rest: finite (Ohmic), zero (super-Ohmic) or infinite (sub-Ohmic, flat).
"""

import abc
import functools as ft
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from qdbjax._checks import as_real, as_scalar
from qdbjax._types import Array, ArrayLike, Float
from qdbjax.baths.scalar_function import as_scalar_function
from qdbjax.baths.spectral.structure import scale_and_landmarks

Frequencies = Float[Array, "..."]


def number(**limits: Any) -> Any:
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

    @property
    def mirrored(self) -> "AbstractSpectralDensity":
        """A density whose landmarks and scale are those of J(-ω): itself, unless it knows those of ω > 0 alone."""
        return self

    @abc.abstractmethod
    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """J(ω)/ω at ω >= 0; its limit at ω = 0, possibly infinite."""

    def __call__(self, frequency: ArrayLike) -> Array:
        """J(ω) at ω > 0."""
        return frequency * self.over_frequency(frequency)

    def __add__(self, other: "AbstractSpectralDensity | Callable") -> "Sum":
        return Sum(self, other)


class Custom(AbstractSpectralDensity):
    """Any J(ω) that JAX can compute.

    Its limit J(ω)/ω at ω = 0 is J'(0) if J(0) = 0 and infinite otherwise. A negative or non-finite value is flagged.

    function: callable of one real scalar ω > 0, energy, to J, energy, written with jax.numpy: a function, or an equinox
        module whose parameters are trained. For a `Lead` ω has either sign.
    scale: > 0, energy, beyond which J falls off, inf if it never does; None to find it.
    landmarks: (n,), energy, where J has a kink, a step or a narrow peak, ω = 0 apart; None to find up to eight of them
        (two where parameters are traced), each more than a fifth away from the next.
    Integrals over the density (Lamb shift, memory) rest on both; they are flagged or refused where these do not do.
    Raises TypeError, in one sentence, for a function that JAX cannot compute or that is complex, integer or no scalar.

    >>> qdb.baths.Custom(lambda w: 0.1 * w * jnp.exp(-w))(jnp.array([1.0])).round(4)
    Array([0.0368], dtype=float64)
    """

    function: Callable
    known_scale: Array | None
    known_landmarks: Array | None

    def __init__(self, function: Callable, *, scale: ArrayLike | None = None, landmarks: ArrayLike | None = None):
        self.function = as_scalar_function(function, "spectral_density")
        self.known_scale = None if scale is None else as_scalar(scale, "scale", low=0, strict=True, infinite=True)
        self.known_landmarks = None if landmarks is None else as_real(landmarks, "landmarks")
        if self.known_landmarks is not None and self.known_landmarks.ndim != 1:
            raise ValueError(f"landmarks must be a vector; got shape {self.known_landmarks.shape}.")

    @property
    def scale(self) -> Array:
        return scale_and_landmarks(self.function)[0] if self.known_scale is None else self.known_scale

    @property
    def landmarks(self) -> list[Array]:
        """Those given, or found."""
        return scale_and_landmarks(self.function)[1] if self.known_landmarks is None else list(self.known_landmarks)

    @property
    def mirrored(self) -> "Custom":
        """J(-ω)."""
        known = None if self.known_landmarks is None else -self.known_landmarks
        return Custom(_Mirrored(self.function), scale=self.known_scale, landmarks=known)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        dtype = jnp.asarray(frequency).dtype
        start, slope = jax.jvp(self.function, (jnp.zeros((), dtype),), (jnp.ones((), dtype),))
        limit = jnp.where(start == 0, slope, jnp.inf).astype(dtype)  # of any precision that the function has

        def scalar(x):
            safe = jnp.where(x == 0, 1.0, x)
            return jnp.where(x == 0, limit, jnp.asarray(self.function(safe), dtype) / safe)

        return _elementwise(scalar, frequency)

    def __call__(self, frequency: ArrayLike) -> Array:
        return _elementwise(self.function, frequency)


class _Mirrored(eqx.Module):
    function: Callable

    def __call__(self, frequency: Array) -> Array:
        return self.function(-frequency)


def _elementwise(function: Callable, frequency: Frequencies) -> Frequencies:
    frequency = jnp.asarray(frequency)
    values = jax.vmap(function)(frequency.reshape(-1))
    return values.reshape(frequency.shape).astype(frequency.dtype)


class Sum(AbstractSpectralDensity):
    """J(ω) = Σ_i J_i(ω), several independent environments at one temperature; `J_1 + J_2` says the same.

    parts: spectral densities J_i, or callables J_i(ω); at least one.

    >>> (qdb.Ohmic(0.01, cutoff=10.0) + qdb.Flat(0.1))(jnp.array([1.0])).round(4)
    Array([0.109], dtype=float64)
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

    @property
    def mirrored(self) -> "Sum":
        return Sum(*(part.mirrored for part in self.parts))

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        return ft.reduce(jnp.add, [part.over_frequency(frequency) for part in self.parts])

    def __call__(self, frequency: ArrayLike) -> Array:
        return ft.reduce(jnp.add, [part(frequency) for part in self.parts])


def as_spectral_density(value: AbstractSpectralDensity | Callable) -> AbstractSpectralDensity:
    """A spectral density from one, or from any callable J(ω)."""
    if isinstance(value, AbstractSpectralDensity):
        return value
    if callable(value):
        return Custom(value)
    raise TypeError(f"spectral_density must be a spectral density or a callable J(ω); got {value!r}.")
