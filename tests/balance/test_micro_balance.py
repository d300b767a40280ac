"""What single levels and transitions say."""

import numpy as np
from reference.machines import ENERGIES, three_level_machine

import qdbjax as qdb

BALANCE = qdb.balance


def test_levels_and_bounds():
    """β_S is 1/T for Gibbs, whatever the zero of energy; inversion is negative; bounds are those of two baths."""
    shifted = three_level_machine((0.6, 0.6), ENERGIES + 5.0)
    np.testing.assert_allclose(BALANCE.effective_inverse_temperatures(shifted)[1:], 1 / 0.6, rtol=1e-12)
    generator = three_level_machine((1.5, 0.4))
    inverted = np.diag([0.2, 0.5, 0.3])
    assert BALANCE.effective_inverse_temperatures(generator, inverted)[1] < 0
    bounds = BALANCE.domination_bounds(generator)
    np.testing.assert_allclose([bounds.lower[1, 0], bounds.upper[1, 0]], np.exp([-1 / 0.4, -1 / 1.5]), rtol=1e-14)
    assert bounds.inside[1, 0] and not BALANCE.domination_bounds(generator, inverted).inside[1, 0]
    moving = BALANCE.dynamical_balance(generator, inverted)
    assert np.abs(moving.drift).max() > 1e-4 and np.abs(BALANCE.dynamical_balance(generator).drift).max() < 1e-15
