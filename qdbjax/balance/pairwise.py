"""Detailed balance of the rates between levels, broken pair by pair.

Only rates and populations enter; coherences between degenerate levels are left out.
"""

import equinox as eqx
import jax.numpy as jnp

from qdbjax._repr import summary
from qdbjax._types import Array, Float, RealVector, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike

Pairs = Float[Array, "level level"]


def _exponents(generator: Generator) -> Float[Array, "bath level"]:
    """(E_n - μ_b N_n)/T_b, with the particle number of the system if it has one."""
    check_generator(generator)
    energies = generator.spectrum.energies
    weighed = jnp.broadcast_to(energies[None, :], (generator.temperatures.shape[0], energies.shape[0]))
    if generator.system.number is not None:
        framed = generator.spectrum.to_eigenbasis(jnp.asarray(generator.system.number))
        weighed = weighed - generator.chemical_potentials[:, None] * jnp.real(jnp.diagonal(framed))[None, :]
    return weighed / generator.temperatures[:, None]


@jit_if_eager
def violation_ratios(generator: Generator) -> Float[Array, "bath level level"]:
    """How far each pair of levels is from detailed balance.

    I_b(k, l) = a_kl e^{-βE_l} / (a_lk e^{-βE_k}), I(l, k) = 1/I(k, l): 1 where bath b obeys detailed balance with its
    own temperature, and where it does not connect k and l. A particle number of the system enters with the bath's
    chemical potential, E - μN for E.

    generator: of any kind.

    Returns (bath, k, l), without unit; NaN for a bath without a single temperature, inf where a transition has no way
    back.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (21)-(22).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.violation_ratios(generator)[0].round(4)
    Array([[1., 1.],
           [1., 1.]], dtype=float64)
    """
    exponents, rates = _exponents(generator), generator.rates
    back = jnp.swapaxes(rates, 1, 2)
    lifted = jnp.exp(exponents[:, :, None] - exponents[:, None, :])
    connected = (rates > 0) | (back > 0)
    forward = jnp.where(rates > 0, lifted * rates, 0.0)
    return jnp.where(connected, jnp.where(connected, forward, 1.0) / jnp.where(connected, back, 1.0), 1.0)


@jit_if_eager
def _currents(generator: Generator, populations: RealVector) -> Pairs:
    flows = generator.total_rates * populations[None, :]
    return flows - flows.T


def probability_currents(generator: Generator, state: StateLike | None = None) -> Pairs:
    """Net probability per time from level to level, all baths together.

    K_jk = a_jk p_k - a_kj p_j, from k to j; in equilibrium with one bath K_jk = a_kj p_j [I(j, k) - 1], persistent
    loops if detailed balance is broken.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one. Only its populations enter.

    Returns (level j, level k), antisymmetric, inverse time; in a stationary state its rows add up to zero, and the
    three currents of a three-level loop are one number. NaN where the state is flagged.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (26), (31).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.probability_currents(generator).shape
    (2, 2)
    """
    return _currents(generator, state_of(generator, state).populations)


def pair_energy_currents(generator: Generator, state: StateLike | None = None) -> Pairs:
    """Energy per time that each pair of levels takes in from the baths.

    J_jk = K_jk (E_j - E_k), K the `probability_currents`.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one. Only its populations enter.

    Returns (level, level), symmetric, energy per time, positive into the system; over pairs j > k it adds up to the
    energy current, which vanishes in a stationary state though its parts may not. NaN where the state is flagged.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (32), cyclic pairs.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.pair_energy_currents(generator).shape
    (2, 2)
    """
    return -probability_currents(generator, state) * generator.spectrum.frequencies


@jit_if_eager
def thermalization_conditions(generator: Generator) -> Pairs:
    """What equilibrium asks of rates that are not in detailed balance.

    C_kj = Σ_b a_jk [I_b(k, j) - 1]: Gibbs at the temperature of the baths is stationary if and only if every row adds
    up to zero. For three levels two rows say

        a_+0 [1 - I(0, +)] = a_-0 [I(0, -) - 1],   a_0+ [1 - 1/I(0, +)] = a_-+ [I(+, -) - 1].

    generator: of any kind; of baths at different temperatures each is compared with its own Gibbs state.

    Returns (level k, level j), inverse time; NaN with a bath without a single temperature.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (30a), (30b).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.thermalization_conditions(generator).shape
    (2, 2)
    """
    exponents, rates = _exponents(generator), generator.rates
    # a_jk I(k, j) = a_kj e^{β(E_k - E_j)}, also where a_jk = 0.
    lifted = jnp.where(rates > 0, rates * jnp.exp(exponents[:, :, None] - exponents[:, None, :]), 0.0)
    return jnp.sum(lifted - jnp.swapaxes(rates, 1, 2), axis=0)


class EntropySplit(eqx.Module):
    """Entropy production of a diagonal state and its two parts, nats per time: total = schnakenberg + violation.

    total: σ, the entropy production.
    schnakenberg: Σ_b Σ_{k>j} K_jk ln(a_jk p_k / a_kj p_j) >= 0, from rates and populations alone.
    violation: Σ_b Σ_{k>j} K_jk ln I_b(k, j), zero under detailed balance, negative in an equilibrium that breaks it.
    """

    total: Scalar
    schnakenberg: Scalar
    violation: Scalar

    def __repr__(self) -> str:
        return summary(self, self.total, {name: getattr(self, name) for name in ("total", "schnakenberg", "violation")})


@jit_if_eager
def _split(generator: Generator, p: RealVector) -> EntropySplit:
    exponents, rates = _exponents(generator), generator.rates
    flows = rates * p[None, None, :]
    back = jnp.swapaxes(flows, 1, 2)
    currents = flows - back
    logarithm = lambda x: jnp.log(jnp.where(x > 0, x, 1.0))  # noqa: E731
    one_way = (flows > 0) != (back > 0)
    ratio = jnp.where(one_way, jnp.where(flows > 0, jnp.inf, -jnp.inf), logarithm(flows) - logarithm(back))
    forces = logarithm(p)[None, None, :] - logarithm(p)[None, :, None]
    forces = forces + exponents[:, None, :] - exponents[:, :, None]
    # Every pair appears twice: current and force both change sign with the order.
    over_pairs = lambda force: 0.5 * jnp.sum(jnp.where(currents == 0, 0.0, currents * force))  # noqa: E731
    total, schnakenberg = over_pairs(forces), over_pairs(ratio)
    return EntropySplit(total, schnakenberg, total - schnakenberg)


def entropy_split(generator: Generator, state: StateLike | None = None) -> EntropySplit:
    """Entropy production of populations, split into Schnakenberg's part and that of broken detailed balance.

    σ = Σ_b Σ_{k>j} K_jk [ln(a_jk p_k / a_kj p_j) + ln I_b(k, j)], each bath b with its own rates, currents and ratios.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one. Only its populations enter.

    Returns an EntropySplit, nats per time; its total is `entropy_production` for populations (dS/dt included).
    Schnakenberg's part is inf where a transition has no way back. NaN where the state is flagged or a bath has no
    single temperature.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (25)-(27); J.
    Schnakenberg, Rev. Mod. Phys. 48, 571 (1976).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.balance.entropy_split(generator).total), 5)
    0.00696
    """
    return _split(generator, state_of(generator, state).populations)
