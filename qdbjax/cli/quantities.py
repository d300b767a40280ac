"""Quantities that a run file can ask for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdbjax._checks import as_hermitian
from qdbjax._types import Array
from qdbjax.cli.errors import InputError
from qdbjax.cli.factory import operator_of
from qdbjax.cli.schema import RunFile
from qdbjax.generators import Generator
from qdbjax.states import expect
from qdbjax.thermodynamics import (
    cumulants,
    energy_currents,
    entropy_production,
    heat_currents,
    micro_currents,
    particle_currents,
    performance,
)
from qdbjax.thermodynamics.machine_performance import Mode


@dataclass(frozen=True)
class Quantity:
    """How to compute it, the dimensions it has beside the swept ones, and what to call it.

    compute: function of generator and state, a SteadyState or, along an evolution, a density matrix.
    dims: names of its axes.
    reads: whether it belongs to any state, to the stationary one only, or to the generator.
    attributes: further ones.
    """

    compute: Callable[[Generator, Any], Array]
    dims: tuple[str, ...]
    long_name: str
    units: str
    reads: str = "state"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def described(self) -> dict:
        """Attributes of the variable."""
        return {"long_name": self.long_name} | ({"units": self.units} if self.units else {}) | dict(self.attributes)


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
# Fields of a Performance: what each is called, its units, and attributes.
PERFORMANCE = {
    "power": ("power that the machine gives", "energy per time"),
    "efficiency": ("efficiency", ""),
    "carnot_efficiency": ("efficiency of Carnot", ""),
    "coefficient": ("coefficient of performance", ""),
    "carnot_coefficient": ("coefficient of performance of Carnot", ""),
    "mode": ("mode of operation", ""),
}
MACHINE_MODES = {
    "flag_values": [int(mode) for mode in Mode],
    "flag_meanings": " ".join(mode.name.lower() for mode in Mode),
}
NAMES = (*QUANTITIES, "cumulants", *PERFORMANCE)  # without the observables, which the file names


def quantities_of(run: RunFile) -> dict[str, Quantity]:
    """Every quantity of a run file by name, its observables among them."""
    found = dict(QUANTITIES)
    table = run.cumulants

    def counted(generator, steady):
        return cumulants(generator, steady, table.bath, of=table.of, order=table.order)

    brought = f"cumulants of the {table.of} from {table.bath or 'all baths'}"
    found["cumulants"] = Quantity(counted, ("order",), brought, "", "stationary state")
    performs = _Once(lambda generator, state: performance(generator, state, **run.performance.model_dump()))
    for name, (long_name, units) in PERFORMANCE.items():
        compute = lambda generator, state, name=name: getattr(performs(generator, state), name)  # noqa: E731
        found[name] = Quantity(compute, (), long_name, units, attributes=MACHINE_MODES if name == "mode" else {})
    for name in run.observables:
        found[name] = Quantity(
            lambda g, state, name=name: expect(state, observable(run, name, g.dimension)), (), name, ""
        )
    return found


class _Once:
    """A function that several quantities read, computed once while a program is traced."""

    def __init__(self, function: Callable[[Generator, Any], Any]):
        self.function, self.given, self.found = function, (None, None), None

    def __call__(self, generator: Generator, state: Any) -> Any:
        if self.given[0] is not generator or self.given[1] is not state:
            self.given, self.found = (generator, state), self.function(generator, state)
        return self.found


def observable(run: RunFile, name: str, levels: int) -> np.ndarray:
    """The operator (levels, levels) of an observable."""
    return operator_of(run.observables[name].model_dump(), run.system.model, levels)


def check_observables(run: RunFile, levels: int) -> None:
    """Raise InputError for an observable that does not fit the system, or the names of the others."""
    for name in run.observables:
        if name in NAMES or name in run.sweep:
            raise InputError(f"observables.{name}: the name is taken; choose another")
        try:
            matrix = observable(run, name, levels)
            if matrix.shape != (levels, levels):
                raise ValueError(f"must have shape {(levels, levels)}; got {matrix.shape}")
            as_hermitian(matrix, "operator")
        except (ValueError, TypeError) as error:
            raise InputError(f"observables.{name}: {error}") from None


def check_roles(run: RunFile, baths: list[str]) -> None:
    """Raise InputError for a bath of [cumulants] or [performance] that is not there."""
    given = run.performance.model_dump()
    roles = [(f"performance.{key}", given[key]) for key in ("cold", "hot")] + [("cumulants.bath", run.cumulants.bath)]
    for key, name in [*roles, *(("performance.work", each) for each in given["work"])]:
        if name is not None and name not in baths:
            raise InputError(f"{key}: must be one of {', '.join(baths)}; got {name!r}")
    if len(set(baths) - set(given["work"])) < 2 and set(PERFORMANCE) & set(run.output.quantities):
        got = ", ".join(given["work"]) or f"no work, and {', '.join(baths)}"
        raise InputError(f"performance.work: leaves fewer than two thermal baths; got {got}")
