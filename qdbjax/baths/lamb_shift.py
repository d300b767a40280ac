"""The Lamb shift: the imaginary part of the half-sided Fourier transform of a bath's correlation function.

Γ_ab(ω) = ∫₀^∞ dt e^{iωt}⟨B_a†(t)B_b(0)⟩ = ½γ_ab(ω) + i s_ab(ω). With u the distance from the singularity,

    s_ab(ω) = P∫ dω' γ_ab(ω') / 2π(ω - ω') = (1/2π) ∫₀^∞ du [γ_ab(ω - u) - γ_ab(ω + u)]/u,

in which the singularity is gone without a limit to take, for every bath, temperature and sign of ω. Panels end where
the noise has a kink or a step (`landmarks`). Where two transitions share one jump operator, √γ(p + ν)√γ(q + ν) takes
the place of γ.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from qdbjax._types import Array, BoolMatrix, Float, Scalar
from qdbjax.baths.abstract import AbstractBath
from qdbjax.baths.noise_integrals import finite_or_zero, positive_scale
from qdbjax.numerics.principal_value import principal_value

Frequencies = Float[Array, "..."]


def lamb_matrix(bath: AbstractBath, frequency: Frequencies) -> Array:
    """Lamb shift of a bath, without counterterm.

    s_ab(ω) = P∫dω' γ_ab(ω')/2π(ω - ω')

    bath: of any kind, with k operators.
    frequency: ω of any sign and shape, energy.
    Returns s_ab (k, k, *shape of ω), energy. Beyond the end of its table a density is 0. What the integral is right to
    is told by `lamb_error`.
    """
    return _shifts(bath, frequency)[0]


def lamb_error(bath: AbstractBath, frequency: Frequencies) -> Scalar:
    """Estimated error of s_ab(ω), relative to ∫|γ(ω - u) - γ(ω + u)|du/2πu.

    The shifts of `universal_lindblad` are integrals over the same noise.

    bath: as for `lamb_matrix`.
    frequency: ω of any sign and shape, energy.
    Returns one number, the largest of all ω; inf if one integral diverges.
    """
    return _shifts(bath, frequency)[1]


def shared_lamb_shift(bath: AbstractBath, first: Frequencies, second: Frequencies) -> Array:
    """Lamb shift of two transitions that share one jump operator.

    F_a(p, q) = -P∫dν √γ_a(p + ν) √γ_a(q + ν)/2πν,   F_a(ω, ω) = s_aa(ω)

    bath: with k independent operators.
    first: p of any sign and shape, energy.
    second: q, likewise.
    Returns F_a (k, *shape of p and q), energy.
    *Source:* F. Nathan and M. S. Rudner, Phys. Rev. B 102, 115109 (2020), with p and q > 0 where the energy is lowered.
    """

    def product(points):
        roots = (finite_or_zero(noise_roots(bath.noises(each))) for each in points)
        return (next(roots) * next(roots),)

    return _integral(bath, product, jnp.stack([first, second]))[0]


def _shifts(bath: AbstractBath, frequency: Frequencies) -> tuple[Array, Scalar]:
    """s_ab(ω) (k, k, *shape of ω), and the largest relative error."""

    found = _integral(bath, lambda points: bath.noise_parts(points[0])[0], frequency[None])
    values, errors, sizes = (x.reshape(-1, 1, 1, *frequency.shape) for x in found)
    matrices = bath.noise_parts(jnp.ones((), frequency.dtype))[1]
    matrices = matrices.reshape(*matrices.shape, *[1] * frequency.ndim)
    shift = jnp.sum(matrices * values.astype(matrices.dtype), axis=0)
    total = jnp.sum(sizes, axis=0)
    return shift, jnp.max(jnp.where(total > 0, jnp.sum(errors, axis=0) / jnp.where(total > 0, total, 1.0), 0.0))


def _integral(bath: AbstractBath, function: Callable, poles: Array) -> tuple[Array, Array, Array]:
    deep = not bath.finite_at_zero
    return principal_value(function, poles, bath.landmarks, positive_scale(bath), deep=deep)


def noise_roots(noises: Sequence[Array]) -> Array:
    """√γ_a of each operator of a bath, with derivative 0 where γ = 0; inf and NaN stay what they are.

    noises: γ_a of k operators, each of one shape, inverse time.
    Returns (k, *shape of γ_a), root of inverse time.
    """
    noise = jnp.stack(noises)
    plain = (noise != 0) & jnp.isfinite(noise)
    return jnp.where(plain, jnp.sqrt(jnp.where(plain, noise, 1.0)), noise)


def value_and_slope_at_level(
    shift: Callable, bath: AbstractBath, frequency: Frequencies, level: BoolMatrix
) -> tuple[Array, Array]:
    """A shift and its derivative by ω, both taken at ω = 0 between two equal levels.

    A cutoff such as e^{-|ω|/ω_c} gives γ a kink at ω = 0 and the shift a term ω ln|ω|, whose slope there is infinite:
    0 is returned in its place.

    shift: function of frequencies, such as `lamb_matrix` of one bath.
    bath: over whose noise it integrates.
    frequency: ω of any sign and shape, energy.
    level: whether ω lies between two equal levels, in the shape of ω.
    Returns two arrays (..., *shape of ω), energy and without unit.
    """
    frequency = jnp.where(level, 0.0, frequency)
    value, slope = jax.jvp(shift, (frequency,), (jnp.ones_like(frequency),))
    step = 1e-12 * positive_scale(bath).astype(frequency.dtype)
    sides = jnp.stack([-step, step])
    noise, rise = jax.jvp(lambda x: finite_or_zero(bath.noise_matrix(x)), (sides,), (jnp.ones_like(sides),))
    kinked = _is_discontinuous(noise) | _is_discontinuous(finite_or_zero(rise))
    return value, jnp.where(level & kinked, 0.0, slope)


def _is_discontinuous(both: Array) -> Array:
    """Whether a table (..., [left, right]) differs between the two sides of a frequency."""
    return jnp.any(jnp.abs(both[..., 1] - both[..., 0]) > 1e-6 * jnp.max(jnp.abs(both)))
