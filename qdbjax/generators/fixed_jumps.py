"""What the makers share to which a user gives rates or jump operators as they are."""

import equinox as eqx
import jax.numpy as jnp

from qdbjax._types import ArrayLike, as_real
from qdbjax.generators.jumps import AbstractJumps, PerBath


class AbstractFixedJumps(AbstractJumps):
    """Jump terms that do not depend on a temperature; those that are given serve entropy production only."""

    temperatures: eqx.AbstractVar[PerBath]

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        return self.temperatures, jnp.zeros_like(self.temperatures)

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "AbstractFixedJumps":
        raise ValueError(
            "given rates or jump operators do not tell how they depend on T and μ: use davies for response."
        )


def given_temperatures(value: ArrayLike | None, count: int, dtype) -> PerBath:
    """One temperature for each bath; NaN where none are given."""
    if value is None:
        return jnp.full((count,), jnp.nan, dtype)
    found = jnp.atleast_1d(as_real(value, "temperatures")).astype(dtype)
    if found.shape != (count,):
        raise ValueError(f"temperatures must have shape {(count,)}, one per bath; got {found.shape}.")
    return found
