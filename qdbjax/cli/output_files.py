"""Files of a run: written beside their final name and renamed when complete, so that a killed run leaves none."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qdbjax.cli.errors import InputError
from qdbjax.fitting import Fit, load_fit

SOFTWARE = "qdbjax"  # what a figure or page says it was made with
PAGES = (".html", ".htm")
# Files of a zarr store, and chunks that a killed process was writing.
STORED = re.compile(r"zarr\.json|\d+|(\d+|c)\.[0-9a-f]{32}\.partial|c")


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
        if target.suffix in PAGES:
            return f'content="{SOFTWARE} '.encode() in head
        return head.startswith(b"\x89PNG") and f"Software\0{SOFTWARE}".encode() in head
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _attributes(store: Path) -> dict:
    return json.loads((store / "zarr.json").read_bytes())["attributes"]


@contextlib.contextmanager
def finished_under(target: Path) -> Iterator[Path]:
    """A name to write to, which becomes `target` if the block ends well and vanishes if it does not."""
    partial = target.with_name(f"{target.stem}.partial-{os.getpid()}{target.suffix}")
    try:
        yield partial
        _refuse_foreign(target)  # it may have come while the run went on
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_fit(found: Fit, target: Path) -> None:
    """A fit as JSON."""
    with finished_under(target) as partial:
        found.save(partial)
