"""What a run file may say: sections, keys, types. Physical ranges are checked by the classes that the file names.

Tables of spectral densities, baths and models are made from the signatures of the classes and functions themselves: the
keys are the names of the arguments.
"""

import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, create_model, field_validator, model_validator

from qdbjax.cli.fit_schema import RESERVED, FitTable, plain_name
from qdbjax.cli.registry import BATHS, DENSITIES, MACHINES, MAKERS, MODELS, parameters_of
from qdbjax.cli.tables import KNOWN_KEYS, Ket, Matrix, Number, NumberOrList, one_of, one_or_several
from qdbjax.thermodynamics.counters import COUNTED

POINTS = 10**8  # of an axis, 0.8 GB


class Operator(BaseModel, strict=True):
    """One of the operators that `WAYS` lists; a transition is |m⟩⟨n| + h.c., as what a bath removes |m⟩⟨n| alone."""

    _keys = KNOWN_KEYS
    site: int | None = Field(default=None, ge=0)
    pauli: Literal["x", "y", "z"] | None = None
    transition: list[int] | None = Field(default=None, min_length=2, max_length=2)
    matrix: Matrix | None = None
    lower: int | None = Field(default=None, ge=0)
    fermion_destroy: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_kind(self):
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if len(given) != 1 and given != {"pauli", "site"}:
            raise ValueError(f"give one of {WAYS}")
        return self


WAYS = (
    "{site}, {pauli, site}, {transition = [m, n]}, {matrix}, {lower = spin} and {fermion_destroy = mode}, both for "
    "what a field or lead removes"
)
# Types of the arguments of densities and baths that are no numbers, by name: every class uses the same names.
ARGUMENTS: dict[str, Any] = {
    "coupling": one_or_several(Operator, Annotated[list[Operator], Field(min_length=1)]),
    "removal": one_or_several(Operator, Annotated[list[Operator], Field(min_length=1)]),
    "potential": one_or_several(Operator, Matrix),
    "correlation": Matrix,
    "spectral_density": "Density",
    "parts": Annotated[list["Density"], Field(min_length=1)],
    "frequencies": list[float],
    "values": list[float],
    "name": Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")],
}
SPINS = {"fields": Annotated[list[float], Field(min_length=1, max_length=10)]}  # 2^10 levels are the limit
SWEPT_INSIDE = {"spectral_density", "parts"}  # the others hold nothing that can be swept
NAMED = {"name"}  # left out in Python, but not in a file, which calls things by name


# Arguments of the makers of generators: those that are no options come from other sections.
OPTIONS: dict[str, Any] = {"lamb_shift": bool, "forward_scattering": bool, "window": Annotated[float, Field(ge=0)]}
FROM_SECTIONS = {"system", "baths", "gases"}


def table_of(key: str, kind: str, thing: Callable, types: Mapping[str, Any]) -> type[BaseModel]:
    """The table that gives a class or function its arguments, numbers but for `types`; `key` says which one it is."""
    fields: dict[str, Any] = {key: (Literal[kind], kind)}
    for name, parameter in parameters_of(thing).items():
        if name in FROM_SECTIONS:
            continue
        written = parameter.default
        if name in NAMED or (name in types and written is inspect.Parameter.empty):
            written = ...
        elif written is inspect.Parameter.empty:
            written = None  # a number left out, which is allowed where it is swept
        fields[name] = (types.get(name, NumberOrList), written)
    settings: dict[str, Any] = {
        "config": {"strict": True},
        "module": __name__,
        "validators": {"known_keys": KNOWN_KEYS},
    }
    fields |= {f"__{name}__": value for name, value in settings.items()}
    return create_model(thing.__name__, **fields)


class Term(BaseModel, strict=True):
    """A part of a Hamiltonian with a coefficient that can be swept."""

    _keys = KNOWN_KEYS
    matrix: Matrix
    coefficient: Number = None


class Custom(BaseModel, strict=True):
    """H = hamiltonian + Σ coefficient · matrix."""

    _keys = KNOWN_KEYS
    model: Literal["custom"] = "custom"
    hamiltonian: Matrix
    terms: dict[str, Term] = Field(default={})


def tables_of(key: str, things: Mapping[str, Callable], types: Mapping[str, Any]) -> dict[str, type[BaseModel]]:
    """The table of each class or function."""
    return {kind: table_of(key, kind, thing, types) for kind, thing in things.items()}


if TYPE_CHECKING:  # made from the signatures of classes, which a type checker does not follow
    Density: TypeAlias = Any
    BathTable: TypeAlias = Any
    SystemTable: TypeAlias = Any
    GeneratorTable: TypeAlias = Any
    Counted: TypeAlias = str
else:
    GeneratorTable = one_of("kind", tables_of("kind", MAKERS, OPTIONS), default=lambda _: "davies")
    Counted = Literal[COUNTED]
    Density = one_of("kind", tables_of("kind", DENSITIES, ARGUMENTS))
    BathTable = one_of("kind", tables_of("kind", BATHS, ARGUMENTS), default=lambda _: "bath")
    SystemTable = one_of(
        "model",
        {**tables_of("model", MODELS, SPINS), "custom": Custom},
        default=lambda table: "custom" if "hamiltonian" in table else None,
    )


class Axis(BaseModel, strict=True):
    """Numbers in a row: an axis of [sweep], with the parameter (or several that move together), or the times."""

    _keys = KNOWN_KEYS
    parameter: str | list[str] | None = None
    values: list[float] | None = Field(default=None, min_length=1)
    start: float | None = None
    stop: float | None = None
    points: int | None = Field(default=None, ge=1, le=POINTS)
    scale: Literal["linear", "log"] = "linear"
    label: str | None = None
    unit: str | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        span = self._span() if self.values is None else None
        is_complete = span is not None or (self.start, self.stop, self.points) == (None,) * 3
        numbers = self.values if span is None else [*span[:2]]
        if not is_complete or numbers is None:
            raise ValueError("give either start, stop and points, or values = [...]")
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"values must be finite; got {numbers}")
        if self.scale == "log" and self.values is None and min(numbers) <= 0:
            raise ValueError(f"a logarithmic axis needs start and stop > 0; got {numbers}")
        return self

    def _span(self) -> tuple[float, float, int] | None:
        if self.start is None or self.stop is None or self.points is None:
            return None
        return self.start, self.stop, self.points

    def coordinates(self) -> np.ndarray:
        """The values, (n,)."""
        span = self._span()
        if span is None:
            return np.asarray(self.values, float)
        return np.geomspace(*span) if self.scale == "log" else np.linspace(*span)


class Initial(BaseModel, strict=True):
    """One of: {level}, an energy level; {site}, a basis state; {ket}; {matrix}, a density matrix."""

    _keys = KNOWN_KEYS
    level: int | None = Field(default=None, ge=0)
    site: int | None = Field(default=None, ge=0)
    ket: Ket | None = None
    matrix: Matrix | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("give one of {level}, {site}, {ket = [...]} and {matrix}")
        return self


class Evolution(BaseModel, strict=True):
    """[evolution]: where it starts, and when it is looked at."""

    _keys = KNOWN_KEYS
    initial: Initial
    times: Axis | None = None

    def moments(self) -> Axis:
        """The times, which only the evolution of a fit is without."""
        assert self.times is not None
        return self.times

    @field_validator("times")
    @classmethod
    def _ascending(cls, times: Axis | None) -> Axis | None:
        if times is None:
            return None
        if times.parameter is not None:
            raise ValueError("times move no parameter")
        points = times.values or [end for end in (times.start, times.stop) if end is not None]
        if points[0] < 0 or any(b < a for a, b in itertools.pairwise(points)):
            raise ValueError(f"times must be >= 0 and ascend; got {points}")
        return times


class CumulantsTable(BaseModel, strict=True):
    """[cumulants]: of what a bath, or all together, bring into the system."""

    _keys = KNOWN_KEYS
    bath: str | None = None
    of: Counted = "energy"
    order: int = Field(default=4, ge=1, le=20)


class PerformanceTable(BaseModel, strict=True):
    """[performance]: the roles of the baths."""

    _keys = KNOWN_KEYS
    cold: str | None = None
    hot: str | None = None
    work: Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)] = []


class Plot(BaseModel, strict=True):
    """One of several figures: a quantity, and which slice of it."""

    _keys = KNOWN_KEYS
    quantity: str
    select: dict[str, str | float] = Field(default={})


def _plots(given: Any) -> Any:
    """A name, or a list of names and tables, as a list of tables."""
    listed = given if isinstance(given, list) else [given]
    return [{"quantity": each} if isinstance(each, str) else each for each in listed]


Plots = Annotated[list[Plot], BeforeValidator(_plots)]


class Output(BaseModel, strict=True):
    """[output]: what is computed, and which of it is drawn."""

    _keys = KNOWN_KEYS
    quantities: list[str] = Field(default=["heat_currents", "entropy_production", "populations"], min_length=1)
    plot: Plots = Field(default=[])
    select: dict[str, str | float] = Field(default={})
    crossings: dict[str, list[float]] = Field(default={})


class RunFile(BaseModel, strict=True):
    """A run file."""

    _keys = KNOWN_KEYS
    title: str | None = None
    system: SystemTable
    baths: list[BathTable] = Field(default=[])
    generator: GeneratorTable = None  # as system and baths ask for
    observables: dict[str, Operator] = Field(default={})
    cumulants: CumulantsTable = CumulantsTable()
    performance: PerformanceTable = PerformanceTable()
    sweep: dict[str, Axis] = Field(default={})
    evolution: Evolution | None = None
    fit: FitTable | None = None
    output: Output = Output()

    @model_validator(mode="after")
    def _something_to_do(self):
        if not self.baths and self.system.model not in MACHINES:
            raise ValueError("baths: is missing")
        if self.fit is not None:
            if self.sweep:
                raise ValueError("give [sweep.NAME] or [fit], not both: conditions of a fit are [fit.over.NAME]")
            if "output" in self.model_fields_set:
                raise ValueError("[output] belongs to a sweep or an evolution; a fit shows its [fit.aims]")
            clocks = sum(each.parameter == "time" for each in self.fit.over.values())
            if clocks != (self.evolution is not None) or (self.evolution and self.evolution.times):
                raise ValueError('the fit of an evolution needs [evolution] without times and one condition "time"')
        elif not self.sweep and self.evolution is None:
            raise ValueError(
                "give [sweep.NAME] for stationary states, [evolution] for a state in time, or both; or [fit]"
            )
        elif self.evolution is not None and self.evolution.times is None:
            raise ValueError("evolution.times is missing")
        return self

    @field_validator("observables")
    @classmethod
    def _observables(cls, observables: dict[str, Operator]) -> dict[str, Operator]:
        for name in observables:
            plain_name(name, "name", RESERVED)
        return observables

    @field_validator("sweep")
    @classmethod
    def _names(cls, axes: dict[str, Axis]) -> dict[str, Axis]:
        for name in axes:
            plain_name(name, "axis name", RESERVED)
            if axes[name].parameter is None:
                raise ValueError(f"{name}.parameter is missing")
        return axes
