"""Dynamical detailed balance: micro-currents that are constant, not zero, and effective temperatures of the levels."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._repr import number, summary
from qdbjax._types import Array, Bool, Float, RealVector
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.numerics.markov import rate_matrix_vector
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike

Table = Float[Array, "bath to from"]


class DynamicalBalance(eqx.Module):
    """Micro-currents of populations, and whether they are constant; see `dynamical_balance`.

    micro_currents: J_b,mn = Γ_b(n→m)p_n - Γ_b(m→n)p_m, (bath, m, n), quanta per time; positive into the system where
        E_m > E_n.
    drift: their change per time, (bath, m, n); zero is dynamical detailed balance.
    from_lowest: the same currents, (bath, m, n), rebuilt from those of the pairs with the lowest level and its
        population.
    balance: Σ_b J_b,mn, (m, n), zero in equilibrium.
    """

    micro_currents: Table
    drift: Table
    from_lowest: Table
    balance: Float[Array, "to from"]

    def __repr__(self) -> str:
        names = ("micro_currents", "drift", "balance")
        largest = lambda name: number(np.abs(getattr(self, name)).max(), 3)  # noqa: E731
        fields = {f"largest {name.replace('_', ' ')}": lambda name=name: largest(name) for name in names}
        return summary(self, self.balance, fields, rank=2)


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

    J_b,mn = Γ_b(n→m)p_n - Γ_b(m→n)p_m for every bath and pair of levels, (39), of which those with the lowest level
    determine all others, (40). Σ_b J_b,mn = Tr[ρ P_n L(P_m)] - Tr[ρ L_B(P_n) P_m], (68b) and (70), is the asymmetry
    under time reversal, zero in equilibrium.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one. Only its populations enter.

    Returns a DynamicalBalance, inverse time, drift inverse time squared; from_lowest is NaN where a bath does not
    connect a level with the lowest one directly, all is NaN where the state is flagged.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (39), (40), (68b), (70), counted into the
    system.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.balance.dynamical_balance(generator).micro_currents.max()), 5)
    0.00696
    """
    check_generator(generator)
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
    """Effective inverse temperature of each level against the lowest.

    β_S(m) = -ln(p_m/p_0)/(E_m - E_0): one number for all levels if and only if the populations are those of a Gibbs
    state; negative for a level more populated than the lowest.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one. Only its populations enter.

    Returns (level,), inverse energy; NaN for the lowest level and those degenerate with it, and where the state is
    flagged.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (83) counted from the lowest level: as
    printed it changes with the zero of energy.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.effective_inverse_temperatures(generator)[1:].round(4)
    Array([1.3106], dtype=float64)
    """
    found = state_of(generator, state)
    return _level_temperatures(generator, found.populations)


class DominationBounds(eqx.Module):
    """Bounds on the ratio of the populations of each pair, upper level over lower; see `domination_bounds`.

    ratio: p_m/p_n at [m, n] with E_m > E_n, NaN elsewhere.
    lower, upper: the bounds, (m, n), likewise.
    inside: whether the ratio lies between them, (m, n); False elsewhere.
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
    """Gibbs domination: bounds on the ratio of two populations by the Boltzmann factors of the baths.

    min_b e^{-β_b(ω - μ_b)} <= p_m/p_n <= max_b e^{-β_b(ω - μ_b)}, ω = E_m - E_n > 0, one quantum a transition for
    fields. Holds for every pair on which the micro-currents of two baths run in opposite directions; a pair outside its
    bounds is supplied through other levels.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one. Only its populations enter.

    Returns DominationBounds; the bounds are NaN for a local-KMS field, the ratios where the state is flagged.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (45).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> bounds = qdb.balance.domination_bounds(generator)
    >>> [round(float(x[1, 0]), 3) for x in (bounds.lower, bounds.ratio, bounds.upper)]  # e^{-2}, p_1/p_0, e^{-1}
    [0.135, 0.27, 0.368]
    """
    found = state_of(generator, state)
    return _bounds(generator, found.populations)
