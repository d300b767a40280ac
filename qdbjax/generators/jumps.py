"""Jump terms labelled by bath and channel: the form in which every maker of generators gives its dissipators.

    L(ρ) = -i[H + H_LS, ρ] + Σ_bath { ½ Σ_a (R_a ρ S_a† + S_a ρ R_a†) - ½ {K, ρ} },   K = ½ Σ_a (S_a†R_a + R_a†S_a),

with jump operators S_a and their dressed partners R_a = Σ_b γ_ab(ω)∘S_b in the energy eigenbasis (R = γ∘S for one
coupling), restricted to pairs of transitions of equal Bohr frequency.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Inexact, Matrix, Rates, StatusCode
from qdbjax.systems import Spectrum

Channels = Inexact[Array, "channel d d"]
PerBath = Float[Array, " bath"]


class AbstractJumps(eqx.Module):
    """Jump terms of a generator, given as parameters (baths, rates, operators) from which they are computed on demand.

    A generator stores the rates of every cell of a batch. Jump operators are needed in cells with degenerate levels
    only: computing them there is cheaper than storing them for all.
    """

    secular_step: ClassVar[str | None] = None  # what became of the secular approximation; None without weak coupling
    is_secular: ClassVar[bool] = False  # whether terms between different Bohr frequencies were dropped
    merges_levels: ClassVar[bool] = False  # whether rates of levels that count as one are taken at one frequency
    populations_alone: ClassVar[bool] = False  # whether populations evolve by themselves between equal levels too

    @property
    @abc.abstractmethod
    def charges(self) -> tuple[tuple[int, ...], ...]:
        """Change of the particle number by each channel of each bath; a single number stands for all of them."""

    @property
    @abc.abstractmethod
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        """Temperatures (NaN for a local-KMS field) and chemical potentials (0 where no particles are exchanged)."""

    @abc.abstractmethod
    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "AbstractJumps":
        """The same baths at other temperatures and chemical potentials, where they have them."""

    @abc.abstractmethod
    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """Rates (bath, to, from), zero diagonal, and what is wrong with them."""

    def rates(self, spectrum: Spectrum) -> Rates:
        """Rates (bath, to, from), zero diagonal."""
        return self.checked_rates(spectrum)[0]

    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        """H_LS (d, d), energy, in the energy eigenbasis, nonzero between equal levels only; None if there is none."""
        return None

    @abc.abstractmethod
    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """(S, R) of each bath, both (channel, d, d), in the energy eigenbasis."""

    @property
    def exchanges_particles(self) -> bool:
        """Whether any bath exchanges particles."""
        return any(charge != 0 for charges in self.charges for charge in charges)


def channel_charges(jumps: AbstractJumps, bath: int, count: int) -> np.ndarray:
    """Change of the particle number by each of the `count` channels of a bath."""
    return np.broadcast_to(np.asarray(jumps.charges[bath]), (count,))


def dressed_hamiltonian(spectrum: Spectrum, jumps: AbstractJumps) -> Matrix:
    """H + H_LS in the energy eigenbasis, the Hamiltonian part of L."""
    shift = jumps.hamiltonian_shift(spectrum)
    return spectrum.levels if shift is None else spectrum.levels.astype(shift.dtype) + shift


def jump_superoperator(operators: Channels, dressed: Channels) -> Array:
    """ρ ↦ ½ Σ (R ρ S† + S ρ R†) as a (d, d, d, d) tensor [n, m, l, k], ρ_lk to the (n, m) entry."""
    gain = jnp.sum(dressed[:, :, None, :, None] * operators.conj()[:, None, :, None, :], axis=0)
    return 0.5 * (gain + gain.conj().transpose(1, 0, 3, 2))


def complex_type(dtype) -> np.dtype:
    """The complex type of the same precision."""
    return np.promote_types(dtype, jnp.complex64)
