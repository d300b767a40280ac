"""Files of a run: written beside their final name and renamed when complete, so that a killed run leaves none."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qdbjax.cli.errors import InputError
from qdbjax.fitting import Fit, load_fit

if TYPE_CHECKING:
    import xarray

SOFTWARE = "qdbjax"  # what a figure says it was made with
# Files of a zarr store of format 2 and 3, and chunks that a killed process was writing.
STORED = re.compile(r"\.z(group|attrs|metadata|array)|zarr\.json|\d+(\.\d+)*|\d+\.[0-9a-f]{32}\.partial|c")


def claim(directory: Path, targets: list[Path], *, overwrite: bool) -> None:
    """Make the directory; raise InputError if it cannot be written to or a target is there and must stay.

    Without `overwrite` every target stays, with it all that was not written by qdbjax.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{directory}: cannot be written to: {why}; choose another with --output") from None
    for target in targets:
        if (target.exists() or target.is_symlink()) and not overwrite:
            raise InputError(f"{target}: exists; give --overwrite to replace it, or another --output")
        _refuse_foreign(target)


def _refuse_foreign(target: Path) -> None:
    if (target.exists() or target.is_symlink()) and not _is_ours(target):
        raise InputError(f"{target}: holds what qdbjax did not write; move it away, or choose another with --output")


def _is_ours(target: Path) -> bool:
    """Whether an earlier run has written all of it: a store, a fit or a figure, by what they say of themselves."""
    if target.is_symlink():
        return False
    try:
        if target.suffix == ".zarr":
            entries = list(target.rglob("*"))
            plain = all(each.is_dir() or STORED.fullmatch(each.name) for each in entries)
            linked = any(each.is_symlink() for each in entries)
            return plain and not linked and "qdbjax_version" in _attributes(target)
        if target.suffix == ".json":
            return isinstance(load_fit(target), Fit)
        with target.open("rb") as file:
            head = file.read(4096)
        return head.startswith(b"\x89PNG") and f"Software\0{SOFTWARE}".encode() in head
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _attributes(store: Path) -> dict:
    metadata = store / "zarr.json"
    if metadata.exists():
        return json.loads(metadata.read_bytes())["attributes"]
    return json.loads((store / ".zattrs").read_bytes())


@contextlib.contextmanager
def finished_under(target: Path) -> Iterator[Path]:
    """A name to write to, which becomes `target` if the block ends well and vanishes if it does not."""
    partial = target.with_name(f"{target.stem}.partial-{os.getpid()}{target.suffix}")
    try:
        yield partial
        _refuse_foreign(target)  # it may have come while the run went on
        _replace(partial, target)
    finally:
        _remove(partial)


def _replace(partial: Path, target: Path) -> None:
    if not target.is_dir():
        partial.replace(target)
        return
    old = target.with_name(f"{target.stem}.old-{os.getpid()}{target.suffix}")
    target.rename(old)  # a directory cannot be replaced in one step
    partial.rename(target)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_data(found: "xarray.Dataset | Fit", target: Path) -> None:
    """A dataset as a zarr directory store (format 2, which every reader of zarr knows), a fit as JSON."""
    with finished_under(target) as partial:
        if isinstance(found, Fit):
            found.save(partial)
        else:
            found.to_zarr(partial, mode="w", zarr_format=2, consolidated=True)
