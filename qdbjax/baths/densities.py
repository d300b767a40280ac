"""Spectral densities with a formula, and tables."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, as_real, as_scalar, is_traced
from qdbjax.baths.spectral_density import AbstractSpectralDensity, Frequencies


def _power(base: Array, exponent: Array) -> Array:
    """base ** exponent for base >= 0, with the limits at base = 0 and no NaN in their derivatives."""
    zero = base == 0
    positive = jnp.exp(exponent * jnp.log(jnp.where(zero, 1.0, base)))
    limit = jnp.where(exponent > 0, 0.0, jnp.where(exponent < 0, jnp.inf, 1.0))
    return jnp.where(zero, limit, positive)


def _over(value: Array, frequency: Array) -> Array:
    """value/ω; infinite at ω = 0 unless the value is 0."""
    zero = frequency == 0
    return jnp.where(zero, jnp.where(value > 0, jnp.inf, 0.0), value / jnp.where(zero, 1.0, frequency))


class Ohmic(AbstractSpectralDensity):
    """J(ω) = η ω e^{-ω/ω_c}.

    strength η >= 0 (dimensionless), cutoff ω_c > 0 (energy; inf for none). ω → 0 noise: 2πηT.
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Array
    cutoff: Array

    def __init__(self, strength: ArrayLike, cutoff: ArrayLike):
        self.strength = as_scalar(strength, "strength", low=0)
        self.cutoff = as_scalar(cutoff, "cutoff", low=0, strict=True, infinite=True)

    @property
    def scale(self) -> Array:
        """ω_c."""
        return self.cutoff

    @property
    def landmarks(self) -> list[Array]:
        """None."""
        return []

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """η e^{-ω/ω_c}."""
        return self.strength * jnp.exp(-frequency / self.cutoff)


class PowerLaw(AbstractSpectralDensity):
    """J(ω) = η ω (ω/ω_c)^{s-1} e^{-ω/ω_c}: sub-Ohmic (0 < s < 1), Ohmic (s = 1), super-Ohmic (s > 1).

    strength η >= 0 (dimensionless), cutoff ω_c > 0 (energy, finite), exponent s > 0. A sub-Ohmic bath has infinite
    noise at ω → 0: a coupling with a zero-frequency part is refused (or flagged, when traced).
    """

    finite_at_zero: ClassVar[bool] = False

    strength: Array
    cutoff: Array
    exponent: Array

    def __init__(self, strength: ArrayLike, cutoff: ArrayLike, exponent: ArrayLike):
        self.strength = as_scalar(strength, "strength", low=0)
        self.cutoff = as_scalar(cutoff, "cutoff", low=0, strict=True)
        self.exponent = as_scalar(exponent, "exponent", low=0, strict=True)

    @property
    def scale(self) -> Array:
        """ω_c."""
        return self.cutoff

    @property
    def landmarks(self) -> list[Array]:
        """None."""
        return []

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """η (ω/ω_c)^{s-1} e^{-ω/ω_c}."""
        x = frequency / self.cutoff
        return self.strength * _power(x, self.exponent - 1) * jnp.exp(-x)


class DrudeLorentz(AbstractSpectralDensity):
    """J(ω) = η ω ω_c²/(ω² + ω_c²), an overdamped environment.

    strength η >= 0 (dimensionless), cutoff ω_c > 0 (energy; inf for none). ω → 0 noise: 2πηT.
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Array
    cutoff: Array

    def __init__(self, strength: ArrayLike, cutoff: ArrayLike):
        self.strength = as_scalar(strength, "strength", low=0)
        self.cutoff = as_scalar(cutoff, "cutoff", low=0, strict=True, infinite=True)

    @property
    def scale(self) -> Array:
        """ω_c."""
        return self.cutoff

    @property
    def landmarks(self) -> list[Array]:
        """None."""
        return []

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """η/(1 + (ω/ω_c)²)."""
        x = frequency / self.cutoff
        return self.strength / (1 + x * x)


class Algebraic(AbstractSpectralDensity):
    """J(ω) = η ω/(1 + (ω/ω_c)²)^p, an Ohmic density with algebraic cutoff.

    strength η >= 0 (dimensionless), cutoff ω_c > 0 (energy; inf for none), power p > 0 (p = 1 is Drude-Lorentz).
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Array
    cutoff: Array
    power: Array

    def __init__(self, strength: ArrayLike, cutoff: ArrayLike, power: ArrayLike = 2.0):
        self.strength = as_scalar(strength, "strength", low=0)
        self.cutoff = as_scalar(cutoff, "cutoff", low=0, strict=True, infinite=True)
        self.power = as_scalar(power, "power", low=0, strict=True)

    @property
    def scale(self) -> Array:
        """ω_c."""
        return self.cutoff

    @property
    def landmarks(self) -> list[Array]:
        """None."""
        return []

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """η (1 + (ω/ω_c)²)^{-p}."""
        x = frequency / self.cutoff
        return self.strength * jnp.exp(-self.power * jnp.log1p(x * x))


class UnderdampedLorentzian(AbstractSpectralDensity):
    """J(ω) = λ² Γ ω/[(ω² - Ω²)² + Γ²ω²], one damped mode.

    strength λ >= 0 (energy^{3/2}), frequency Ω > 0 and width Γ > 0 (energy). ω → 0 noise: 2πT λ²Γ/Ω⁴.
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Array
    frequency: Array
    width: Array

    def __init__(self, strength: ArrayLike, frequency: ArrayLike, width: ArrayLike):
        self.strength = as_scalar(strength, "strength", low=0)
        self.frequency = as_scalar(frequency, "frequency", low=0, strict=True)
        self.width = as_scalar(width, "width", low=0, strict=True)

    @property
    def scale(self) -> Array:
        """Ω + Γ."""
        return self.frequency + self.width

    @property
    def landmarks(self) -> list[Array]:
        """Ω."""
        return [self.frequency]

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """λ²Γ/[(ω² - Ω²)² + Γ²ω²]."""
        square = frequency * frequency
        detuning = square - self.frequency * self.frequency
        width = self.width * self.width
        return self.strength * self.strength * self.width / (detuning * detuning + width * square)


class Flat(AbstractSpectralDensity):
    """J(ω) = κ at every ω > 0, the wide-band limit: rates 2πκ(n + 1) and 2πκn.

    strength κ >= 0 (energy; a lead tunnels at Γ = 2πκ). The thermal noise of a bosonic bath diverges at ω → 0, as for a
    sub-Ohmic density; a lead may have energies of either sign.
    """

    finite_at_zero: ClassVar[bool] = False

    strength: Array

    def __init__(self, strength: ArrayLike):
        self.strength = as_scalar(strength, "strength", low=0)

    @property
    def scale(self) -> Array:
        """inf: the wide band has no end."""
        return jnp.asarray(jnp.inf)

    @property
    def landmarks(self) -> list[Array]:
        """None."""
        return []

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """κ/ω."""
        return _over(self.strength * jnp.ones_like(frequency), frequency)

    def __call__(self, frequency: Frequencies) -> Frequencies:
        """κ."""
        return self.strength * jnp.ones_like(frequency)


class LorentzianBand(AbstractSpectralDensity):
    """J(ω) = κ w²/((ω - ω₀)² + w²) at either sign of ω, the band of a fermionic lead.

    strength κ >= 0 (energy; Γ = 2πκ at the centre), center ω₀ and width w > 0 (energy). For leads: the thermal noise
    of a bosonic bath diverges at ω → 0.
    """

    finite_at_zero: ClassVar[bool] = False

    strength: Array
    center: Array
    width: Array

    def __init__(self, strength: ArrayLike, center: ArrayLike, width: ArrayLike):
        self.strength = as_scalar(strength, "strength", low=0)
        self.center = as_scalar(center, "center")
        self.width = as_scalar(width, "width", low=0, strict=True)

    @property
    def scale(self) -> Array:
        """|ω₀| + w."""
        return jnp.abs(self.center) + self.width

    @property
    def landmarks(self) -> list[Array]:
        """ω₀."""
        return [self.center]

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """J(ω)/ω."""
        return _over(self(frequency), frequency)

    def __call__(self, frequency: Frequencies) -> Frequencies:
        """κ/(1 + ((ω - ω₀)/w)²)."""
        x = (frequency - self.center) / self.width
        return self.strength / (1 + x * x)


class Tabulated(AbstractSpectralDensity):
    """J(ω) interpolated linearly between given points, from J(0) = 0; NaN beyond the last one (flagged by solvers).

    frequencies (n,) > 0 ascending (energy), values (n,) >= 0 (energy). Raises ValueError if they are not.
    """

    finite_at_zero: ClassVar[bool] = True

    frequencies: Array
    values: Array

    def __init__(self, frequencies: ArrayLike, values: ArrayLike):
        self.frequencies, self.values = as_real(frequencies, "frequencies"), as_real(values, "values")
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
        """The last point."""
        return self.frequencies[-1]

    @property
    def landmarks(self) -> list[Array]:
        """Every point of the table."""
        return list(self.frequencies)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        """Interpolated J(ω)/ω; the slope of the first segment at ω = 0."""
        points = jnp.concatenate([jnp.zeros((1,), self.frequencies.dtype), self.frequencies])
        heights = jnp.concatenate([jnp.zeros((1,), self.values.dtype), self.values])
        segment = jnp.clip(jnp.searchsorted(points, frequency, side="right") - 1, 0, points.shape[0] - 2)
        slope = (heights[segment + 1] - heights[segment]) / (points[segment + 1] - points[segment])
        zero = frequency == 0
        safe = jnp.where(zero, 1.0, frequency)
        value = jnp.where(segment == 0, slope, (heights[segment] + slope * (safe - points[segment])) / safe)
        return jnp.where(frequency > self.frequencies[-1], jnp.nan, value)
