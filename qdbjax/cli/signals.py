"""Ctrl-C and SIGTERM as exceptions, so that unfinished files are removed on the way out."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

STOPPED = 128  # exit codes of a process stopped by a signal lie above, by convention of the shell


class Terminated(BaseException):
    """SIGTERM, as an exception."""


class Stops:
    """Ctrl-C and SIGTERM as exceptions that get through.

    JAX collects garbage in a callback from which no exception leaves: a stop raised there is reported as ignored, and
    the run goes on (seen in 4 of 4 runs stopped while they traced). Such a stop is raised again 20 ms later.
    """

    def __init__(self):
        self.number: int | None = None
        self.report = sys.unraisablehook

    def swallowed(self, unraisable: Any) -> None:
        """Hook for exceptions that could not be raised where they occurred."""
        if self.number is None or not issubclass(unraisable.exc_type, KeyboardInterrupt | Terminated):
            self.report(unraisable)
        elif hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: self.check())
            signal.setitimer(signal.ITIMER_REAL, 0.02)

    def heard(self, number: int, frame: Any) -> None:
        """Signal handler."""
        self.number = number
        self.check()

    def check(self) -> None:
        """Raise what has been heard."""
        if self.number is not None:
            raise KeyboardInterrupt if self.number == signal.SIGINT else Terminated


@contextlib.contextmanager
def stops() -> Iterator[Stops]:
    """Hear signals inside a `with` block, and leave everything as it was."""
    heard = Stops()
    before = [(number, signal.signal(number, heard.heard)) for number in (signal.SIGINT, signal.SIGTERM)]
    sys.unraisablehook = heard.swallowed
    try:
        yield heard
    finally:
        sys.unraisablehook = heard.report
        for number, handler in before:
            signal.signal(number, handler)
