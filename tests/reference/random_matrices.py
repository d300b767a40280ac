"""Hermitian matrices, unitaries and states with Gaussian entries."""

import numpy as np


def gaussian(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Complex entries of variance 2."""
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def random_hermitian(rng: np.random.Generator, d: int) -> np.ndarray:
    """A Hermitian matrix."""
    matrix = gaussian(rng, d, d)
    return (matrix + matrix.conj().T) / 2


def random_unitary(rng: np.random.Generator, d: int) -> np.ndarray:
    """A unitary matrix."""
    return np.linalg.qr(gaussian(rng, d, d))[0]


def with_spectrum(rng: np.random.Generator, energies) -> np.ndarray:
    """A Hermitian matrix with the given energies and random eigenvectors."""
    basis = random_unitary(rng, len(energies))
    matrix = (basis * np.asarray(energies)) @ basis.conj().T
    return (matrix + matrix.conj().T) / 2


def random_state(rng: np.random.Generator, d: int) -> np.ndarray:
    """A density matrix of full rank."""
    root = gaussian(rng, d, d)
    rho = root @ root.conj().T
    return rho / np.trace(rho).real
