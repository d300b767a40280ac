"""Temperatures of baths: one of two ways to say it, and what is refused."""

import numpy as np
import pytest

import qdbjax as qdb

X = qdb.sigma_x()
OHMIC = qdb.Ohmic(0.05, 5.0)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_temperature_refused(value):
    """Negative, NaN and infinite temperatures of a bosonic bath, with name and value."""
    with pytest.raises(ValueError, match=f"^temperature .*{value}"):
        qdb.Bath(X, OHMIC, temperature=value)


@pytest.mark.parametrize("value", [-1.0, np.nan, 0.0])
def test_inverse_temperature_refused(value):
    """The same for 1/T, where 0 is infinite heat; ∞ is T = 0."""
    with pytest.raises(ValueError, match=f"^inverse_temperature .*{value}"):
        qdb.Bath(X, OHMIC, inverse_temperature=value)
    assert float(qdb.Bath(X, OHMIC, inverse_temperature=np.inf).temperature) == 0


def test_one_temperature_exactly():
    """Both or neither, a vector, and a complex number."""
    for kwargs in ({}, {"temperature": 1.0, "inverse_temperature": 1.0}):
        with pytest.raises(ValueError, match="exactly one"):
            qdb.Bath(X, OHMIC, **kwargs)
        with pytest.raises(ValueError, match="exactly one"):
            qdb.gibbs(X, **kwargs)
    with pytest.raises(ValueError, match=r"temperature must be a single number; got shape \(2,\)"):
        qdb.Bath(X, OHMIC, temperature=[1.0, 2.0])
    with pytest.raises(TypeError, match="temperature must be real"):
        qdb.Bath(X, OHMIC, temperature=1j)
    with pytest.raises(ValueError, match="temperature must be a number; got nan"):
        qdb.gibbs(X, temperature=np.nan)


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_inverse_temperature(temperature):
    """1/T says the same as T."""
    baths = [
        qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.1, 5.0), **kwargs)
        for kwargs in ({"temperature": temperature}, {"inverse_temperature": 1 / temperature})
    ]
    np.testing.assert_allclose(baths[0].temperature, baths[1].temperature, rtol=1e-15)
