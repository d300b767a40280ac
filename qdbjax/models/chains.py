"""Chains of spins, each parameter differentiable."""

import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, as_scalar
from qdbjax._types import Array, ArrayLike, Inexact, RealVector, Scalar
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.numerics.products import contract
from qdbjax.operators import embed, sigma_x, sigma_y, sigma_z
from qdbjax.systems import System


@eval_at_trace_time
def xxz_chain(fields: ArrayLike, exchange: ArrayLike, anisotropy: ArrayLike) -> System:
    """Spin-½ XXZ chain, H = Σ_i ½h_i σ_z^i + Σ_i ¼J (σ_x^i σ_x^{i+1} + σ_y^i σ_y^{i+1} + Δ σ_z^i σ_z^{i+1}).

    Dimension 2^N; couple baths to the ends with `embed(sigma_x(), 0, [2] * N)` and `embed(sigma_x(), N - 1, [2] * N)`.
    fields: h (N,), energy.
    exchange: J, energy.
    anisotropy: Δ, a number.
    Raises ValueError for fields that are no vector.

    >>> qdb.models.xxz_chain([1.0, 1.0], exchange=0.2, anisotropy=0.5)
    System(dimension=4)
    """
    fields = as_real(fields, "fields")
    if fields.ndim != 1 or fields.shape[0] < 1:
        raise ValueError(f"fields must have shape (N,), one per spin; got {fields.shape}.")
    exchange, anisotropy = as_scalar(exchange, "exchange"), as_scalar(anisotropy, "anisotropy")
    return System(_chain(fields, exchange, anisotropy))


@jit_if_eager
def _chain(fields: RealVector, exchange: Scalar, anisotropy: Scalar) -> Inexact[Array, "n n"]:
    sites = [2] * fields.shape[0]
    count = len(sites)
    pair = lambda a, i: embed(a, i, sites) @ embed(a, i + 1, sites)  # noqa: E731
    spins = np.stack([embed(sigma_z(), i, sites) for i in range(count)])
    hamiltonian = contract("i,imn->mn", 0.5 * fields, jnp.asarray(spins, fields.dtype))
    if count > 1:
        flip = sum(np.real(pair(sigma_x(), i) + pair(sigma_y(), i)) for i in range(count - 1))
        ising = sum(pair(sigma_z(), i) for i in range(count - 1))
        flip, ising = jnp.asarray(flip, fields.dtype), jnp.asarray(ising, fields.dtype)
        hamiltonian = hamiltonian + 0.25 * exchange * (flip + anisotropy * ising)
    return hamiltonian
