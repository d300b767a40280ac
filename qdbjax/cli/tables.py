"""How a table of a run file is read: no unknown keys, kinds told apart by a key, numbers, matrices."""

import cmath
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, BeforeValidator, Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError


def _known_keys(cls: type[BaseModel], given: Any) -> Any:
    known = cls.model_fields
    for key in given if isinstance(given, dict) else ():
        if key not in known:
            raise PydanticCustomError("unknown_key", "unknown key", {"key": key, "known": list(known)})
    return given


# Stands in every table: unknown keys are refused together with the known ones.
KNOWN_KEYS: Any = model_validator(mode="before")(classmethod(_known_keys))  # pyright: ignore[reportArgumentType]  Any is a class, too


def one_of(key: str, tables: Mapping[str, Any], default: Callable[[dict], str | None] = lambda _: None) -> Any:
    """The type of a table that is one of several, as `key` says; default(table): which one if it does not say."""

    def tag(given: Any) -> str | None:
        named = given.get(key, default(given)) if isinstance(given, dict) else getattr(given, key, None)
        return f"<{named}>" if isinstance(named, str) and named in tables else None

    union = Union[tuple(Annotated[table, Tag(f"<{name}>")] for name, table in tables.items())]  # noqa: UP007
    context: dict[str, str | int | float] = {"key": key, "allowed": ", ".join(tables)}
    return Annotated[union, Discriminator(tag, "unknown_kind", "unknown kind", context)]


def one_or_several(one: Any, several: Any) -> Any:
    """The type of what is a list or not. Tags in < > are left out of the path that an error names."""
    union = Union[Annotated[one, Tag("<one>")], Annotated[several, Tag("<several>")]]  # noqa: UP007
    return Annotated[union, Discriminator(lambda given: "<several>" if isinstance(given, list) else "<one>")]


def _entry(value: Any) -> float | complex:
    if isinstance(value, str):
        try:
            value = complex(value.replace(" ", ""))
        except ValueError:
            raise ValueError(f'{value!r} is no number; write a complex one as "1+2j"') from None
    if isinstance(value, bool) or not isinstance(value, (int, float, complex)):
        raise ValueError(f'matrix entries are numbers, or strings such as "1+2j"; got {value!r}')
    # Whole numbers too become float: NumPy keeps those beyond 64 bits as Python objects.
    value = float(value) if isinstance(value, int) else value
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


Ket = Annotated[list, BeforeValidator(_ket)]
Matrix = Annotated[list, BeforeValidator(_matrix)]
Number = float | None  # None: left out, which is allowed where the number is swept
NumberOrList = one_or_several(float, list[float])  # its class knows whether it is a number or a vector
