"""A run into a store that survives kills: where it is, what goes on with it, and what a stopped one says."""

import dataclasses
import shutil
from pathlib import Path

from qdbjax.cli.errors import InputError
from qdbjax.cli.output_files import claim
from qdbjax.sweeps import StoreError
from qdbjax.sweeps.lock import refuse_if_locked
from qdbjax.sweeps.store import SweepStore
from qdbjax.sweeps.store_run import Destination, destination


@dataclasses.dataclass(frozen=True)
class Storing:
    """Options of the command line.

    out: of the store, by default the data file of a run without one.
    resume, verify: as `qdbjax.sweep` takes them.
    rank: a number or "auto".
    world: number of processes that share the store.
    cluster: address of a Dask scheduler whose workers compute.
    """

    out: Path | None = None
    resume: bool = False
    verify: bool = False
    rank: str | None = None
    world: int | None = None
    cluster: str | None = None

    def path(self, data_file: Path) -> Path:
        """Of the store."""
        return data_file if self.out is None else self.out

    def destination(self, data_file: Path, figures: list[Path], *, overwrite: bool) -> Destination:
        """Where the sweep goes, with the place made free. Raises InputError for what cannot be."""
        path = self.path(data_file)
        try:
            rank = int(self.rank) if self.rank is not None and self.rank.lstrip("-").isdecimal() else self.rank
            found = destination(path, self.resume, self.verify, rank, self.world, self.cluster)
        except (ValueError, TypeError, ModuleNotFoundError) as error:
            options = "--rank, --world" if self.cluster is None else "--cluster"
            raise InputError(f"{options}: {error}") from None
        if self.verify and not self.resume:
            raise InputError("--verify looks at a store that is there; give --resume with it")
        is_joined = self.resume or found.world > 1
        if overwrite and is_joined:
            raise InputError("--overwrite begins anew, and --resume and --rank go on; give one of them")
        if path.exists() and not is_joined and not overwrite:
            raise InputError(
                f"{path}: exists; give --resume to go on with it, --overwrite to replace it, or another --out"
            )
        claim(path.parent, figures if is_joined else [path, *figures], overwrite=overwrite or is_joined)
        if overwrite and path.exists():
            try:
                refuse_if_locked(path)
            except StoreError as error:
                raise InputError(str(error)) from None
            shutil.rmtree(path)
        return found


def blocks_done(path: Path) -> tuple[int, int] | None:
    """How many blocks of a store are done, and of how many; None if there is no store."""
    try:
        store = SweepStore(path)
    except StoreError:
        return None
    blocks = store.blocks()
    return sum(store.is_done(region) for region in blocks), len(blocks)


def said_when_stopped(path: Path | None) -> str:
    """What is left of a run that was stopped."""
    counted = None if path is None else blocks_done(path)
    if counted is None:
        return "no unfinished file is left"
    return f"{counted[0]} of {counted[1]} blocks are in {path}; the same with --resume goes on"
