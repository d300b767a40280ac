"""The Lamb shift: the other half of the one-sided transform of a bath's correlation function.

Γ_ab(ω) = ∫₀^∞ dt e^{iωt}⟨B_a†(t)B_b(0)⟩ = ½γ_ab(ω) + i s_ab(ω). With u the distance from the singularity,

    s_ab(ω) = P∫ dω' γ_ab(ω') / 2π(ω - ω') = (1/2π) ∫₀^∞ du [γ_ab(ω - u) - γ_ab(ω + u)]/u,

which subtracts it without a limit to take, for every bath, temperature and sign of ω. Panels end where the noise has a
kink or a step (`landmarks`).
"""

import itertools
from collections.abc import Callable

import jax.numpy as jnp

from qdbjax._types import Array, Float
from qdbjax.baths.abstract import AbstractBath
from qdbjax.baths.temperature import LocalTemperature
from qdbjax.numerics.quadrature import half_line, unit_interval

Frequencies = Float[Array, "..."]


def lamb_matrix(bath: AbstractBath, frequency: Frequencies) -> Array:
    """s_ab(ω) (k, k, *shape of ω), energy. Where a tabulated density ends it counts as 0."""
    temperature = 0.0 if isinstance(bath.temperature, LocalTemperature) else bath.temperature
    scale = jnp.maximum(bath.scale, temperature).astype(frequency.dtype)
    return principal_value(bath.noise_matrix, frequency, bath.landmarks, scale)


def principal_value(noise: Callable, frequency: Frequencies, landmarks: list[Array], scale: Array) -> Array:
    """P∫ dω' γ(ω') / 2π(ω - ω') for a noise table (..., *shape of ω)."""
    dtype = frequency.dtype
    ends = [jnp.abs(frequency - jnp.asarray(mark, dtype)) for mark in landmarks]
    if len(ends) > 1:
        ends = list(jnp.sort(jnp.stack(ends), axis=0))
    spread = lambda nodes: jnp.asarray(nodes, dtype).reshape(-1, *[1] * frequency.ndim)  # noqa: E731
    x, rest, weight = map(spread, unit_interval())
    # The first panel starts at the singularity: du/u = dx/x whatever its length, 0 included.
    distances, weights = [ends[0][None] * x], [weight / x * jnp.ones_like(ends[0])[None]]
    for start, end in itertools.pairwise(ends):
        length = (end - start)[None]
        u = jnp.where(x < 0.5, start[None] + length * x, end[None] - length * rest)
        distances.append(u)
        weights.append(length * weight / jnp.where(u > 0, u, 1.0))
    x, weight = map(spread, half_line())
    unit = jnp.maximum(jnp.maximum(scale, ends[-1]), jnp.finfo(dtype).tiny)[None]
    u = ends[-1][None] + unit * x
    distances, weights = jnp.concatenate([*distances, u]), jnp.concatenate([*weights, unit * weight / u])
    difference = _known(noise(frequency[None] - distances)) - _known(noise(frequency[None] + distances))
    nodes = difference.ndim - frequency.ndim - 1
    return jnp.sum(difference * weights.astype(difference.dtype)[(None,) * nodes], axis=nodes) / (2 * jnp.pi)


def _known(noise: Array) -> Array:
    return jnp.where(jnp.isfinite(noise), noise, 0.0)
