"""Detailed balance of the rates between levels, broken pair by pair.

Everything here reads rates and populations; coherences between degenerate levels are not asked for.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, RealVector, Scalar, is_traced
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike

Pairs = Float[Array, "level level"]


def _exponents(generator: Generator) -> Float[Array, "bath level"]:
    """(E_n - μ_b N_n)/T_b, with the particle number of the system if it has one."""
    energies = generator.spectrum.energies
    weighed = jnp.broadcast_to(energies[None, :], (generator.temperatures.shape[0], energies.shape[0]))
    if generator.system.number is not None:
        framed = generator.spectrum.to_eigenbasis(jnp.asarray(generator.system.number))
        weighed = weighed - generator.chemical_potentials[:, None] * jnp.real(jnp.diagonal(framed))[None, :]
    return weighed / generator.temperatures[:, None]


@jit_if_eager
def violation_ratios(generator: Generator) -> Float[Array, "bath level level"]:
    """How far each pair of levels is from detailed balance, I(k, l) = a_kl e^{-βE_l} / (a_lk e^{-βE_k}).

    1 where the bath obeys detailed balance with its own temperature, and where it connects k and l neither way;
    I(l, k) = 1/I(k, l). A particle number of the system enters with the bath's chemical potential, E - μN for E.
    generator: of any kind. Shape (bath, k, l); NaN for a bath without a single temperature.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (21)-(22).
    """
    exponents, rates = _exponents(generator), generator.rates
    back = jnp.swapaxes(rates, 1, 2)
    lifted = jnp.exp(exponents[:, :, None] - exponents[:, None, :])
    some = (rates > 0) | (back > 0)
    there = jnp.where(rates > 0, lifted * rates, 0.0)
    return jnp.where(some, jnp.where(some, there, 1.0) / jnp.where(some, back, 1.0), 1.0)


@jit_if_eager
def _currents(generator: Generator, populations: RealVector) -> Pairs:
    flows = generator.total_rates * populations[None, :]
    return flows - flows.T


def probability_currents(generator: Generator, state: StateLike | None = None) -> Pairs:
    """Net probability per time from level k to level j, K_jk = a_jk p_k - a_kj p_j, all baths together.

    In equilibrium with one bath K_jk = a_kj p_j [I(j, k) - 1]: persistent loops, if detailed balance is broken.

    generator: of any kind.
    state: a SteadyState or any density matrix (d, d); by default the stationary state.

    Shape (level, level), antisymmetric, inverse time; in a stationary state its rows add up to zero, and the three
    currents of a three-level loop are one number.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (26), (31).
    """
    return _currents(generator, state_of(generator, state).populations)


def pair_energy_currents(generator: Generator, state: StateLike | None = None) -> Pairs:
    """Energy per time that each pair of levels takes in from the baths, J_jk = K_jk (E_j - E_k).

    Arguments as for `probability_currents`. Shape (level, level), symmetric, positive into the system; over pairs j > k
    it adds up to the energy current, which vanishes in a stationary state though its parts may not.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (32), cyclic pairs.
    """
    return -probability_currents(generator, state) * generator.spectrum.frequencies


@jit_if_eager
def thermalization_conditions(generator: Generator) -> Pairs:
    """What equilibrium asks of rates that are not in detailed balance, C_kj = Σ_b a_jk [I(k, j) - 1].

    Gibbs at the temperature of the baths is stationary if and only if every row adds up to zero. For three levels two
    rows say a_+0 [1 - I(0, +)] = a_-0 [I(0, -) - 1] and a_0+ [1 - 1/I(0, +)] = a_-+ [I(+, -) - 1].
    generator: of any kind; baths at different temperatures are each held to their own. Shape (level k, level j),
    inverse time.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (30a), (30b).
    """
    exponents, rates = _exponents(generator), generator.rates
    # a_jk I(k, j) = a_kj e^{β(E_k - E_j)}, also where a_jk = 0.
    lifted = jnp.where(rates > 0, rates * jnp.exp(exponents[:, :, None] - exponents[:, None, :]), 0.0)
    return jnp.sum(lifted - jnp.swapaxes(rates, 1, 2), axis=0)


class EntropySplit(eqx.Module):
    """Entropy production of a diagonal state and its two parts, per time: total = schnakenberg + violation.

    schnakenberg: Σ_b Σ_{k>j} K_jk ln(a_jk p_k / a_kj p_j) >= 0, what the rates alone tell. violation: Σ_b Σ_{k>j} K_jk
    ln I_b(k, j), which is zero under detailed balance and negative in an equilibrium that breaks it.
    """

    total: Scalar
    schnakenberg: Scalar
    violation: Scalar

    def __repr__(self) -> str:
        if is_traced(self.total) or np.ndim(self.total):
            return f"EntropySplit({'traced' if is_traced(self.total) else f'batch={np.shape(self.total)}'})"
        parts = f"schnakenberg={float(self.schnakenberg):.6g}, violation={float(self.violation):.6g}"
        return f"EntropySplit(total={float(self.total):.6g}, {parts})"


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
    met = lambda force: 0.5 * jnp.sum(jnp.where(currents == 0, 0.0, currents * force))  # noqa: E731
    total, schnakenberg = met(forces), met(ratio)
    return EntropySplit(total, schnakenberg, total - schnakenberg)


def entropy_split(generator: Generator, state: StateLike | None = None) -> EntropySplit:
    """Entropy production of populations, split into Schnakenberg's and what broken detailed balance takes off.

    σ = Σ_b Σ_{k>j} K_jk [ln(a_jk p_k / a_kj p_j) + ln I_b(k, j)], each bath b with its own rates, currents and ratios.
    Arguments as for `probability_currents`. Returns an EntropySplit; its total is `entropy_production` for populations
    (dS/dt included). inf where a transition has no way back.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (25)-(27); J.
    Schnakenberg, Rev. Mod. Phys. 48, 571 (1976).
    """
    return _split(generator, state_of(generator, state).populations)
