"""Compiled programs on disk, so that a later process reads what an earlier one compiled (JAX's persistent cache)."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import jax

from qdbjax._checks import setting

SWITCH = "QDBJAX_CACHE"
LIMIT = 512 * 2**20  # bytes; a program takes 10 to 100 kB
_events = {"requests": 0, "hits": 0, "misses": 0}
_before: dict[Path, int] = {}


class CacheUse(NamedTuple):
    """What this process got out of the cache of compiled programs.

    requests: programs asked for.
    hits: programs read from the cache.
    rejected: programs that are stored there but unusable on this machine, and were compiled again.
    """

    requests: int
    hits: int
    rejected: int

    def __str__(self) -> str:
        text = f"{self.hits} of {self.requests} programs were read from {setting('jax_compilation_cache_dir')}"
        if not self.rejected:
            return text
        return (
            f"{text}; {self.rejected} stored ones could not be used on this machine and were compiled again "
            f"(jax#38445): set {SWITCH}=0 to do without the cache"
        )


def default_directory() -> Path | None:
    """Where programs are kept: QDBJAX_CACHE if it is set (None for 0), else a folder of the user's cache folder."""
    wanted = os.environ.get(SWITCH, "")
    if wanted == "0":
        return None
    if wanted:
        return Path(wanted)
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "qdbjax"


def use_cache(directory: str | os.PathLike | None = None, *, limit: int = LIMIT) -> Path | None:
    """Keep compiled programs on disk: a second process takes 0.5 s where the first one took 5 s.

    Sets JAX's persistent compilation cache, for every program of this process, however short its compilation. The
    command line does so itself.

    directory: by default the environment variable QDBJAX_CACHE (0 leaves the cache off), else a folder `qdbjax` in the
        user's cache folder.
    limit: bytes to which the folder is cut back now, the longest unused programs first.
    Returns the folder, None where the cache is left off. Raises ValueError for a folder that cannot be made.

    >>> folder = qdb.compilation.use_cache()  # doctest: +SKIP
    """
    folder = default_directory() if directory is None else Path(directory)
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"directory {folder} cannot be made: {error.strerror}; choose another one.") from None
    if folder not in _before:
        _cut_back(folder, limit)
        _before[folder] = len(_entries(folder))
    if len(_before) == 1:
        jax.monitoring.register_event_listener(_count)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def cache_use() -> CacheUse | None:
    """What this process got out of the cache; None where `use_cache` has not turned one on.

    A program that is stored and yet compiled again was rejected when it was read: on some processors jaxlib takes every
    stored program for one of another machine.
    """
    directory = setting("jax_compilation_cache_dir")
    if directory is None or Path(directory) not in _before:
        return None
    before = _before[Path(directory)]
    new = len(_entries(Path(directory))) - before
    # What this process stored itself and read again does not count: there were no more than `before` to be found.
    return CacheUse(_events["requests"], min(_events["hits"], before), max(0, _events["misses"] - new))


def _count(event: str, **_) -> None:
    name = {"compile_requests_use_cache": "requests", "cache_hits": "hits", "cache_misses": "misses"}
    last = event.rsplit("/", 1)[-1]
    if last in name:
        _events[name[last]] += 1


def _entries(folder: Path) -> list[Path]:
    return list(folder.glob("*-cache"))


def _cut_back(folder: Path, limit: int) -> None:
    found = []
    for path in _entries(folder):
        try:
            state = path.stat()
        except OSError:  # another process has removed it
            continue
        found.append((max(state.st_atime, state.st_mtime), state.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found, key=lambda entry: entry[0]):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size
