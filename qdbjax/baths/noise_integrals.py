"""What integrals over the noise of a bath share: where to cut the line, and what counts where γ(ω) has no value."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import is_traced
from qdbjax._status import Status, raise_flag, record
from qdbjax._types import Array, DType
from qdbjax.baths.abstract import AbstractBath
from qdbjax.numerics.filon import Panels, panels


def is_inaccurate(error: Array) -> Array:
    """Whether an estimated relative error is above 1e-8, or above what single precision holds.

    error: relative, of any shape, such as that of `lamb_error`; NaN counts as above.
    Returns truth values of that shape.
    """
    return ~(error <= max(1e-8, 2e3 * float(jnp.finfo(error.dtype).eps)))


def resolved(bath: AbstractBath, value: Any, error: Array) -> Any:
    """Values (a tree) whose integral is resolved; NaN, or ValueError where it is known, for those that are not."""
    inaccurate = is_inaccurate(error)
    record(raise_flag(inaccurate, Status.INACCURATE_INTEGRAL))
    if not is_traced(inaccurate) and bool(inaccurate):
        raise ValueError(
            f"bath has a density ({bath.formula}) with structure that integrals over it miss "
            f"(relative error about {float(error):.1g}). Say where: Custom(J, scale=, landmarks=)."
        )
    return jax.tree.map(lambda x: jnp.where(inaccurate, jnp.nan, x), value)


def has_no_cutoff(bath: AbstractBath) -> bool:
    """Whether the spectral density is known to have no end (`scale` infinite); False where `scale` is traced."""
    return not is_traced(bath.scale) and bool(np.isinf(bath.scale))


def finite_or_zero(noise: Array) -> Array:
    """The noise, 0 where it is infinite or, where a tabulated density ends, NaN."""
    return jnp.where(jnp.isfinite(noise), noise, 0.0)


def zero_outside_table(noise: Array) -> Array:
    """The noise, 0 where a tabulated density ends and it is NaN; infinite noise stays, for the integral to diverge."""
    return jnp.where(jnp.isnan(noise), 0.0, noise)


def positive_scale(bath: AbstractBath) -> Array:
    """The bath's `scale`, 1 where that is infinite or 0."""
    return jnp.where(jnp.isinf(bath.scale) | (bath.scale == 0), 1.0, bath.scale)


def noise_panels(bath: AbstractBath, dtype: DType) -> Panels:
    """Panels of the whole line for integrals over γ(ω)."""
    return panels(bath.landmarks, positive_scale(bath).astype(dtype))
