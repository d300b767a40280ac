"""The commands. What they need is imported when they run, so that `--help` answers at once."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from qdbjax.cli.signals import STOPPED, Terminated, stops

EXIT_CODES = (
    "Exit codes: 0, done; 1, the run failed, or a quantity holds nothing but NaN; 2, wrong input, said in one line; "
    "130, stopped by Ctrl-C; 143, stopped by SIGTERM. After 1, 130 and 143 `qdbjax run FILE.toml --resume` goes on."
)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, epilog=EXIT_CODES)


def _version(wanted: bool) -> None:
    if wanted:
        import jax

        typer.echo(f"qdbjax {sys.modules['qdbjax'].__version__} (jax {jax.__version__})")
        raise typer.Exit


TRACEBACK = "QDBJAX_TRACEBACK"  # variable of the environment: show where an unforeseen error comes from
OptimizeOption = typer.Option(
    "--optimize/--quick",
    help="Compile for speed, or quickly; by default for speed from a million cells on.",
    show_default=False,
)
VersionOption = typer.Option("--version", callback=_version, is_eager=True, help="Print versions.")


@app.callback()
def _options(version: Annotated[bool, VersionOption] = False) -> None:
    """Stationary states, evolutions, currents and fits of open quantum systems, from a file."""


@app.command()
def new(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.toml", help="What to write; run.toml, or NAME.toml of an example.")
    ] = None,
    example: Annotated[str | None, typer.Option(metavar="NAME", help="Write this example, with its data.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Name the examples, and write nothing.")] = False,
) -> None:
    """Write a run file to begin with: one with comments on everything, or an example."""
    with _said_in_a_line(None):
        from qdbjax.cli.new_file import example_names, write_new

        if show:
            for name, about in example_names().items():
                typer.echo(f"{name:<32} {about}")
            return
        target = file or Path(f"{example or 'run'}.toml")
        for path in write_new(target if target.suffix else target.with_suffix(".toml"), example):
            typer.echo(f"written {path}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to look at.")],
    optimize: Annotated[bool | None, OptimizeOption] = None,
) -> None:
    """Look for mistakes in FILE.toml without computing; say points, bytes, blocks and how long compiling takes."""
    with stops(), _said_in_a_line(None):
        from rich.console import Console

        from qdbjax.cli.check_file import print_check

        print_check(file, Console(), optimize)


@app.command(epilog=EXIT_CODES)
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to compute.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("results"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run has written.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    optimize: Annotated[bool | None, OptimizeOption] = None,
    out: Annotated[Path | None, typer.Option(metavar="STORE", help="Another name for FILE.zarr in DIR.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the store of a run that was stopped.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check its data first; compute again what fails.")] = False,
    rank: Annotated[
        str | None, typer.Option(metavar="R", help="Share of this process, or auto under SLURM and Open MPI.")
    ] = None,
    world: Annotated[int | None, typer.Option(metavar="W", help="Number of processes that share the store.")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Compute on the workers of this Dask scheduler.")
    ] = None,
) -> None:
    """Sweep, evolve or fit what FILE.toml describes; write FILE.zarr (of a fit FILE.json) and FILE.png into DIR.

    Results are written block by block: a run that is stopped or killed loses a block or three, and --resume goes on
    with it. The figure lies beside the store.

    Compiled programs are kept in the user's cache folder; QDBJAX_CACHE names another one, QDBJAX_CACHE=0 keeps none.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # terminals without ± or Greek letters
    options = {"out": out, "resume": resume, "verify": verify, "rank": rank, "world": world, "cluster": cluster}
    with stops() as heard, _said_in_a_line(out or output / f"{file.stem}.zarr"):
        from qdbjax.cli.execution import execute
        from qdbjax.cli.storing import Storing

        storing = Storing(**options)
        meaningless = execute(file, output, heard, overwrite=overwrite, quiet=quiet, optimize=optimize, storing=storing)
        if meaningless is not None:
            _fail(f"error: {meaningless}", 1)


@app.command()
def info(store: Annotated[Path, typer.Argument(metavar="STORE", help="What a run has written.")]) -> None:
    """Say what a store is: axes, variables, blocks that are done, share of flagged points, versions."""
    with stops(), _said_in_a_line(None):
        from rich.console import Console

        from qdbjax.cli.store_info import print_info

        print_info(store, Console())


@app.command()
def plot(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What a run or sweep has written.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FIGURE.png", help="Where to; by default beside the store.")
    ] = None,
    variable: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to draw, by default into STORE-NAME.png.")
    ] = None,
) -> None:
    """Draw what a store holds, finished or not: what its run file draws, or another variable."""
    with stops(), _said_in_a_line(None):
        from qdbjax.cli.plot_store import plot_store

        target, missing = plot_store(store, output, variable)
        typer.echo(f"written {target}{missing}")


@app.command()
def report(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What a run or sweep has written.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PAGE.html", help="Where to; by default beside the store.")
    ] = None,
) -> None:
    """Write one HTML page that says what a store holds, how good it is, and how it was made."""
    with stops(), _said_in_a_line(None):
        from qdbjax.cli.report import write_report

        typer.echo(f"written {write_report(store, output)}")


@contextlib.contextmanager
def _said_in_a_line(store: Path | None) -> Iterator[None]:
    """Errors and signals as one line and an exit code; `store` is what a stopped run has begun."""
    try:
        from qdbjax.cli.errors import InputError

        try:
            yield
        except InputError as error:
            _fail(f"error: {error}", 2)
    except KeyboardInterrupt:
        _fail(f"stopped by Ctrl-C; {_left(store)}", STOPPED + signal.SIGINT)
    except Terminated:
        _fail(f"stopped by SIGTERM; {_left(store)}", STOPPED + signal.SIGTERM)
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


def _left(store: Path | None) -> str:
    """What a stopped run leaves."""
    if store is None or not store.exists():
        return "no unfinished file is left"
    from qdbjax.cli.storing import said_when_stopped

    return said_when_stopped(store)


def _fail(message: str, code: int) -> None:
    typer.echo(" ".join(message.splitlines()), err=True)
    raise typer.Exit(code)
