"""Spectral densities that are made of others, or of a function."""

import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb


def test_sum_by_plus():
    """J₁ + J₂ is their Sum; a bare function may be added."""
    total = qdb.Ohmic(0.01, 5.0) + (lambda w: 0.02 * w)
    assert isinstance(total, qdb.baths.Sum)
    np.testing.assert_allclose(total(jnp.array(0.7)), 0.01 * 0.7 * np.exp(-0.14) + 0.014, rtol=1e-14)


def test_no_density():
    """A sum of nothing, and what cannot be called."""
    with pytest.raises(ValueError, match="at least one"):
        qdb.baths.Sum()
    with pytest.raises(TypeError, match="callable"):
        qdb.Bath(qdb.sigma_x(), 0.1, temperature=1.0)
    with pytest.raises(TypeError, match="callable"):
        qdb.baths.Custom(0.1)
