"""Derivatives of what does not depend on the basis inside a cluster, against routes without eigenvectors.

Projectors on the two lower levels by Newton's iteration of the matrix sign function, and a polynomial of H: first and
second order, forward and reverse, at gaps 0, 1e-15 … 1e-1.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_matrices import random_hermitian, with_spectrum

from qdbjax.numerics.eigensystem import eigensystem
from qdbjax.numerics.matrix_functions import expm_hermitian
from qdbjax.systems import degeneracy

GAPS = np.concatenate([[0.0], 10.0 ** np.arange(-15, 0)])


def polynomial(matrix):
    """H³ - 2H² + H/2."""
    square = matrix @ matrix
    return square @ matrix - 2 * square + 0.5 * matrix


def by_eigensystem(hamiltonian):
    """V f(B) V† of the polynomial, and the projector on the two lower levels."""
    energies, mixing, basis = eigensystem(hamiltonian, degeneracy.same_level)
    levels = jnp.diag(energies).astype(mixing.dtype) + mixing
    lower = basis[:, :2]
    return basis @ polynomial(levels) @ basis.conj().T, lower @ lower.conj().T


def by_matrix_functions(hamiltonian):
    """The same without eigenvectors; the third level lies at 2, the others near 0."""
    unit = jnp.eye(3, dtype=hamiltonian.dtype)
    sign = hamiltonian - unit
    for _ in range(9):
        sign = 0.5 * (sign + jnp.linalg.inv(sign))
    return polynomial(hamiltonian), 0.5 * (unit - sign)


def derivatives(route, order=2):
    """Along H + tX + sY: value, first derivatives both ways, second ones forward-forward and forward-reverse."""

    def scalars(t, s, hamiltonian, x, y, probe):
        matrix = hamiltonian + t.astype(complex) * x + s.astype(complex) * y
        return jnp.stack([jnp.real(jnp.sum(probe.T * part)) for part in route(matrix)])

    def everything(*fixed):
        zero = jnp.zeros(())
        along = lambda t: scalars(t, zero, *fixed)  # noqa: E731
        mixed = lambda s, first: first(lambda t: scalars(t, s, *fixed))(zero)  # noqa: E731
        first = along(zero), jax.jacfwd(along)(zero), jax.jacrev(along)(zero)
        if order == 1:
            return first
        return (
            *first,
            jax.jacfwd(lambda s: mixed(s, jax.jacfwd))(zero),
            jax.jacfwd(lambda s: mixed(s, jax.jacrev))(zero),
        )

    return jax.jit(jax.vmap(everything))


def points(rng, gaps):
    """Hamiltonians with levels 0, gap, 2, two directions and a probe."""
    matrix = with_spectrum(rng, np.stack([0 * gaps, gaps, 0 * gaps + 2], axis=1))
    return tuple(jnp.asarray(x) for x in (matrix, *(random_hermitian(rng, 3, len(gaps)) for _ in range(3))))


@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_cluster_invariants(rng, order):
    """Polynomial and projector: value, first and second derivatives agree at every gap."""
    given = points(rng, GAPS)
    found = [np.asarray(x) for x in derivatives(by_eigensystem, order)(*given)]
    wanted = [np.asarray(x) for x in derivatives(by_matrix_functions, order)(*given)]
    first, second = (1e-13, 1e-8, 1e-8), (1e-8, 1e-8)
    # The two eigenvectors of levels a distance g apart, not one cluster, turn with 1/g and 1/g²; the turns cancel in
    # the projector, but leave eps/g and eps/g² of rounding behind.
    apart = (GAPS > 3e-8) & (GAPS < 3e-4)
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        error = np.abs(one - other) / np.maximum(1.0, np.abs(other))
        assert np.all(np.isfinite(one))
        assert np.all(error[:, 0] <= (*first, *second)[number])
        assert np.all(error[~apart if number > 2 else slice(None), 1] <= (*first, *second)[number])
        clean = (GAPS <= 1e-8) | (GAPS >= 1e-1)
        assert np.all(error[clean] <= 1e-13 * 10 ** (number // 3))


@pytest.mark.slow
def test_exponential(rng):
    """expm_hermitian against jax.scipy.linalg.expm: value, first (1e-12) and second (1e-10) derivatives."""
    given = points(rng, GAPS)
    found = derivatives(lambda matrix: (expm_hermitian(matrix),))(*given)
    wanted = derivatives(lambda matrix: (jax.scipy.linalg.expm(matrix),))(*given)
    for one, other, slack in zip(found, wanted, (1e-13, 1e-12, 1e-12, 1e-10, 1e-10), strict=True):
        np.testing.assert_allclose(one, other, rtol=slack, atol=slack)


@pytest.mark.parametrize("d", [2, 3])
def test_energies_and_mixing_at_degeneracy(d):
    """At H = 0 the whole tangent is mixing: dB = dH in the frame of V, and dV = 0."""
    x = np.diag(np.arange(1.0, d + 1)) + 0.3 * (np.ones((d, d)) - np.eye(d))
    zero = jnp.zeros((d, d))
    system = jax.jit(lambda h: eigensystem(h, degeneracy.same_level))
    (energies, mixing, basis), (d_energies, d_mixing, d_basis) = jax.jvp(system, (zero,), (jnp.asarray(x),))
    framed = np.asarray(basis).T @ x @ np.asarray(basis)
    np.testing.assert_allclose(np.diag(d_energies) + d_mixing, framed, rtol=0, atol=1e-14)
    assert not np.any(d_basis)
    assert not np.any(mixing)
    assert not np.any(energies)
