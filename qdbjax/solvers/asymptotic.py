"""The long-time limit of an initial state, also where the stationary state is not unique."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp

from qdbjax._labels import named
from qdbjax._repr import summary
from qdbjax._status import Status, explain, is_fatal, raise_flag, record
from qdbjax._types import ArrayLike, Matrix, RealVector, Scalar, StatusCode
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import check_dense, whole_block
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.numerics.hermitian import pack, unpack
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.nullspace import kernel_tolerance, nullspace_projector
from qdbjax.numerics.products import dot
from qdbjax.solvers.stationary import steady_state
from qdbjax.states.state import State, density_matrix


class AsymptoticState(eqx.Module):
    """The stationary part of an initial state: lim e^{tL}ρ₀, undamped oscillations averaged out.

    state: populations (d,) of the energy levels, and coherences (d, d) between levels of one energy (State).
    kernel_dimension: number of stationary states.
    status: 0 or flags (`explain`); NaN stands where a flag forbids using the numbers.
    """

    state: State
    kernel_dimension: Scalar
    status: StatusCode

    @property
    def populations(self) -> RealVector:
        """Populations of the energy levels, (d,)."""
        return named(self.state.populations, ("level",))

    @property
    def coherences(self) -> Matrix:
        """ρ_mn between levels of one energy in the energy eigenbasis, (d, d) complex with zero diagonal."""
        return self.state.coherences

    @property
    def energy_density_matrix(self) -> Matrix:
        """ρ∞ in the energy eigenbasis, (d, d) complex."""
        return self.state.energy_density_matrix

    @property
    def density_matrix(self) -> Matrix:
        """ρ∞ in the basis of the Hamiltonian, (d, d)."""
        return self.state.density_matrix

    def __repr__(self) -> str:
        fields = {
            "populations": self.populations,
            "kernel dimension": lambda: f"{round(float(self.kernel_dimension))}",
            "status": lambda: explain(self.status),
        }
        return summary(self, self.populations, fields, rank=1, known={"dimension": self.populations.shape[-1]})


@jit_if_eager
def _asymptotic(generator: Generator, rho: Matrix) -> AsymptoticState:
    block = whole_block(generator.spectrum, generator.jumps)
    d = generator.dimension
    same = jnp.real(block.same)
    # Coherences outside the block decay or oscillate; -ρ keeps them out of the kernel.
    matrix = block.matrix() - generator.fastest_rate * jnp.diag(1 - same.reshape(-1))
    projector = nullspace_projector(matrix, kernel_tolerance(generator.rates.dtype))
    start = generator.spectrum.to_eigenbasis(rho)
    final = dot(projector, (pack(start) * same).reshape(-1)).reshape(d, d)
    steady = steady_state(generator)
    # A unique stationary state is where every initial state ends, however weak the links that make it so.
    unique = steady.status & int(Status.NONUNIQUE) == 0
    kernel = jnp.where(unique, steady.kernel_dimension, jnp.round(jnp.trace(projector)))
    status = steady.status & ~int(Status.NONUNIQUE)
    status = status | raise_flag(~jnp.all(jnp.isfinite(rho)), Status.NONFINITE_INPUT)
    lost = is_fatal(status)
    hide = lambda x: jnp.where(lost, jnp.full_like(x, jnp.nan), x)  # noqa: E731
    populations = jnp.where(unique, steady.populations, jnp.diagonal(final))
    coherences = jnp.where(unique, steady.coherences, unpack(off_diagonal(final)))
    return AsymptoticState(State(hide(populations), hide(coherences), None, within_levels=True), kernel, status)


def asymptotic_state(generator: Generator, rho0: ArrayLike) -> AsymptoticState:
    """The state that ρ₀ relaxes to, also where stationary states are many (dark states, conserved parity).

    ρ∞ = P ρ₀,   P the projector on the kernel of L along its range

    generator: of dimension d <= 32.
    rho0: density matrix (d, d), a state that holds one, or ket (d,), in the basis of the Hamiltonian.

    Returns an AsymptoticState; undamped oscillations are averaged out. Differentiable in the generator as long as the
    number of stationary states does not change. Raises ValueError for a wrong shape, a trace other than 1, a negative
    eigenvalue, and above d = 32, where the ω = 0 block would be too large.
    *Source:* V. V. Albert and L. Jiang, Phys. Rev. A 89, 022118 (2014), conserved quantities of Lindblad generators.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.asymptotic_state(generator, [1.0, 0.0]).populations.round(4)
    Array([0.7876, 0.2124], dtype=float64)
    """
    check_generator(generator)
    d = generator.dimension
    check_dense(d, "asymptotic_state")
    rho = density_matrix(rho0, d)
    found = _asymptotic(generator, rho)
    record(found.status)
    return dataclasses.replace(found, state=dataclasses.replace(found.state, spectrum=generator.spectrum))
