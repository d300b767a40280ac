"""Hermitian matrices as packed reals: superoperators, and tests of Hermiticity and positivity against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_matrices import random_hermitian

from qdbjax.numerics.hermitian import is_hermitian, is_positive, pack, real_matrix, real_table


def positive(rng, d, rank):
    """A random density matrix of some rank."""
    root = rng.normal(size=(d, rank)) + 1j * rng.normal(size=(d, rank))
    found = root @ root.conj().T
    return found / np.trace(found).real


@pytest.mark.parametrize("d", [2, 3, 7])
def test_positive_matrices(rng, d):
    """Of every rank, pure states and zero probabilities included; not with an eigenvalue of -1e-6 or more."""
    right = [positive(rng, d, rank) for rank in range(1, d + 1) for _ in range(5)] + [np.diag(np.eye(d)[-1]) + 0j]
    wrong = []
    for matrix in right:
        _, basis = np.linalg.eigh(matrix)
        for size in (1e-6, 1e-3, 0.4):
            shifted = np.r_[-size, rng.uniform(0, 1, d - 1)]
            wrong.append(basis @ np.diag(shifted) @ basis.conj().T)
    found = np.asarray(jax.jit(jax.vmap(lambda x: is_positive(x, 1e-9)))(np.stack([*right, *wrong])))
    assert np.all(found[: len(right)]) and not np.any(found[len(right) :])
    assert not is_positive(jnp.full((d, d), jnp.nan), 1e-9)


def test_minors_are_not_enough():
    """Every 2 x 2 minor of this matrix is positive, its determinant is not."""
    matrix = (np.eye(3) - 0.9 * (np.ones((3, 3)) - np.eye(3))) / 3
    assert np.linalg.eigvalsh(matrix).min() < -0.2 and not is_positive(jnp.asarray(matrix), 1e-9)


@pytest.mark.parametrize("d", [2, 3, 7])
def test_hermitian_matrices(rng, d):
    """By entries and as arrays; a difference of 1e-9 in any one entry is seen."""
    check = jax.jit(jax.vmap(lambda x: is_hermitian(x, 1e-12)))
    matrix = random_hermitian(rng, d)
    wrong = np.stack([matrix] * (2 * d * d))
    for n, (m, k) in enumerate(np.ndindex(d, d)):
        wrong[2 * n, m, k] += 1e-9j
        wrong[2 * n + 1, m, k] += 1e-9 if m != k else 1e-9j
    assert not np.any(check(jnp.asarray(wrong)))
    assert np.all(check(jnp.stack([matrix, 1e-20 * matrix, 1e20 * matrix, jnp.zeros_like(matrix)])))
    assert not is_hermitian(jnp.asarray(matrix).at[0, 0].set(jnp.inf), 1e-12)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_superoperators(rng, d):
    """ρ ↦ KρK† + i[ρ, H] on packed reals, as one matrix and on a list of them, against products of matrices."""
    k, h, rho = (
        rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)),
        random_hermitian(rng, d),
        random_hermitian(rng, d),
    )
    one = np.eye(d)
    full = np.kron(k, k.conj()) - 1j * (np.kron(h, one) - np.kron(one, h.T))
    wanted = pack(jnp.asarray(k @ rho @ k.conj().T - 1j * (h @ rho - rho @ h))).reshape(-1)
    found = real_matrix(jnp.asarray(full))
    np.testing.assert_allclose(found @ pack(jnp.asarray(rho)).reshape(-1), wanted, rtol=0, atol=1e-13)
    tensor = jnp.asarray(full.reshape(d, d, d, d))
    row, column = jnp.divmod(jnp.arange(d * d), d)
    table = real_table(lambda *at: tensor[at], row, column)
    np.testing.assert_allclose(table, found, rtol=0, atol=1e-14)
