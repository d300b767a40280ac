"""A lock beside a store, so that no two processes write the same blocks; that of a dead process is taken over.

Whether a process is dead is known on its own machine. For the others, a living process touches its lock every half
minute, and a lock that nobody has touched for ten minutes counts as stale. Should its process only have slept, both
write the same bytes.
"""

import contextlib
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from qdbjax.sweeps.errors import StoreError

HEARTBEAT, STALE = 30.0, 600.0  # seconds: between two touches, and without one


def lock_path(store: Path, rank: int = 0, world: int = 1) -> Path:
    """The file that stands for a writer: one of the whole store, or one of `world` that share it."""
    share = "" if world == 1 else f"-{rank}-of-{world}"
    return store.with_name(f"{store.name}.lock{share}")


def holders(store: Path) -> dict[Path, dict]:
    """The locks of processes that may be alive, and what they say of themselves."""
    found = {}
    for path in store.parent.glob(f"{_escaped(store.name)}.lock*"):
        said = _read(path)
        if said is not None and not _is_dead(path, said):
            found[path] = said
    return found


def refuse_if_locked(store: Path) -> None:
    """Raise StoreError if another process may be writing to the store."""
    for path, said in holders(store).items():
        raise StoreError(_held(store, path, said))


@contextlib.contextmanager
def locked(store: Path, rank: int = 0, world: int = 1) -> Iterator[None]:
    """Hold the lock of a writer within a `with` block.

    Raises StoreError if a living process, or one of another machine, holds it, or shares the store in another way.
    """
    path = lock_path(store, rank, world)
    own = _own(rank, world)
    _take(store, path, own)
    try:
        for other, said in holders(store).items():
            if other != path and said.get("world") != world:
                raise StoreError(_held(store, other, said))
        with _touched(path, own):
            yield
    finally:
        if _read(path) == own:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _touched(path: Path, own: dict) -> Iterator[None]:
    """Touch a lock as long as it is ours, within a `with` block."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(HEARTBEAT) and _read(path) == own:
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _own(rank: int, world: int) -> dict:
    """What a lock says. begun: when it was taken, by the clock of the file system (0: not yet)."""
    pid, host = os.getpid(), socket.gethostname()
    return {"host": host, "pid": pid, "started": _started(pid), "rank": rank, "world": world, "begun": 0}


def passing_path(store: Path, kind: str) -> Path:
    """A name beside a store for what has no final name yet; `remove_leftovers` knows whose it was."""
    return store.with_name(f".{store.name}.{kind}.{socket.gethostname()}.{os.getpid()}")


def remove_leftovers(store: Path) -> None:
    """Remove what dead processes of this machine have left beside a store under a passing name."""
    for path in store.parent.glob(f".{_escaped(store.name)}.*.{_escaped(socket.gethostname())}.*"):
        pid = path.name.rpartition(".")[2]
        if pid.isdecimal() and not _exists(int(pid)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _take(store: Path, path: Path, own: dict) -> None:
    aside = passing_path(store, "lock")
    while True:
        try:
            _make(path, aside, own)
            return
        except FileExistsError:
            said = _read(path)
        if said is None:  # released in between
            continue
        if not _is_dead(path, said):
            raise StoreError(_held(store, path, said))
        with contextlib.suppress(FileNotFoundError, FileExistsError):  # of two that take over, one renames
            path.rename(aside)
            if _read(aside) != said:  # the other one has taken over already
                os.link(aside, path)
        aside.unlink(missing_ok=True)


def _make(path: Path, aside: Path, own: dict) -> None:
    """Write a lock whole or not at all, and never over another one."""
    aside.write_text("")
    own["begun"] = aside.stat().st_mtime_ns
    text = json.dumps(own)
    aside.write_text(text)
    try:
        os.link(aside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("x") as file:
            file.write(text)
    finally:
        aside.unlink(missing_ok=True)


def _read(path: Path) -> dict | None:
    """What a lock says, None if there is none."""
    try:
        said = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _is_dead(path: Path, said: dict) -> bool:
    """Whether the process of a lock is gone; its number may have been given to another one since."""
    if said.get("host") != socket.gethostname():
        return _is_stale(path)
    if not isinstance(said.get("pid"), int):
        return False
    return _started(said["pid"]) != said.get("started") or not _exists(said["pid"])


def _is_stale(path: Path) -> bool:
    """Whether nobody has touched a lock for long, by the clock of its file system where we may write to it."""
    clock = path.with_name(f".{path.name}.clock.{socket.gethostname()}.{os.getpid()}")
    try:
        clock.write_text("")
        now = clock.stat().st_mtime
    except OSError:
        now = time.time()
    with contextlib.suppress(OSError):
        clock.unlink(missing_ok=True)
    try:
        return now - path.stat().st_mtime > STALE
    except OSError:  # released in between
        return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did, and which start of the machine; None without /proc."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {ticks}"
    except (OSError, IndexError):
        return None


def _held(store: Path, path: Path, said: dict) -> str:
    by = f"process {said['pid']} on {said['host']}" if {"pid", "host"} <= set(said) else "an unknown process"
    return f"{store} is being written by {by}. Wait for it, or remove {path} if that process is gone."


def _escaped(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)
