"""Entropy and free energy of any state: what each bath produces, and which part relaxes with the state."""

import equinox as eqx
import jax.numpy as jnp

from qdbjax._checks import as_scalar
from qdbjax._repr import summary
from qdbjax._types import ArrayLike, Matrix, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import check_dense
from qdbjax.generators.generator import Generator, dissipator_matrix
from qdbjax.generators.jumps import PerBath, dressed_hamiltonian
from qdbjax.numerics.matrix import batched_matmul, dagger
from qdbjax.numerics.products import dot
from qdbjax.solvers.stationary import state_of
from qdbjax.states.entropy import Logarithm, logarithm, von_neumann_entropy
from qdbjax.states.state import State, StateLike
from qdbjax.thermodynamics.currents import heat_currents_of


class EntropyRates(eqx.Module):
    """Entropy per time in a state, in nats; see `entropy_rates`.

    production: σ >= 0.
    by_bath: σ_b (bath,), its parts, each >= 0.
    flow: J^Q_b/T_b (bath,), from each bath into the system.
    change: dS/dt = production + Σ flow.
    nonadiabatic, adiabatic: σ_na and σ_a, of sum σ.
    """

    production: Scalar
    by_bath: PerBath
    flow: PerBath
    change: Scalar
    nonadiabatic: Scalar
    adiabatic: Scalar

    def __repr__(self) -> str:
        names = ("production", "by_bath", "change", "nonadiabatic", "adiabatic")
        fields = {name.replace("_", " "): getattr(self, name) for name in names}
        return summary(self, self.production, fields, known={"baths": self.by_bath.shape[-1]})


def logarithm_of_state(generator: Generator, state: State) -> Logarithm:
    """ln ρ in the energy eigenbasis; eigenvalues of ρ below rounding count as 0."""
    rho = state.energy_density_matrix
    unit = jnp.eye(rho.shape[0], dtype=rho.dtype)
    # A stationary state of different levels is diagonal, each population right to 1e-12 of itself; eigh would return
    # its eigenvalues right to 1e-16 of the largest one only.
    plain = ~generator.spectrum.degenerate if state.within_levels else jnp.zeros((), bool)
    spread = jnp.diag(jnp.arange(rho.shape[0], dtype=rho.real.dtype)).astype(rho.dtype)
    found = logarithm(jnp.where(plain, spread, rho))
    return Logarithm(
        jnp.where(plain, state.populations, found.values),
        jnp.where(plain, unit, found.vectors),
        jnp.where(plain, 0.0 * unit, found.mixing),
    )


def _changes(generator: Generator, rho: Matrix) -> tuple[Matrix, list[Matrix]]:
    """-i[H + H_LS, ρ] and D_b(ρ) of each bath, in the energy eigenbasis."""
    spectrum, jumps = generator.spectrum, generator.jumps
    product = -1j * batched_matmul(dressed_hamiltonian(spectrum, jumps).astype(rho.dtype), rho)
    by_bath = []
    for pair in jumps.channels(spectrum):
        matrix = dissipator_matrix(*pair, spectrum)
        by_bath.append(dot(matrix, rho.reshape(-1)).reshape(rho.shape))
    return product + dagger(product), by_bath


def entropy_rates(
    generator: Generator, state: StateLike | None = None, steady: StateLike | None = None
) -> EntropyRates:
    """Entropy that each bath produces in any state, and its split into relaxation and upkeep.

    σ_b = -Tr[D_b(ρ) (ln ρ - ln ρ_b)] = -Tr[D_b(ρ) ln ρ] - J^Q_b/T_b >= 0
    σ = Σ_b σ_b = dS/dt - Σ_b J^Q_b/T_b
    σ_na = -Tr[L(ρ) (ln ρ - ln ρ_ss)] = -d/dt S(ρ(t)‖ρ_ss) >= 0,   σ_a = σ - σ_na

    with ρ_b the equilibrium with bath b; σ_na is the nonadiabatic part, σ_a the adiabatic one. σ_a >= 0 wherever ρ_ss
    is diagonal in energy, as for levels that are all different, whatever coherence ρ has; where ρ_ss has coherence
    between equal levels this is not proven (no exception among 6000 random machines).

    generator: of any kind, d <= 32.
    state: ρ, as for `heat_currents`; by default the stationary one.
    steady: ρ_ss, likewise; by default solved for.

    Returns EntropyRates, nats per time; dS/dt and J^Q_b/T_b of either sign. σ = inf in a pure state that evolves into
    a mixed one, and where heat flows into a bath at T = 0. NaN with a local-KMS field, and, for the split, where the
    stationary state is flagged. Raises ValueError for a matrix that is not a density matrix, and above d = 32.
    *Source:* H. Spohn, J. Math. Phys. 19, 1227 (1978); M. Esposito and C. Van den Broeck, Phys. Rev. Lett. 104, 090601
    (2010), for the split.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.thermodynamics.entropy_rates(generator).production), 5)
    0.00696
    """
    check_dense(generator.dimension, "entropy_rates")
    return _entropy_rates(generator, state_of(generator, state), state_of(generator, steady))


@jit_if_eager
def _entropy_rates(generator: Generator, state: State, steady: State) -> EntropyRates:
    unitary, by_bath = _changes(generator, state.energy_density_matrix)
    now, final = logarithm_of_state(generator, state), logarithm_of_state(generator, steady)
    changes = jnp.stack([-now.expectation(change) for change in by_bath])
    heat, cold = heat_currents_of(generator, state), generator.temperatures == 0
    flow = heat / jnp.where(cold, 1.0, generator.temperatures)
    flow = jnp.where(cold, jnp.where(heat < 0, -jnp.inf, 0.0), flow)
    parts = changes - flow
    cross = final.expectation(unitary + sum(by_bath[1:], by_bath[0]))  # Tr[L(ρ) ln ρ_ss]
    # The adiabatic part not as σ - σ_na: in a pure state both are infinite.
    change, adiabatic = jnp.sum(changes), -jnp.sum(flow) - cross
    return EntropyRates(jnp.sum(parts), parts, flow, change, change + cross, adiabatic)


def spohn_entropy_production(generator: Generator, state: StateLike, steady: StateLike | None = None) -> Scalar:
    """Spohn's entropy production against the stationary state.

    σ(ρ) = -Tr[L(ρ) (ln ρ - ln ρ_ss)] = -d/dt S(ρ(t)‖ρ_ss) >= 0: zero in the stationary state, however much flows
    through it; the nonadiabatic part of `entropy_rates`, and for one thermal bath all of it.

    generator: of any kind, d <= 32.
    state: ρ, as for `heat_currents`; None for the stationary one.
    steady: ρ_ss, likewise; by default solved for.

    Returns a scalar, nats per time; inf in a pure state that evolves into a mixed one, NaN where the stationary state
    is flagged. Raises ValueError for a matrix that is not a density matrix, and above d = 32.
    *Source:* H. Spohn, J. Math. Phys. 19, 1227 (1978).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.thermodynamics.spohn_entropy_production(generator, np.diag([0.5, 0.5]))), 4)
    0.0745
    """
    return entropy_rates(generator, state, steady).nonadiabatic


def free_energy(generator: Generator, state: StateLike, temperature: ArrayLike) -> Scalar:
    """Free energy of any state against a bath.

    F = ⟨H⟩ - T S(ρ) = F_eq + T S(ρ‖ρ_T), ρ_T the Gibbs state; F - F_eq is the largest work that a bath at T lets one
    take from the state.

    generator: of any kind; only its Hamiltonian enters.
    state: as for `heat_currents`; None for the stationary one.
    temperature: T >= 0 of the bath, energy, such as `generator.temperatures[0]`.

    Returns a scalar, energy. NaN where the state is flagged. Raises ValueError for a matrix that is not a density
    matrix, and for a negative temperature.
    *Source:* H. Hasegawa, J. Ishikawa, K. Takara, D. J. Driebe, Phys. Lett. A 374, 1001 (2010).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.thermodynamics.free_energy(generator, np.diag([0.5, 0.5]), 1.0)), 4)  # -ln 2
    -0.6931
    """
    temperature = as_scalar(temperature, "temperature", low=0)
    return _free_energy(generator, state_of(generator, state), temperature)


@jit_if_eager
def _free_energy(generator: Generator, state: State, temperature: Scalar) -> Scalar:
    rho = state.energy_density_matrix
    energy = jnp.real(jnp.sum(generator.spectrum.levels.astype(rho.dtype).T * rho))
    return energy - temperature.astype(energy.dtype) * von_neumann_entropy(rho)
