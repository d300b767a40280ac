"""A progress bar on the terminal if rich is there to draw it, a plain line on request, silence otherwise."""

import contextlib
import sys
from collections.abc import Callable, Iterator

ReportProgress = Callable[..., None]


@contextlib.contextmanager
def progress_bar(total: int, label: str, show: bool | None, unit: str = "points") -> Iterator[ReportProgress]:
    """A context that gives a function report(count, note=""): so many more are done; the note stands by the label.

    total: number of units to do.
    label: in front of the bar.
    show: None draws on a terminal only, True always (a line without rich), False never.
    unit: plural noun of what is counted.
    """
    is_terminal = sys.stderr.isatty()
    if show is False or (show is None and not is_terminal):
        yield lambda count, note="": None
        return
    bar = _rich_bar() if is_terminal else None
    if bar is None:
        yield _print_lines(total, label, unit)
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


def _print_lines(total: int, label: str, unit: str) -> ReportProgress:
    done = 0

    def report(count: int, note: str = "") -> None:
        nonlocal done
        done += count
        print(f"{label}: {done} of {total} {unit}{f', {note}' if note else ''}", file=sys.stderr)

    return report
