"""Spectral densities with a formula: the parameters with their range, J(ω)/ω, and the scale."""

from typing import TYPE_CHECKING, ClassVar

import equinox as eqx
import jax.numpy as jnp

from qdbjax._types import Array, Converted
from qdbjax.baths.spectral.abstract import AbstractSpectralDensity, Frequencies, number


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


class AbstractCutoffDensity(AbstractSpectralDensity):
    """A density that falls off beyond its parameter `cutoff`."""

    if TYPE_CHECKING:  # which takes it for the first argument of every constructor

        @property
        def cutoff(self) -> Array: ...
    else:
        cutoff: eqx.AbstractVar[Array]

    @property
    def scale(self) -> Array:
        return self.cutoff


class Ohmic(AbstractCutoffDensity):
    """J(ω) = η ω e^{-ω/ω_c}. ω → 0 noise: 2πηT.

    strength: η >= 0, dimensionless.
    cutoff: ω_c > 0, energy; inf for none.

    >>> qdb.Ohmic(0.01, cutoff=10.0)(jnp.array([1.0])).round(5)
    Array([0.00905], dtype=float64)
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Converted = number(low=0)
    cutoff: Converted = number(low=0, strict=True, infinite=True)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        return self.strength * jnp.exp(-frequency / self.cutoff)


class PowerLaw(AbstractCutoffDensity):
    """J(ω) = η ω (ω/ω_c)^{s-1} e^{-ω/ω_c}: sub-Ohmic (0 < s < 1), Ohmic (s = 1), super-Ohmic (s > 1).

    A sub-Ohmic bath has infinite noise at ω → 0: a coupling with a zero-frequency part is refused (or flagged, when
    traced).

    strength: η >= 0, dimensionless.
    cutoff: ω_c > 0, energy; finite.
    exponent: s > 0.

    >>> qdb.PowerLaw(0.01, cutoff=10.0, exponent=3.0)(jnp.array([1.0])).round(7)
    Array([9.05e-05], dtype=float64)
    """

    strength: Converted = number(low=0)
    cutoff: Converted = number(low=0, strict=True)
    exponent: Converted = number(low=0, strict=True)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        x = frequency / self.cutoff
        return self.strength * _power(x, self.exponent - 1) * jnp.exp(-x)


class DrudeLorentz(AbstractCutoffDensity):
    """J(ω) = η ω ω_c²/(ω² + ω_c²), an overdamped environment. ω → 0 noise: 2πηT.

    strength: η >= 0, dimensionless.
    cutoff: ω_c > 0, energy; inf for none.

    >>> qdb.DrudeLorentz(0.1, cutoff=2.0)(jnp.array([1.0])).round(4)
    Array([0.08], dtype=float64)
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Converted = number(low=0)
    cutoff: Converted = number(low=0, strict=True, infinite=True)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        x = frequency / self.cutoff
        return self.strength / (1 + x * x)


class Algebraic(AbstractCutoffDensity):
    """J(ω) = η ω/(1 + (ω/ω_c)²)^p, an Ohmic density with algebraic cutoff.

    strength: η >= 0, dimensionless.
    cutoff: ω_c > 0, energy; inf for none.
    power: p > 0; p = 1 is Drude-Lorentz.

    >>> qdb.baths.Algebraic(0.01, cutoff=10.0, power=2.0)(jnp.array([1.0])).round(5)
    Array([0.0098], dtype=float64)
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Converted = number(low=0)
    cutoff: Converted = number(low=0, strict=True, infinite=True)
    power: Converted = number(low=0, strict=True, default=2.0)

    @property
    def scale(self) -> Array:
        """ω_c; inf for p <= ½, where J does not fall."""
        return jnp.where(self.power > 0.5, self.cutoff, jnp.inf)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        x = frequency / self.cutoff
        return self.strength * jnp.exp(-self.power * jnp.log1p(x * x))


class UnderdampedLorentzian(AbstractSpectralDensity):
    """J(ω) = λ² Γ ω/[(ω² - Ω²)² + Γ²ω²], one damped mode. ω → 0 noise: 2πT λ²Γ/Ω⁴.

    strength: λ >= 0, energy^{3/2}.
    frequency: Ω > 0, energy.
    width: Γ > 0, energy.

    >>> qdb.UnderdampedLorentzian(0.1, frequency=1.0, width=0.2)(jnp.array([1.0])).round(4)
    Array([0.05], dtype=float64)
    """

    finite_at_zero: ClassVar[bool] = True

    strength: Converted = number(low=0)
    frequency: Converted = number(low=0, strict=True)
    width: Converted = number(low=0, strict=True)

    @property
    def scale(self) -> Array:
        return self.frequency + self.width

    @property
    def landmarks(self) -> list[Array]:
        return [self.frequency]

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        # In units of Ω: fourth powers of energies in joule or rad/s leave the range of single precision.
        x, width, coupling = frequency / self.frequency, self.width / self.frequency, self.strength / self.frequency
        detuning = (x - 1) * (x + 1)
        return coupling * coupling * (width / (detuning * detuning + width * width * x * x)) / self.frequency


class Flat(AbstractSpectralDensity):
    """J(ω) = κ at every ω > 0, the wide-band limit: rates 2πκ(n + 1) and 2πκn.

    The thermal noise of a bosonic bath diverges at ω → 0, as for a sub-Ohmic density; a lead may have energies of
    either sign.

    strength: κ >= 0, energy; a lead tunnels at Γ = 2πκ.

    >>> qdb.Flat(0.1)(jnp.array([1.0]))
    Array([0.1], dtype=float64)
    """

    strength: Converted = number(low=0)

    @property
    def scale(self) -> Array:
        return jnp.asarray(jnp.inf)

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        return _over(self(frequency), frequency)

    def __call__(self, frequency: Frequencies) -> Frequencies:
        return self.strength * jnp.ones_like(frequency)


class LorentzianBand(AbstractSpectralDensity):
    """J(ω) = κ w²/((ω - ω₀)² + w²) at either sign of ω, the band of a fermionic lead.

    For leads: the thermal noise of a bosonic bath diverges at ω → 0.

    strength: κ >= 0, energy; Γ = 2πκ at the centre.
    center: ω₀, energy.
    width: w > 0, energy.

    >>> qdb.baths.LorentzianBand(0.1, center=0.0, width=1.0)(jnp.array([1.0])).round(4)
    Array([0.05], dtype=float64)
    """

    strength: Converted = number(low=0)
    center: Converted = number()
    width: Converted = number(low=0, strict=True)

    @property
    def scale(self) -> Array:
        return jnp.abs(self.center) + self.width

    @property
    def landmarks(self) -> list[Array]:
        return [self.center]

    def over_frequency(self, frequency: Frequencies) -> Frequencies:
        return _over(self(frequency), frequency)

    def __call__(self, frequency: Frequencies) -> Frequencies:
        x = (frequency - self.center) / self.width
        return self.strength / (1 + x * x)
