"""Files of a run: written beside their final name and renamed when complete, so that a killed run leaves none."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qdbjax.cli.errors import InputError
from qdbjax.fitting import Fit

if TYPE_CHECKING:
    import xarray


def claim(directory: Path, targets: list[Path], *, overwrite: bool) -> None:
    """Make the directory; raise InputError if it cannot be written to or a target is there and must stay."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise InputError(f"{directory}: cannot be written to: {error.strerror}; choose another with --output") from None
    for target in targets:
        if target.exists() and not overwrite:
            raise InputError(f"{target}: exists; give --overwrite to replace it, or another --output")


@contextlib.contextmanager
def finished_under(target: Path) -> Iterator[Path]:
    """A name to write to, which becomes `target` if the block ends well and vanishes if it does not."""
    partial = target.with_name(f"{target.stem}.partial-{os.getpid()}{target.suffix}")
    try:
        yield partial
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
