"""How hot a bath is: one temperature, or an inverse temperature for each frequency (a local-KMS field)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, as_scalar, is_traced
from qdbjax._types import Array, ArrayLike, Float, Scalar
from qdbjax.baths.scalar_function import as_scalar_function
from qdbjax.numerics.occupation import magnitude


class LocalTemperature(eqx.Module):
    """A temperature at every frequency, T(ω) = 1/β(|ω|): what a bath makes of a callable inverse_temperature.

    profile: β, a callable of one real scalar |ω|, energy, to inverse energy: a function, or an equinox module with
        parameters.
    """

    profile: Callable

    def __init__(self, profile: Callable):
        self.profile = as_scalar_function(profile, "inverse_temperature")

    def at(self, frequency: Float[Array, "..."]) -> Float[Array, "..."]:
        """T(ω), elementwise."""
        size = magnitude(jnp.asarray(frequency))
        return 1 / jax.vmap(self.profile)(size.reshape(-1)).reshape(size.shape)


Temperature = Array | LocalTemperature


def temperature_at(temperature: Temperature, frequency: Float[Array, "..."]) -> Float[Array, "..."]:
    """T at a frequency; one for all, or local."""
    return temperature.at(frequency) if isinstance(temperature, LocalTemperature) else temperature


def _given(temperature: ArrayLike | None, inverse_temperature: ArrayLike | None) -> tuple[str, ArrayLike]:
    """Name and value of the one of the two that is given."""
    if (temperature is None) == (inverse_temperature is None):
        raise ValueError("give exactly one of temperature and inverse_temperature.")
    if temperature is None:
        return "inverse_temperature", inverse_temperature
    return "temperature", temperature


def one_temperature(temperature: ArrayLike | None, inverse_temperature: ArrayLike | None) -> tuple[str, Scalar]:
    """Name and value of the one of the two that is given, a number of either sign; ValueError otherwise."""
    name, given = _given(temperature, inverse_temperature)
    value = as_real(given, name)
    if value.ndim != 0:
        raise ValueError(f"{name} must be a single number; got shape {value.shape}. Use vmap or sweep for many.")
    if not is_traced(value) and np.isnan(float(value)):
        raise ValueError(f"{name} must be a number; got nan.")
    return name, value


def positive_temperature(temperature: ArrayLike | None, inverse_temperature: ArrayLike | None) -> Scalar:
    """T > 0, finite, from the one of the two that is given; ValueError otherwise."""
    name, given = _given(temperature, inverse_temperature)
    value = as_scalar(given, name, low=0, strict=True)
    return value if name == "temperature" else 1 / value


def as_temperature(temperature: ArrayLike | None, inverse_temperature: ArrayLike | Callable | None) -> Temperature:
    """The temperature of a bath, T >= 0 from the one of the two that is given; local from a callable β(ω)."""
    name, given = _given(temperature, inverse_temperature)
    if isinstance(given, LocalTemperature):
        return given
    if name == "inverse_temperature" and callable(given):
        return LocalTemperature(given)
    name, value = one_temperature(temperature, inverse_temperature)
    inverse = name == "inverse_temperature"
    if not is_traced(value):
        _check(float(value), name, inverse)
    return 1 / value if inverse else value


def _check(number: float, name: str, inverse: bool) -> None:
    if number < 0:
        raise ValueError(
            f"{name} must be >= 0; got {number}: the modes of a bosonic bath have no highest level. "
            "Negative temperatures exist for states of bounded spectra: see gibbs."
        )
    if (number == 0) if inverse else np.isinf(number):
        raise ValueError(f"{name} = {number} makes the noise of a bosonic bath infinite; use a finite temperature.")


def describe(temperature: Temperature) -> str:
    """The temperature as it is printed."""
    if isinstance(temperature, LocalTemperature):
        return "inverse_temperature=β(ω)"
    return "temperature=" + ("traced" if is_traced(temperature) else f"{np.asarray(temperature)}")
