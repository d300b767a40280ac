"""Dynamical detailed balance: micro-currents that are constant, not zero, and the temperatures that levels show."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool, Float, RealVector, is_traced
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator
from qdbjax.numerics.markov import rate_matrix_vector
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike

Table = Float[Array, "bath to from"]


class DynamicalBalance(eqx.Module):
    """Micro-currents of populations, and whether they stand still.

    micro_currents (bath, m, n): J_b,mn = Γ_b(n→m)p_n - Γ_b(m→n)p_m, quanta per time, positive into the system on m > n.
    drift: their change per time; zero is dynamical detailed balance. from_lowest: the same currents rebuilt from those
    that reach the lowest level and its population alone. balance (m, n): Σ_b J_b,mn, which equilibrium makes vanish.
    """

    micro_currents: Table
    drift: Table
    from_lowest: Table
    balance: Float[Array, "to from"]

    def __repr__(self) -> str:
        if is_traced(self.balance) or np.ndim(self.balance) > 2:
            return f"DynamicalBalance({'traced' if is_traced(self.balance) else 'batch'})"
        largest = lambda x: float(np.abs(x).max())  # noqa: E731
        return (
            f"DynamicalBalance(micro-currents up to {largest(self.micro_currents):.3g}, drift "
            f"{largest(self.drift):.1e}, left when baths are added {largest(self.balance):.3g})"
        )


@jit_if_eager
def _dynamical(generator: Generator, p: RealVector) -> DynamicalBalance:
    rates = generator.rates
    net = lambda x: rates * x[None, None, :] - jnp.swapaxes(rates * x[None, None, :], 1, 2)  # noqa: E731
    currents = net(p)
    drift = net(rate_matrix_vector(generator.total_rates, p))
    lowest = jnp.argmin(generator.spectrum.energies)
    # Γ(m→0) p_m = Γ(0→m) p_0 - J_m0, (39) for the pairs with the lowest level, put into (39) for all others.
    down, up = jnp.take(rates, lowest, axis=1), jnp.take(rates, lowest, axis=2)
    reached = jnp.take(currents, lowest, axis=2)
    itself, ground = jnp.arange(p.shape[0]) == lowest, jnp.take(p, lowest)
    rebuilt = jnp.where(itself[None], ground, (up * ground - reached) / jnp.where(itself[None], 1.0, down))
    flows = rates * rebuilt[:, None, :]
    return DynamicalBalance(currents, drift, flows - jnp.swapaxes(flows, 1, 2), jnp.sum(currents, axis=0))


def dynamical_balance(generator: Generator, state: StateLike | None = None) -> DynamicalBalance:
    """Dynamical detailed balance: in a stationary state each micro-current is constant.

    (39) J_b,mn = Γ_b(n→m)p_n - Γ_b(m→n)p_m for every bath and pair of levels, of which those with the lowest level
    determine all others, (40); Σ_b J_b,mn is Tr[ρ P_n L(P_m)] - Tr[ρ L_B(P_n) P_m], (68b) and (70), the asymmetry
    under time reversal, zero in equilibrium. state: by default the stationary one; of any other, populations only.
    from_lowest is NaN where a bath does not reach the lowest level directly. Returns a DynamicalBalance.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (39), (40), (68b), (70), counted into the
    system.
    """
    found = state_of(generator, state)
    return _dynamical(generator, found.populations)


@jit_if_eager
def _level_temperatures(generator: Generator, p: RealVector) -> RealVector:
    energies = generator.spectrum.energies
    lowest = jnp.argmin(energies)
    gap = energies - jnp.take(energies, lowest)
    apart = ~jnp.take(generator.spectrum.same_level, lowest, axis=0)
    ratio = p / jnp.take(p, lowest)
    return jnp.where(apart, -jnp.log(jnp.where(apart, ratio, 1.0)) / jnp.where(apart, gap, 1.0), jnp.nan)


def effective_inverse_temperatures(generator: Generator, state: StateLike | None = None) -> RealVector:
    """Inverse temperature that each level shows against the lowest, β_S(m) = -ln(p_m/p_0)/(E_m - E_0).

    One number for all levels if and only if the state is Gibbs; negative for a level more populated than the lowest.
    NaN for the lowest level and its equals. Shape (level,), inverse energy.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (83) counted from the lowest level: as
    printed it changes with the zero of energy.
    """
    found = state_of(generator, state)
    return _level_temperatures(generator, found.populations)


class DominationBounds(eqx.Module):
    """Bounds of (45) on the ratio of the populations of each pair, upper level over lower, at [m, n] with E_m > E_n.

    ratio p_m/p_n, lower and upper bound (m, n), inside: whether the ratio lies between; NaN and False elsewhere.
    """

    ratio: Float[Array, "m n"]
    lower: Float[Array, "m n"]
    upper: Float[Array, "m n"]
    inside: Bool[Array, "m n"]


@jit_if_eager
def _bounds(generator: Generator, p: RealVector) -> DominationBounds:
    frequency = -generator.spectrum.frequencies  # E_m - E_n at [m, n]
    pair = (frequency > 0) & ~generator.spectrum.same_level
    above = frequency[None] - generator.chemical_potentials[:, None, None]
    weights = jnp.exp(-above / generator.temperatures[:, None, None])
    lower, upper, ratio = jnp.min(weights, axis=0), jnp.max(weights, axis=0), p[:, None] / p[None, :]
    slack = 64 * float(jnp.finfo(p.dtype).eps)
    inside = pair & (ratio >= lower * (1 - slack)) & (ratio <= upper * (1 + slack))
    only = lambda x: jnp.where(pair, x, jnp.nan)  # noqa: E731
    return DominationBounds(only(ratio), only(lower), only(upper), inside)


def domination_bounds(generator: Generator, state: StateLike | None = None) -> DominationBounds:
    """Gibbs domination: min_b e^{-β_b(ω - μ_b)} <= p_m/p_n <= max_b e^{-β_b(ω - μ_b)}, ω = E_m - E_n > 0.

    Holds for every pair on which the micro-currents of two baths run in opposite directions; a pair outside its bounds
    is fed around through other levels. state: by default the stationary one. Returns DominationBounds; one quantum a
    transition for fields. NaN for a local-KMS field.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (45).
    """
    found = state_of(generator, state)
    return _bounds(generator, found.populations)
