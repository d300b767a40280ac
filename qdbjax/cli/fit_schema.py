"""What [fit] in a run file may say: what is free, under which conditions, and what is wanted of it."""

import keyword
import math
import re
from typing import Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from qdbjax.cli.tables import KNOWN_KEYS

# Names of dimensions and variables that every result has; a variable of the same name would replace them.
RESERVED = ("status", "residual", "bath", "level", "to", "from", "time", "order")


def plain_name(name: str, what: str, taken: tuple[str, ...] = ()) -> str:
    """The name itself; ValueError where Python could not take it as the name of an argument, or a file as a label."""
    if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
        beside = f" other than {', '.join(taken)}" if taken else ""
        raise ValueError(f"{what} {name!r} must be a plain name (letters, digits, _, no word of Python){beside}")
    if taken and re.search(r"_dim\d+$", name):
        raise ValueError(f"{what} {name!r} ends as dimensions of the result do; choose another name")
    return name


class FreeNumber(BaseModel, strict=True):
    """One entry of [fit.parameters]: a number, or several that stay equal, with the values it may take."""

    _keys = KNOWN_KEYS
    parameter: str | list[str]
    kind: Literal["positive", "bounded", "real"] = "positive"
    start: float | None = None
    range: list[float] | None = Field(default=None, min_length=2, max_length=2)

    @model_validator(mode="after")
    def _range_where_needed(self):
        if self.kind == "bounded" and self.range is None:
            raise ValueError("a bounded parameter needs range = [low, high]")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range must ascend; got {self.range}")
        return self


class Condition(BaseModel, strict=True):
    """One entry of [fit.over]: a number that is known for every row of the data; `time` for an evolution."""

    _keys = KNOWN_KEYS
    parameter: str | list[str]
    column: str | None = None
    values: list[float] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_source(self):
        if (self.column is None) == (self.values is None):
            raise ValueError("give either column, of the data, or values = [...]")
        return self


class Aim(BaseModel, strict=True):
    """One entry of [fit.aims]: a quantity and what it should be."""

    _keys = KNOWN_KEYS
    quantity: str
    select: dict[str, str | int] = Field(default={})
    goal: Literal["match", "at_most", "at_least", "maximize", "minimize"] = "match"
    column: str | None = None
    value: float | list[float] | None = None
    error: str | float | None = None
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _one_source(self):
        pushed = self.goal in ("maximize", "minimize")
        if pushed and not self.column == self.value == self.error == None:  # noqa: E711  all three left out
            raise ValueError(f"goal {self.goal!r} takes no column, value or error")
        if not pushed and (self.column is None) == (self.value is None):
            raise ValueError("give either column, of the data, or value")
        if self.error is not None and self.goal != "match":
            raise ValueError(f"error belongs to the goal 'match', not to {self.goal!r}")
        if self.goal in ("at_most", "at_least") and "weight" in self.model_fields_set:
            raise ValueError(f"goal {self.goal!r} takes no weight: a bound is kept as it is, not weighed")
        numbers = [x for x in (self.value, self.error, self.weight) if isinstance(x, (int, float))]
        if not all(math.isfinite(x) for x in numbers):
            raise ValueError("numbers must be finite")
        return self


class FitTable(BaseModel, strict=True):
    """[fit]: parameters of the run file from what it should give."""

    _keys = KNOWN_KEYS
    data: str | None = None
    parameters: dict[str, FreeNumber] = Field(min_length=1)
    over: dict[str, Condition] = Field(default={})
    aims: dict[str, Aim] = Field(min_length=1)
    optimizer: Literal["levenberg_marquardt", "bfgs", "adam"] | None = None
    learning_rate: float = Field(default=0.02, gt=0, allow_inf_nan=False)
    steps: int = Field(default=500, ge=1, le=10**9)
    starts: int = Field(default=1, ge=1, le=10**5)
    seed: int = Field(default=0, ge=0, lt=2**32)
    tolerance: float = Field(default=1e-10, gt=0, allow_inf_nan=False)

    @field_validator("parameters", "over", "aims")
    @classmethod
    def _names(cls, tables: dict) -> dict:
        for name in tables:
            plain_name(name, "name")
        return tables

    @model_validator(mode="after")
    def _data_where_needed(self):
        twice = set(self.parameters) & set(self.over)
        if twice:
            raise ValueError(f"{sorted(twice)} name both a parameter and a condition")
        named = [(f"over.{name}", each.column) for name, each in self.over.items()]
        named += [(f"aims.{name}", each.column) for name, each in self.aims.items()]
        named += [(f"aims.{name}", each.error) for name, each in self.aims.items() if isinstance(each.error, str)]
        wanting = [where for where, column in named if column is not None]
        if self.data is None and wanting:
            raise ValueError(f'{wanting[0]} reads a column, and no data file is named: give data = "FILE.csv"')
        if any(aim.column is not None for aim in self.aims.values()) and not self.over:
            raise ValueError("columns are read along conditions: give [fit.over.NAME]")
        return self
