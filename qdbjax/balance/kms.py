"""Whether a noise spectrum belongs to a bath in equilibrium."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, as_scalar, is_traced
from qdbjax._repr import summary
from qdbjax._types import Array, ArrayLike, Inexact, RealVector, Scalar

HOLDS = 1e-9  # relative defect up to which the condition is said to hold


class KMSCheck(eqx.Module):
    """γ(-ω) = e^{-β(ω - μ)} γ(ω) frequency by frequency; see `kms_check`.

    inverse_temperatures: β that each pair ±ω implies, (frequency,); one number for a bath in equilibrium.
    defects: |γ_ba(-ω) - e^{-β(ω - μ)} γ_ab(ω)| of the worst entry over the largest entry at ω, (frequency,).
    temperature: T = 1/β of the defects, as given or from the mean of the implied β.
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
            return summary(self, self.defects, {})
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
    """Whether a noise spectrum obeys the condition of Kubo, Martin and Schwinger.

    γ_ba(-ω) = e^{-β(ω - μ)} γ_ab(ω)

    noise: a function, γ at an array of frequencies of either sign: of their shape, or (k, k, *shape) for correlated
        couplings, whose transpose counts; `Bath.noise` or `Bath.noise_matrix`, or measured data interpolated.
    frequencies: ω > 0, (n,), energy.
    temperature: T > 0 to test, energy; by default from the mean of the β that the pairs ±ω imply.
    chemical_potential: μ, energy; 0 where no particles are exchanged.

    Returns a KMSCheck. Raises ValueError for frequencies that are not positive or not a vector, a temperature that is
    not positive, and a noise of another shape.
    *Source:* R. Haag, N. M. Hugenholtz, M. Winnink, Commun. Math. Phys. 5, 215 (1967).

    >>> bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=1.0)
    >>> qdb.balance.kms_check(bath.noise, [0.5, 1.0], temperature=1.0).inverse_temperatures.round(6)
    Array([1., 1.], dtype=float64)
    """
    frequencies = as_real(frequencies, "frequencies")
    if frequencies.ndim != 1 or frequencies.shape[0] == 0:
        raise ValueError(f"frequencies must be a vector of at least one; got shape {frequencies.shape}.")
    if not is_traced(frequencies) and not np.all(np.asarray(frequencies) > 0):
        raise ValueError(
            f"frequencies must be positive; got {np.asarray(frequencies).min()}. The noise is evaluated at -ω too."
        )
    potential = as_scalar(chemical_potential, "chemical_potential").astype(frequencies.dtype)
    down, up = (_as_table(noise(x)) for x in (frequencies, -frequencies))
    # β follows from the trace over couplings, the defect from every entry.
    emission, absorption = (jnp.real(jnp.trace(table)) for table in (down, up))
    implied = jnp.log(emission / absorption) / (frequencies - potential)
    beta = jnp.mean(implied) if temperature is None else 1 / as_scalar(temperature, "temperature", low=0, strict=True)
    expected = jnp.exp(-beta * (frequencies - potential)).astype(down.dtype)[None, None] * down
    defect = jnp.max(jnp.abs(jnp.swapaxes(up, 0, 1) - expected), axis=(0, 1))
    return KMSCheck(implied, defect / jnp.max(jnp.abs(down), axis=(0, 1)), 1 / beta)


def _as_table(noise: Array) -> Inexact[Array, "k k n"]:
    noise = jnp.asarray(noise)
    if noise.ndim == 1:
        return noise[None, None]
    if noise.ndim != 3 or noise.shape[0] != noise.shape[1]:
        raise ValueError(f"noise must return (n,) or (k, k, n) for n frequencies; got shape {noise.shape}.")
    return noise
