"""The damped harmonic oscillator in equilibrium, at any damping: variances and mean force in closed form."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_scalar
from qdbjax._repr import summary
from qdbjax._types import Array, ArrayLike, Float, Scalar
from qdbjax.baths.temperature import positive_temperature
from qdbjax.compilation.eager import jit_if_eager

FREQUENCY_TERMS = 16  # Matsubara terms summed one by one
FREQUENCY_OCTAVES = 120  # the tail's integral, from the last of them on
# Euler and Maclaurin: B_2k/2k; the poles lie FREQUENCY_TERMS or more steps away: the next term is below 1e-19 of one.
_BERNOULLI = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)
_X, _W = np.polynomial.legendre.leggauss(16)


class DampedOscillator(eqx.Module):
    """Equilibrium of a damped oscillator, H* = p²/2M* + M*Ω*²x²/2 up to a constant.

    position_variance: ⟨x²⟩.
    momentum_variance: ⟨p²⟩.
    frequency: Ω*, energy, from coth(Ω*/2T) = 2√(⟨x²⟩⟨p²⟩).
    mass: M*, from M*Ω* = √(⟨p²⟩/⟨x²⟩).
    """

    position_variance: Scalar
    momentum_variance: Scalar
    frequency: Scalar
    mass: Scalar

    def __repr__(self) -> str:
        names = ("position_variance", "momentum_variance", "frequency", "mass")
        return summary(self, self.frequency, {name: getattr(self, name) for name in names})


def damped_oscillator(
    frequency: ArrayLike,
    *,
    damping: ArrayLike,
    cutoff: ArrayLike,
    temperature: ArrayLike | None = None,
    inverse_temperature: ArrayLike | None = None,
    mass: ArrayLike = 1.0,
) -> DampedOscillator:
    """Damped harmonic oscillator (Caldeira-Leggett, with counterterm) in equilibrium with a Drude bath.

    ⟨x²⟩ = (T/M) Σ_n 1/(ω₀² + ν_n² + |ν_n|γ̂),   ⟨p²⟩ = MT Σ_n (ω₀² + |ν_n|γ̂)/(ω₀² + ν_n² + |ν_n|γ̂)

    with n from -∞ to ∞, ν_n = 2πnT, γ̂ = γω_D/(ω_D + |ν_n|): coupling x, J(ω) = Mγωω_D²/π(ω² + ω_D²). The sums are those
    of digamma functions of the roots of a cubic; summed as they stand (Euler and Maclaurin) they need no roots, which
    may be complex or equal, and no cancellation: 1e-13.

    frequency: ω₀ > 0, energy.
    damping: γ >= 0, energy.
    cutoff: ω_D > 0, energy; finite, as ⟨p²⟩ grows with its logarithm.
    temperature: T > 0, energy (k_B = 1); give this or inverse_temperature.
    inverse_temperature: 1/T > 0.
    mass: M > 0.
    Returns a DampedOscillator, differentiable in all of them. Its frequency and mass lose digits where ⟨x²⟩⟨p²⟩ is ¼
    to rounding (γ → 0 and ω₀ > 20 T). Raises ValueError outside these ranges, and for both or neither temperature.
    *Source:* H. Grabert, U. Weiss and P. Talkner, Z. Phys. B 55, 87 (1984); S. Hilt, B. Thomas and E. Lutz,
    Phys. Rev. E 84, 031110 (2011).

    >>> found = qdb.states.damped_oscillator(1.0, damping=0.1, cutoff=10.0, temperature=1.0)
    >>> round(float(found.position_variance), 4)
    1.0814
    """
    positive = {"frequency": frequency, "cutoff": cutoff, "mass": mass}
    checked = {name: as_scalar(value, name, low=0, strict=True) for name, value in positive.items()}
    checked["temperature"] = positive_temperature(temperature, inverse_temperature)
    return _damped_oscillator(damping=as_scalar(damping, "damping", low=0), **checked)


@jit_if_eager
def _damped_oscillator(
    frequency: Scalar, damping: Scalar, cutoff: Scalar, temperature: Scalar, mass: Scalar
) -> DampedOscillator:
    stiffness, pull = frequency * frequency, damping * cutoff
    # At ν >= 0 both terms are a polynomial over ν³ + ω_D ν² + (ω₀² + γω_D)ν + ω₀²ω_D.
    bottom = [stiffness * cutoff, stiffness + pull, cutoff, jnp.ones_like(cutoff)]
    position = _matsubara([cutoff, jnp.ones_like(cutoff)], bottom, 2 * jnp.pi * temperature)
    momentum = _matsubara([stiffness * cutoff, stiffness + pull], bottom, 2 * jnp.pi * temperature)
    x2 = temperature / mass * (1 / stiffness + 2 * position)
    p2 = mass * temperature * (1 + 2 * momentum)
    uncertainty = jnp.sqrt(x2 * p2)
    dressed_frequency = temperature * jnp.log1p(2 / (2 * uncertainty - 1))
    return DampedOscillator(x2, p2, dressed_frequency, jnp.sqrt(p2 / x2) / dressed_frequency)


def _value(coefficients: list[Scalar], x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    total = jnp.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def _matsubara(top: list[Scalar], bottom: list[Scalar], spacing: Scalar) -> Scalar:
    """Σ_{n>=1} top(nh)/bottom(nh), polynomials by rising power, the bottom two degrees higher, h the spacing."""

    def term(x):
        return _value(top, x) / _value(bottom, x)

    head = jnp.sum(term(spacing * jnp.arange(1.0, FREQUENCY_TERMS, dtype=spacing.dtype)))
    start = FREQUENCY_TERMS * spacing
    # Poles are at Re ν < 0: on a panel from a to 2a the integrand is a polynomial of low degree.
    left = start * jnp.asarray(2.0 ** np.arange(FREQUENCY_OCTAVES), spacing.dtype)
    nodes = left[:, None] * jnp.asarray(1.5 + 0.5 * _X, spacing.dtype)[None]
    tail = jnp.sum(0.5 * left[:, None] * jnp.asarray(_W, spacing.dtype)[None] * term(nodes))
    series = _quotient(_around(top, start, spacing), _around(bottom, start, spacing), 2 * len(_BERNOULLI))
    correction = sum(weight * series[2 * k + 1] for k, weight in enumerate(_BERNOULLI))
    return head + tail / spacing + 0.5 * series[0] - correction


def _around(coefficients: list[Scalar], start: Scalar, step: Scalar) -> list[Scalar]:
    """Coefficients of the polynomial in s, at start + step·s."""
    expansion = [jnp.zeros_like(start)] * len(coefficients)
    for coefficient in reversed(coefficients):
        lower = [jnp.zeros_like(start), *expansion[:-1]]
        expansion = [start * a + step * b for a, b in zip(expansion, lower, strict=True)]
        expansion[0] = expansion[0] + coefficient
    return expansion


def _quotient(top: list[Scalar], bottom: list[Scalar], count: int) -> list[Scalar]:
    """Coefficients of the power series of a quotient of polynomials."""
    ratio: list[Scalar] = []
    for n in range(count):
        rest = top[n] if n < len(top) else jnp.zeros_like(bottom[0])
        for k in range(1, min(n, len(bottom) - 1) + 1):
            rest = rest - bottom[k] * ratio[n - k]
        ratio.append(rest / bottom[0])
    return ratio
