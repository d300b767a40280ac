"""Generators that a user writes down: a table of rates, or jump operators."""

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, raise_flag
from qdbjax._types import (
    ArrayLike,
    Matrix,
    Rates,
    StatusCode,
    as_matrix,
    as_real,
    is_traced,
)
from qdbjax.generators.davies import squared
from qdbjax.generators.generator import AbstractJumps, Channels, Generator, PerBath, assemble, in_levels
from qdbjax.numerics.small import every
from qdbjax.systems import Spectrum, System, as_system, spectrum


def pauli(
    energies: ArrayLike, rates: ArrayLike | Mapping[str, ArrayLike], *, temperatures: ArrayLike | None = None
) -> Generator:
    """A classical Markov chain on levels, dp/dt = W p; coherences decay with half of what leaves.

    energies (d,): of the levels, energy. rates: W (d, d) [to, from], or several, one for each bath (bath, d, d), or by
    name; inverse time, diagonals ignored. temperatures: of the baths, for entropy production and tests of detailed
    balance; without them these are NaN. Returns a Generator. Raises ValueError for negative rates and for shapes.
    *Source:* W. Pauli, in Probleme der modernen Physik, Sommerfeld Festschrift (1928), for the master equation.
    """
    energies = as_real(energies, "energies")
    if energies.ndim != 1:
        raise ValueError(f"energies must be a vector; got shape {energies.shape}.")
    names, tables = _by_bath(rates, "rates")
    table = jnp.stack([as_real(each, "rates") for each in tables])
    d = energies.shape[0]
    if table.shape[1:] != (d, d):
        raise ValueError(f"rates must have shape {(d, d)} for {d} energies; got {table.shape[1:]}.")
    off = ~np.eye(d, dtype=bool)
    if not is_traced(table) and not np.all(np.asarray(table)[:, off] >= 0):
        raise ValueError(f"rates must be >= 0 and no NaN off the diagonal; got {np.asarray(table)[:, off].min()}.")
    jumps = PauliJumps(jnp.where(off, table, 0.0), _temperatures(temperatures, len(names), table.dtype))
    # With its eigenbasis known a System keeps the order in which the levels were given.
    system = System(jnp.diag(energies), eigenbasis=np.eye(d), energies=energies)
    return assemble(system, spectrum(system), jumps, names)


def lindblad(
    system: System | ArrayLike,
    jumps: ArrayLike | Mapping[str, ArrayLike],
    *,
    temperatures: ArrayLike | None = None,
) -> Generator:
    """Generator with given jump operators, L(ρ) = -i[H, ρ] + Σ_k (K_k ρ K_k† - ½{K_k†K_k, ρ}).

    system: a System or a Hamiltonian H (d, d), energy. jumps: K, the roots of rates included (d, d) or (k, d, d), of
    one bath, or by the name of each. temperatures: of the baths, for entropy production and tests of detailed balance;
    without them these are NaN. Nothing secular is assumed, so that solvers treat the d² x d² Liouvillian (d <= 32).
    Returns a Generator. Raises ValueError for shapes and for operators that are not finite.
    *Source:* G. Lindblad, Commun. Math. Phys. 48, 119 (1976); V. Gorini, A. Kossakowski, E. C. G. Sudarshan, J. Math.
    Phys. 17, 821 (1976).
    """
    system = as_system(system)
    named = jumps if isinstance(jumps, Mapping) else {"bath0": jumps}
    operators = []
    for name, value in named.items():
        given = jnp.asarray(as_matrix(value, f"jumps[{name!r}]", ndim=(2, 3)))
        if given.shape[-1] != system.dimension:
            raise ValueError(f"jumps[{name!r}] must act on {system.dimension} levels; got shape {given.shape}.")
        operators.append(given if given.ndim == 3 else given[None])
    temperatures = _temperatures(temperatures, len(named), jnp.real(operators[0]).dtype)
    return assemble(system, spectrum(system, math.inf), GivenJumps(tuple(operators), temperatures), tuple(named))


def _by_bath(value: ArrayLike | Mapping[str, ArrayLike], name: str) -> tuple[tuple[str, ...], list]:
    if isinstance(value, Mapping):
        return tuple(map(str, value)), list(value.values())
    table = as_real(value, name)
    many = [table] if table.ndim == 2 else list(table)
    return tuple(f"bath{n}" for n in range(len(many))), many


def _temperatures(value: ArrayLike | None, count: int, dtype) -> PerBath:
    if value is None:
        return jnp.full((count,), jnp.nan, dtype)
    found = jnp.atleast_1d(as_real(value, "temperatures")).astype(dtype)
    if found.shape != (count,):
        raise ValueError(f"temperatures must have shape {(count,)}, one per bath; got {found.shape}.")
    return found


def _cannot_move() -> ValueError:
    return ValueError("given rates or jump operators do not tell how they depend on T and μ: use davies for response.")


class PauliJumps(AbstractJumps):
    """Jumps |to⟩⟨from| between levels, each a channel of its own."""

    table: Rates
    temperatures: PerBath

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        """Zeros: no particles are counted."""
        d = self.table.shape[-1]
        return ((0,) * (d * d),) * self.table.shape[0]

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        """Temperatures as given; no chemical potentials."""
        return self.temperatures, jnp.zeros_like(self.temperatures)

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "PauliJumps":
        """Raises ValueError: rates are what was given."""
        raise _cannot_move()

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """As given; flagged where not finite or negative."""
        status = raise_flag(~every(jnp.isfinite, self.table), Status.NONFINITE_INPUT)
        return self.table, status | raise_flag(~every(lambda x: x >= 0, self.table), Status.UNPHYSICAL_BATH)

    def hamiltonian_shift(self, spectrum: Spectrum) -> None:
        """None."""
        return None

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """(|n⟩⟨l|, W_nl |n⟩⟨l|) of each bath."""
        d = self.table.shape[-1]
        units = jnp.eye(d * d, dtype=self.table.dtype).reshape(d * d, d, d)
        one = in_levels(units, spectrum)
        return tuple((one, table.reshape(-1)[:, None, None].astype(one.dtype) * one) for table in self.table)


class GivenJumps(AbstractJumps):
    """Jump operators as they are."""

    operators: tuple[Matrix, ...]
    temperatures: PerBath

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        """Zeros: no particles are counted."""
        return tuple((0,) * each.shape[0] for each in self.operators)

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        """Temperatures as given; no chemical potentials."""
        return self.temperatures, jnp.zeros_like(self.temperatures)

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "GivenJumps":
        """Raises ValueError: jump operators are what was given."""
        raise _cannot_move()

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """|⟨to|K|from⟩|² summed over the operators of each bath, zero diagonal; flagged where not finite."""
        off = 1 - jnp.eye(spectrum.energies.shape[0], dtype=spectrum.energies.dtype)
        rates = jnp.stack([jnp.sum(squared(jumps), axis=0) * off for jumps, _ in self.channels(spectrum)])
        return rates, raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)

    def hamiltonian_shift(self, spectrum: Spectrum) -> None:
        """None."""
        return None

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """(K, K) of each bath in the energy eigenbasis."""
        all_framed = (in_levels(operators, spectrum) for operators in self.operators)
        return tuple((jumps, jumps) for jumps in all_framed)
