"""A system: its Hamiltonian, the eigensystem if the model knows it, and a conserved particle number."""

import equinox as eqx
import numpy as np

from qdbjax._checks import as_hermitian, as_made, as_matrix, as_real, is_traced, warn_if_single_precision
from qdbjax._types import AnyMatrix, ArrayLike, RealVector


class System(eqx.Module):
    """A finite-dimensional quantum system: its Hamiltonian and, optionally, particle number and eigensystem.

    H V = V diag(E),   [H, N] = 0

    hamiltonian: Hermitian H (d, d), energy, in any basis.
    number: Hermitian particle number N (d, d), for `Field` and `Lead`; None if there is none.
    eigenbasis: exact eigenvectors V (d, d), one a column, for models that know them; give it with energies.
    energies: exact energies E (d,), in the order of the columns, energy.

    With eigenbasis and energies no eigensystem is computed, derivatives go through them, and levels keep their order;
    without, levels ascend. Raises ValueError or TypeError for concrete input that is not finite, not Hermitian, of
    another shape, or does not obey the equations; traced input that is not finite is flagged by solvers.

    >>> qdb.System([[0.5, 0.1], [0.1, -0.5]])
    System(dimension=2)
    """

    hamiltonian: AnyMatrix
    number: AnyMatrix | None
    eigenbasis: AnyMatrix | None
    energies: RealVector | None

    def __init__(
        self,
        hamiltonian: ArrayLike,
        *,
        number: ArrayLike | None = None,
        eigenbasis: ArrayLike | None = None,
        energies: ArrayLike | None = None,
    ):
        warn_if_single_precision()
        self.hamiltonian = as_hermitian(hamiltonian, "hamiltonian", traced=False)  # `diagonalize` does
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
        scale = max(float(np.abs(h).max()), float(np.finfo(h.dtype).tiny))
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


def as_system(value: System | ArrayLike) -> System:
    """The System itself, or one made from a Hamiltonian (an array, a Qobj or a sparse matrix)."""
    return as_made(value) if isinstance(value, System) else System(value)
