"""A qubit and a three-level system, each parameter differentiable."""

import jax.numpy as jnp

from qdbjax._checks import as_real, as_scalar
from qdbjax._types import ArrayLike, Matrix, RealVector, Scalar
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.numerics.matrix import stack
from qdbjax.systems import System


@eval_at_trace_time
def qubit(splitting: ArrayLike) -> System:
    """A qubit, H = ½ω₀ σ_z; the first basis state is up (excited for ω₀ > 0).

    splitting: ω₀, energy.

    >>> qdb.models.qubit(1.0)
    System(dimension=2)
    """
    return System(_split(as_scalar(splitting, "splitting")))


@jit_if_eager
def _split(splitting: Scalar) -> Matrix:
    half = 0.5 * splitting
    return jnp.diag(stack([half, -half]))


@eval_at_trace_time
def three_level(energies: ArrayLike) -> System:
    """Three levels, H = diag(ε₀, ε₁, ε₂).

    energies: ε (3,), energy.
    Raises ValueError for another length.

    >>> qdb.models.three_level([0.0, 1.0, 3.0])
    System(dimension=3)
    """
    energies = as_real(energies, "energies")
    if energies.shape != (3,):
        raise ValueError(f"energies must have shape (3,); got {energies.shape}.")
    return System(_diagonal(energies))


@jit_if_eager
def _diagonal(energies: RealVector) -> Matrix:
    return jnp.diag(energies)
