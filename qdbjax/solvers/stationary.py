"""The stationary state of a generator, with its residual, kernel dimension and status."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import check_kind
from qdbjax._labels import named
from qdbjax._repr import html_table, html_text, is_single, number, summary
from qdbjax._status import Status, explain, is_fatal, raise_flag, record, throw_if_flagged
from qdbjax._types import Matrix, RealVector, Scalar, StatusCode
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import block_overflows, block_possible
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.numerics.hermitian import unpack
from qdbjax.numerics.matrix import entrywise, largest
from qdbjax.solvers.abstract import AbstractSolver
from qdbjax.solvers.auto import Auto
from qdbjax.solvers.degenerate_block import DegenerateBlock
from qdbjax.solvers.scaling import rounding
from qdbjax.solvers.secular import DROPPED, secular_error
from qdbjax.states.state import State, StateLike, as_state
from qdbjax.systems import Spectrum

RESIDUAL = 1e5  # a residual above this many eps of the largest rate raises a flag
DOUBTFUL = {64: 1e-9, 32: 1e-2}  # an estimated relative error above this one raises a flag, by bits
NEGATIVE = {64: 1e-12, 32: 1e-5}  # a state that misses positivity by more is flagged, by bits
COLD = 1e-3  # part of the lowest temperature within which levels must lie that count as one by rounding
COLD_WINDOW = 0.1  # and by a window, which asks for it


class SteadyState(eqx.Module):
    """A stationary state: L(ρ) = 0, Tr ρ = 1.

    state: populations (d,) of the energy levels, and coherences (d, d) between levels of one energy (State).
    residual: largest entry of L(ρ) in the ω = 0 block over the largest rate.
    kernel_dimension: number of independent stationary states: 1 where the state is unique, else at least as many as it
        says, exact where rates alone decide. `asymptotic_state` counts them.
    condition_number: relative change of the state per relative change of the rates; 1 where rates alone decide it.
    secular_error: estimated relative change of the energy currents by the terms that the secular step dropped; 0 where
        there was no such step.
    status: 0 or flags (`explain`); NaN stands where a flag forbids using the numbers.
    """

    state: State
    residual: Scalar
    kernel_dimension: Scalar
    condition_number: Scalar
    secular_error: Scalar
    status: StatusCode

    @property
    def populations(self) -> RealVector:
        """p_n of the energy levels, (d,); level n is column n of the eigenbasis."""
        return named(self.state.populations, ("level",))

    @property
    def coherences(self) -> Matrix:
        """ρ_mn between levels of one energy in the energy eigenbasis, (d, d) complex with zero diagonal."""
        return self.state.coherences

    @property
    def spectrum(self) -> Spectrum | None:
        """The eigensystem that populations and coherences refer to."""
        return self.state.spectrum

    @property
    def energy_density_matrix(self) -> Matrix:
        """ρ in the energy eigenbasis, (d, d) complex."""
        return self.state.energy_density_matrix

    @property
    def density_matrix(self) -> Matrix:
        """ρ in the basis of the Hamiltonian, (d, d) complex."""
        return self.state.density_matrix

    def _asdict(self) -> dict:
        """The results that a sweep stores, by name."""
        return {"populations": self.populations, "residual": self.residual, "status": self.status}

    def __repr__(self) -> str:
        fields = {
            "populations": self.populations,
            "residual": lambda: f"{float(self.residual):.1e}",
            "kernel dimension": lambda: _least_number(float(self.kernel_dimension)),
            "condition number": lambda: f"{float(self.condition_number):.1g}",
            "status": lambda: explain(self.status),
        }
        return summary(self, self.populations, fields, rank=1, known={"dimension": self.populations.shape[-1]})

    def _repr_html_(self) -> str:
        if not is_single(self.populations, 1):
            return html_text(self)
        energies = [""] * len(self.populations) if self.spectrum is None else map(number, self.spectrum.energies)
        rows = [(f"{n}", *row) for n, row in enumerate(zip(energies, map(number, self.populations), strict=True))]
        notes = [
            ("largest coherence", number(np.abs(np.asarray(self.coherences)).max(), 3)),
            ("residual", f"{float(self.residual):.1e} of the largest rate"),
            ("secular error", number(self.secular_error, 2)),
            ("status", explain(self.status)),
        ]
        return html_table("Stationary state", ("level", "energy", "population"), rows, notes)


def _least_number(kernel: float) -> str:
    return "?" if np.isnan(kernel) else ">= " * (kernel > 1.5) + f"{kernel:.0f}"


def _coldest(generator: Generator) -> Scalar:
    """The temperature of a bath nearest to 0, without its sign; inf where none has a single one."""
    temperatures = generator.temperatures
    return -largest(jnp.where(jnp.isnan(temperatures), -jnp.inf, -jnp.abs(temperatures)))


@jit_if_eager
def _steady_state(generator: Generator, solver: AbstractSolver) -> SteadyState:
    found = solver.solve(generator)
    kernel, residual, condition, negativity, width = jax.lax.stop_gradient(
        (found.kernel_dimension, found.residual, found.condition_number, found.negativity, found.level_width)
    )
    # Flags have no derivative; without stop_gradient JAX would differentiate the quantities that they compare.
    arrays, rest = eqx.partition(generator, eqx.is_array)
    fixed = eqx.combine(jax.lax.stop_gradient(arrays), rest)
    info = jnp.finfo(found.populations.dtype)
    eps = float(info.eps)
    status = generator.status | raise_flag((kernel > 1.5) & ~is_fatal(generator.status), Status.NONUNIQUE)
    unknown = jnp.isnan(negativity) & ~is_fatal(generator.status)  # a solver that failed on input that is in order
    negative = (negativity > NEGATIVE[info.bits]) | unknown
    status = status | raise_flag(negative & ~(kernel > 1.5), Status.UNPHYSICAL_STATE)
    if isinstance(solver, Auto | DegenerateBlock) and block_possible(generator.spectrum, generator.jumps):
        status = status | raise_flag(block_overflows(fixed.spectrum), Status.BLOCK_TOO_LARGE)
    # Fatal flags first, and the others after: who does not read the status does not compute them.
    fatal = is_fatal(status)
    populations = entrywise(lambda p: jnp.where(fatal, jnp.nan, p), found.populations)
    status = status | raise_flag(residual > RESIDUAL * eps, Status.LARGE_RESIDUAL)
    lost_digits = condition * rounding(generator.dimension, residual.dtype) > DOUBTFUL[info.bits]
    status = status | raise_flag(lost_digits & (kernel < 1.5), Status.ILL_CONDITIONED)
    if generator.jumps.merges_levels:
        part = COLD if fixed.spectrum.window is None else COLD_WINDOW
        status = status | raise_flag(width > part * _coldest(fixed), Status.UNRESOLVED_LEVELS)
    dropped = jnp.zeros_like(residual)
    if generator.jumps.is_secular:
        dropped = secular_error(fixed, jax.lax.stop_gradient(found.populations))
        status = status | raise_flag(dropped > DROPPED, Status.NEAR_DEGENERATE)
    state = State(populations, unpack(found.coherences), None, within_levels=True)
    return SteadyState(state, residual, kernel, condition, dropped, status)


def steady_state(generator: Generator, solver: AbstractSolver | None = None, *, throw: bool = False) -> SteadyState:
    """Stationary state of a generator.

    L(ρ) = 0,   Tr ρ = 1

    generator: of any kind and dimension.
    solver: `Auto()` by default; `Populations()`, `DegenerateBlock()` or `Dense()`.
    throw: whether to raise ValueError for a flagged result; not inside jit and vmap.

    Returns a SteadyState. Non-degenerate levels: populations from W p = 0, each right to 1e-12 of itself. Degenerate
    levels: the whole ω = 0 block. Runs inside jit and vmap, differentiates in forward and reverse mode.
    Flagged, with NaN in place of values: a state that is not unique, input that is not finite or not physical, and
    more than 32 levels with more entries of ρ between equal ones than a program has room for (1024, or if the
    Hamiltonian is known before tracing as many as there are). Flagged without NaN: a large residual, and levels so
    close that terms dropped by the secular step would change the currents by more than 5 %.
    *Source:* W. K. Grassmann et al., Oper. Res. 33, 1107 (1985) for the populations;
    E. B. Davies, Commun. Math. Phys. 39, 91 (1974) for the block.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> steady = qdb.steady_state(generator)
    >>> steady.populations.round(4), qdb.explain(steady.status)
    (Array([0.7876, 0.2124], dtype=float64), 'ok')
    """
    check_generator(generator)
    if solver is not None:
        check_kind(solver, "solver", AbstractSolver, "Give Auto(), Populations(), DegenerateBlock() or Dense().")
    result = _steady_state(generator, Auto() if solver is None else solver)
    # The generator's own spectrum, by which readers know at once whose frame it is.
    state = dataclasses.replace(result.state, spectrum=generator.spectrum)
    result = dataclasses.replace(result, state=state)
    record(result.status)
    throw_if_flagged(result.status, throw, allowed=Status.NEAR_DEGENERATE)
    return result


def state_of(generator: Generator, state: StateLike | None) -> State:
    """The given state, or the stationary one for None, in the eigenbasis of the generator."""
    check_generator(generator)
    return as_state(steady_state(generator) if state is None else state, generator.spectrum)
