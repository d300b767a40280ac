"""A progress bar on the terminal if rich is there to draw it, a plain line on request, silence otherwise."""

import contextlib
import sys
from collections.abc import Callable, Iterator

Advance = Callable[..., None]


@contextlib.contextmanager
def progress_bar(total: int, label: str, wanted: bool | None, unit: str = "points") -> Iterator[Advance]:
    """Gives advance(count, note=""), the note beside the label.

    wanted: None draws on a terminal only, True always (a line without rich), False never.
    """
    terminal = sys.stderr.isatty()
    if wanted is False or (wanted is None and not terminal):
        yield lambda count, note="": None
        return
    bar = _rich_bar() if terminal else None
    if bar is None:
        yield _plain(total, label, unit)
        return
    with bar:
        task = bar.add_task(label, total=total)
        yield lambda count, note="": bar.update(task, advance=count, description=f"{label} {note}".strip())


def _rich_bar():
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
    except ModuleNotFoundError:
        return None
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times)
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _plain(total: int, label: str, unit: str) -> Advance:
    done = 0

    def advance(count: int, note: str = "") -> None:
        nonlocal done
        done += count
        print(f"{label}: {done} of {total} {unit}{f', {note}' if note else ''}", file=sys.stderr)

    return advance
