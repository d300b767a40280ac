"""Small linear algebra: elimination with rank, projectors on a kernel and their derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.nullspace import inverse, nullspace_projector

SIZE = 6
invert = jax.jit(inverse)
projector = jax.jit(nullspace_projector)


def of_rank(rng, rank):
    return rng.normal(size=(SIZE, rank)) @ rng.normal(size=(rank, SIZE))


@pytest.mark.parametrize("missing", [0, 1, 2, SIZE])
def test_inverse_with_rank(rng, missing):
    """The inverse against NumPy; NaN where the rank is too low."""
    matrix = of_rank(rng, SIZE - missing)
    found = np.asarray(invert(jnp.asarray(matrix)))
    if missing:
        assert np.all(np.isnan(found))
    else:
        np.testing.assert_allclose(found, np.linalg.inv(matrix), rtol=1e-9)


def stable(rng, kernel):
    """A matrix with eigenvalues in the left half plane and a kernel, not normal."""
    frame = rng.normal(size=(SIZE, SIZE)) + 3 * np.eye(SIZE)
    values = np.r_[np.zeros(kernel), -np.arange(1.0, SIZE - kernel + 1)]
    return frame, frame @ np.diag(values) @ np.linalg.inv(frame)


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_kernel_projector(rng, kernel):
    """The projector on the kernel along the range, known from the frame it was built in; its trace counts."""
    frame, matrix = stable(rng, kernel)
    found = projector(jnp.asarray(matrix), jnp.array(1e-12))
    wanted = frame @ np.diag(np.r_[np.ones(kernel), np.zeros(SIZE - kernel)]) @ np.linalg.inv(frame)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.trace(found), kernel, rtol=0, atol=1e-10)


def test_kernel_projector_derivative(rng):
    """Along a similarity, A(t) = e^{tX} A e^{-tX}, the projector turns: dP = [X, P]; forward and reverse."""
    _, matrix = stable(rng, 2)
    x, probe = rng.normal(size=(SIZE, SIZE)), rng.normal(size=(SIZE, SIZE))
    found = np.asarray(projector(jnp.asarray(matrix), jnp.array(1e-12)))
    along, wanted = x @ matrix - matrix @ x, x @ found - found @ x
    tolerance = jnp.array(1e-12)
    forward = jax.jvp(lambda a: projector(a, tolerance), (jnp.asarray(matrix),), (jnp.asarray(along),))[1]
    np.testing.assert_allclose(forward, wanted, rtol=0, atol=1e-9)
    probed = lambda a: jnp.sum(jnp.asarray(probe) * nullspace_projector(a, tolerance))  # noqa: E731
    grad = jax.jit(jax.grad(probed))(jnp.asarray(matrix))
    np.testing.assert_allclose(np.sum(np.asarray(grad) * along), np.sum(probe * wanted), rtol=1e-9)
