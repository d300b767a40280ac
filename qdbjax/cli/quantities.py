"""Quantities that a run file can ask for."""

from collections.abc import Callable
from dataclasses import dataclass

from qdbjax._types import Array
from qdbjax.generators import Generator
from qdbjax.solvers import SteadyState
from qdbjax.thermodynamics import entropy_production, heat_currents, micro_currents


@dataclass(frozen=True)
class Quantity:
    """How to compute it, the dimensions it has beside the swept ones, and what to call it."""

    compute: Callable[[Generator, SteadyState], Array]
    dims: tuple[str, ...]
    long_name: str
    units: str


QUANTITIES = {
    "heat_currents": Quantity(heat_currents, ("bath",), "heat current into the system", "energy per time"),
    "entropy_production": Quantity(entropy_production, (), "entropy production", "per time"),
    "populations": Quantity(lambda generator, steady: steady.populations, ("level",), "population", ""),
    "micro_currents": Quantity(micro_currents, ("bath", "to", "from"), "micro-current", "quanta per time"),
    "energies": Quantity(lambda generator, steady: generator.spectrum.energies, ("level",), "level energy", "energy"),
    "secular_ratio": Quantity(
        lambda generator, steady: generator.secular_ratio, (), "smallest gap difference over largest rate", ""
    ),
    "residual": Quantity(lambda generator, steady: steady.residual, (), "residual of the stationary state", ""),
}
