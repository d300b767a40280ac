"""Closed-form eigensystems of 2x2 and 3x3 matrices: residual and orthogonality, one at a time and in large batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.eigensystem import eigh

CELLS, TOLERANCE = 20_000, 4e-15
KINDS = 8
one = jax.jit(eigh)
many = jax.jit(jax.vmap(eigh))


def unitaries(rng, count, d, is_complex):
    matrix = rng.normal(size=(count, d, d)) + (1j * rng.normal(size=(count, d, d)) if is_complex else 0)
    return np.linalg.qr(matrix)[0]


def from_energies(rng, energies, is_complex):
    basis = unitaries(rng, *energies.shape, is_complex)
    matrix = (basis * energies[:, None, :]) @ np.swapaxes(basis.conj(), 1, 2)
    return (matrix + np.swapaxes(matrix.conj(), 1, 2)) / 2


def zoo(d, is_complex, seed=1):
    """CELLS matrices of KINDS kinds in turn."""
    rng = np.random.default_rng(seed)
    n = CELLS // KINDS
    gaps = 10.0 ** rng.uniform(-17, 0, size=n)
    levels = rng.normal(size=(n, d))
    pair = levels.copy()
    pair[:, 1] = pair[:, 0] + gaps
    equal = levels.copy()
    equal[:, 1] = equal[:, 0]
    triple = levels[:, :1] + gaps[:, None] * rng.normal(size=(n, d))
    gaussian = from_energies(rng, rng.normal(size=(n, d)), is_complex)
    near_unit = rng.normal(size=n)[:, None, None] * np.eye(d) + gaps[:, None, None] * gaussian
    ring = np.roll(np.eye(d), 1, axis=0)
    phase = np.exp(1j * rng.integers(0, 12, n) * np.pi / 6) if is_complex else np.ones(n)
    circulant = phase[:, None, None] * ring
    circulant = circulant + np.swapaxes(circulant.conj(), 1, 2) + rng.integers(-1, 2, n)[:, None, None] * np.eye(d)
    diagonal = rng.integers(-2, 3, size=(n, d))[:, :, None] * np.eye(d)  # zero and multiples of 1 among them
    integer = rng.integers(-2, 3, size=(n, d, d)) + (1j * rng.integers(-2, 3, size=(n, d, d)) if is_complex else 0)
    integer = integer + np.swapaxes(integer.conj(), 1, 2)
    kinds = [from_energies(rng, x, is_complex) for x in (levels, pair, equal, triple)]
    kinds += [near_unit, circulant, diagonal, integer]
    assert len(kinds) == KINDS
    return np.concatenate([np.asarray(x, complex if is_complex else float) for x in kinds])


def errors(matrices, energies, basis):
    """Residual over norm, deviation from orthogonality, and of the energies from LAPACK's over norm."""
    norm = np.linalg.norm(matrices, axis=(-2, -1))
    safe = np.where(norm > 0, norm, 1.0)
    residual = np.abs(matrices @ basis - basis * energies[..., None, :]).max(axis=(-2, -1))
    unit = np.abs(np.swapaxes(basis.conj(), -1, -2) @ basis - np.eye(basis.shape[-1])).max(axis=(-2, -1))
    known = np.abs(np.linalg.eigvalsh(matrices) - energies).max(axis=-1)
    return residual / safe, unit, known / safe


cases = pytest.mark.parametrize(("d", "is_complex"), [(2, False), (2, True), (3, False), (3, True)])


@cases
def test_batch(d, is_complex):
    """20000 matrices in one vmapped call."""
    matrices = zoo(d, is_complex)
    energies, basis = (np.asarray(x) for x in many(jnp.asarray(matrices)))
    assert np.all(np.diff(energies, axis=-1) >= -TOLERANCE * np.linalg.norm(matrices, axis=(1, 2))[:, None])
    for error in errors(matrices, energies, basis):
        assert error.max() <= TOLERANCE


@cases
def test_one_by_one(d, is_complex):
    """Some of each kind, jitted without vmap; the compiler arranges the same formulas differently there."""
    matrices = zoo(d, is_complex, seed=2)[:: CELLS // 400]
    found = [one(matrix) for matrix in jnp.asarray(matrices)]
    energies, basis = (np.stack([np.asarray(x[n]) for x in found]) for n in (0, 1))
    for error in errors(matrices, energies, basis):
        assert error.max() <= TOLERANCE


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1e20, 1e60])
def test_scale(scale):
    """Far from 1 the accuracy stays."""
    matrices = zoo(3, True, seed=3)
    energies, basis = (np.asarray(x) for x in many(jnp.asarray(matrices * scale)))
    for error in errors(matrices, energies / scale, basis):
        assert error.max() <= 2 * TOLERANCE
