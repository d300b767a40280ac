"""Quantities that a run file can ask for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qdbjax._types import Array
from qdbjax.generators import Generator
from qdbjax.thermodynamics import (
    energy_currents,
    entropy_production,
    heat_currents,
    micro_currents,
    particle_currents,
)


@dataclass(frozen=True)
class Quantity:
    """How to compute it, the dimensions it has beside the swept ones, and what to call it.

    compute: function of generator and state, a SteadyState or, along an evolution, a density matrix.
    dims: names of its axes.
    reads: whether it belongs to any state, to the stationary one only, or to the generator.
    """

    compute: Callable[[Generator, Any], Array]
    dims: tuple[str, ...]
    long_name: str
    units: str
    reads: str = "state"


def _populations(generator: Generator, state: Any) -> Array:
    if hasattr(state, "populations"):
        return state.populations
    return generator.spectrum.to_eigenbasis(state).diagonal().real


QUANTITIES = {
    "heat_currents": Quantity(heat_currents, ("bath",), "heat current into the system", "energy per time"),
    "energy_currents": Quantity(energy_currents, ("bath",), "energy current into the system", "energy per time"),
    "particle_currents": Quantity(particle_currents, ("bath",), "particle current into the system", "per time"),
    "entropy_production": Quantity(entropy_production, (), "entropy production", "per time"),
    "populations": Quantity(_populations, ("level",), "population", ""),
    "micro_currents": Quantity(micro_currents, ("bath", "to", "from"), "micro-current", "quanta per time"),
    "energies": Quantity(lambda generator, _: generator.spectrum.energies, ("level",), "energy", "energy", "generator"),
    "secular_error": Quantity(
        lambda _, steady: steady.secular_error, (), "change of the currents by dropped terms", "", "stationary state"
    ),
    "residual": Quantity(
        lambda _, steady: steady.residual, (), "residual of the stationary state", "", "stationary state"
    ),
}
