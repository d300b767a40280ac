"""How hot a bath is: one temperature, or an inverse temperature for each frequency (a local-KMS field)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, Float, as_real, is_traced
from qdbjax.numerics.occupation import magnitude


class LocalTemperature(eqx.Module):
    """T(ω) = 1/β(|ω|) from a callable β of one real scalar, a function or an equinox module with parameters."""

    profile: Callable

    def __init__(self, profile: Callable):
        # A bare function hides in the tree structure, so that the bath stays a pytree of arrays.
        self.profile = profile if isinstance(profile, eqx.Module) else jax.tree_util.Partial(profile)

    def at(self, frequency: Float[Array, "..."]) -> Float[Array, "..."]:
        """T(ω), elementwise."""
        size = magnitude(jnp.asarray(frequency))
        return 1 / jax.vmap(self.profile)(size.reshape(-1)).reshape(size.shape)


Temperature = Array | LocalTemperature


def temperature_at(temperature: Temperature, frequency: Float[Array, "..."]) -> Float[Array, "..."]:
    """T at a frequency; one for all, or local."""
    return temperature.at(frequency) if isinstance(temperature, LocalTemperature) else temperature


def as_temperature(temperature: ArrayLike | None, inverse_temperature: ArrayLike | Callable | None) -> Temperature:
    """The temperature of a bath from one of the two; a callable inverse temperature makes it local."""
    if (temperature is None) == (inverse_temperature is None):
        raise ValueError("give exactly one of temperature and inverse_temperature.")
    if callable(inverse_temperature):
        return LocalTemperature(inverse_temperature)
    inverse = temperature is None
    name = "inverse_temperature" if inverse else "temperature"
    value = as_real(inverse_temperature if inverse else temperature, name)
    if value.ndim != 0:
        raise ValueError(f"{name} must be a single number; got shape {value.shape}. Use vmap or sweep for many.")
    if not is_traced(value):
        _check(float(value), name, inverse)
    return 1 / value if inverse else value


def _check(number: float, name: str, inverse: bool) -> None:
    if np.isnan(number):
        raise ValueError(f"{name} must be a number; got nan.")
    if number < 0:
        raise ValueError(
            f"{name} must be >= 0; got {number}: the modes of a bosonic bath have no highest level. "
            "Negative temperatures exist for states of bounded spectra: see gibbs."
        )
    if (number == 0) if inverse else np.isinf(number):
        raise ValueError(f"{name} = {number} makes the noise of a bosonic bath infinite; use a finite temperature.")


def describe(temperature: Temperature) -> str:
    """For printing."""
    if isinstance(temperature, LocalTemperature):
        return "inverse_temperature=β(ω)"
    return "temperature=" + ("traced" if is_traced(temperature) else f"{np.asarray(temperature)}")
