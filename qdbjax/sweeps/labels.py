"""What the variables of a sweep are called by and what is said of them: one description for memory and store."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from qdbjax._status import Status


@dataclasses.dataclass(frozen=True)
class Labels:
    """Names beyond those of axes and variables.

    dims: of the further dimensions of a variable, where they are not `<variable>_dim0`, ….
    coordinates: (n,) along such dimensions, by their names.
    attributes: of variables, axes and coordinates, by name.
    general: attributes of the whole.
    origin: what must agree when a store is resumed, by name, in place of the function's source.
    """

    dims: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    coordinates: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    attributes: Mapping[str, dict] = dataclasses.field(default_factory=dict)
    general: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    origin: Mapping[str, str] | None = None

    def dims_of(self, name: str, count: int) -> tuple[str, ...]:
        """Names of the `count` dimensions that a variable has beside the axes of the sweep."""
        return tuple(self.dims[name]) if name in self.dims else further_dims(name, count)


def further_dims(name: str, count: int) -> tuple[str, ...]:
    """Names of dimensions that nobody has named."""
    return tuple(f"{name}_dim{n}" for n in range(count))


def status_attributes() -> dict:
    """CF attributes of the flags."""
    flags = [flag for flag in Status if flag.value]
    return {
        "long_name": "status flags",
        "flag_masks": [int(flag) for flag in flags],
        "flag_meanings": " ".join(flag.label for flag in flags),
    }


def array_of(values: Any) -> np.ndarray:
    """Coordinates as an array; names as strings of any length."""
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind == "U" else array
