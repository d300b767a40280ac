"""Checks that every maker of generators makes of its baths or gases."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_made, as_tuple, is_traced
from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, Bool, StatusCode
from qdbjax.baths import AbstractBath, is_inaccurate, lamb_error
from qdbjax.compilation.eager import eval_at_trace_time
from qdbjax.systems import Spectrum, System


def checked_baths(system: System, baths: AbstractBath | Sequence[AbstractBath]) -> tuple[tuple, tuple[str, ...]]:
    """The baths as a tuple, and a name for each; raises where they do not fit the system."""
    given = (baths,) if isinstance(baths, AbstractBath) else as_tuple(baths, "baths", "a Bath or a list of baths")
    made = as_made(given)
    names = checked_names(system, made, AbstractBath, "baths")
    _check_charges(system, made)
    return made, names


def checked_names(system: System, parts: tuple, kinds: type, called: str) -> tuple[str, ...]:
    """A name for each bath or gas; raises for none, a wrong type, a wrong dimension or repeated names."""
    words = kinds.__name__.removeprefix("Abstract")
    if not parts:
        raise ValueError(f"{called} must hold at least one {words}; got none. Every eigenstate is stationary then.")
    for n, part in enumerate(parts):
        if not isinstance(part, kinds):
            raise TypeError(f"{called}[{n}] must be a {words}; got {type(part).__name__}.")
        if part.dimension != system.dimension:
            raise ValueError(
                f"{called}[{n}] couples to dimension {part.dimension} but the system has {system.dimension} levels. "
                "Embed its operator with qdbjax.embed."
            )
    single = words.lower()
    names = tuple(part.name if part.name is not None else f"{single}{n}" for n, part in enumerate(parts))
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"{single} names must differ; got {sorted(repeated)} more than once.")
    return names


def _check_charges(system: System, baths: tuple[AbstractBath, ...]) -> None:
    """Raise ValueError unless [N, D] = -D for the removal operators D of fields and leads."""
    if system.number is None or is_traced(system.number, baths):
        return
    number = np.asarray(system.number)
    for n, bath in enumerate(baths):
        for operator, charge in zip(bath.operators, bath.charges, strict=True):
            removal = np.asarray(operator)
            excess = np.abs(number @ removal - removal @ number - charge * removal).max()
            if charge != 0 and excess > 1e-10 * max(np.abs(removal).max(), np.finfo(float).tiny):
                raise ValueError(
                    f"baths[{n}] must remove one particle, [N, D] = -D with the system's number N; it misses by "
                    f"{excess:.3g}."
                )


def refuse_infinite_scale(baths: tuple[AbstractBath, ...]) -> None:
    """Raise ValueError for a bath whose Lamb shift is infinite."""
    for n, bath in enumerate(baths):
        if not is_traced(bath.scale) and np.isinf(bath.scale):
            raise ValueError(
                f"baths[{n}] has a density without end ({bath.formula}, scale inf): its Lamb "
                "shift is infinite. Give a cutoff (LorentzianBand instead of Flat), or leave lamb_shift off."
            )


def shift_status(frequencies: Array, baths: tuple[AbstractBath, ...]) -> StatusCode:
    """INACCURATE_INTEGRAL where the Lamb shift of a bath is not resolved at one of the frequencies."""
    inaccurate = jnp.stack([is_inaccurate(lamb_error(bath, frequencies)) for bath in baths])
    return raise_flag(jnp.any(inaccurate), Status.INACCURATE_INTEGRAL)


def refuse_divergent_shift(status: StatusCode, frequencies: Array, baths: tuple[AbstractBath, ...]) -> None:
    """Raise ValueError for a bath that is known and whose Lamb shift is infinite at one of the frequencies."""
    if is_traced(status, frequencies, baths) or not int(status) & Status.INACCURATE_INTEGRAL:
        return
    for n, bath in enumerate(baths):
        if np.isinf(float(lamb_error(bath, frequencies))):
            raise ValueError(
                f"baths[{n}] has an infinite Lamb shift: its density ({bath.formula}) falls "
                "too slowly at high frequencies, or not at all towards ω = 0. Give a cutoff and J(0) = 0, or leave "
                "lamb_shift off."
            )


@eval_at_trace_time
def refuse_divergent_noise(spectrum: Spectrum, baths: tuple[AbstractBath, ...]) -> None:
    """Raise ValueError for a bath with infinite γ(0) and a coupling between equal levels."""
    for n, bath in enumerate(baths):
        if bath.finite_at_zero:
            continue
        diverges = jnp.any(divergent_entries(spectrum, bath)[0])
        # A function J(ω) may close over what is traced.
        if not is_traced(diverges) and bool(diverges):
            raise ValueError(
                f"baths[{n}] has infinite noise at ω → 0 ({bath.formula}) and its coupling has "
                "a zero-frequency part, so that coherences would decay infinitely fast. Use an Ohmic or super-Ohmic "
                "density, or a coupling without diagonal entries in the energy eigenbasis."
            )


def divergent_entries(spectrum: Spectrum, bath: AbstractBath) -> tuple[Bool[Array, "d d"], Bool[Array, "d d"]]:
    """Entries [to, from] between equal levels with γ(0) = inf: those with a coupling, and those without."""
    framed = jnp.stack([spectrum.to_eigenbasis(operator) for operator in bath.operators])
    rounding = 64 * float(jnp.finfo(framed.dtype).eps) * jnp.max(jnp.abs(framed))
    coupled = jnp.max(jnp.abs(framed), axis=0) > rounding
    infinite = spectrum.same_level & bath.diverges_at_zero
    return infinite & coupled, infinite & ~coupled
