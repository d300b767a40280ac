"""Operators and partial traces against their definitions."""

import jax
import numpy as np
import pytest

from qdbjax import operators


def test_ladders():
    np.testing.assert_allclose(operators.create(4) @ operators.basis_state(1, 4), np.sqrt(2) * np.eye(4)[2])
    np.testing.assert_allclose(operators.create(3) @ operators.destroy(3), np.diag([0.0, 1.0, 2.0]))
    assert np.array_equal(operators.sigma_plus() @ operators.basis_state(1, 2), operators.basis_state(0, 2))
    assert np.array_equal(operators.sigma_plus(), operators.sigma_minus().T)
    with pytest.raises(ValueError, match="index must be between 0 and levels - 1 = 1; got 2"):
        operators.basis_state(2, 2)


def test_partial_trace_of_a_product():
    """Tr_B(A ⊗ B ⊗ C) is what is kept, times the traces of the rest."""
    rng = np.random.default_rng(6)
    dimensions = [2, 3, 2]
    parts = [rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)) for d in dimensions]
    whole = np.kron(np.kron(parts[0], parts[1]), parts[2])
    traces = [np.trace(part) for part in parts]
    of = lambda keep: operators.partial_trace(whole, keep, dimensions)  # noqa: E731
    np.testing.assert_allclose(of(1), parts[1] * traces[0] * traces[2], rtol=1e-13)
    np.testing.assert_allclose(of((0, 2)), np.kron(parts[0], parts[2]) * traces[1], rtol=1e-13)
    np.testing.assert_allclose(of((2, 0)), of((0, 2)))
    np.testing.assert_allclose(of((0, 1, 2)), whole)


def test_partial_trace_is_the_adjoint_of_embedding():
    """Tr[ρ_A O] = Tr[ρ (O ⊗ 1)], which is its derivative too."""
    rho, operator = np.random.default_rng(7).normal(size=(2, 6, 6))
    embedded = operators.embed(operator[:3, :3], 1, [2, 3])
    mean = lambda rho: (operators.partial_trace(rho, 1, [2, 3]) * operator[:3, :3].T).sum()  # noqa: E731
    np.testing.assert_allclose(mean(rho), np.trace(rho @ embedded), rtol=1e-13)
    np.testing.assert_allclose(jax.grad(mean)(rho), embedded.T, rtol=1e-13)


@pytest.mark.parametrize(
    ("keep", "dimensions", "words"),
    [
        (2, [2, 3], "keep must hold factors between 0 and 1; got 2"),
        (-1, [2, 3], "keep must hold factors between 0 and 1; got -1"),
        ((), [2, 3], "keep must hold factors"),
        (0, [2, 2], "rho has dimension 6 but the factors have 4"),
    ],
)
def test_partial_trace_refuses(keep, dimensions, words):
    with pytest.raises(ValueError, match=words):
        operators.partial_trace(np.eye(6), keep, dimensions)
