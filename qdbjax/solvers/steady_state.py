"""The stationary state of a generator, with its residual, kernel dimension and status."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, explain, is_fatal, raise_flag, record
from qdbjax._types import Array, Float, Matrix, RealVector, Scalar, StatusCode, is_traced
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import AbstractJumps, Generator
from qdbjax.numerics import gth
from qdbjax.numerics.cells import where_asked
from qdbjax.numerics.small import entrywise, every, in_frame, largest
from qdbjax.solvers import zero_block
from qdbjax.solvers.hermitian import Packed, unpack
from qdbjax.solvers.zero_block import Solution
from qdbjax.systems import Spectrum

RESIDUAL = 1e5  # a residual above this many eps of the largest rate raises a flag


class SteadyState(eqx.Module):
    """A stationary state: L(ρ) = 0, Tr ρ = 1.

    populations (d,): p_n of the energy levels; level n is column n of the eigenbasis. coherences (d, d): ρ_mn between
    levels of one cluster in the energy eigenbasis, real parts above and imaginary parts below the diagonal; zero for a
    non-degenerate spectrum. residual: largest entry of L(ρ) in the ω = 0 block over the largest rate.
    kernel_dimension: number of independent stationary states, 1 when the answer is unique. status: 0 or flags
    (`explain`); NaN stands where a flag forbids using the numbers.
    """

    populations: RealVector
    coherences: Packed
    residual: Scalar
    kernel_dimension: Scalar
    status: StatusCode
    spectrum: Spectrum

    @property
    @jit_if_eager
    def energy_density_matrix(self) -> Matrix:
        """ρ in the energy eigenbasis, (d, d) complex."""
        return unpack(self.coherences + jnp.diag(self.populations))

    @property
    @jit_if_eager
    def density_matrix(self) -> Matrix:
        """ρ in the basis of the Hamiltonian, (d, d) complex."""
        rho = self.energy_density_matrix
        return in_frame(jnp.asarray(self.spectrum.basis, rho.dtype).conj().T, rho)

    def _asdict(self) -> dict[str, Array]:
        """What a sweep keeps of it."""
        return {"populations": self.populations, "residual": self.residual, "status": self.status}

    def __repr__(self) -> str:
        if is_traced(self.populations):
            return f"SteadyState(dimension={self.populations.shape[-1]}, traced)"
        if self.populations.ndim > 1:
            return f"SteadyState(batch={self.populations.shape[:-1]}, dimension={self.populations.shape[-1]})"
        levels = np.array2string(np.asarray(self.populations), precision=6, suppress_small=False, threshold=8)
        return (
            f"SteadyState(populations={levels}, residual={float(self.residual):.1e}, "
            f"kernel dimension={int(self.kernel_dimension) if np.isfinite(self.kernel_dimension) else '?'}, "
            f"status={explain(self.status)})"
        )


class AbstractSolver(eqx.Module):
    """A way to the stationary state."""

    @abc.abstractmethod
    def solve(self, generator: Generator) -> Solution:
        """Populations, coherences, kernel dimension, and residual in units of the largest rate."""


class Auto(AbstractSolver):
    """Populations where the spectrum is non-degenerate, the ω = 0 block where it is not, decided cell by cell.

    A batch without a special cell runs the population solver alone; in a batch with some, only those cells pay for
    the block.
    """

    def solve(self, generator: Generator) -> Solution:
        """See AbstractSolver."""
        rates = generator.total_rates
        populations, coherences, *rest = _simple(rates, gth.stationary(rates), jnp.ones((), rates.dtype))
        # No way from some state to state 0, or a state 0 so rare that the ratios to it overflow.
        stuck = ~every(lambda s: s > 0, gth.pivots(jax.lax.stop_gradient(rates))) | ~every(jnp.isfinite, populations)
        plain = (populations, jax.ShapeDtypeStruct(coherences.shape, coherences.dtype), *rest)
        d = generator.dimension
        operands = generator.spectrum, generator.jumps
        cells = zero_block.cells_at_a_time(d)
        if d > zero_block.BLOCK_LIMIT or generator.spectrum.levels_differ is True:
            return where_asked(stuck, _graph_of, operands, plain, cells)
        asked = stuck | (generator.spectrum.degenerate & every(jnp.isfinite, rates))
        return where_asked(asked, _special, operands, plain, cells)


def _graph_of(spectrum: Spectrum, jumps: AbstractJumps) -> Solution:
    """A cell with a graph whose first state is not recurrent."""
    return _any_graph(jnp.sum(jumps.rates(spectrum), axis=0))


def _special(spectrum: Spectrum, jumps: AbstractJumps) -> Solution:
    """A cell with degenerate levels, or with a graph whose first state is not recurrent.

    Where levels are not degenerate the value comes from the graph, right to rounding in each population, and the
    derivative from the block, which is the same function: two derivative rules would double the time to compile.
    """
    block = zero_block.solve(spectrum, jumps)
    arrays, rest = eqx.partition((spectrum, jumps), eqx.is_array)
    graph = _graph_of(*eqx.combine(jax.lax.stop_gradient(arrays), rest))
    degenerate = spectrum.degenerate

    def choose(x, y):
        derivative_only = jnp.where(jnp.isfinite(x), x - jax.lax.stop_gradient(x), 0.0)
        return jnp.where(degenerate, x, y + derivative_only)

    return jax.tree.map(choose, block, graph)


def _simple(rates: Float[Array, "d d"], populations: RealVector, classes: Scalar) -> Solution:
    fixed, value = jax.lax.stop_gradient((rates, populations))
    scale = largest(fixed)
    excess = largest(entrywise(jnp.abs, gth.generator_action(fixed, value))) / jnp.where(scale > 0, scale, 1.0)
    return populations, jnp.zeros_like(rates), classes, excess


class Populations(AbstractSolver):
    """The d x d rate matrix alone, for any graph; right for a spectrum without degenerate levels."""

    def solve(self, generator: Generator) -> Solution:
        """See AbstractSolver."""
        return _any_graph(generator.total_rates)


def _any_graph(rates: Float[Array, "d d"]) -> Solution:
    value = jax.lax.stop_gradient(rates)
    recurrent, classes = gth.recurrent_classes(value > 0)
    # The elimination must end in a recurrent state; the one that is left most slowly is among the most populated.
    root = jnp.argmin(jnp.where(recurrent, jnp.sum(gth.off_diagonal(value), axis=0), jnp.inf))
    populations = gth.stationary_from(rates, root)
    return _simple(rates, populations, classes.astype(rates.dtype))


class ZeroFrequencyBlock(AbstractSolver):
    """Populations and the coherences inside clusters of equal levels, for every cell; cost d⁶ a cell."""

    def solve(self, generator: Generator) -> Solution:
        """See AbstractSolver."""
        return zero_block.solve(generator.spectrum, generator.jumps)


class Dense(AbstractSolver):
    """Kernel of the full d² x d² Liouvillian by singular values: small systems, tests, non-secular generators."""

    def solve(self, generator: Generator) -> Solution:
        """See AbstractSolver."""
        return zero_block.solve_dense(generator)


@jit_if_eager
def _steady_state(generator: Generator, solver: AbstractSolver) -> SteadyState:
    populations, coherences, kernel, residual = solver.solve(generator)
    kernel, residual = jax.lax.stop_gradient((kernel, residual))
    # Flags have no derivative: what they look at would otherwise be differentiated before that is found out.
    arrays, rest = eqx.partition(generator, eqx.is_array)
    fixed = eqx.combine(jax.lax.stop_gradient(arrays), rest)
    eps = float(jnp.finfo(populations.dtype).eps)
    status = generator.status | raise_flag(kernel > 1.5, Status.NONUNIQUE)
    status = status | raise_flag(residual > RESIDUAL * eps, Status.LARGE_RESIDUAL)
    if isinstance(solver, Auto) and generator.dimension > zero_block.BLOCK_LIMIT:
        status = status | raise_flag(generator.spectrum.degenerate, Status.BLOCK_TOO_LARGE)
    status = status | raise_flag(fixed.spectrum.smallest_spacing < fixed.scale, Status.NEAR_DEGENERATE)
    populations = entrywise(lambda p: jnp.where(is_fatal(status), jnp.nan, p), populations)
    return SteadyState(populations, coherences, residual, kernel, status, generator.spectrum)


def steady_state(generator: Generator, solver: AbstractSolver | None = None, *, throw: bool = False) -> SteadyState:
    """Stationary state of a generator, L(ρ) = 0 with Tr ρ = 1.

    Non-degenerate levels: W p = 0, each population right to 1e-12 of itself. Degenerate levels: the whole ω = 0 block.
    solver: `Auto()` by default; `Populations()`, `ZeroFrequencyBlock()`, `Dense()`.
    Returns a SteadyState; jit, vmap, forward and reverse mode. Where the state is not unique, or the input not finite
    or not physical, its values are NaN and its status says why; with throw=True a scalar call raises ValueError.
    Degenerate levels among more than 32 are flagged: their block would be too large.
    *Source:* W. K. Grassmann et al., Oper. Res. 33, 1107 (1985) for the populations;
    E. B. Davies, Commun. Math. Phys. 39, 91 (1974) for the block.
    """
    result = _steady_state(generator, Auto() if solver is None else solver)
    record(result.status)
    if throw:
        if is_traced(result.status):
            raise ValueError("throw=True needs a call outside jit and vmap; inside, look at the status of the result.")
        if np.any(np.asarray(result.status) & ~int(Status.NEAR_DEGENERATE)):
            raise ValueError(explain(result.status))
    return result
