"""What every task of a run file needs to know of its system, checked before anything is computed."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from qdbjax.baths import AbstractBath
from qdbjax.cli.errors import InputError
from qdbjax.cli.factory import generator_of, parts_of
from qdbjax.cli.parameters import Parameters
from qdbjax.cli.quantities import check_observables, check_roles, quantities_of
from qdbjax.cli.schema import RunFile
from qdbjax.generators import Generator
from qdbjax.generators.inputs import checked_baths


class Plan:
    """A run file with its parameters, what moves them, and the sizes of what comes out.

    run: the file.
    parameters: its numbers by path.
    axes: (n,) each, the numbers that a moved parameter goes through, by name.
    starts: one number for each other moved parameter.
    levels: dimension of the system.
    baths: their names, those of a machine first.
    quantities: what can be asked for, by name.
    Raises InputError for what system and baths refuse at the smallest and the largest of all axes, and for what does
    not fit together.
    """

    def __init__(
        self,
        run: RunFile,
        parameters: Parameters,
        axes: Mapping[str, np.ndarray],
        starts: Mapping[str, float] | None = None,
    ):
        self.run, self.parameters, self.axes = run, parameters, axes
        self.quantities = quantities_of(run)
        for end in (np.min, np.max):
            ends = {name: float(end(values)) for name, values in axes.items()}
            system, baths = parts_of(parameters.tree_with({**(starts or {}), **ends}))
            self.levels: int = system.dimension
            self.baths: list[str] = [str(bath.name) for bath in baths]
            coupled = [bath for bath in baths if isinstance(bath, AbstractBath)]
            if coupled:
                self._refusing(lambda system=system, baths=coupled: checked_baths(system, baths))
        check_observables(run, self.levels)
        check_roles(run, self.baths)
        number = jax.ShapeDtypeStruct((), float)
        # Made without being computed, a generator shows what system and baths do not see of each other.
        self._refusing(lambda: jax.eval_shape(self.generator, dict.fromkeys([*axes, *(starts or {})], number)))
        self._counts = system.number is not None or any(any(getattr(bath, "charges", ())) for bath in baths)

    def _refusing(self, check: Callable[[], Any]) -> None:
        try:
            check()
        except (ValueError, TypeError) as error:
            said = re.sub(r"baths\[(\d+)\]", lambda found: f"baths.{self.baths[int(found[1])]}", str(error))
            raise InputError(said if said.startswith("baths.") else f"system and baths: {said}") from None

    def generator(self, values: Mapping[str, Any]) -> Generator:
        """The generator with these values of the moved parameters, which may be tracers."""
        return generator_of(self.parameters.tree_with(values))

    def check_quantity(self, key: str, name: str) -> None:
        """Raise InputError, with the key of the file, for a quantity that this system or task does not have."""
        if name == "particle_currents" and not self._counts:
            raise InputError(f"{key}: {name} needs a field, a lead or a system with a particle number")
        if self.run.evolution is not None and self.quantities[name].reads == "stationary state":
            raise InputError(f"{key}: {name} belongs to stationary states, not to an evolution")

    def dims_of(self, variable: str) -> tuple[str, ...]:
        """Dimensions of a quantity or observable beside the moved ones and the time."""
        return self.quantities[variable].dims

    def coordinates(self, dim: str) -> list:
        """What may be chosen along such a dimension."""
        if dim == "order":
            return list(range(1, self.run.cumulants.order + 1))
        return self.baths if dim == "bath" else list(range(self.levels))
