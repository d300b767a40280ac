"""The Pauli master equation of given rates: a classical Markov chain on levels."""

from collections.abc import Mapping
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, is_traced
from qdbjax._status import Status, raise_flag
from qdbjax._types import ArrayLike, Rates, StatusCode
from qdbjax.generators.fixed_jumps import AbstractFixedJumps, given_temperatures
from qdbjax.generators.generator import Generator, assemble
from qdbjax.generators.jumps import Channels, PerBath
from qdbjax.numerics.matrix import every
from qdbjax.systems import Spectrum, System, diagonalize


def pauli(
    energies: ArrayLike, rates: ArrayLike | Mapping[str, ArrayLike], *, temperatures: ArrayLike | None = None
) -> Generator:
    """Pauli master equation of given rates: a classical Markov chain on the levels.

    dp_n/dt = Σ_l (W_nl p_l - W_ln p_n),   dρ_mn/dt = [-i(E_m - E_n) - ½ Σ_l (W_lm + W_ln)] ρ_mn

    energies: E (d,), energy.
    rates: W[to, from], (d, d) for one bath or (bath, d, d), or a mapping from names to (d, d); inverse time, diagonals
        are ignored.
    temperatures: T of the baths (bath,), energy, for entropy production and tests of detailed balance, which are NaN
        without.

    Returns a Generator whose Hamiltonian is diag(E). Raises ValueError for negative rates and for shapes; traced rates
    are flagged where negative or not finite.
    *Source:* W. Pauli, in Probleme der modernen Physik, Sommerfeld Festschrift (1928), for the master equation.

    >>> generator = qdb.pauli([0.0, 1.0], [[0.0, 1.0], [0.5, 0.0]])
    >>> qdb.steady_state(generator).populations.round(4)
    Array([0.6667, 0.3333], dtype=float64)
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
    jumps = PauliJumps(jnp.where(off, table, 0.0), given_temperatures(temperatures, len(names), table.dtype))
    # With its eigenbasis known a System keeps the order in which the levels were given.
    system = System(jnp.diag(energies), eigenbasis=np.eye(d), energies=energies)
    return assemble(system, diagonalize(system), jumps, names)


def _by_bath(value: ArrayLike | Mapping[str, ArrayLike], name: str) -> tuple[tuple[str, ...], list]:
    if isinstance(value, Mapping):
        return tuple(map(str, value)), list(value.values())
    table = as_real(value, name)
    if table.ndim not in (2, 3) or 0 in table.shape:
        raise ValueError(f"{name} must have shape (d, d) or (bath, d, d); got {table.shape}.")
    many = [table] if table.ndim == 2 else list(table)
    return tuple(f"bath{n}" for n in range(len(many))), many


class PauliJumps(AbstractFixedJumps):
    """Jumps |to⟩⟨from| between levels, each a channel of its own."""

    populations_alone: ClassVar[bool] = True

    table: Rates
    temperatures: PerBath

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        d = self.table.shape[-1]
        return ((0,) * (d * d),) * self.table.shape[0]

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """The given rates; flagged where not finite or negative."""
        status = raise_flag(~every(jnp.isfinite, self.table), Status.NONFINITE_INPUT)
        return self.table, status | raise_flag(~every(lambda x: x >= 0, self.table), Status.UNPHYSICAL_BATH)

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """(|n⟩⟨l|, W_nl |n⟩⟨l|) of each bath: one channel a transition, S ρ R† gives W_nl p_l."""
        d = self.table.shape[-1]
        units = jnp.eye(d * d, dtype=self.table.dtype).reshape(d * d, d, d)
        one = spectrum.to_eigenbasis(units)
        return tuple((one, table.reshape(-1)[:, None, None].astype(one.dtype) * one) for table in self.table)
