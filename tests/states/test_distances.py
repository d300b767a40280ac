"""Trace distance and fidelity against closed forms, and their gradients where these have cusps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from reference.random_matrices import random_hermitian

from qdbjax.states import fidelity, trace_distance

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
VECTORS = {
    "mixed": ([0.3, -0.2, 0.5], [0.1, 0.4, -0.6]),
    "pure and mixed": ([0.6, 0.0, 0.8], [0.1, 0.4, -0.6]),
    "pure": ([0.6, 0.0, 0.8], [0.0, 1.0, 0.0]),
    "equal": ([0.3, -0.2, 0.5], [0.3, -0.2, 0.5]),
    "equal and pure": ([0.6, 0.0, 0.8], [0.6, 0.0, 0.8]),
    "orthogonal": ([0.6, 0.0, 0.8], [-0.6, 0.0, -0.8]),
}


def bloch(vector):
    """½(1 + r·σ)."""
    return 0.5 * (jnp.eye(2, dtype=complex) + jnp.einsum("i,imn->mn", vector.astype(complex), jnp.asarray(PAULI)))


@jax.jit
def read(r, s):
    """(fidelity, trace distance), their gradients by r and s, and their Hessians by r."""
    of = lambda r, s: jnp.stack([f(bloch(r), bloch(s)) for f in (fidelity, trace_distance)])  # noqa: E731
    return of(r, s), jax.jacrev(of, (0, 1))(r, s), jax.jacfwd(jax.jacrev(of))(r, s)


def closed(r, s):
    rest = jnp.sqrt(jnp.maximum(1 - r @ r, 0.0)) * jnp.sqrt(jnp.maximum(1 - s @ s, 0.0))
    return jnp.stack([0.5 * (1 + r @ s + rest), 0.5 * jnp.linalg.norm(r - s)])


@pytest.mark.parametrize("case", VECTORS)
def test_bloch_vectors(case):
    """F = ½(1 + r·s + √(1-r²)√(1-s²)), D = ½|r - s|; gradients wherever they exist, finite everywhere."""
    r, s = map(np.array, VECTORS[case])
    found, gradients, bends = read(r, s)
    np.testing.assert_allclose(found, closed(r, s), rtol=0, atol=2e-15)
    assert np.all(np.isfinite(gradients))
    apart = np.linalg.norm(r - s)
    for side, (own, other) in enumerate(((r, s), (s, r))):
        pure = np.isclose([own @ own, other @ other], 1)
        rest = 0.0 if np.any(pure) else np.sqrt((1 - other @ other) / (1 - own @ own))
        expected = [0.5 * (other - rest * own), 0.5 * (own - other) / apart if apart else np.zeros(3)]
        sphere = np.eye(3) - np.outer(own, own) if pure[0] else np.eye(3)  # of pure states, which it does not leave
        np.testing.assert_allclose(gradients[side] @ sphere, expected @ sphere, rtol=0, atol=3e-14)
    if case == "mixed":
        np.testing.assert_allclose(bends, jax.jacfwd(jax.jacfwd(closed))(r, s), rtol=0, atol=1e-12)


def test_against_scipy():
    """Four levels, mixed states."""
    rng = np.random.default_rng(3)
    rho, sigma = (scipy.linalg.expm(random_hermitian(rng, 4)) for _ in range(2))
    rho, sigma = rho / np.trace(rho), sigma / np.trace(sigma)
    roots = scipy.linalg.sqrtm(rho) @ scipy.linalg.sqrtm(sigma)
    np.testing.assert_allclose(fidelity(rho, sigma), scipy.linalg.svdvals(roots).sum() ** 2, rtol=1e-13)
    np.testing.assert_allclose(trace_distance(rho, sigma), scipy.linalg.svdvals(rho - sigma).sum() / 2, rtol=1e-13)


def projector(vector):
    return np.outer(vector, np.conj(vector))


def test_pure_states():
    """F = |⟨a|b⟩|², D = √(1 - F), and dF along turning states; all digits, also where they are nearly orthogonal."""
    rng = np.random.default_rng(4)
    a, b, c = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))[0].T

    @jax.jit
    def at(angle):
        turned = jnp.cos(angle).astype(complex) * b + jnp.sin(angle).astype(complex) * a
        return [f(projector(a), jnp.outer(turned, turned.conj())) for f in (fidelity, trace_distance)]

    for angle in (0.0, 1e-6, 0.4, np.pi / 2):
        (overlap, distance), slopes = at(angle), jax.jacfwd(at)(angle)
        np.testing.assert_allclose([overlap, distance], [np.sin(angle) ** 2, np.cos(angle)], rtol=1e-9, atol=2e-15)
        expected = [
            np.sin(2 * angle),
            -np.sin(angle) if angle < 1.5 else 0.0,
        ]  # D has a cusp where the states are equal
        np.testing.assert_allclose(slopes, expected, rtol=1e-9, atol=2e-15)
    assert abs(fidelity(projector(a), projector(c))) < 1e-30


@pytest.mark.parametrize("zeros", [0, 2])
def test_commuting_states(zeros):
    """F = (Σ√(p q))², D = ½ Σ|p - q|."""
    p = np.array([0.5, 0.3, 0.2 * (zeros == 0), 0.2 * (zeros > 0)])
    q = np.array([0.1, 0.6, 0.3, 0.0])
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    rho, sigma = (turn @ np.diag(x) @ turn.T for x in (p, q))
    np.testing.assert_allclose(fidelity(rho, sigma), np.sqrt(p * q).sum() ** 2, rtol=1e-14)
    np.testing.assert_allclose(trace_distance(rho, sigma), 0.5 * np.abs(p - q).sum(), rtol=1e-14)


@pytest.mark.parametrize("function", [fidelity, trace_distance])
def test_refused(function):
    with pytest.raises(ValueError, match="rho must be Hermitian"):
        function(np.array([[1.0, 1.0], [0.0, 0.0]]), np.eye(2) / 2)
    with pytest.raises(ValueError, match="rho and sigma must have one shape"):
        function(np.eye(3) / 3, np.eye(2) / 2)
