"""Jump terms that a user gives as numbers: shared by the Pauli and Lindblad equations."""

import equinox as eqx
import jax.numpy as jnp

from qdbjax._checks import as_real
from qdbjax._types import ArrayLike
from qdbjax.generators.jumps import AbstractJumps, PerBath


class AbstractFixedJumps(AbstractJumps):
    """Jump terms without known dependence on temperatures, which serve entropy production and balance tests only."""

    temperatures: eqx.AbstractVar[PerBath]

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        return self.temperatures, jnp.zeros_like(self.temperatures)

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "AbstractFixedJumps":
        raise ValueError(
            "given rates or jump operators do not tell how they depend on T and μ: use davies for response."
        )


def given_temperatures(value: ArrayLike | None, count: int, dtype) -> PerBath:
    """Temperatures (bath,), energy; NaN for every bath if none are given."""
    if value is None:
        return jnp.full((count,), jnp.nan, dtype)
    found = jnp.atleast_1d(as_real(value, "temperatures")).astype(dtype)
    if found.shape != (count,):
        raise ValueError(f"temperatures must have shape {(count,)}, one per bath; got {found.shape}.")
    return found
