"""What baths carry both ways: the measure by which a net flow is told from rounding."""

import jax.numpy as jnp

from qdbjax._types import Array
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator, PerBath
from qdbjax.solvers import AsymptoticState, SteadyState

ROUNDING = 256  # a current below this many eps of the two flows whose difference it is counts as none


@jit_if_eager
def traffic(generator: Generator, state: SteadyState | AsymptoticState) -> PerBath:
    """What each bath carries both ways, Σ (|ω| + |μ|) Γ p: a net current far below it is rounding."""
    weight = jnp.abs(generator.spectrum.frequencies)[None] + jnp.abs(generator.chemical_potentials)[:, None, None]
    return jnp.sum(weight * generator.rates * state.populations[None, None, :], axis=(1, 2))


def clear(current: Array, carried: Array) -> Array:
    """The current, 0 where it is rounding beside what is carried."""
    return jnp.where(jnp.abs(current) <= ROUNDING * float(jnp.finfo(current.dtype).eps) * carried, 0.0, current)
