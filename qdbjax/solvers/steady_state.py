"""The stationary state of a generator, with its residual, kernel dimension and status."""

import abc

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, explain, is_fatal, raise_flag, record
from qdbjax._types import Array, Float, Matrix, RealVector, Scalar, StatusCode, compiled_when_eager, is_traced
from qdbjax.generators.generator import Generator
from qdbjax.numerics import gth
from qdbjax.solvers import zero_block
from qdbjax.numerics.small import in_frame
from qdbjax.solvers.hermitian import Packed, unpack
from qdbjax.systems import Spectrum

RESIDUAL = 1e5  # a residual above this many eps of the largest rate raises a flag


class SteadyState(eqx.Module):
    """A stationary state: L(ρ) = 0, Tr ρ = 1.

    state (d, d): ρ in the energy eigenbasis as d² reals (`qdbjax.solvers.hermitian`). residual: largest entry of L(ρ)
    within the ω = 0 block over the largest rate. kernel_dimension: number of independent stationary states, 1 when
    the answer is unique. status: 0 or flags (`explain`); NaN stands where a flag forbids using the numbers.
    """

    state: Float[Array, "d d"]
    residual: Scalar
    kernel_dimension: Scalar
    status: StatusCode
    spectrum: Spectrum

    @property
    def populations(self) -> RealVector:
        """Populations p_n of the energy levels, (d,); level n is column n of the eigenbasis."""
        return jnp.diagonal(self.state)

    @property
    def energy_density_matrix(self) -> Matrix:
        """ρ in the energy eigenbasis, (d, d) complex."""
        return unpack(self.state)

    @property
    def density_matrix(self) -> Matrix:
        """ρ in the basis of the Hamiltonian, (d, d) complex."""
        rho = self.energy_density_matrix
        return in_frame(self.spectrum.basis.astype(rho.dtype).conj().T, rho)

    def __repr__(self) -> str:
        if is_traced(self.state):
            return f"SteadyState(dimension={self.state.shape[-1]}, traced)"
        if self.state.ndim > 2:
            return f"SteadyState(batch={self.state.shape[:-2]}, dimension={self.state.shape[-1]})"
        levels = np.array2string(np.asarray(self.populations), precision=6, suppress_small=False, threshold=8)
        return (
            f"SteadyState(populations={levels}, residual={float(self.residual):.1e}, "
            f"kernel dimension={int(self.kernel_dimension) if np.isfinite(self.kernel_dimension) else '?'}, "
            f"status={explain(self.status)})"
        )


class AbstractSolver(eqx.Module):
    """A way to the stationary state."""

    @abc.abstractmethod
    def solve(self, generator: Generator) -> tuple[Packed, Scalar, Scalar]:
        """ρ as d² reals in the energy eigenbasis, kernel dimension, and residual in units of the largest rate."""


class Auto(AbstractSolver):
    """Populations where the spectrum is non-degenerate, the ω = 0 block where it is not, decided cell by cell.

    A batch without a special cell runs the population solver alone; in a batch with some, only those cells pay for
    the block.
    """

    def solve(self, generator: Generator) -> tuple[Packed, Scalar, Scalar]:
        """See AbstractSolver."""
        rates = generator.total_rates
        degenerate = generator.spectrum.degenerate & jnp.all(jnp.isfinite(rates))
        stuck = ~jnp.all(gth.pivots(jax.lax.stop_gradient(rates)) > 0)

        def plain():
            populations = gth.stationary(rates)
            return jnp.diag(populations), jnp.ones((), rates.dtype), _residual(rates, populations)

        def careful():
            simple = Populations().solve(generator)
            block = zero_block.solve(generator, degenerate)
            return jax.tree.map(lambda x, y: jnp.where(degenerate, x, y), block, simple)

        return jax.lax.cond(eqxi.unvmap_any(degenerate | stuck), careful, plain)


class Populations(AbstractSolver):
    """The d x d rate matrix alone, for any graph; right for a spectrum without degenerate levels."""

    def solve(self, generator: Generator) -> tuple[Packed, Scalar, Scalar]:
        """See AbstractSolver."""
        rates = generator.total_rates
        value = jax.lax.stop_gradient(rates)
        recurrent, classes = gth.recurrent_classes(value > 0)
        # The elimination must end in a recurrent state; the one that is left most slowly is among the most populated.
        root = jnp.argmin(jnp.where(recurrent, jnp.sum(gth.off_diagonal(value), axis=0), jnp.inf))
        populations = gth.stationary_from(rates, root)
        return jnp.diag(populations), classes.astype(rates.dtype), _residual(rates, populations)


class ZeroFrequencyBlock(AbstractSolver):
    """Populations and the coherences inside clusters of equal levels, for every cell; cost d⁶ a cell."""

    def solve(self, generator: Generator) -> tuple[Packed, Scalar, Scalar]:
        """See AbstractSolver."""
        return zero_block.solve(generator, jnp.ones((), bool))


class Dense(AbstractSolver):
    """Kernel of the full d² x d² Liouvillian by singular values: small systems, tests, non-secular generators."""

    def solve(self, generator: Generator) -> tuple[Packed, Scalar, Scalar]:
        """See AbstractSolver."""
        return zero_block.solve_dense(generator)


def _residual(rates: Float[Array, "d d"], populations: RealVector) -> Scalar:
    scale = jnp.max(rates)
    return jnp.max(jnp.abs(gth.generator_action(rates, populations))) / jnp.where(scale > 0, scale, 1.0)


@compiled_when_eager
def _steady_state(generator: Generator, solver: AbstractSolver) -> SteadyState:
    state, kernel, residual = solver.solve(generator)
    kernel, residual = jax.lax.stop_gradient((kernel, residual))
    eps = float(jnp.finfo(state.dtype).eps)
    status = generator.status | raise_flag(kernel > 1, Status.NONUNIQUE)
    status = status | raise_flag(residual > RESIDUAL * eps, Status.LARGE_RESIDUAL)
    status = status | raise_flag(generator.spectrum.smallest_spacing < generator.scale, Status.NEAR_DEGENERATE)
    state = jnp.where(is_fatal(status), jnp.nan, state)
    return SteadyState(state, residual, kernel, status, generator.spectrum)


def steady_state(generator: Generator, solver: AbstractSolver | None = None, *, throw: bool = False) -> SteadyState:
    """Stationary state of a generator, L(ρ) = 0 with Tr ρ = 1.

    Non-degenerate levels: W p = 0, each population right to 1e-12 of itself. Degenerate levels: the whole ω = 0 block.
    solver: `Auto()` by default; `Populations()`, `ZeroFrequencyBlock()`, `Dense()`.
    Returns a SteadyState; jit, vmap, forward and reverse mode. Where the state is not unique, or the input not finite or
    not physical, its values are NaN and its status says why; with throw=True a scalar call raises ValueError instead.
    *Source:* W. K. Grassmann et al., Oper. Res. 33, 1107 (1985) for the populations; PHYSICS §3 for the block.
    """
    result = _steady_state(generator, Auto() if solver is None else solver)
    record(result.status)
    if throw:
        if is_traced(result.status):
            raise ValueError("throw=True needs a call outside jit and vmap; inside, look at the status of the result.")
        if np.any(np.asarray(result.status) & ~int(Status.NEAR_DEGENERATE)):
            raise ValueError(explain(result.status))
    return result
