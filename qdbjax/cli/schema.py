"""What a run file may say: sections, keys, types. Physical ranges are checked by the classes that the file names."""

import cmath
import itertools
import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from qdbjax.cli.fit_schema import STRICT, Aim, Condition, FitTable, FreeNumber, plain_name

RESERVED = ("fn", "batch_size", "progress", "status", "bath", "level", "to", "from", "time", "point")


def _entry(value: Any) -> float | complex:
    if isinstance(value, str):
        try:
            value = complex(value.replace(" ", ""))
        except ValueError:
            raise ValueError(f'{value!r} is no number; write a complex one as "1+2j"') from None
    if isinstance(value, bool) or not isinstance(value, (int, float, complex)):
        raise ValueError(f'matrix entries are numbers, or strings such as "1+2j"; got {value!r}')
    if not cmath.isfinite(value):
        raise ValueError(f"matrix entries must be finite; got {value!r}")
    return value


def _ket(value: Any) -> list[float | complex]:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of numbers")
    return [_entry(entry) for entry in value]


def _matrix(value: Any) -> list[list[float | complex]]:
    if not isinstance(value, list) or not value or any(not isinstance(r, list) or len(r) != len(value) for r in value):
        raise ValueError("must be a square matrix, a list of rows of equal length")
    return [[_entry(entry) for entry in row] for row in value]


Matrix = Annotated[list, BeforeValidator(_matrix)]
Number = float | None  # None: left out, which is allowed where the number is swept


class Ring(BaseModel):
    """`three_dot_ring`."""

    model_config = STRICT
    model: Literal["three_dot_ring"]
    tunneling: Number = None
    flux: Number = None


class Qubit(BaseModel):
    """`qubit`."""

    model_config = STRICT
    model: Literal["qubit"]
    splitting: Number = None


class ThreeLevel(BaseModel):
    """`three_level`."""

    model_config = STRICT
    model: Literal["three_level"]
    energies: list[float] = Field(min_length=3, max_length=3)


class Chain(BaseModel):
    """`xxz_chain`."""

    model_config = STRICT
    model: Literal["xxz_chain"]
    fields: list[float] = Field(min_length=1, max_length=10)
    exchange: Number = None
    anisotropy: Number = None


class Term(BaseModel):
    """A part of a Hamiltonian with a coefficient that can be swept."""

    model_config = STRICT
    matrix: Matrix
    coefficient: Number = None


class Custom(BaseModel):
    """H = hamiltonian + Σ coefficient · matrix."""

    model_config = STRICT
    model: Literal["custom"]
    hamiltonian: Matrix
    terms: dict[str, Term] = {}


class Ohmic(BaseModel):
    """`Ohmic`."""

    model_config = STRICT
    kind: Literal["ohmic"]
    strength: Number = None
    cutoff: Number = None


class PowerLaw(BaseModel):
    """`PowerLaw`."""

    model_config = STRICT
    kind: Literal["power_law"]
    strength: Number = None
    cutoff: Number = None
    exponent: Number = None


class DrudeLorentz(BaseModel):
    """`DrudeLorentz`."""

    model_config = STRICT
    kind: Literal["drude_lorentz"]
    strength: Number = None
    cutoff: Number = None


class Algebraic(BaseModel):
    """`Algebraic`."""

    model_config = STRICT
    kind: Literal["algebraic"]
    strength: Number = None
    cutoff: Number = None
    power: Number = 2.0


class UnderdampedLorentzian(BaseModel):
    """`UnderdampedLorentzian`."""

    model_config = STRICT
    kind: Literal["underdamped_lorentzian"]
    strength: Number = None
    frequency: Number = None
    width: Number = None


class Flat(BaseModel):
    """`Flat`."""

    model_config = STRICT
    kind: Literal["flat"]
    strength: Number = None


class Tabulated(BaseModel):
    """`Tabulated`."""

    model_config = STRICT
    kind: Literal["tabulated"]
    frequencies: list[float]
    values: list[float]


class Sum(BaseModel):
    """`Sum` of other kinds."""

    model_config = STRICT
    kind: Literal["sum"]
    parts: "list[Density]" = Field(min_length=1)


Systems = (Ring, Qubit, ThreeLevel, Chain, Custom)
Densities = (Ohmic, PowerLaw, DrudeLorentz, Algebraic, UnderdampedLorentzian, Flat, Tabulated, Sum)
SystemTable = Annotated[Ring | Qubit | ThreeLevel | Chain | Custom, Field(discriminator="model")]
Density = Annotated[
    Ohmic | PowerLaw | DrudeLorentz | Algebraic | UnderdampedLorentzian | Flat | Tabulated | Sum,
    Field(discriminator="kind"),
]


class Coupling(BaseModel):
    """One of: {site}, a projector; {pauli, site} on a spin; {transition = [m, n]}, |m⟩⟨n| + h.c.; {matrix}."""

    model_config = STRICT
    site: int | None = Field(default=None, ge=0)
    pauli: Literal["x", "y", "z"] | None = None
    transition: list[int] | None = Field(default=None, min_length=2, max_length=2)
    matrix: Matrix | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        given = [k for k in ("pauli", "transition", "matrix") if getattr(self, k) is not None]
        sited = self.site is not None
        if len(given) > 1 or (not given and not sited) or (sited and given not in ([], ["pauli"])):
            raise ValueError("give one of {site}, {pauli, site}, {transition = [m, n]} and {matrix}")
        return self


class BathTable(BaseModel):
    """One entry of [[baths]]."""

    model_config = STRICT
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    coupling: Coupling
    spectral_density: Density
    temperature: Number = None


class Axis(BaseModel):
    """Numbers in a row: an axis of [sweep], with the parameter (or several that move together), or the times."""

    model_config = STRICT
    parameter: str | list[str] | None = None
    values: list[float] | None = Field(default=None, min_length=1)
    start: float | None = None
    stop: float | None = None
    points: int | None = Field(default=None, ge=1)
    scale: Literal["linear", "log"] = "linear"
    label: str | None = None
    unit: str | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        span = [self.start, self.stop, self.points]
        complete = None not in span if self.values is None else span == [None] * 3
        if not complete:
            raise ValueError("give either start, stop and points, or values = [...]")
        numbers = self.values if self.values is not None else [self.start, self.stop]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"values must be finite; got {numbers}")
        if self.scale == "log" and self.values is None and min(numbers) <= 0:
            raise ValueError(f"a logarithmic axis needs start and stop > 0; got {numbers}")
        return self

    def coordinates(self) -> np.ndarray:
        """The values, (n,)."""
        if self.values is not None:
            return np.asarray(self.values, float)
        space = np.geomspace if self.scale == "log" else np.linspace
        return space(self.start, self.stop, self.points)


class Initial(BaseModel):
    """One of: {level}, an energy level; {site}, a basis state; {ket}; {matrix}, a density matrix."""

    model_config = STRICT
    level: int | None = Field(default=None, ge=0)
    site: int | None = Field(default=None, ge=0)
    ket: Annotated[list, BeforeValidator(_ket)] | None = None
    matrix: Matrix | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("give one of {level}, {site}, {ket = [...]} and {matrix}")
        return self


class Evolution(BaseModel):
    """[evolution]: where it starts, when it is looked at, and what is looked at beside the quantities."""

    model_config = STRICT
    initial: Initial
    times: Axis | None = None
    observables: dict[str, Coupling] = {}

    @field_validator("times")
    @classmethod
    def _ascending(cls, times: Axis | None) -> Axis | None:
        if times is None:
            return None
        if times.parameter is not None:
            raise ValueError("times move no parameter")
        points = times.values if times.values is not None else [times.start, times.stop]
        if points[0] < 0 or any(b < a for a, b in itertools.pairwise(points)):
            raise ValueError(f"times must be >= 0 and ascend; got {points}")
        return times


class Output(BaseModel):
    """[output]: what is computed, and which of it is drawn."""

    model_config = STRICT
    quantities: list[str] = Field(default=["heat_currents", "entropy_production", "populations"], min_length=1)
    plot: str | None = None
    select: dict[str, str | float] = {}
    crossings: dict[str, list[float]] = {}


class RunFile(BaseModel):
    """A run file."""

    model_config = STRICT
    title: str | None = None
    system: SystemTable
    baths: list[BathTable] = Field(min_length=1)
    sweep: dict[str, Axis] = {}
    evolution: Evolution | None = None
    fit: FitTable | None = None
    output: Output = Output()

    @model_validator(mode="after")
    def _something_to_do(self):
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

    @field_validator("sweep")
    @classmethod
    def _names(cls, axes: dict[str, Axis]) -> dict[str, Axis]:
        for name in axes:
            plain_name(name, "axis name", RESERVED)
            if axes[name].parameter is None:
                raise ValueError(f"{name}.parameter is missing")
        return axes


def keys_at() -> dict[str, list[str]]:
    """Known keys by the name of their section, kind or model; the top level is ''."""
    named = {"": RunFile, "baths": BathTable, "sweep": Axis, "output": Output, "coupling": Coupling, "terms": Term}
    named |= {"evolution": Evolution, "initial": Initial, "times": Axis}
    named |= {"fit": FitTable, "parameters": FreeNumber, "over": Condition, "aims": Aim}
    named |= {model.model_fields["model"].annotation.__args__[0]: model for model in Systems}
    named |= {density.model_fields["kind"].annotation.__args__[0]: density for density in Densities}
    return {name: list(model.model_fields) for name, model in named.items()}
