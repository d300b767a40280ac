"""Hermitian matrices, unitaries and states with Gaussian entries."""

import numpy as np


def gaussian(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Complex entries of variance 2."""
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def random_hermitian(rng: np.random.Generator, d: int, *batch: int) -> np.ndarray:
    """A Hermitian matrix, or a batch of them."""
    matrix = gaussian(rng, *batch, d, d)
    return (matrix + np.swapaxes(matrix.conj(), -1, -2)) / 2


def random_unitary(rng: np.random.Generator, d: int, *batch: int) -> np.ndarray:
    """A unitary matrix, or a batch of them."""
    return np.linalg.qr(gaussian(rng, *batch, d, d))[0]


def with_spectrum(rng: np.random.Generator, energies) -> np.ndarray:
    """A Hermitian matrix with the given energies and random eigenvectors, or one for each row of energies."""
    energies = np.asarray(energies)
    basis = random_unitary(rng, energies.shape[-1], *energies.shape[:-1])
    matrix = (basis * energies[..., None, :]) @ np.swapaxes(basis.conj(), -1, -2)
    return (matrix + np.swapaxes(matrix.conj(), -1, -2)) / 2


def random_state(rng: np.random.Generator, d: int, *batch: int) -> np.ndarray:
    """A density matrix of full rank, or a batch of them."""
    root = gaussian(rng, *batch, d, d)
    rho = root @ np.swapaxes(root.conj(), -1, -2)
    return rho / np.trace(rho, axis1=-2, axis2=-1).real[..., None, None]
