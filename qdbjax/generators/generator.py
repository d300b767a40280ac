"""The generator of a master equation: one data type, however it was made.

Every secular generator is a table of rates plus what happens to coherences. Both follow from jump terms labelled by
bath and channel, S_a and their dressed partners R_a = Σ_b γ_ab(ω)∘S_b in the energy eigenbasis (R = γ∘S for one
coupling), restricted to pairs of transitions of equal Bohr frequency:

    L(ρ) = -i[H, ρ] + Σ_bath { ½ Σ_a (R_a ρ S_a† + S_a ρ R_a†) - ½ {K, ρ} },   K = ½ Σ_a (S_a†R_a + R_a†S_a).
"""

import abc
import functools as ft

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, Float, Inexact, Matrix, Rates, Scalar, StatusCode, as_matrix, as_real
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.small import compose, dagger, entrywise, in_frame, largest, vector_entries
from qdbjax.systems import Spectrum, System

Channels = Inexact[Array, "channel d d"]
PerBath = Float[Array, " bath"]
DENSE_LIMIT = 32  # largest dimension for which the d² x d² Liouvillian is formed (16 MB at d = 32, 268 MB at 64)


class AbstractJumps(eqx.Module):
    """What a maker knows about its jump terms.

    Asked again where a few cells of a batch need more than the rates: rebuilding them there is cheaper than carrying
    them along for every cell.
    """

    @property
    @abc.abstractmethod
    def charges(self) -> tuple[tuple[int, ...], ...]:
        """Change of the particle number by each channel of each bath."""

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

    @abc.abstractmethod
    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        """What the baths add to the Hamiltonian, in the energy eigenbasis, between equal levels; None for nothing."""

    @abc.abstractmethod
    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """(S, R) of each bath in the energy eigenbasis."""


class Generator(eqx.Module):
    """A secular generator L, dρ/dt = L(ρ), of a system and its baths.

    rates (bath, to, from): population transfer in the energy eigenbasis, zero diagonal, inverse time.
    temperatures (bath,): T, for entropy production (NaN for a local-KMS field). chemical_potentials (bath,): μ, 0 where
    no particles are exchanged. status: flags raised by the input (see `explain`).
    names: one label per bath, in the order given.
    """

    system: System
    spectrum: Spectrum
    rates: Rates
    jumps: AbstractJumps
    temperatures: PerBath
    chemical_potentials: PerBath
    status: StatusCode
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def dimension(self) -> int:
        """Number of levels d."""
        return self.rates.shape[-1]

    @property
    @jit_if_eager
    def total_rates(self) -> Array:
        """Rates summed over baths, (to, from), zero diagonal."""
        return ft.reduce(ft.partial(entrywise, jnp.add), vector_entries(self.rates))

    @property
    @jit_if_eager
    def scale(self) -> Scalar:
        """Largest rate, the unit against which residuals and frequencies are judged."""
        return largest(self.total_rates)

    @property
    @jit_if_eager
    def secular_ratio(self) -> Scalar:
        """Smallest difference of distinct Bohr frequencies over the largest rate; secular theory needs >> 1."""
        return self.spectrum.smallest_frequency_difference / self.scale

    @property
    @jit_if_eager
    def lamb_shift(self) -> Matrix:
        """H_LS (d, d) in the basis of the Hamiltonian, energy; zero unless the generator was made with it."""
        shift = self.jumps.hamiltonian_shift(self.spectrum)
        if shift is None:
            return jnp.zeros(self.spectrum.basis.shape, _complex(self.spectrum.basis.dtype))
        return in_frame(jnp.asarray(self.spectrum.basis, shift.dtype).conj().T, shift)

    def with_reservoirs(
        self, *, temperatures: ArrayLike | None = None, chemical_potentials: ArrayLike | None = None
    ) -> "Generator":
        """The same system and couplings with baths at other temperatures T and chemical potentials μ.

        temperatures, chemical_potentials: (bath,), energy; None leaves them. A local-KMS field keeps its β(ω), and a
        bath that exchanges no particles its μ = 0. Traced values are flagged where they are unphysical.
        """
        given = []
        for value, name in ((temperatures, "temperatures"), (chemical_potentials, "chemical_potentials")):
            present = getattr(self, name)
            value = present if value is None else as_real(value, name).astype(present.dtype)
            if value.shape != present.shape:
                raise ValueError(f"{name} must have shape {present.shape}, one per bath; got {value.shape}.")
            given.append(value)
        return _with_reservoirs(self, *given)

    def apply(self, rho: ArrayLike) -> Matrix:
        """L(ρ) for a matrix (d, d) in the basis of the Hamiltonian."""
        rho = jnp.asarray(as_matrix(rho, "rho"))
        if rho.shape != (self.dimension, self.dimension):
            raise ValueError(f"rho must have shape {(self.dimension, self.dimension)}; got {rho.shape}.")
        return _apply(self, rho.astype(_complex(rho.dtype)))

    @jit_if_eager
    def liouvillian(self) -> Matrix:
        """L as a (d², d²) matrix on row-major vec(ρ), in the basis of the Hamiltonian, inverse time.

        Raises ValueError above d = 32; steady states, currents and evolution do not need this matrix.
        """
        d = self.dimension
        if d > DENSE_LIMIT:
            size = 16 * d**4 / 2**30
            raise ValueError(
                f"the dense Liouvillian at dimension {d} takes {size:.3g} GiB; above {DENSE_LIMIT} use gen.rates and "
                "steady_state, which work with populations."
            )
        total = energy_liouvillian(self.spectrum, self.jumps)
        basis = jnp.asarray(self.spectrum.basis, total.dtype)
        frame = jnp.kron(basis, basis.conj())
        return frame @ total @ frame.conj().T

    def __repr__(self) -> str:
        return f"Generator(dimension={self.dimension}, baths={', '.join(self.names)})"


@jit_if_eager
def _apply(generator: Generator, rho: Matrix) -> Matrix:
    return (generator.liouvillian() @ rho.reshape(-1)).reshape(rho.shape)


@jit_if_eager
def assemble(system: System, spectrum: Spectrum, jumps: AbstractJumps, names: tuple[str, ...]) -> Generator:
    """A Generator from what its maker knows."""
    rates, status = jumps.checked_rates(spectrum)
    temperatures, potentials = (each.astype(rates.dtype) for each in jumps.reservoirs)
    return Generator(system, spectrum, rates, jumps, temperatures, potentials, status, names)


@jit_if_eager
def _with_reservoirs(generator: Generator, temperatures: PerBath, potentials: PerBath) -> Generator:
    jumps = generator.jumps.with_reservoirs(temperatures, potentials)
    return assemble(generator.system, generator.spectrum, jumps, generator.names)


def _complex(dtype):
    return np.promote_types(dtype, jnp.complex64)


def energy_liouvillian(spectrum: Spectrum, jumps: AbstractJumps) -> Matrix:
    """L as a (d², d²) matrix on row-major vec(ρ) in the energy eigenbasis."""
    levels = turning_levels(spectrum, jumps)
    levels = levels.astype(_complex(levels.dtype))
    unit = jnp.eye(levels.shape[0], dtype=levels.dtype)
    total = -1j * (jnp.kron(levels, unit) - jnp.kron(unit, levels.T))
    for pair in jumps.channels(spectrum):
        total = total + dissipator_matrix(*pair, spectrum)
    return total


class Block(eqx.Module):
    """What the ω = 0 block needs, in the energy eigenbasis: it connects levels of one cluster only.

    operators S and dressed R (channel, d, d), levels B (d, d), same (d, d) as 0 and 1.
    """

    operators: Channels
    dressed: Channels
    levels: Matrix
    same: Array

    def dissipate(self, rho: Matrix) -> Matrix:
        """D(ρ) of the channels, for ρ within the block."""
        s, r = self.operators, self.dressed
        # ½{K, ρ} with K = ½ Σ(S†R + R†S): its other half is the conjugate transpose of this one.
        half = jnp.sum(compose(compose(r, rho[None]), dagger(s)), axis=0) - compose(2 * self.decay, rho)
        return 0.5 * (half + dagger(half)) * self.same

    @property
    def decay(self) -> Matrix:
        """½K = ¼ Σ(S†R + R†S) within the block: coherences and populations decay by -½{K, ρ}."""
        half = jnp.sum(compose(dagger(self.operators), self.dressed), axis=0)
        return 0.25 * (half + dagger(half)) * self.same

    def action(self, rho: Matrix) -> Matrix:
        """L(ρ) for ρ within the block."""
        turning = -1j * compose(self.levels, rho)
        return (turning + dagger(turning)) * self.same + self.dissipate(rho)

    def matrix(self) -> Array:
        """L as a (d, d, d, d) complex tensor [n, m, l, k], ρ_lk to ρ_nm, zero on everything outside the block."""
        d = self.levels.shape[0]
        unit = jnp.eye(d, dtype=self.levels.dtype)
        effective = -1j * self.levels - self.decay
        both = effective[:, None, :, None] * unit[None, :, None, :] + (
            unit[:, None, :, None] * effective.conj()[None, :, None, :]
        )
        whole = jumps_matrix(self.operators, self.dressed) + both
        return whole * self.same[:, :, None, None] * self.same[None, None, :, :]


def in_levels(operators: Channels, spectrum: Spectrum) -> Channels:
    """V†SV of several operators."""
    basis = jnp.asarray(spectrum.basis)
    dtype = np.promote_types(operators.dtype, basis.dtype)
    basis = basis.astype(dtype)
    return compose(dagger(basis), compose(operators.astype(dtype), basis))


def turning_levels(spectrum: Spectrum, jumps: AbstractJumps) -> Matrix:
    """H + H_LS in the energy eigenbasis: what coherences turn with."""
    shift = jumps.hamiltonian_shift(spectrum)
    return spectrum.levels if shift is None else spectrum.levels.astype(shift.dtype) + shift


def blocks(spectrum: Spectrum, jumps: AbstractJumps) -> list[Block]:
    """The ω = 0 block of each bath."""
    dtype = _complex(spectrum.basis.dtype)
    levels = turning_levels(spectrum, jumps).astype(dtype)
    same = spectrum.same_level.astype(dtype)
    return [Block(s.astype(dtype), r.astype(dtype), levels, same) for s, r in jumps.channels(spectrum)]


def whole_block(spectrum: Spectrum, jumps: AbstractJumps) -> Block:
    """The ω = 0 block of all baths together."""
    parts = blocks(spectrum, jumps)
    operators = jnp.concatenate([part.operators for part in parts])
    return Block(operators, jnp.concatenate([part.dressed for part in parts]), parts[0].levels, parts[0].same)


def jumps_matrix(operators: Channels, dressed: Channels) -> Array:
    """ρ ↦ ½ Σ (R ρ S† + S ρ R†) as a (d, d, d, d) tensor [n, m, l, k]."""
    gain = jnp.sum(dressed[:, :, None, :, None] * operators.conj()[:, None, :, None, :], axis=0)
    return 0.5 * (gain + gain.conj().transpose(1, 0, 3, 2))


def dissipator_matrix(operators: Channels, dressed: Channels, spectrum: Spectrum) -> Matrix:
    """D of one bath as a (d², d²) matrix in the energy eigenbasis, every Bohr frequency included."""
    d = operators.shape[-1]
    dtype = _complex(operators.dtype)
    s, r = operators.astype(dtype), dressed.astype(dtype)
    label = spectrum.frequency_labels
    equal = (label[:, None, :, None] == label[None, :, None, :]).astype(dtype)  # [n, n', l, l']: l→n as l'→n'
    gain = jumps_matrix(s, r) * equal
    half = jnp.sum(compose(dagger(s), r), axis=0)
    decay = 0.25 * (half + dagger(half)) * spectrum.same_level.astype(dtype)
    unit = jnp.eye(d, dtype=dtype)
    return gain.reshape(d * d, d * d) - jnp.kron(decay, unit) - jnp.kron(unit, decay.conj())
