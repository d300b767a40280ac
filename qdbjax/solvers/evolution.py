"""What a time evolution is made with and what it returns."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, explain, raise_flag
from qdbjax._types import Array, Bool, Float, Matrix, StatusCode, is_traced
from qdbjax.systems import Spectrum

if TYPE_CHECKING:
    import diffrax

Times = Float[Array, " time"]


class Integration(eqx.Module):
    """How to integrate: a diffrax solver, its adjoint, tolerances, the largest number of steps, a progress meter."""

    solver: "diffrax.AbstractSolver"
    adjoint: "diffrax.AbstractAdjoint"
    rtol: float
    atol: float
    max_steps: int
    meter: "diffrax.AbstractProgressMeter"

    def run(self, field: Callable, y0: Any, start: Array, times: Times, save: Callable) -> tuple[Any, Bool[Array, ""]]:
        """save(t, y) of dy/dt = field(t, y) at the times, and whether the end was reached."""
        import diffrax

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, _: field(t, y)),
            self.solver,
            start,
            times[-1],
            None,
            y0,
            saveat=diffrax.SaveAt(ts=times, fn=lambda t, y, _: save(t, y)),
            stepsize_controller=diffrax.PIDController(rtol=self.rtol, atol=self.atol),
            adjoint=self.adjoint,
            max_steps=self.max_steps,
            throw=False,
            progress_meter=self.meter,
        )
        return solution.ys, solution.result == diffrax.RESULTS.successful


class Account(eqx.Module):
    """What has passed since the start of a driven evolution, integrated along with the state; positive into the system.

    heat (time, bath): ∫J^Q_b dt. entropy_flow (time, bath): ∫J^Q_b/T_b dt, NaN from where T_b is not above 0. work
    (time,): ∫Tr[Ḣρ] dt. chemical_work (time,): ∫Σ_b μ_b J^N_b dt. energy (time,): ⟨H⟩ of the moment; its change is the
    sum of heat and both kinds of work.
    """

    heat: Float[Array, "time bath"]
    entropy_flow: Float[Array, "time bath"]
    work: Times
    chemical_work: Times
    energy: Times

    def __repr__(self) -> str:
        if is_traced(self.heat) or self.heat.ndim > 2:
            return f"Account({self.heat.shape[-1]} baths)"
        heat = np.array2string(np.asarray(self.heat[-1]), precision=4, threshold=8)
        return f"Account(heat={heat}, work={float(self.work[-1] + self.chemical_work[-1]):.4g})"


class Evolution(eqx.Module):
    """A state at given times.

    times (time,). populations (time, d) of the energy levels. density_matrix (time, d, d) in the basis of the
    Hamiltonian, None unless saved. expectations: Tr[A ρ(t)] (time,) of each observable that was asked for, by name.
    Of a driven evolution, None otherwise: heat_currents (time, bath) and work_current (time,), positive into the
    system; `account`, what has passed since the start. status: 0 or flags (`explain`); NaN stands where the integration
    did not arrive.
    """

    times: Times
    populations: Float[Array, "time d"]
    density_matrix: Array | None
    expectations: dict[str, Array]
    heat_currents: Array | None
    work_current: Array | None
    account: Account | None
    status: StatusCode

    def __repr__(self) -> str:
        if is_traced(self.populations):
            return f"Evolution(dimension={self.populations.shape[-1]}, traced)"
        if self.populations.ndim > 2:
            return f"Evolution(batch={self.populations.shape[:-2]}, dimension={self.populations.shape[-1]})"
        last = np.array2string(np.asarray(self.populations[-1]), precision=6, threshold=8)
        ends = f"{float(self.times[0]):g} … {float(self.times[-1]):g}"
        passed = "" if self.account is None else f"{self.account}, "
        return (
            f"Evolution({len(self.times)} times {ends}, last populations={last}, {passed}status={explain(self.status)})"
        )


def expectation_weights(observable: Matrix, spectrum: Spectrum) -> Array:
    """Reals w (d, d) with Tr[A ρ] = Σ w·pack(ρ), ρ in the energy eigenbasis."""
    framed = spectrum.to_eigenbasis(observable)
    framed = framed.astype(np.promote_types(framed.dtype, jnp.complex64))
    above = 2 * jnp.triu(framed, 1)
    return jnp.diag(jnp.real(jnp.diagonal(framed))) + jnp.real(above) + jnp.imag(above).T


def flags(arrived: Array) -> StatusCode:
    """1: all well; 0: the integration stopped; -1: the block of equal frequencies is too large."""
    status = raise_flag(arrived == 0, Status.INTEGRATION_FAILED)
    return status | raise_flag(arrived < 0, Status.BLOCK_TOO_LARGE)
