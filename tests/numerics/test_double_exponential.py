"""Double-exponential nodes and weights against integrals in closed form, singular ends included."""

import numpy as np
import pytest
from scipy import special

from qdbjax.numerics import double_exponential


@pytest.mark.parametrize("power", [-0.5, 0.0, 1.0, 3.5])
def test_decaying(power):
    """∫₀^∞ x^p e^{-x} dx = Γ(p + 1)."""
    x, weights = double_exponential.decaying()
    np.testing.assert_allclose(np.sum(weights * x**power * np.exp(-x)), special.gamma(power + 1), rtol=1e-12)


def test_unit_interval():
    """∫₀¹ with a logarithm at one end and a root at the other; the distance to 1 without cancellation."""
    x, rest, weights = double_exponential.unit_interval()
    wanted = special.beta(1, 1.5) * (special.digamma(1) - special.digamma(2.5))
    np.testing.assert_allclose(np.sum(weights * np.log(x) * np.sqrt(rest)), wanted, rtol=1e-12)
    np.testing.assert_allclose(x + rest, 1.0, rtol=1e-15)
    assert rest.min() > 0


def test_roots_at_both_ends():
    """∫₀¹ of an inverse root at both ends is π."""
    x, rest, weights = double_exponential.unit_interval()
    np.testing.assert_allclose(np.sum(weights / np.sqrt(x * rest)), np.pi, rtol=1e-12)
