"""The commands."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import jax
import matplotlib  # noqa: F401  missing packages are reported before anything is read
import typer
import xarray  # noqa: F401
import zarr  # noqa: F401
from rich.console import Console

from qdbjax.cli.errors import InputError
from qdbjax.cli.figure import draw
from qdbjax.cli.fits import Task
from qdbjax.cli.job import check, results_of
from qdbjax.cli.main import STOPPED
from qdbjax.cli.reader import read
from qdbjax.cli.schema import RunFile
from qdbjax.cli.store import claim, write_data
from qdbjax.cli.summary import print_summary

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


class Terminated(BaseException):
    """SIGTERM, as an exception, so that unfinished files are removed on the way out."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qdbjax {sys.modules['qdbjax'].__version__} (jax {jax.__version__})")
        raise typer.Exit


VersionOption = typer.Option("--version", callback=_version, is_eager=True, help="Print versions.")


@app.callback()
def _options(version: Annotated[bool, VersionOption] = False) -> None:
    """Stationary states, evolutions, currents and fits of open quantum systems, from a file."""


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to compute.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("results"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run has written.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Sweep, evolve or fit what FILE.toml describes; write FILE.zarr (of a fit FILE.json) and FILE.png into DIR."""
    stops = _Stops()
    before = [(number, signal.signal(number, stops.heard)) for number in (signal.SIGINT, signal.SIGTERM)]
    report, sys.unraisablehook = sys.unraisablehook, stops.swallowed
    try:
        _run(file, output, stops, overwrite=overwrite, quiet=quiet)
    except InputError as error:
        _fail(f"error: {error}", 2)
    except KeyboardInterrupt:
        _fail("stopped by Ctrl-C; no unfinished file is left", STOPPED + signal.SIGINT)
    except Terminated:
        _fail("stopped by SIGTERM; no unfinished file is left", STOPPED + signal.SIGTERM)
    except (OSError, MemoryError) as error:
        _fail(f"error: {error}", 1)
    finally:
        sys.unraisablehook = report
        for number, handler in before:
            signal.signal(number, handler)


class _Stops:
    """Ctrl-C and SIGTERM as exceptions that get through.

    JAX collects garbage in a callback from which no exception leaves: a stop raised there is reported as ignored, and
    the run goes on (seen in 4 of 4 runs stopped while they traced). Such a stop is raised again 20 ms later.
    """

    def __init__(self):
        self.number = None
        self.report = sys.unraisablehook

    def swallowed(self, unraisable) -> None:
        """Hook for exceptions that could not be raised where they occurred."""
        if self.number is None or not issubclass(unraisable.exc_type, KeyboardInterrupt | Terminated):
            self.report(unraisable)
        elif hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: self.check())
            signal.setitimer(signal.ITIMER_REAL, 0.02)

    def heard(self, number, frame) -> None:
        """Signal handler."""
        self.number = number
        self.check()

    def check(self) -> None:
        """Raise what has been heard."""
        if self.number is not None:
            raise KeyboardInterrupt if self.number == signal.SIGINT else Terminated


def _fail(message: str, code: int) -> None:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _run(file: Path, output: Path, stops: _Stops, *, overwrite: bool, quiet: bool) -> None:
    jax.config.update("jax_enable_x64", True)  # a process of its own: nobody else's setting is changed
    description, text = read(file)
    task = _checked(file, description)
    suffix = ".zarr" if task is None else ".json"
    data_file, plot_file = output / f"{file.stem}{suffix}", output / f"{file.stem}.png"
    claim(output, [data_file, plot_file], overwrite=overwrite)
    progress = False if quiet else None
    found = results_of(description, text, progress=progress) if task is None else task.result(progress=progress)
    stops.check()
    write_data(found, data_file)
    draw(found, description, plot_file)
    if not quiet:
        print_summary(found, description, [data_file, plot_file], Console())


def _checked(file: Path, description: RunFile) -> Task | None:
    """The fit that the file describes, None for a sweep or an evolution."""
    try:
        if description.fit is not None:
            return Task(description, file.parent)
        check(description)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return None
