"""Energies, eigenvectors and Bohr frequencies of a system, and which of them count as equal."""

import dataclasses
import math
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import allowed, hermiticity, is_traced
from qdbjax._types import AnyArray, AnyMatrix, Array, Bool, BoolMatrix, Inexact, Int, Matrix, RealVector, Scalar
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.numerics.barrier import materialize
from qdbjax.numerics.eigensystem import materialized_eigensystem
from qdbjax.numerics.hermitian import is_hermitian
from qdbjax.numerics.matrix import diagonal_matrix, entrywise, in_frame, largest
from qdbjax.numerics.products import dot
from qdbjax.systems import degeneracy
from qdbjax.systems.system import System

Stack = Inexact[AnyArray, "*stack d d"]


class Spectrum(eqx.Module):
    """The eigensystem of a system.

    energies: E (d,), energy.
    basis: eigenvectors V (d, d), one a column, in the basis of the Hamiltonian.
    mixing: M (d, d), zero in value; its derivative is the off-diagonal part of V†dH V inside a cluster of equal levels.
        A quantity that is invariant under a change of basis inside a cluster has the right derivative when it is
        written with the level matrix B = diag(E) + M (derived in `numerics.eigensystem`).
    window: levels and Bohr frequencies closer than this count as one, energy; None for those that agree to rounding.
    coupled: transitions [to, from] that each channel of a coupling drives (channel, d, d), the only ones that a window
        joins; None for all.
    known_block_size: the number Σ g_k² of entries of ρ between levels that count as one, g_k levels each, where it is
        known before tracing; 0 where it is not. Where it is d no two levels do, and the branch for degenerate levels,
        half of a gradient's program, is not compiled. See `with_known_degeneracy`.
    known_distinct_frequencies: True where it is known that no two Bohr frequencies count as equal.
    """

    energies: RealVector
    basis: AnyMatrix
    mixing: AnyMatrix
    window: Scalar | float | None = None
    coupled: Bool[Array, "channel d d"] | None = None
    known_block_size: int | Int[Array, ""] = 0
    known_distinct_frequencies: bool | Bool[Array, ""] = False

    def with_known_degeneracy(self) -> "Spectrum":
        """The spectrum with both `known_` fields set from its numbers, where they are concrete and no batch."""
        if is_traced(self) or self.energies.ndim != 1:
            return self
        with jax.ensure_compile_time_eval():  # the numbers may be known where a Hamiltonian made of them is traced
            size, equal = _equals(dataclasses.replace(self, known_block_size=0, known_distinct_frequencies=False))
        return dataclasses.replace(self, known_block_size=int(size), known_distinct_frequencies=not bool(equal))

    @property
    def known_nondegenerate(self) -> bool:
        """Whether it is known before tracing that no two levels count as one."""
        # A transformation of the whole record may have made an array of the number: it is then not known.
        return isinstance(self.known_block_size, int) and self.known_block_size == self.energies.shape[-1]

    @property
    def is_one_level(self) -> bool:
        """Whether all levels are known to count as one: a window without end, of equations that are not secular."""
        return isinstance(self.window, float) and math.isinf(self.window)

    @property
    def levels(self) -> Matrix:
        """The level matrix B = diag(E) + M, (d, d), energy."""
        return diagonal_matrix(self.energies).astype(self.mixing.dtype) + self.mixing

    @property
    def frequencies(self) -> Array:
        """Bohr frequency ω[to, from] = E_from - E_to, the energy that the transition gives to the bath."""
        return self.energies[None, :] - self.energies[:, None]

    @property
    def centers(self) -> RealVector:
        """Mean energy of the level that each energy belongs to."""
        return degeneracy.centers(self.energies, self.window, self.coupled)

    @property
    def noise_frequencies(self) -> Array:
        """The frequency at which γ is taken for each transition [to, from]: its own, or within a window the mean."""
        if self.window is None:
            return self.frequencies
        return degeneracy.frequency_means(self.energies, self.window, self.coupled)

    @property
    def rotating_frame_frequencies(self) -> Array:
        """ω̄_mn (d, d), the mean of E_m - E_n over the coherences that count as equal in frequency; 0 inside a level."""
        mean = degeneracy.coherence_frequency_means(self.energies, self.window, self.coupled)
        return jnp.where(self.same_level, 0.0, mean)

    @property
    def same_level(self) -> BoolMatrix:
        """Pairs of levels that count as one."""
        if self.known_nondegenerate:
            return jnp.eye(self.energies.shape[0], dtype=bool)
        return degeneracy.same_level(self.energies, self.window, self.coupled)

    @property
    def degenerate(self) -> Bool[Array, ""] | np.bool_:
        """Whether any two levels count as one; a NumPy False where it is known that none do."""
        return (
            np.False_
            if self.known_nondegenerate
            else degeneracy.any_degenerate(self.energies, self.window, self.coupled)
        )

    @property
    def smallest_spacing(self) -> Scalar:
        """Smallest spacing of levels that do not count as one."""
        return degeneracy.smallest_spacing(self.energies, self.window, self.coupled)

    @property
    def widest_level(self) -> Scalar:
        """Largest difference between energies that count as one level; 0 where it is known that none do."""
        if self.known_nondegenerate:
            return jnp.zeros((), self.energies.dtype)
        same = self.same_level
        return largest(jnp.where(same, jnp.abs(self.energies[:, None] - self.energies[None, :]), 0.0))

    @property
    def smallest_frequency_difference(self) -> Scalar:
        """Smallest difference of Bohr frequencies that do not count as equal."""
        return degeneracy.smallest_frequency_difference(self.energies, self.window, self.coupled)

    @property
    def any_equal_frequencies(self) -> Bool[Array, ""] | np.bool_:
        """Whether two coherences, or a coherence and the populations, share a Bohr frequency.

        A NumPy False where it is known that none do.
        """
        known = self.known_distinct_frequencies is True
        return np.False_ if known else degeneracy.any_equal_frequencies(self.energies, self.window, self.coupled)

    @property
    def frequency_labels(self) -> Array:
        """Cluster number of each Bohr frequency, (to, from)."""
        return degeneracy.frequency_labels(self.energies, self.window, self.coupled)

    def to_eigenbasis(self, operator: Stack) -> Inexact[Array, "*stack d d"]:
        """V† A V of an operator (d, d), or of each of a stack (k, d, d)."""
        return in_frame(self.basis, operator)

    def from_eigenbasis(self, operator: Stack) -> Inexact[Array, "*stack d d"]:
        """V A V† of an operator (d, d), or of each of a stack (k, d, d)."""
        return in_frame(self.basis.conj().T, operator)

    def superoperator_from_eigenbasis(self, superoperator: Matrix) -> Matrix:
        """A superoperator (d², d²) on row-major vec(ρ), from the energy eigenbasis to the basis of the Hamiltonian.

        vec(VAV†) = (V ⊗ V*) vec(A) for row-major vec.
        """
        basis = jnp.asarray(self.basis, superoperator.dtype)
        frame = jnp.kron(basis, basis.conj())
        return dot(frame, superoperator, frame.conj().T)


@jit_if_eager
def _equals(spectrum: Spectrum) -> tuple[Int[Array, ""], Bool[Array, ""] | np.bool_]:
    return jnp.sum(spectrum.same_level), spectrum.any_equal_frequencies


@eval_at_trace_time
def diagonalize(system: System, window: Scalar | float | None = None) -> Spectrum:
    """The eigensystem of a system: the one that the model gives, computed otherwise. See `Spectrum`.

    Where the Hamiltonian is concrete while a program is traced (as when only temperatures are swept) it is computed at
    trace time and becomes a constant of the program.
    """
    return _diagonalize(system, window).with_known_degeneracy()


@jit_if_eager
def _diagonalize(system: System, window: Scalar | float | None) -> Spectrum:
    if system.eigenbasis is not None:
        energies, basis = materialize(cast(Array, system.energies)), system.eigenbasis
        mixing = np.zeros(basis.shape, energies.dtype)
    else:
        hamiltonian = jnp.asarray(system.hamiltonian)
        energies, mixing, basis = materialized_eigensystem(hamiltonian, degeneracy.same_level)
        if is_traced(hamiltonian):
            right = is_hermitian(jax.lax.stop_gradient(hamiltonian), hermiticity(hamiltonian.dtype))
            energies = entrywise(lambda energy: allowed(energy, right), energies)
    if window is not None and is_traced(window):
        energies = entrywise(lambda energy: allowed(energy, window >= 0), energies)
    return Spectrum(energies, basis, mixing, window)
