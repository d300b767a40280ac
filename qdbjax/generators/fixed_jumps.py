"""Jump terms that a user gives as numbers: shared by the Pauli and Lindblad equations."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from qdbjax._checks import as_real
from qdbjax._types import ArrayLike, DType
from qdbjax.generators.jumps import AbstractJumps, PerBath


class AbstractFixedJumps(AbstractJumps):
    """Jump terms without known dependence on temperatures, which serve entropy production and balance tests only."""

    secular_step: ClassVar[str | None] = "no such step was made (rates or jump operators are given)"

    temperatures: eqx.AbstractVar[PerBath]

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        return self.temperatures, jnp.zeros_like(self.temperatures)

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "AbstractFixedJumps":
        raise ValueError(
            "a generator of given rates or jump operators (pauli, lindblad) does not tell how these depend on T and μ, "
            "whatever its temperatures= say. Make it with davies, or differentiate a function of T that makes it anew."
        )


def given_temperatures(value: ArrayLike | None, count: int, dtype: DType) -> PerBath:
    """Temperatures (bath,), energy; NaN for every bath if none are given."""
    if value is None:
        return jnp.full((count,), jnp.nan, dtype)
    found = jnp.atleast_1d(as_real(value, "temperatures")).astype(dtype)
    if found.shape != (count,):
        raise ValueError(f"temperatures must have shape {(count,)}, one per bath; got {found.shape}.")
    return found
