"""The commands. What they need is imported when they run, so that `--help` answers at once."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from qdbjax.cli.signals import STOPPED, Terminated, stops

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        import jax

        typer.echo(f"qdbjax {sys.modules['qdbjax'].__version__} (jax {jax.__version__})")
        raise typer.Exit


TRACEBACK = "QDBJAX_TRACEBACK"  # variable of the environment: show where an unforeseen error comes from
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
    optimize: Annotated[
        bool | None,
        typer.Option(
            "--optimize/--quick",
            help="Compile for speed, or quickly; by default for speed from a million cells on.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sweep, evolve or fit what FILE.toml describes; write FILE.zarr (of a fit FILE.json) and FILE.png into DIR.

    Compiled programs are kept in the user's cache folder; QDBJAX_CACHE names another one, QDBJAX_CACHE=0 keeps none.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # terminals without ± or Greek letters
    with stops() as heard:
        try:
            from qdbjax.cli.errors import InputError
            from qdbjax.cli.execution import execute

            try:
                meaningless = execute(file, output, heard, overwrite=overwrite, quiet=quiet, optimize=optimize)
            except InputError as error:
                _fail(f"error: {error}", 2)
            if meaningless is not None:
                _fail(f"error: {meaningless}", 1)
        except KeyboardInterrupt:
            _fail("stopped by Ctrl-C; no unfinished file is left", STOPPED + signal.SIGINT)
        except Terminated:
            _fail("stopped by SIGTERM; no unfinished file is left", STOPPED + signal.SIGTERM)
        except (typer.Exit, ModuleNotFoundError):
            raise
        except (OSError, MemoryError) as error:
            _fail(f"error: {str(error) or 'not enough memory'}", 1)
        except Exception as error:
            if os.environ.get(TRACEBACK, "0") != "0":
                raise
            said = next(iter(str(error).strip().splitlines()), "")
            if "RESOURCE_EXHAUSTED" in said:
                _fail(f"error: {said} Take a smaller system, fewer times, starts or quantities.", 1)
            where = f"unforeseen; {TRACEBACK}=1 shows where, for a report"
            _fail(f"error: {type(error).__name__}: {said} ({where})", 1)


def _fail(message: str, code: int) -> None:
    typer.echo(" ".join(message.splitlines()), err=True)
    raise typer.Exit(code)
