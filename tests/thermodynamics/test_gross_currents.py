"""What is carried both ways."""

import numpy as np
from reference.machines import level_between_leads
from reference.thermal import fermi

import qdbjax as qdb
from qdbjax.thermodynamics.currents import gross_currents


def test_what_is_carried_both_ways():
    """Σ (|ω| + |μ|) Γ p of a level between two leads, in closed form."""
    level, temperature, strength, potentials = 0.1, 0.2, 1e-3, (3.0, -0.4)
    generator = level_between_leads(level, [strength] * 2, [temperature] * 2, potentials)
    filling = fermi(level - np.array(potentials), temperature)
    occupied = filling.mean()
    both = 2 * np.pi * strength * (filling * (1 - occupied) + (1 - filling) * occupied)
    found = gross_currents(generator, qdb.steady_state(generator))
    np.testing.assert_allclose(found, (level + np.abs(potentials)) * both, rtol=1e-12)
