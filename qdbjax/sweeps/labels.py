"""What the variables of a sweep are called by and what is said of them: one description for memory and store."""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qdbjax._status import Status

if TYPE_CHECKING:
    from qdbjax.sweeps.grid import PointResult, Told

STATUS = "status"
POINT = "point"  # dimension of a refined sweep


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
        return tuple(self.dims[name]) if name in self.dims else tuple(f"{name}_dim{n}" for n in range(count))

    def completed(self, axes: Collection[str], outputs: "PointResult", leading: tuple[str, ...] = ()) -> "Labels":
        """The labels with a name for every dimension: as given here, as the output itself tells, or `<variable>_dim0`.

        leading: the dimensions that come first in every output, by default the axes.
        What an output tells gives way where an axis, an output or another length has the name already. Raises
        ValueError for names and coordinates that do not fit the outputs.
        """
        count = len(leading or axes)
        further = {name: leaf.shape[count:] for name, leaf in zip(outputs.names, outputs.values, strict=True)}
        taken = {*axes, *leading, *further, STATUS}
        for name in leading:
            if name in axes or name in further:
                raise ValueError(f"{name!r} is the dimension of a refined sweep. Give an axis or output another name.")
        _refuse_unknown("dims", self.dims, further, "output of fn")
        dims, sizes = {}, {name: len(each) for name, each in self.coordinates.items()}
        for name, shape in further.items():
            if name in self.dims:
                dims[name] = _checked_dims(name, self.dims[name], shape, taken)
                _agree(sizes, name, dims[name], shape)
        found: dict[str, tuple[str, ...]] = {}
        for (name, shape), told in zip(further.items(), outputs.told, strict=True):
            if name in dims:
                continue
            fits = told if told is not None and _fits(told, shape, taken, sizes, found) else None
            dims[name] = self.dims_of(name, len(shape)) if fits is None else fits.dims
            _checked_dims(name, dims[name], shape, taken)
            _agree(sizes, name, dims[name], shape)
            found |= dict(() if fits is None else fits.coordinates)
        _refuse_unknown(
            "coords", self.coordinates, {each for name in dims for each in dims[name]}, "dimension of an output"
        )
        return dataclasses.replace(self, dims=dims, coordinates={**found, **self.coordinates})


def given_labels(dims: Any, coords: Any, attrs: Any) -> Labels:
    """Labels from the arguments of a sweep. Raises TypeError or ValueError for what is no mapping, name or vector."""
    for argument, given in (("dims", dims), ("coords", coords), ("attrs", attrs)):
        if not isinstance(given, Mapping | None):
            raise TypeError(f"{argument} must be a mapping of names; got {given!r}.")
        for name in given or {}:
            if not isinstance(name, str):
                raise TypeError(f"names in {argument} must be strings; got {name!r}.")
    named = {}
    for name, given in (dims or {}).items():
        listed = (given,) if isinstance(given, str) else given
        if not isinstance(listed, Sequence) or not all(isinstance(each, str) and each for each in listed):
            raise TypeError(f"dims must give a list of names for {name}, as in ('bath',); got {given!r}.")
        named[name] = tuple(listed)
    coordinates = {name: np.asarray(each) for name, each in (coords or {}).items()}
    for name, values in coordinates.items():
        if values.ndim != 1 or values.dtype.kind not in "Uifb":
            raise ValueError(f"coords must give numbers or texts in a row along {name}; got {coords[name]!r}.")
    return Labels(named, coordinates, general=_plain_attributes(attrs or {}))


def _plain_attributes(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as a file can hold them."""
    try:
        return json.loads(json.dumps(dict(attrs), default=lambda value: np.asarray(value).tolist(), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"attrs must hold text, finite numbers, truth values, or lists or dicts of them: {error}."
        ) from None


def _checked_dims(name: str, dims: tuple[str, ...], shape: tuple[int, ...], taken: set[str]) -> tuple[str, ...]:
    """Raise ValueError for names that are too many, too few, repeated, or those of something else."""
    if len(dims) != len(shape):
        raise ValueError(
            f"dims must name every dimension of {name} beside the axes, {len(shape)} of shape {shape}; got {dims}."
        )
    for each in dims:
        if each in taken:
            raise ValueError(
                f"dimension {each!r} of {name} has the name of an axis or output. Call one of them something else."
            )
        if dims.count(each) > 1:
            raise ValueError(f"dims must be different names; got {each!r} twice for {name}.")
    return tuple(dims)


def _agree(sizes: dict[str, int], name: str, dims: tuple[str, ...], shape: tuple[int, ...]) -> None:
    """Note the lengths of dimensions; ValueError for two lengths of one name."""
    for each, size in zip(dims, shape, strict=True):
        if sizes.setdefault(each, size) != size:
            raise ValueError(
                f"dimension {each!r} has {size} entries in {name} and {sizes[each]} elsewhere. "
                "Give as many coords, or another name in dims."
            )


def _fits(told: "Told", shape: tuple, taken: set[str], sizes: Mapping[str, int], found: Mapping[str, tuple]) -> bool:
    """Whether an output can be called what it tells without being taken for something else."""
    return (
        len(told.dims) == len(shape)
        and not taken & set(told.dims)
        and all(sizes.get(each, size) == size for each, size in zip(told.dims, shape, strict=True))
        and all(found.get(each, labels) == labels for each, labels in told.coordinates)
    )


def _refuse_unknown(argument: str, given: Collection[str], known: Collection[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{argument} names {name!r}, which is no {what}; those are {', '.join(known) or 'none'}.")


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
