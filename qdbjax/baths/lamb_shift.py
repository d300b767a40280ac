"""The Lamb shift: the imaginary part of the half-sided Fourier transform of a bath's correlation function.

Γ_ab(ω) = ∫₀^∞ dt e^{iωt}⟨B_a†(t)B_b(0)⟩ = ½γ_ab(ω) + i s_ab(ω). With u the distance from the singularity,

    s_ab(ω) = P∫ dω' γ_ab(ω') / 2π(ω - ω') = (1/2π) ∫₀^∞ du [γ_ab(ω - u) - γ_ab(ω + u)]/u,

in which the singularity is gone without a limit to take, for every bath, temperature and sign of ω. Panels end where
the noise has a kink or a step (`landmarks`). Where two transitions share one jump operator, √γ(p + ν)√γ(q + ν) takes
the place of γ.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from qdbjax._types import Array, BoolMatrix, Float
from qdbjax.baths.abstract import AbstractBath
from qdbjax.baths.noise_integrals import finite_or_zero
from qdbjax.baths.temperature import LocalTemperature
from qdbjax.numerics.double_exponential import half_line, unit_interval
from qdbjax.numerics.occupation import magnitude

Frequencies = Float[Array, "..."]


def lamb_matrix(bath: AbstractBath, frequency: Frequencies) -> Array:
    """Lamb shift s_ab(ω) of a bath, energy, shape (k, k, *shape of ω). Beyond the end of its table a density is 0."""
    ends = _distances(bath, frequency)
    return _principal_value(lambda u: bath.noise_matrix(frequency[None] + u), ends, _scale(bath, frequency))


def shared_lamb_shift(bath: AbstractBath, first: Frequencies, second: Frequencies) -> Array:
    """F_a(p, q) = -P∫ dν √γ_a(p + ν)√γ_a(q + ν) / 2πν of each operator (k, *shape of p and q), energy.

    F_a(ω, ω) = s_aa(ω).
    *Source:* F. Nathan and M. S. Rudner, Phys. Rev. B 102, 115109 (2020), with our signs of p and q.
    """

    def product(u):
        return finite_or_zero(noise_roots(bath, first[None] + u)) * finite_or_zero(noise_roots(bath, second[None] + u))

    ends = [*_distances(bath, first), *_distances(bath, second)]
    return _principal_value(product, ends, _scale(bath, first))


def noise_roots(bath: AbstractBath, frequency: Frequencies) -> Array:
    """√γ_a(ω) (k, *shape of ω), with derivative 0 where γ = 0; inf and NaN stay what they are."""
    noise = jnp.stack(bath.noises(frequency))
    plain = (noise != 0) & jnp.isfinite(noise)
    return jnp.where(plain, jnp.sqrt(jnp.where(plain, noise, 1.0)), noise)


def value_and_slope_at_level(
    shift: Callable, bath: AbstractBath, frequency: Frequencies, level: BoolMatrix
) -> tuple[Array, Array]:
    """A shift (..., *shape of ω) and its derivative by ω, both taken at ω = 0 where `level` is True: two equal levels.

    A cutoff such as e^{-|ω|/ω_c} gives γ a kink at ω = 0 and the shift a term ω ln|ω|, whose slope there is infinite:
    0 is returned in its place.
    """
    frequency = jnp.where(level, 0.0, frequency)
    value, slope = jax.jvp(shift, (frequency,), (jnp.ones_like(frequency),))
    step = 1e-12 * jnp.maximum(_scale(bath, frequency), jnp.finfo(frequency.dtype).tiny)
    sides = jnp.stack([-step, step])
    noise, rise = jax.jvp(lambda x: finite_or_zero(bath.noise_matrix(x)), (sides,), (jnp.ones_like(sides),))
    kinked = _is_discontinuous(noise) | _is_discontinuous(finite_or_zero(rise))
    return value, jnp.where(level & kinked, 0.0, slope)


def _is_discontinuous(both: Array) -> Array:
    """Whether a table (..., [left, right]) differs between the two sides of a frequency."""
    return jnp.any(jnp.abs(both[..., 1] - both[..., 0]) > 1e-6 * jnp.max(jnp.abs(both)))


def _distances(bath: AbstractBath, frequency: Frequencies) -> list[Array]:
    # Panels of length 0 must not move with ω: their ends would meet 1/u² at u = 1e-14.
    return [magnitude(frequency - jnp.asarray(mark, frequency.dtype)) for mark in bath.landmarks]


def _scale(bath: AbstractBath, frequency: Frequencies) -> Array:
    temperature = 0.0 if isinstance(bath.temperature, LocalTemperature) else bath.temperature
    return jnp.maximum(bath.scale, temperature).astype(frequency.dtype)


def _principal_value(noise: Callable, ends: list[Array], scale: Array) -> Array:
    """(1/2π) ∫₀^∞ du [γ(-u) - γ(u)]/u for a table γ (..., node, *shape) at offsets u (node, *shape) from the pole.

    ends: distances from the pole, each of that shape, at which panels end.
    """
    dtype, dims = ends[0].dtype, ends[0].ndim
    if len(ends) > 1:
        ends = list(jnp.sort(jnp.stack(ends), axis=0))
    spread = lambda nodes: jnp.asarray(nodes, dtype).reshape(-1, *[1] * dims)  # noqa: E731
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
    difference = finite_or_zero(noise(-distances)) - finite_or_zero(noise(distances))
    nodes = difference.ndim - dims - 1
    return jnp.sum(difference * weights.astype(difference.dtype)[(None,) * nodes], axis=nodes) / (2 * jnp.pi)
