"""Spectral densities given by a table."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import allowed, as_real, is_traced
from qdbjax._types import Array, Converted
from qdbjax.baths.spectral.abstract import AbstractSpectralDensity, Frequencies


def _ascends(points: Array) -> Array:
    return jnp.all(points[1:] > points[:-1]) & jnp.all(points > 0)


def _traced(value: Array, condition: Callable[[Array], Array]) -> Array:
    return allowed(value, condition(value)) if is_traced(value) and value.ndim == 1 else value


class Tabulated(AbstractSpectralDensity):
    """J(ω) interpolated linearly between given points, from J(0) = 0; NaN beyond the last one (flagged by solvers).

    frequencies: (n,), energy, > 0 and ascending.
    values: (n,), energy, J at them, >= 0.
    Raises ValueError if they are not; NaN where they are traced.

    >>> qdb.Tabulated([0.5, 1.0], [0.1, 0.3])(jnp.array([0.75]))
    Array([0.2], dtype=float64)
    """

    finite_at_zero: ClassVar[bool] = True

    frequencies: Converted = eqx.field(converter=lambda given: _traced(as_real(given, "frequencies"), _ascends))
    values: Converted = eqx.field(converter=lambda given: _traced(as_real(given, "values"), lambda x: jnp.all(x >= 0)))

    def __check_init__(self):
        if self.frequencies.ndim != 1 or self.frequencies.shape != self.values.shape or self.frequencies.size == 0:
            shapes = f"{self.frequencies.shape} and {self.values.shape}"
            raise ValueError(f"frequencies and values must be vectors of one length >= 1; got {shapes}.")
        if not is_traced(self.frequencies):
            points = np.asarray(self.frequencies)
            if not (np.all(np.isfinite(points)) and points[0] > 0 and np.all(np.diff(points) > 0)):
                raise ValueError(f"frequencies must be positive, finite and ascending; got {points}.")
        if not is_traced(self.values):
            heights = np.asarray(self.values)
            if not (np.all(np.isfinite(heights)) and np.all(heights >= 0)):
                raise ValueError(f"values must be finite and >= 0; got {heights}.")

    @property
    def scale(self) -> Array:
        return self.frequencies[-1]

    @property
    def landmarks(self) -> list[Array]:
        return list(self.frequencies)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        points = jnp.concatenate([jnp.zeros((1,), self.frequencies.dtype), self.frequencies])
        heights = jnp.concatenate([jnp.zeros((1,), self.values.dtype), self.values])
        segment = jnp.clip(jnp.searchsorted(points, frequency, side="right") - 1, 0, points.shape[0] - 2)
        slope = (heights[segment + 1] - heights[segment]) / (points[segment + 1] - points[segment])
        zero = frequency == 0
        safe = jnp.where(zero, 1.0, frequency)
        # On the first segment J(ω)/ω is its slope, ω = 0 included.
        value = jnp.where(segment == 0, slope, (heights[segment] + slope * (safe - points[segment])) / safe)
        return jnp.where(frequency > self.frequencies[-1], jnp.nan, value)
