"""A zarr store of one sweep: every variable, the coordinates, and `status`, whose chunks say which blocks are done.

A block is one chunk of every variable. Its chunk of `status` is written last, so that a block whose status is there is
there as a whole; a NaN would not do, since a block may hold nothing else. A chunk is written under another name and
renamed, and ends with a checksum, which is looked at whenever it is read.
"""

import contextlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qdbjax._status import NOT_COMPUTED
from qdbjax._types import AnyArray
from qdbjax.sweeps.blocks import Region, split_region
from qdbjax.sweeps.configuration import CONFIGURATION
from qdbjax.sweeps.errors import StoreError
from qdbjax.sweeps.grid import STATUS, PointResult
from qdbjax.sweeps.labels import Labels, array_of, status_attributes
from qdbjax.sweeps.lock import holders, passing_path

if TYPE_CHECKING:
    import xarray

CHUNK_BYTES = 2**26  # of a block, at most
# Of a store at least, and 16 for every process that shares it: a kill loses a block or three. With 64, blocks of 10⁷
# points of a ring took twice as long on a CPU, probably since they need more than the 32 MB that malloc reuses.
BLOCKS = 128
SMALLEST = 1024  # points of a block, below which writing takes longer than computing
LEVEL = 1  # of Zstd: higher ones save 2 % of such numbers in twice the time
ORDER = "array_order"  # attribute: names of all arrays in the order of the sweep; zarr lists them in a random one


def chunk_points(points: int, bytes_per_point: int, world: int) -> int:
    """Grid points of a block where nobody says how many."""
    share = math.ceil(points / max(BLOCKS, 16 * world))
    return max(1, min(CHUNK_BYTES // max(1, bytes_per_point), max(SMALLEST, share)))


def make_template(
    path: Path,
    axes: Mapping[str, np.ndarray],
    outputs: PointResult,
    chunk: tuple[int, ...],
    labels: Labels,
    general: Mapping[str, Any],
) -> None:
    """A store without results, made beside its place and renamed; nothing if another process was faster."""
    import zarr
    import zarr.storage

    partial = passing_path(path, "template")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        store, coordinates = zarr.storage.LocalStore(partial), {**axes, **labels.coordinates}
        attributes = {**general, **labels.general, ORDER: [*coordinates, *outputs.names, STATUS]}
        group = zarr.create_group(store, zarr_format=3, attributes=attributes)
        for name, values in coordinates.items():
            values = array_of(values)
            dtype = str if values.dtype == object else values.dtype
            array = _add(group, name, dtype, values.shape, values.shape, (name,), labels)
            array[...] = values
        for name, leaf in zip((*outputs.names, STATUS), (*outputs.values, outputs.status), strict=True):
            further = leaf.shape[len(chunk) :]
            shape = tuple(len(values) for values in axes.values()) + further
            dims = (*axes, *labels.dims_of(name, len(further)))
            _add(group, name, np.dtype(leaf.dtype), shape, chunk + further, dims, labels)
        with contextlib.suppress(FileExistsError):
            _rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _add(group, name: str, dtype: Any, shape: tuple, chunks: tuple, dims: tuple, labels: Labels):
    from zarr.codecs import Crc32cCodec, ZstdCodec

    kind = np.dtype(dtype).kind if dtype is not str else "U"
    missing = NOT_COMPUTED if name == STATUS else {"f": np.nan, "c": complex(np.nan, np.nan), "U": ""}.get(kind, 0)
    return group.create_array(
        name,
        dtype=dtype,
        shape=shape,
        chunks=tuple(max(1, size) for size in chunks),
        compressors=[ZstdCodec(level=LEVEL), Crc32cCodec()],
        fill_value=missing,
        dimension_names=dims,
        attributes={**(status_attributes() if name == STATUS else {}), **labels.attributes.get(name, {})},
    )


def _rename(partial: Path, path: Path) -> None:
    """Raises FileExistsError where a directory with anything in it has the name."""
    try:
        os.rename(partial, path)
    except OSError:
        if path.is_dir() and any(path.iterdir()):
            raise FileExistsError from None
        raise


def _dims(array) -> tuple[str, ...]:
    return tuple(array.metadata.dimension_names or ())  # None for a single number


def check_names(names: tuple[str, ...]) -> None:
    """Raise ValueError for the name of a variable that a store cannot hold."""
    for name in names:
        if "/" in name or name.startswith("__") or name in ("", ".", "..", "zarr.json"):
            raise ValueError(f"output {name!r} cannot be the name of a folder in a store. Call it something else.")


class SweepStore:
    """A store that is there.

    path: of its folder.
    attributes: of the whole.
    shape: of the grid.
    chunk: grid points of a block along every axis.
    Raises StoreError for what is no store of a sweep.
    """

    def __init__(self, path: Path, mode: Literal["r", "r+"] = "r"):
        import zarr
        import zarr.storage

        self.path = path
        try:
            with zarr.config.set({"array.write_empty_chunks": True}):  # which arrays keep from here on
                group = zarr.open_group(zarr.storage.LocalStore(path, read_only=mode == "r"), mode=mode, zarr_format=3)
                arrays = dict(group.arrays())
            self.attributes = dict(group.attrs)
            self.status = arrays[STATUS]
            self.configuration = json.loads(str(self.attributes[CONFIGURATION]))
            self.shape, self.chunk = self.status.shape, self.status.chunks
            self.axes = _dims(self.status)
            self.coordinates = {name: each for name, each in arrays.items() if _dims(each) == (name,)}
            self.variables = {name: arrays[name] for name in arrays if name not in {*self.coordinates, STATUS}}
        except Exception as error:  # whatever zarr raises for files that are not there, damaged, or another's
            why = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise StoreError(
                f"{path} is no store of a sweep, or its zarr.json is damaged ({type(error).__name__}: {why}). "
                "Give another name, or remove it."
            ) from None

    def blocks(self) -> list[Region]:
        """The regions of all blocks, outermost axis slowest."""
        return list(split_region(tuple(slice(0, size) for size in self.shape), self.chunk))

    def status_of(self, region: Region) -> np.ndarray | None:
        """The flags of a block, None if it is not done or they cannot be read."""
        if not self.is_done(region):
            return None
        try:
            return np.asarray(self.status[region])
        except Exception:  # a damaged chunk fails in as many ways as it can be damaged
            return None

    def is_done(self, region: Region) -> bool:
        """Whether a block is marked as done; its flags are not looked at."""
        return self._mark(region).is_file()

    def is_sound(self, region: Region) -> bool:
        """Whether every chunk of a block is there and agrees with its checksum."""
        try:
            for array in (*self.variables.values(), self.status):
                if array.size and not self._chunk(array, region).is_file():
                    return False
                array[region]
        except Exception:  # as above
            return False
        return True

    def forget(self, region: Region) -> None:
        """Take back that a block is done."""
        self._mark(region).unlink(missing_ok=True)

    def write(self, region: Region, results: PointResult) -> None:
        """The results of one block; the mark that it is done comes last."""
        for name, values in zip(results.names, results.values, strict=True):
            self._write_chunk(self.variables[name], region, values)
        self._write_chunk(self.status, region, results.status)

    def _write_chunk(self, array, region: Region, values: AnyArray) -> None:
        """What `array[region] = values` leaves of a chunk, without zarr's way from thread to thread.

        That took 0.56 s of 3.07 for 10⁷ points of a ring in 132 blocks, while both cores compute.
        """
        import google_crc32c
        from numcodecs import Zstd

        if not array.size:
            return
        path = self._chunk(array, region)
        if values.shape != array.chunks:  # at an end of the grid
            part, values = values, np.full(array.chunks, array.fill_value, values.dtype)
            values[tuple(slice(0, size) for size in part.shape)] = part
        encoded = Zstd(level=LEVEL).encode(np.ascontiguousarray(values))
        checksum = google_crc32c.value(encoded).to_bytes(4, "little")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as file:
                file.writelines((encoded, checksum))
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def repair_coordinates(self, coordinates: Mapping[str, Any]) -> None:
        """Write coordinates again that cannot be read."""
        for name, values in coordinates.items():
            if name not in self.coordinates:  # labels may have had other names when the store was made
                continue
            try:
                self.coordinates[name][...]
            except Exception:  # as above
                self.coordinates[name][...] = array_of(values)

    def remove_partial_files(self) -> None:
        """Remove chunks that a killed process was writing, but none of a process that may be alive."""
        begun = min((said.get("begun", 0) for said in holders(self.path).values()), default=0)
        for folder, _, files in os.walk(self.path):
            for name in files:
                file = Path(folder, name)
                if name.endswith(".partial"):
                    with contextlib.suppress(FileNotFoundError):
                        if file.stat().st_mtime_ns <= begun:
                            file.unlink()

    def _mark(self, region: Region) -> Path:
        return self._chunk(self.status, region)

    def _chunk(self, array, region: Region) -> Path:
        place = [part.start // size for part, size in zip(region, self.chunk, strict=True)]
        further = [0] * (array.ndim - len(place))
        return self.path / array.path / array.metadata.encode_chunk_key((*place, *further))


def open_dataset(path: Path) -> "xarray.Dataset":
    """The store as an xarray.Dataset whose variables are read when they are used."""
    import xarray

    found = xarray.open_zarr(path, consolidated=False, chunks=None)
    order = found.attrs.pop(ORDER, [])
    # variables without their coordinates: xarray takes those of each first, in an order of their own
    variables = {name: found.variables[name] for name in order if name in found.data_vars}
    coordinates = {name: found.variables[name] for name in order if name in found.coords}
    data = xarray.Dataset(variables, coordinates, found.attrs) if order else found
    texts = [name for name, values in data.coords.items() if values.dtype.kind in "OT"]
    plain = {name: (data[name].dims, np.array(data[name].values.tolist(), "U"), data[name].attrs) for name in texts}
    return data.assign_coords(plain) if plain else data
