"""Status flags: what a result says about itself, cell by cell, and what to do about it."""

import contextlib
import contextvars
import enum
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax.extend.core import get_opaque_trace_state

from qdbjax._checks import is_traced
from qdbjax._types import Array, ArrayLike, Bool, Int


class Status(enum.IntFlag):
    """One bit for each thing that can be wrong; 0 is a result to rely on, and `explain` says a status in words.

    NONFINITE_INPUT: 1, an input is NaN, infinite or not allowed. Fatal.
    NONUNIQUE: 2, there is more than one stationary state. Fatal.
    LARGE_RESIDUAL: 4, the stationary state does not satisfy L(ρ) = 0 to rounding.
    UNPHYSICAL_BATH: 8, a bath has a negative, divergent or undefined noise spectrum, or T < 0. Fatal.
    NEAR_DEGENERATE: 16, terms that the secular approximation drops change the currents.
    INTEGRATION_FAILED: 32, the time integration did not reach the end.
    TARGET_NOT_ATTAINED: 64, the optimum stays away from the target.
    BLOCK_TOO_LARGE: 128, there are more coherences to solve for than there is room for. Fatal.
    INACCURATE_INTEGRAL: 256, an integral over a bath is not resolved or diverges.
    NOT_CONVERGED: 512, a search had not settled at its last step.
    NOT_IDENTIFIABLE: 1024, the data do not fix every parameter of a fit.
    ILL_CONDITIONED: 2048, the stationary state is nearly one of many: digits are lost.
    UNPHYSICAL_STATE: 4096, the state that was found is not positive. Fatal.
    UNRESOLVED_LEVELS: 8192, levels that count as one are not close against T.

    Under a fatal flag the numbers are NaN.
    """

    OK = 0
    NONFINITE_INPUT = 1
    NONUNIQUE = 2
    LARGE_RESIDUAL = 4
    UNPHYSICAL_BATH = 8
    NEAR_DEGENERATE = 16
    INTEGRATION_FAILED = 32
    TARGET_NOT_ATTAINED = 64
    BLOCK_TOO_LARGE = 128
    INACCURATE_INTEGRAL = 256
    NOT_CONVERGED = 512
    NOT_IDENTIFIABLE = 1024
    ILL_CONDITIONED = 2048
    UNPHYSICAL_STATE = 4096
    UNRESOLVED_LEVELS = 8192

    @property
    def label(self) -> str:
        """The name of one flag in lower case, as `explain` writes it."""
        return str(self.name).lower()


NOT_COMPUTED = -1  # status of a grid point that a stored sweep has not come to

REMEDIES = {
    Status.NONFINITE_INPUT: "an input is NaN, infinite or not allowed (negative cutoff, H not Hermitian): look at H, "
    "couplings and bath parameters",
    Status.NONUNIQUE: "more than one stationary state: use asymptotic_state(generator, rho0), or couple the parts",
    Status.ILL_CONDITIONED: "the stationary state is nearly one of many: digits are lost, see condition_number",
    Status.UNPHYSICAL_STATE: "the state found is not positive: it is one of many, or not a solution",
    Status.UNRESOLVED_LEVELS: "levels that count as one are not close against T: separate them, or narrow the window",
    Status.LARGE_RESIDUAL: "the stationary state does not satisfy L(rho) = 0 to rounding: compare with solver=Dense()",
    Status.UNPHYSICAL_BATH: "a bath has a negative, divergent or undefined noise spectrum, or a temperature below zero",
    Status.NEAR_DEGENERATE: "levels are so close that terms which the secular approximation drops change the currents "
    "(secular_error): use universal_lindblad, or davies(..., window=)",
    Status.INTEGRATION_FAILED: "the time integration did not reach the end: allow more steps or looser tolerances",
    Status.TARGET_NOT_ATTAINED: "the optimum stays away from the target: it may lie outside what the model can reach",
    Status.INACCURATE_INTEGRAL: "an integral (collisions, Lamb shift, memory) is not resolved or diverges: a "
    "resonance is too narrow, a density has no cutoff, or Custom needs scale= and landmarks=",
    Status.NOT_CONVERGED: "the search had not settled at its last step: allow more steps, or try another optimizer",
    Status.NOT_IDENTIFIABLE: "the data do not fix every parameter: see the report on directions, fix or drop one",
    Status.BLOCK_TOO_LARGE: "more entries of ρ between equal levels, or of one Bohr frequency, than there is room for "
    "at d > 32 (1024): build the generator outside of jit for a stationary state, or lift the degeneracy",
}

# Flags under which the numbers mean nothing; their values are replaced by NaN.
FATAL = (
    Status.NONFINITE_INPUT
    | Status.NONUNIQUE
    | Status.UNPHYSICAL_BATH
    | Status.BLOCK_TOO_LARGE
    | Status.UNPHYSICAL_STATE
)


def raise_flag(condition: Bool[Array, ""] | np.bool_, flag: Status) -> Int[Array, ""]:
    """The flag's bit where the condition holds, 0 elsewhere."""
    return jnp.where(condition, jnp.int32(int(flag)), jnp.int32(0))


def is_fatal(status: Int[Array, ""]) -> Bool[Array, ""]:
    """Whether the status forbids using the numbers."""
    return (status & jnp.int32(int(FATAL))) != 0


def explain(status: ArrayLike) -> str:
    """A status in words, with the remedy of each flag.

    status: of a result, a number or an array of them; those of an array are said together.
    Returns text, "ok" for 0. Raises TypeError for anything but integers.

    >>> qdb.explain(0)
    'ok'
    >>> qdb.explain(2)
    'nonunique: more than one stationary state: use asymptotic_state(generator, rho0), or couple the parts'
    """
    codes = np.asarray(status).reshape(-1)
    if codes.dtype.kind not in "iu":
        raise TypeError(f"status must hold integers, the status of a result; got {type(status).__name__}.")
    code = int(np.bitwise_or.reduce(codes[codes != NOT_COMPUTED], initial=0))
    said = [f"{flag.label}: {text}" for flag, text in REMEDIES.items() if code & flag]
    if np.any(codes == NOT_COMPUTED):
        said.append("not computed: the sweep was stopped before, go on with resume=True")
    return "; ".join(said) or "ok"


def throw_if_flagged(status: Int[Array, ""], throw: bool, allowed: Status = Status.OK) -> None:
    """Raise ValueError for a flag that is not allowed, if asked to; inside jit and vmap no status can be looked at."""
    if not throw:
        return
    if is_traced(status):
        raise ValueError("throw=True needs a call outside jit and vmap; inside, look at the status of the result.")
    if np.any(np.asarray(status) & ~int(allowed)):
        raise ValueError(explain(status))


_collector: contextvars.ContextVar = contextvars.ContextVar("qdbjax_status_collector", default=None)


def record(status: Int[Array, ""]) -> None:
    """Hand a status to the sweep that is tracing this call, if one is, and if it can still hold the value.

    Inside a nested transformation (jax.grad in the swept function) the value belongs to that inner trace and
    cannot leave it; the sweep then sees flagged cells through their NaN alone.
    """
    collector = _collector.get()
    if collector is not None and is_traced(status) and get_opaque_trace_state() == collector[0]:
        collector[1].append(status)


@contextlib.contextmanager
def collect() -> Iterator[list]:
    """Collect the statuses of every solve made at this level of tracing."""
    found: list = []
    token = _collector.set((get_opaque_trace_state(), found))
    try:
        yield found
    finally:
        _collector.reset(token)
