"""The Lindblad equation of given jump operators."""

import math
from collections.abc import Mapping

import jax.numpy as jnp

from qdbjax._checks import as_matrix
from qdbjax._status import Status, raise_flag
from qdbjax._types import ArrayLike, Rates, StatusCode
from qdbjax.generators.fixed_jumps import AbstractFixedJumps, given_temperatures
from qdbjax.generators.generator import Generator, assemble
from qdbjax.generators.jumps import Channels, PerBath
from qdbjax.numerics.matrix import every, squared
from qdbjax.systems import Spectrum, System, as_system, diagonalize


def lindblad(
    system: System | ArrayLike,
    jumps: ArrayLike | Mapping[str, ArrayLike],
    *,
    temperatures: ArrayLike | None = None,
) -> Generator:
    """Lindblad equation of given jump operators; no secular approximation is made.

    L(ρ) = -i[H, ρ] + Σ_bath Σ_k (K_k ρ K_k† - ½{K_k†K_k, ρ})

    system: a System, or a Hamiltonian H (d, d), energy.
    jumps: K of one bath, (d, d) or (k, d, d), in the basis of the Hamiltonian, roots of rates included; or a mapping
        from names to the K of each bath.
    temperatures: T of the baths (bath,), energy, for entropy production and tests of detailed balance, which are NaN
        without.

    Returns a Generator with `rates[bath, to, from]` = Σ_k |⟨to|K_k|from⟩|², inverse time. Populations and coherences
    mix: `steady_state` forms a matrix on all d² entries of ρ up to d = 45, and products of d x d matrices beyond.
    Raises ValueError for shapes and for operators that are not finite (flagged when traced).
    *Source:* G. Lindblad, Commun. Math. Phys. 48, 119 (1976); V. Gorini, A. Kossakowski, E. C. G. Sudarshan, J. Math.
    Phys. 17, 821 (1976).

    >>> generator = qdb.lindblad(qdb.models.qubit(1.0), 0.1 * qdb.sigma_minus())
    >>> qdb.steady_state(generator).populations.round(4)
    Array([1., 0.], dtype=float64)
    """
    system = as_system(system)
    named = jumps if isinstance(jumps, Mapping) else {"bath0": jumps}
    operators = []
    for name, value in named.items():
        given = jnp.asarray(as_matrix(value, f"jumps[{name!r}]", ndim=(2, 3)))
        if given.shape[-1] != system.dimension:
            raise ValueError(f"jumps[{name!r}] must act on {system.dimension} levels; got shape {given.shape}.")
        operators.append(given if given.ndim == 3 else given[None])
    given = given_temperatures(temperatures, len(named), jnp.real(operators[0]).dtype)
    return assemble(system, diagonalize(system, math.inf), LindbladJumps(given, tuple(operators)), tuple(named))


class LindbladJumps(AbstractFixedJumps):
    """Jump operators that were given: S = R = K in the equation of `jumps`."""

    temperatures: PerBath
    operators: tuple[Channels, ...]

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        return tuple((0,) * each.shape[0] for each in self.operators)

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """Σ_k |⟨to|K_k|from⟩|² of each bath, zero diagonal; flagged where not finite."""
        off = 1 - jnp.eye(spectrum.energies.shape[0], dtype=spectrum.energies.dtype)
        rates = jnp.stack([jnp.sum(squared(jumps), axis=0) * off for jumps, _ in self.channels(spectrum)])
        return rates, raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """(K, K) of each bath in the energy eigenbasis."""
        all_framed = (spectrum.to_eigenbasis(operators) for operators in self.operators)
        return tuple((jumps, jumps) for jumps in all_framed)
