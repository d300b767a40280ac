"""A system: its Hamiltonian, the eigensystem if the model knows it, and a conserved particle number."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import (
    Array,
    ArrayLike,
    Bool,
    BoolMatrix,
    Matrix,
    RealVector,
    Scalar,
    as_hermitian,
    as_matrix,
    as_real,
    is_traced,
)
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.numerics.eigensystem import eigensystem
from qdbjax.numerics.fence import computed_once
from qdbjax.numerics.small import diagonal_matrix, in_frame
from qdbjax.systems import clusters


class System(eqx.Module):
    """A finite-dimensional system.

    hamiltonian: Hermitian H (d, d), energy units, any basis. number: optional Hermitian particle number N (d, d) with
    [H, N] = 0. eigenbasis and energies: optional exact eigenvectors (columns) and energies (d,) of H, for models that
    know them; derivatives then go through them, levels keep the model's order, and no eigensystem is computed.
    Raises ValueError or TypeError for concrete input that is not finite, Hermitian, or of matching shape.
    """

    hamiltonian: Matrix
    number: Matrix | None
    eigenbasis: Matrix | None
    energies: RealVector | None

    def __init__(
        self,
        hamiltonian: ArrayLike,
        *,
        number: ArrayLike | None = None,
        eigenbasis: ArrayLike | None = None,
        energies: ArrayLike | None = None,
    ):
        self.hamiltonian = as_hermitian(hamiltonian, "hamiltonian")
        d = self.hamiltonian.shape[0]
        self.number = None if number is None else as_hermitian(number, "number")
        if (eigenbasis is None) != (energies is None):
            raise ValueError("give eigenbasis and energies together, or neither.")
        self.eigenbasis = None if eigenbasis is None else as_matrix(eigenbasis, "eigenbasis")
        self.energies = None if energies is None else as_real(energies, "energies")
        for name, value in (("number", self.number), ("eigenbasis", self.eigenbasis)):
            if value is not None and value.shape != (d, d):
                raise ValueError(f"{name} must have the shape of hamiltonian, {(d, d)}; got {value.shape}.")
        if self.energies is not None and self.energies.shape != (d,):
            raise ValueError(f"energies must have shape {(d,)}; got {self.energies.shape}.")
        self._check_number()
        self._check_eigenbasis()

    def _check_number(self) -> None:
        if self.number is None or is_traced(self.hamiltonian, self.number):
            return
        h, n = np.asarray(self.hamiltonian), np.asarray(self.number)
        excess = np.abs(h @ n - n @ h).max()
        if excess > 1e-10 * max(np.abs(h).max() * np.abs(n).max(), np.finfo(float).tiny):
            raise ValueError(f"number must commute with hamiltonian; the commutator is as large as {excess:.3g}.")

    def _check_eigenbasis(self) -> None:
        if self.eigenbasis is None or is_traced(self.hamiltonian, self.eigenbasis, self.energies):
            return
        h, v, e = (np.asarray(x) for x in (self.hamiltonian, self.eigenbasis, self.energies))
        scale = max(1.0, float(np.abs(h).max()))
        excess = max(np.abs(h @ v - v * e).max() / scale, np.abs(v.conj().T @ v - np.eye(len(e))).max())
        if excess > 1e4 * np.finfo(h.dtype).eps:
            raise ValueError(f"eigenbasis and energies must solve H V = V E, V unitary; they miss it by {excess:.3g}.")

    @property
    def dimension(self) -> int:
        """Number of levels d."""
        return self.hamiltonian.shape[0]

    def __repr__(self) -> str:
        given = "" if self.eigenbasis is None else ", eigenbasis given"
        charge = "" if self.number is None else ", particle number"
        return f"System(dimension={self.dimension}{given}{charge})"


class Spectrum(eqx.Module):
    """Energies E (d,), eigenvectors V (d, d, columns) and mixing M (d, d) of a system.

    M is zero in value; its derivative is the off-diagonal part of V†dH V inside a cluster of equal levels. Whatever is
    invariant under a change of basis inside a cluster has the right derivative when it is written with the level
    matrix B = diag(E) + M.
    window: levels and Bohr frequencies within it (energy) count as one; None for those that agree to rounding.
    levels_differ, frequencies_differ: True where it is known before anything is traced that none count as equal, so
    that what is made for equal ones need not be compiled (half of a gradient's program); see `settled`.
    """

    energies: RealVector
    basis: Matrix
    mixing: Matrix
    window: Scalar | float | None = None
    levels_differ: bool | Bool[Array, ""] = False
    frequencies_differ: bool | Bool[Array, ""] = False

    def settled(self) -> "Spectrum":
        """The same with what its numbers tell, where they are known: one spectrum outside jit and vmap."""
        if is_traced(self) or self.energies.ndim != 1:
            return self
        equal = _equal(dataclasses.replace(self, levels_differ=False, frequencies_differ=False))
        levels_differ, frequencies_differ = (not bool(each) for each in equal)
        return dataclasses.replace(self, levels_differ=levels_differ, frequencies_differ=frequencies_differ)

    @property
    def levels(self) -> Matrix:
        """The level matrix B = diag(E) + M."""
        return diagonal_matrix(self.energies).astype(self.mixing.dtype) + self.mixing

    @property
    def frequencies(self) -> Array:
        """Bohr frequency ω[to, from] = E_from - E_to, the energy that the transition gives to the bath."""
        return self.energies[None, :] - self.energies[:, None]

    @property
    def centers(self) -> RealVector:
        """Mean energy of the level that each energy belongs to."""
        return clusters.centers(self.energies, self.window)

    @property
    def noise_frequencies(self) -> Array:
        """The frequency at which each transition [to, from] meets the noise: its own, or within a window the mean."""
        if self.window is None:
            return self.frequencies
        middle = self.centers
        return clusters.cluster_means(middle[None, :] - middle[:, None], self.energies, self.window)

    @property
    def turning_frequencies(self) -> Array:
        """ω̄_mn, the mean of E_m - E_n over the coherences that count as equally fast; exactly 0 inside a level."""
        mean = clusters.cluster_means(self.frequencies, self.energies, self.window).T
        return jnp.where(self.same_level, 0.0, 0.5 * (mean - mean.T))

    @property
    def same_level(self) -> BoolMatrix:
        """Pairs of levels that count as one."""
        if self.levels_differ is True:
            return jnp.eye(self.energies.shape[0], dtype=bool)
        return clusters.same_level(self.energies, self.window)

    @property
    def degenerate(self) -> Bool[Array, ""] | np.bool_:
        """Whether any two levels count as one; a NumPy False where it is known that none do."""
        return np.False_ if self.levels_differ is True else clusters.any_degenerate(self.energies, self.window)

    @property
    def smallest_spacing(self) -> Scalar:
        """Smallest spacing of levels that do not count as one."""
        return clusters.smallest_spacing(self.energies, self.window)

    @property
    def smallest_frequency_difference(self) -> Scalar:
        """Smallest difference of Bohr frequencies that do not count as equal."""
        return clusters.smallest_frequency_difference(self.energies, self.window)

    @property
    def any_equal_frequencies(self) -> Bool[Array, ""] | np.bool_:
        """Whether two coherences, or a coherence and the populations, share a Bohr frequency; likewise."""
        known = self.frequencies_differ is True
        return np.False_ if known else clusters.any_equal_frequencies(self.energies, self.window)

    @property
    def frequency_labels(self) -> Array:
        """Cluster number of each Bohr frequency, (to, from)."""
        return clusters.frequency_labels(self.energies, self.window)

    def to_eigenbasis(self, operator: Matrix) -> Matrix:
        """V† A V."""
        return in_frame(self.basis, operator)

    def from_eigenbasis(self, operator: Matrix) -> Matrix:
        """V A V†."""
        return in_frame(self.basis.conj().T, operator)


@jit_if_eager
def _equal(spectrum: Spectrum) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
    return spectrum.degenerate, spectrum.any_equal_frequencies


@eval_at_trace_time
def spectrum(system: System, window: Scalar | float | None = None) -> Spectrum:
    """The eigensystem of a system: the model's own if it has one, computed otherwise. See `Spectrum`.

    Of a system that is known while a program is traced (temperatures swept, the Hamiltonian fixed) it is computed then,
    and becomes a constant of the program.
    """
    return _spectrum(system, window).settled()


@jit_if_eager
def _spectrum(system: System, window: Scalar | float | None) -> Spectrum:
    if system.eigenbasis is not None:
        fixed = np.zeros(system.eigenbasis.shape, system.energies.dtype)
        return Spectrum(computed_once(system.energies), system.eigenbasis, fixed, window)
    energies, mixing, basis = eigensystem(jnp.asarray(system.hamiltonian), clusters.same_level)
    return Spectrum(energies, basis, mixing, window)


def as_system(value: System | ArrayLike) -> System:
    """A System from one, or from a Hamiltonian of any kind."""
    return value if isinstance(value, System) else System(value)
