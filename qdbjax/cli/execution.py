"""One run of a file, from reading it to the files it writes."""

import warnings
from pathlib import Path

import jax
import matplotlib  # noqa: F401  missing packages are reported before anything is read
import xarray  # noqa: F401
import zarr  # noqa: F401
from rich.console import Console

from qdbjax.cli.errors import InputError
from qdbjax.cli.figure import draw
from qdbjax.cli.fit_run import FitRun
from qdbjax.cli.output_files import claim, write_data
from qdbjax.cli.reader import read
from qdbjax.cli.signals import Stops
from qdbjax.cli.summary import print_summary
from qdbjax.cli.sweep_run import SweepRun
from qdbjax.compilation.cache import use_cache
from qdbjax.compilation.tiers import chosen


def execute(
    file: Path, output: Path, stops: Stops, *, overwrite: bool, quiet: bool, optimize: bool | None = None
) -> None:
    """Read, check, compute, write, draw and sum up."""
    jax.config.update("jax_enable_x64", True)  # a process of its own: nobody else's setting is changed
    task = _task(file)
    suffix = ".json" if isinstance(task, FitRun) else ".zarr"
    data_file, plot_file = output / f"{file.stem}{suffix}", output / f"{file.stem}.png"
    claim(output, [data_file, plot_file], overwrite=overwrite)
    _keep_programs()
    progress = False if quiet else None
    with chosen(optimize):
        found = task.result(progress=progress)
    stops.check()
    write_data(found, data_file)
    draw(found, task, plot_file)
    if not quiet:
        print_summary(found, task, [data_file, plot_file], Console())


def _keep_programs() -> None:
    # A program that is stored but not usable is said once, in the summary.
    warnings.filterwarnings("ignore", message="Error reading persistent compilation cache entry")
    try:
        use_cache()
    except ValueError as error:
        raise InputError(f"QDBJAX_CACHE: {error}") from None


def _task(file: Path) -> SweepRun | FitRun:
    """What the file asks for, checked."""
    run, text = read(file)
    try:
        return SweepRun(run, text) if run.fit is None else FitRun(run, file.parent)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
