"""Settings of a time integration (diffrax), and the records that a time evolution returns."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._repr import html_table, html_text, is_single, number, summary
from qdbjax._status import Status, explain, raise_flag
from qdbjax._types import AnyMatrix, Array, Bool, Float, Matrix, StatusCode
from qdbjax.solvers.unchecked import times_unchecked
from qdbjax.systems import Spectrum

if TYPE_CHECKING:
    import diffrax

Times = Float[Array, " time"]


MODES = ("reverse", "forward")


def adjoint_of(mode: "str | diffrax.AbstractAdjoint") -> "diffrax.AbstractAdjoint":
    """The diffrax adjoint for a mode of differentiation, "reverse" or "forward"."""
    import diffrax

    if isinstance(mode, diffrax.AbstractAdjoint):
        return mode
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES} or a diffrax adjoint; got {mode!r}.")
    return diffrax.RecursiveCheckpointAdjoint() if mode == "reverse" else diffrax.ForwardMode()


class Integration(eqx.Module):
    """How to integrate: a diffrax solver, its adjoint, tolerances, the largest number of steps, a progress meter."""

    solver: "diffrax.AbstractSolver"
    adjoint: "diffrax.AbstractAdjoint"
    rtol: float
    atol: float
    max_steps: int
    meter: "diffrax.AbstractProgressMeter"

    def run(
        self,
        field: Callable,
        y0: Any,
        start: Array,
        times: Times,
        save: Callable,
        end: Array | None = None,
        jumps: Sequence[float] = (),
    ) -> tuple[Any, Bool[Array, ""]]:
        """save(t, y) of dy/dt = field(t, y) at the times, and whether the end was reached.

        end: by default the last of the times. jumps: where field is not continuous; no step goes across.
        """
        import diffrax

        steps = diffrax.PIDController(rtol=self.rtol, atol=self.atol)
        if len(jumps):
            steps = diffrax.ClipStepSizeController(steps, jump_ts=jnp.asarray(jumps, times.dtype))
        with times_unchecked():
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, y, _: field(t, y)),
                self.solver,
                start,
                times[-1] if end is None else end,
                None,
                y0,
                saveat=diffrax.SaveAt(ts=times, fn=lambda t, y, _: save(t, y)),
                stepsize_controller=steps,
                adjoint=self.adjoint,
                max_steps=self.max_steps,
                throw=False,
                progress_meter=self.meter,
            )
        return solution.ys, solution.result == diffrax.RESULTS.successful


class Account(eqx.Module):
    """Heat, entropy and work since the start of a driven evolution, integrated along with the state.

    ⟨H⟩(t) - ⟨H⟩(start) = Σ_b heat_b + work + chemical_work; all positive into the system. Where H jumps at a breakpoint
    s, work grows by Tr[(H(s⁺) - H(s⁻)) ρ(s)].

    heat: ∫J^Q_b dt (time, bath), energy.
    entropy_flow: ∫J^Q_b/T_b dt (time, bath), k_B = 1; NaN from the first time at which T_b is not above 0.
    work: ∫Tr[Ḣρ] dt (time,), energy.
    chemical_work: ∫Σ_b μ_b J^N_b dt (time,), energy.
    energy: ⟨H⟩ at each time (time,), energy.
    *Source:* R. Alicki, J. Phys. A 12, L103 (1979).
    """

    heat: Float[Array, "time bath"]
    entropy_flow: Float[Array, "time bath"]
    work: Times
    chemical_work: Times
    energy: Times

    def __repr__(self) -> str:
        fields = {"heat": lambda: self.heat[-1], "work": lambda: self.work[-1] + self.chemical_work[-1]}
        return summary(self, self.heat, fields, rank=2, known={"baths": self.heat.shape[-1]})


class Evolution(eqx.Module):
    """A state at given times; at a breakpoint, what is just before it.

    times: (time,), inverse energy.
    populations: of the energy levels (time, d); of a driven system, of its levels at each time.
    density_matrix: (time, d, d) in the basis of the Hamiltonian; None unless saved.
    expectations: Tr[A ρ(t)] (time,) of each observable, by name.
    heat_currents: J^Q_b of a driven evolution (time, bath), positive into the system; None otherwise.
    work_current: Tr[Ḣρ] of a driven evolution (time,), positive into the system; None otherwise.
    account: heat and work since the start of a driven evolution (Account); None otherwise.
    status: 0 or flags (`explain`); under a fatal flag, or where the integration did not arrive, values are NaN.
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
        fields = {
            "times": lambda: f"{len(self.times)} from {float(self.times[0]):g} to {float(self.times[-1]):g}",
            "last populations": lambda: self.populations[-1],
        }
        if self.account is not None:
            fields["account"] = lambda: repr(self.account)
        fields["status"] = lambda: explain(self.status)
        return summary(self, self.populations, fields, rank=2, known={"dimension": self.populations.shape[-1]})

    def _repr_html_(self) -> str:
        if not is_single(self.populations, 2):
            return html_text(self)
        shown = {f"⟨{name}⟩": x for name, x in self.expectations.items()}
        if self.account is not None:
            shown |= {f"heat from bath {n} so far": x for n, x in enumerate(np.asarray(self.account.heat).T)}
            shown["work so far"] = self.account.work + self.account.chemical_work
        shown |= {f"population of level {n}": x for n, x in enumerate(np.asarray(self.populations).T)}
        rows = [(name, number(x[0]), number(x[-1])) for name, x in shown.items()]
        times = [f"t = {float(time):g}" for time in (self.times[0], self.times[-1])]
        notes = [("times", f"{len(self.times)}"), ("status", explain(self.status))]
        return html_table("Evolution", ("", *times), rows, notes)


def expectation_weights(observable: AnyMatrix, spectrum: Spectrum) -> Array:
    """Reals w (d, d) with Tr[A ρ] = Σ w·pack(ρ), ρ in the energy eigenbasis.

    Tr[A ρ] = Σ_m A_mm ρ_mm + 2 Σ_{m<n} (Re A_mn Re ρ_mn + Im A_mn Im ρ_mn) for Hermitian A and ρ.
    """
    framed = spectrum.to_eigenbasis(observable)
    framed = framed.astype(np.promote_types(framed.dtype, jnp.complex64))
    above = 2 * jnp.triu(framed, 1)
    return jnp.diag(jnp.real(jnp.diagonal(framed))) + jnp.real(above) + jnp.imag(above).T


def known_start(rho: Matrix) -> tuple[Matrix, StatusCode]:
    """The initial state, or 0 and a flag where it is not a number: an integrator would spend all its steps on NaN."""
    known = jnp.all(jnp.isfinite(rho))
    return jnp.where(known, rho, 0.0), raise_flag(~known, Status.NONFINITE_INPUT)
