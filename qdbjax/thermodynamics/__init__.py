"""Thermodynamics: what flows, how it fluctuates and responds, and what it costs."""

from qdbjax.thermodynamics.counters import Counter as Counter, counter as counter
from qdbjax.thermodynamics.counting import (
    cumulants as cumulants,
    joint_cumulants as joint_cumulants,
    noise_matrix as noise_matrix,
    noise_spectrum as noise_spectrum,
)
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
from qdbjax.thermodynamics.large_deviations import (
    fano_factor as fano_factor,
    fluctuation_symmetry as fluctuation_symmetry,
    generating_function as generating_function,
    uncertainty_ratio as uncertainty_ratio,
)
from qdbjax.thermodynamics.laws import SecondLaw as SecondLaw, second_law as second_law
from qdbjax.thermodynamics.machine_performance import (
    Mode as Mode,
    Performance as Performance,
    Rectification as Rectification,
    amplification as amplification,
    performance as performance,
    rectification as rectification,
)
from qdbjax.thermodynamics.response import (
    affinities as affinities,
    conductances as conductances,
    kubo_matrix as kubo_matrix,
    onsager_matrix as onsager_matrix,
    response_labels as response_labels,
    second_order_response as second_order_response,
    transition_response as transition_response,
)
from qdbjax.thermodynamics.validity_check import Validity as Validity, validity as validity
