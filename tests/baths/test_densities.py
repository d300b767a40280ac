"""Spectral densities: parameters out of range are refused with name and value."""

import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb


@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf])
def test_strength(strength):
    """Negative, NaN and infinite strengths are refused by every density, with name and value."""
    for build in (
        lambda: qdb.Ohmic(strength, 5.0),
        lambda: qdb.PowerLaw(strength, 5.0, 0.5),
        lambda: qdb.DrudeLorentz(strength, 5.0),
        lambda: qdb.baths.Algebraic(strength, 5.0),
        lambda: qdb.UnderdampedLorentzian(strength, 1.0, 0.1),
        lambda: qdb.Flat(strength),
    ):
        with pytest.raises(ValueError, match=f"strength must be .* got {strength}"):
            build()


def test_parameters_of_densities():
    """Cutoffs, exponents, widths and tables."""
    for build, name in [
        (lambda: qdb.Ohmic(0.1, 0.0), "cutoff"),
        (lambda: qdb.Ohmic(0.1, -1.0), "cutoff"),
        (lambda: qdb.DrudeLorentz(0.1, np.nan), "cutoff"),
        (lambda: qdb.PowerLaw(0.1, np.inf, 1.0), "cutoff"),
        (lambda: qdb.PowerLaw(0.1, 5.0, 0.0), "exponent"),
        (lambda: qdb.baths.Algebraic(0.1, 5.0, -1.0), "power"),
        (lambda: qdb.UnderdampedLorentzian(0.1, 0.0, 1.0), "frequency"),
        (lambda: qdb.UnderdampedLorentzian(0.1, 1.0, 0.0), "width"),
        (lambda: qdb.Ohmic([0.1, 0.2], 5.0), r"strength.*\(2,\)"),
        (lambda: qdb.Tabulated([1.0, 0.5], [0.1, 0.1]), "frequencies.*ascending"),
        (lambda: qdb.Tabulated([0.0, 0.5], [0.1, 0.1]), "frequencies.*positive"),
        (lambda: qdb.Tabulated([0.5, 1.0], [0.1, -0.1]), "values.*>= 0"),
        (lambda: qdb.Tabulated([0.5, 1.0], [0.1]), r"frequencies and values.*\(2,\).*\(1,\)"),
        (lambda: qdb.Tabulated([], []), "frequencies and values"),
    ]:
        with pytest.raises(ValueError, match=name):
            build()
    with pytest.raises(TypeError, match="strength must be real"):
        qdb.Ohmic(1j, 5.0)


def test_no_cutoff():
    """ω_c = ∞ is the limit without a cutoff."""
    for density in (qdb.Ohmic(0.1, np.inf), qdb.DrudeLorentz(0.1, np.inf), qdb.baths.Algebraic(0.1, np.inf)):
        np.testing.assert_allclose(density(jnp.array(3.0)), 0.3, rtol=1e-15)
