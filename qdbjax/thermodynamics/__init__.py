"""Thermodynamics: what flows and what it costs."""

from qdbjax.thermodynamics.currents import (
    energy_currents as energy_currents,
    entropy_production as entropy_production,
    heat_currents as heat_currents,
    micro_currents as micro_currents,
    particle_currents as particle_currents,
)
