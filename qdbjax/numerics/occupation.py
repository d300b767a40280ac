"""Bose and Fermi factors finite in value and gradient for every temperature, 0 and ∞ included.

Everything rests on h(x) = x/(eˣ - 1), whose power series covers the point where numerator and denominator vanish and
whose form with e⁻ˣ covers the point where eˣ overflows (the gradient of 1/expm1(x) is NaN beyond x = 710).
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Float

# Bernoulli numbers over factorials: h(x) = 1 - x/2 + Σ B_2k x^2k/(2k)!; relative error below 1e-16 for |x| <= 0.7.
_SERIES = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
)
_SLOPES = tuple(2 * (k + 1) * coefficient for k, coefficient in enumerate(_SERIES))


def _two_sides(x: Array) -> tuple[Array, Array, Array]:
    """Where the series holds, its argument, and that of the form with e⁻ˣ."""
    near = x < 0.7
    return near, jnp.where(near, x, 0.0), jnp.where(near, 1.0, x)


def _horner(coefficients: tuple[float, ...], square: Array) -> Array:
    total = jnp.full_like(square, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * square + coefficient
    return total


@jax.custom_jvp
def _bose_even(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """h(x) = x/(eˣ - 1) for x >= 0."""
    near, small, large = _two_sides(x)
    square, decay = small * small, jnp.exp(-large)
    return jnp.where(near, 1 - small / 2 + square * _horner(_SERIES, square), large * decay / (1 - decay))


@_bose_even.defjvp
def _bose_even_jvp(primals, tangents):
    """h' by its own series, and e⁻ˣ(1 - x - e⁻ˣ)/(1 - e⁻ˣ)²: half of what comes of differentiating the series of h."""
    (x,), (change,) = primals, tangents
    near, small, large = _two_sides(x)
    decay = jnp.exp(-large)
    inner = -0.5 + small * _horner(_SLOPES, small * small)
    slope = jnp.where(near, inner, decay * (1 - large - decay) / ((1 - decay) * (1 - decay)))
    return _bose_even(x), slope * change


def magnitude(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """|x| with derivative 0 at x = 0, the mean of its two sides; `jnp.abs` has derivative 1 there."""
    return jnp.where(x == 0, 0.0, jnp.abs(x))


def thermal_energy(frequency: Float[Array, "..."], temperature: Float[Array, "..."]) -> Float[Array, "..."]:
    """|ω| n(|ω|) = T h(|ω|/T), the mean thermal energy of a mode; T at ω = 0, exactly 0 at T = 0. Even in ω."""
    size = magnitude(frequency)
    cold = temperature == 0
    safe = jnp.where(cold, 1.0, temperature)
    return jnp.where(cold, 0.0, safe * _bose_even(jnp.minimum(size / safe, 1e4)))


def bose(frequency: Float[Array, "..."], temperature: Float[Array, "..."]) -> Float[Array, "..."]:
    """Bose occupation n(ω) = 1/(e^{ω/T} - 1); n(-ω) = -1 - n(ω). T = 0 gives 0 (ω > 0) and -1 (ω < 0); inf at ω = 0."""
    zero = frequency == 0
    safe = jnp.where(zero, 1.0, frequency)
    occupation = thermal_energy(safe, temperature) / jnp.abs(safe)
    return jnp.where(zero, jnp.inf, jnp.where(safe < 0, -1.0 - occupation, occupation))


def fermi(energy: Float[Array, "..."], temperature: Float[Array, "..."]) -> Float[Array, "..."]:
    """Fermi occupation f(ε) = 1/(e^{ε/T} + 1), ε from the chemical potential; a step at T = 0 (½ at ε = 0).

    Negative and infinite temperatures are allowed: levels of finite number have both.
    """
    cold = temperature == 0
    safe = jnp.where(cold, 1.0, temperature)
    step = jnp.where(energy == 0, 0.5, jnp.where(energy < 0, 1.0, 0.0))
    return jnp.where(cold, step, jax.nn.sigmoid(-energy / safe))
