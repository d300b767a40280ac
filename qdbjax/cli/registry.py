"""What a run file may name, found in the rooms of the package: spectral densities, baths, models, generators.

A name is that of the class in lower case (`power_law` for `PowerLaw`), or of the function. A new class or function of
such a room appears here, and so in run files, by itself.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType

from qdbjax import baths, models
from qdbjax.generators import davies, low_density, universal_lindblad
from qdbjax.systems import System


def _classes(room: ModuleType, base: type) -> Iterator[tuple[str, type]]:
    for name, thing in sorted(vars(room).items()):
        if inspect.isclass(thing) and issubclass(thing, base) and not name.startswith("Abstract"):
            yield re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(), thing


def parameters_of(thing: Callable) -> dict[str, inspect.Parameter]:
    """The arguments of a class or function by name."""
    return dict(inspect.signature(thing).parameters)


def _functions(result: type) -> dict[str, Callable]:
    """The models that return this."""
    functions = {name: thing for name, thing in sorted(vars(models).items()) if inspect.isfunction(thing)}
    return {name: thing for name, thing in functions.items() if inspect.signature(thing).return_annotation is result}


def _takes_a_callable(density: type) -> bool:
    return any(parameter.annotation is Callable for parameter in parameters_of(density).values())


DENSITIES: dict[str, type] = {
    kind: density
    for kind, density in _classes(baths, baths.AbstractSpectralDensity)
    if not _takes_a_callable(density)  # which a file cannot write down
}
BATHS: dict[str, type] = {**dict(_classes(baths, baths.AbstractBath)), "gas": baths.Gas}
MACHINES = _functions(models.Machine)  # which bring their baths
MODELS = _functions(System) | MACHINES
MAKERS: dict[str, Callable] = {each.__name__: each for each in (davies, universal_lindblad, low_density)}
