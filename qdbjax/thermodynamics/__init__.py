"""Thermodynamics: what flows and what it costs."""

from qdbjax.thermodynamics.currents import (
    energy_currents as energy_currents,
    entropy_production as entropy_production,
    heat_currents as heat_currents,
    micro_currents as micro_currents,
    particle_currents as particle_currents,
)
from qdbjax.thermodynamics.entropy import (
    EntropyRates as EntropyRates,
    entropy_rates as entropy_rates,
    free_energy as free_energy,
    spohn_entropy_production as spohn_entropy_production,
)
from qdbjax.thermodynamics.machines import (
    Mode as Mode,
    Performance as Performance,
    Rectification as Rectification,
    amplification as amplification,
    performance as performance,
    rectification as rectification,
)
from qdbjax.thermodynamics.protocol import SecondLaw as SecondLaw, second_law as second_law
