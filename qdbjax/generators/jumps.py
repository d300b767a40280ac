"""Jump terms labelled by bath and channel: the form in which every maker of generators gives its dissipators.

    L(ρ) = -i[H + H_LS, ρ] + Σ_bath { ½ Σ_a (R_a ρ S_a† + S_a ρ R_a†) - ½ {K, ρ} },   K = ½ Σ_a (S_a†R_a + R_a†S_a),

with jump operators S_a and their dressed partners R_a = Σ_b γ_ab(ω)∘S_b in the energy eigenbasis (R = γ∘S for one
coupling), restricted to pairs of transitions of equal Bohr frequency.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, DType, Float, Inexact, Matrix, Rates, StatusCode
from qdbjax.numerics.products import dot
from qdbjax.systems import Spectrum

Channels = Inexact[Array, "_channel d d"]  # as many as a bath has
PerBath = Float[Array, " bath"]


SUMMED = 4  # largest number of channels whose sum is written out


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


def jump_tables(operators: Channels, dressed: Channels) -> tuple[Array, Array]:
    """Real and imaginary part of ρ ↦ ½ Σ (R ρ S† + S ρ R†) as (d, d, d, d) tensors [n, m, l, k], ρ_lk to ρ_nm."""
    count, d = operators.shape[0], operators.shape[-1]
    parts = lambda x: (jnp.real(x).reshape(count, d * d), jnp.imag(x).reshape(count, d * d))  # noqa: E731
    (s, si), (r, ri) = parts(operators), parts(dressed)
    tensor = lambda x: (0.5 * x).reshape(d, d, d, d).transpose(0, 2, 1, 3)  # noqa: E731
    if count > SUMMED:
        times = lambda *rows: dot(jnp.concatenate(rows).T, columns)  # noqa: E731
        columns = jnp.concatenate([s, si, r, ri])
        return tensor(times(r, ri, s, si)), tensor(times(ri, -r, si, -s))
    # Written out, the sum is part of what is made of it: the matrix of L takes 146 µs at d = 16, with the product 280.
    real, imag = [], []
    for a in range(count):
        for (x, xi), (y, yi) in (((r, ri), (s, si)), ((s, si), (r, ri))):
            left, left_i, right, right_i = x[a][:, None], xi[a][:, None], y[a][None, :], yi[a][None, :]
            real.append(left * right + left_i * right_i)
            imag.append(left_i * right - left * right_i)
    return tensor(sum(real[1:], real[0])), tensor(sum(imag[1:], imag[0]))


def jump_superoperator(operators: Channels, dressed: Channels) -> Array:
    """ρ ↦ ½ Σ (R ρ S† + S ρ R†) as a (d, d, d, d) complex tensor [n, m, l, k], ρ_lk to ρ_nm."""
    return jax.lax.complex(*jump_tables(operators, dressed))


def complex_type(dtype: DType) -> np.dtype:
    """The complex type of the same precision."""
    return np.promote_types(dtype, jnp.complex64)
