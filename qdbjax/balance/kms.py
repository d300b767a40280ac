"""Whether a noise spectrum belongs to a bath in equilibrium."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, Float, RealVector, Scalar, as_real, as_scalar, is_traced

HOLDS = 1e-9  # relative defect up to which the condition is said to hold


class KMSCheck(eqx.Module):
    """γ(-ω) = e^{-β(ω - μ)} γ(ω) frequency by frequency.

    inverse_temperatures (frequency,): the β that each pair ±ω implies, one number for a bath in equilibrium. defects:
    |γ_ba(-ω) - e^{-β(ω - μ)} γ_ab(ω)| of the worst entry over the largest entry at ω, at the temperature given (or the
    mean of those implied). temperature: that one.
    """

    inverse_temperatures: RealVector
    defects: RealVector
    temperature: Scalar

    @property
    def holds(self) -> Array:
        """Whether the defect is rounding, below 1e-9, at every frequency."""
        return jnp.max(self.defects) < HOLDS

    def __repr__(self) -> str:
        if is_traced(self.defects):
            return "KMSCheck(traced)"
        low, high = (1 / float(x) for x in (np.max(self.inverse_temperatures), np.min(self.inverse_temperatures)))
        verdict = "holds" if bool(self.holds) else "is violated"
        return (
            f"KMSCheck: {verdict} at T = {float(self.temperature):.6g} (largest defect "
            f"{float(np.max(self.defects)):.2g}); the pairs ±ω imply T = {low:.6g} … {high:.6g}"
        )


def kms_check(
    noise: Callable[[Array], Array],
    frequencies: ArrayLike,
    *,
    temperature: ArrayLike | None = None,
    chemical_potential: ArrayLike = 0.0,
) -> KMSCheck:
    """Whether a noise spectrum obeys the condition of Kubo, Martin and Schwinger, γ_ba(-ω) = e^{-β(ω - μ)} γ_ab(ω).

    noise: γ of an array of frequencies of either sign, of their shape, or (k, k, *shape) for correlated couplings,
    whose transpose counts; the `noise` or `noise_matrix` of a Bath, or measured data interpolated. frequencies (n,):
    ω > 0, energy. temperature: T > 0 to test; by default the mean of what the pairs imply. Returns a KMSCheck.
    Raises ValueError for frequencies that are not positive.
    *Source:* R. Haag, N. M. Hugenholtz, M. Winnink, Commun. Math. Phys. 5, 215 (1967).
    """
    frequencies = as_real(frequencies, "frequencies")
    if frequencies.ndim != 1 or frequencies.shape[0] == 0:
        raise ValueError(f"frequencies must be a vector of at least one; got shape {frequencies.shape}.")
    if not is_traced(frequencies) and not np.all(np.asarray(frequencies) > 0):
        raise ValueError(f"frequencies must be positive; got {np.asarray(frequencies).min()}. γ(-ω) is asked for here.")
    potential = as_scalar(chemical_potential, "chemical_potential").astype(frequencies.dtype)
    down, up = (_as_table(noise(x)) for x in (frequencies, -frequencies))
    # Traces decide what each pair implies, every entry whether it holds.
    emission, absorption = (jnp.real(jnp.trace(table)) for table in (down, up))
    implied = jnp.log(emission / absorption) / (frequencies - potential)
    beta = jnp.mean(implied) if temperature is None else 1 / as_scalar(temperature, "temperature", low=0, strict=True)
    expected = jnp.exp(-beta * (frequencies - potential)).astype(down.dtype)[None, None] * down
    defect = jnp.max(jnp.abs(jnp.swapaxes(up, 0, 1) - expected), axis=(0, 1))
    return KMSCheck(implied, defect / jnp.max(jnp.abs(down), axis=(0, 1)), 1 / beta)


def _as_table(noise: Array) -> Float[Array, "k k n"]:
    noise = jnp.asarray(noise)
    if noise.ndim == 1:
        return noise[None, None]
    if noise.ndim != 3 or noise.shape[0] != noise.shape[1]:
        raise ValueError(f"noise must return (n,) or (k, k, n) for n frequencies; got shape {noise.shape}.")
    return noise
