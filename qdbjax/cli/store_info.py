"""`qdbjax info`: what a store is, without reading more of it than its flags, one block at a time."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray
import zarr  # noqa: F401  a missing package is reported before anything is read
from rich.console import Console

from qdbjax._status import Status
from qdbjax.cli.errors import InputError
from qdbjax.sweeps import StoreError
from qdbjax.sweeps.lock import holders
from qdbjax.sweeps.store import SweepStore, open_dataset


def print_info(path: Path, console: Console) -> None:
    """Axes, variables, blocks, flags and versions. Raises InputError for what is no store of a sweep."""
    for name, text in _lines(path):
        console.print(f"{name:<17} {text}", highlight=False, markup=False, soft_wrap=True)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    data, store = opened(path)
    about = data.attrs
    yield from (("title", about["title"]) for _ in range(bool(about.get("title"))))
    for name in data["status"].dims:
        yield "axis", _axis(data[name])
    for name, values in data.data_vars.items():
        yield "variable", f"{name} ({', '.join(map(str, values.dims))}) {values.dtype}{_unit(values)}"
    yield from _flags(store)
    for said in holders(path).values():
        yield "being written by", f"process {said.get('pid', '?')} on {said.get('host', '?')}"
    yield "size", f"{sum(each.stat().st_size for each in path.rglob('*') if each.is_file()) / 2**20:.3g} MB on disk"
    yield (
        "made with",
        f"qdbjax {about['qdbjax_version']}, JAX {about.get('jax_version', '?')}, {about.get('dtype', '?')}",
    )
    yield "made on", f"{about.get('device', '?')}, {about.get('created', '?')}"
    if "configuration_sha256" in about:
        yield "configuration", f"#{about['configuration_sha256'][:12]}"


def opened(path: Path) -> tuple[xarray.Dataset, SweepStore]:
    """The data and the store. Raises InputError for what is none."""
    if not path.is_dir():
        fit = "; what a fit found is read by qdbjax.fitting.load_fit" if path.suffix == ".json" else ""
        raise InputError(f"{path}: " + (f"is a file; give a store{fit}" if path.exists() else "no such store"))
    try:
        return open_dataset(path), SweepStore(path)
    except (StoreError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: is no store that qdbjax has written, or it is damaged: {error}") from None


def _axis(values: xarray.DataArray) -> str:
    label = values.attrs.get("long_name", values.name)
    said = values.name if label == values.name else f"{values.name}, {label}"
    span = f" from {values.values[0]:.6g} to {values.values[-1]:.6g}" if values.size else ""
    return f"{said}: {values.size} points{span}{_unit(values)}"


def _unit(values: xarray.DataArray) -> str:
    return f", {values.attrs['units']}" if values.attrs.get("units") else ""


def _flags(store: SweepStore) -> Iterator[tuple[str, str]]:
    """Blocks that are done, and the share of their points that carries a flag."""
    blocks = store.blocks()
    done = points = flagged = 0
    counts: Counter = Counter()
    for region in blocks:
        codes = store.status_of(region)
        if codes is not None:
            done, points, flagged = done + 1, points + codes.size, flagged + int(np.count_nonzero(codes))
            counts.update({flag: int(np.count_nonzero(codes & int(flag))) for flag in Status if flag.value})
    size = " × ".join(map(str, store.chunk)) or "1"
    yield "blocks", f"{done} of {len(blocks)} done of {size} points"
    each = ", ".join(f"{count} {flag.label}" for flag, count in counts.items() if count)
    yield "flagged", f"{flagged / max(1, points):.2%} of {points} points{f': {each}' if each else ''}"
