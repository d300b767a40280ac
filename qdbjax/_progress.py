"""A progress bar on the terminal if rich is there to draw it, a plain line on request, silence otherwise."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

ReportProgress = Callable[..., None]


@contextlib.contextmanager
def progress_bar(
    total: int, label: str, show: bool | None, unit: str = "points", done: int = 0
) -> Iterator[ReportProgress]:
    """A context that gives a function report(count, note=""): so many more are done; the note stands by the label.

    Said are also how many are done in a second, and how long the rest will take.
    total: number of units.
    label: in front of the bar.
    show: None draws on a terminal only, True always (a line without rich), False never.
    unit: plural noun of what is counted.
    done: how many were done before.
    """
    if not is_shown(show):
        yield lambda count, note="": None
        return
    bar = _rich_bar() if sys.stderr.isatty() else None
    if bar is None:
        yield _print_lines(total, label, unit, done)
        return
    with bar:
        task, pace = bar.add_task(label, total=total, completed=done), _Pace(total, done)

        def report(count: int, note: str = "") -> None:
            pace.add(count)
            said = ", ".join(word for word in (pace.rate(unit), note) if word)
            bar.update(task, advance=count, description=f"{label} {said}".strip())

        yield report


def is_shown(show: bool | None) -> bool:
    """Whether anything is to be said of progress; None: on a terminal only."""
    return sys.stderr.isatty() if show is None else show


class _Pace:
    """How fast it goes, from the first report on: what lies before it is compilation."""

    def __init__(self, total: int, done: int):
        self.total, self.done = total, done
        self.begun: tuple[float, int] | None = None
        self.per_second = 0.0

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        now = time.perf_counter()
        if self.begun is None:
            self.begun = now, self.done
        elif now > self.begun[0]:
            self.per_second = (self.done - self.begun[1]) / (now - self.begun[0])

    def rate(self, unit: str) -> str:
        return f"{self.per_second:.3g} {unit}/s" if self.per_second else ""

    def left(self) -> str:
        return f"{(self.total - self.done) / self.per_second:.0f} s left" if self.per_second else ""


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


def _print_lines(total: int, label: str, unit: str, done: int) -> ReportProgress:
    pace = _Pace(total, done)

    def report(count: int, note: str = "") -> None:
        pace.add(count)
        said = [f"{label}: {pace.done} of {total} {unit}", pace.rate(unit), pace.left(), note]
        print(", ".join(word for word in said if word), file=sys.stderr)

    return report
