"""One run of a file, from reading it to the files it writes."""

import os
import sys
import warnings
from pathlib import Path

import jax
import matplotlib  # noqa: F401  missing packages are reported before anything is read
import numpy as np
import xarray
import zarr  # noqa: F401
from rich.console import Console

from qdbjax._status import explain
from qdbjax.cli.errors import InputError
from qdbjax.cli.figure import draw, figure_files
from qdbjax.cli.fit_run import FitRun
from qdbjax.cli.output_files import claim, write_fit
from qdbjax.cli.reader import read
from qdbjax.cli.signals import Stops
from qdbjax.cli.store_info import print_info
from qdbjax.cli.storing import Storing, blocks_done
from qdbjax.cli.summary import print_summary
from qdbjax.cli.sweep_run import SweepRun
from qdbjax.compilation.cache import use_cache
from qdbjax.compilation.tiers import LARGE, chosen, unfolded
from qdbjax.fitting import Fit

SHOWN_BYTES = 2**30  # of a store that is drawn and summed up; of a larger one, what `qdbjax info` says


def execute(
    file: Path,
    output: Path,
    stops: Stops,
    *,
    overwrite: bool,
    quiet: bool,
    optimize: bool | None = None,
    storing: Storing | None = None,
) -> str | None:
    """Read, check, compute, write, draw and sum up.

    Returns what must be said of results that are no numbers, None if all is well.
    """
    storing = storing or Storing()
    prepare()
    task = task_of(file)
    suffix = ".json" if isinstance(task, FitRun) else ".zarr"
    data_file = output / f"{file.stem}{suffix}"
    progress = False if quiet else None
    if isinstance(task, SweepRun):
        return _execute_sweep(task, storing, data_file, overwrite=overwrite, progress=progress, optimize=optimize)
    if storing != Storing():
        options = "--out, --resume, --verify, --rank, --world and --cluster"
        raise InputError(f"{file}: {options} belong to a sweep, not to a fit")
    claim(output, [data_file, *figure_files(task, data_file)], overwrite=overwrite)
    _keep_programs()
    # A fit makes several programs, each with the operators of the system as constants.
    with chosen(optimize), unfolded(task.plan.levels**2 >= LARGE):
        found = task.result(progress=progress)
    stops.check()
    write_fit(found, data_file)
    figures = draw(found, task, data_file)
    if not quiet:
        print_summary(found, task, [data_file, *figures], Console())
    return _meaningless(found, data_file)


def _execute_sweep(
    task: SweepRun,
    storing: Storing,
    data_file: Path,
    *,
    overwrite: bool,
    progress: bool | None,
    optimize: bool | None,
) -> str | None:
    """A sweep or evolution, block by block; drawn and summed up by whoever finds the store complete."""
    data_file = storing.path(data_file)
    to = storing.destination(data_file, figure_files(task, data_file), overwrite=overwrite)
    _keep_programs()
    with chosen(optimize):
        found = task.result(progress=progress, to=to)
    console, is_quiet = Console(), progress is False
    done, blocks = blocks_done(to.path) or (0, 1)
    if done < blocks:
        if not is_quiet:
            said = f"{done} of {blocks} blocks are in {data_file}; others compute the rest, or --resume does"
            console.print(said, highlight=False, markup=False, soft_wrap=True)
        return None
    if found.nbytes > SHOWN_BYTES:
        if not is_quiet:
            print_info(data_file, console)
        return None
    found = loaded(found, data_file)
    figures = draw(found, task, data_file)
    if not is_quiet:
        print_summary(found, task, [data_file, *figures], console)
    return _meaningless(found, data_file)


def loaded(found: "xarray.Dataset", data_file: Path) -> "xarray.Dataset":
    """What a store holds, in memory. Raises OSError for a chunk that is damaged."""
    try:
        return found.load()
    except Exception as error:  # whatever zarr and its codecs raise
        raise OSError(f"{data_file}: a chunk cannot be read ({error}); --resume --verify computes it again") from None


def _meaningless(found: "xarray.Dataset | Fit", data_file: Path) -> str | None:
    if isinstance(found, Fit):
        names, status = ["the loss of the fit"] * (not np.isfinite(found.loss)), found.status
    else:
        names = [str(name) for name, values in found.data_vars.items() if values.size and np.isnan(values.values).all()]
        status = int(np.bitwise_or.reduce(found["status"].values, axis=None))
    if not names:
        return None
    why = f": {explain(status)}" if status else "; no flag says why"
    return f"{data_file}: nothing but NaN in {', '.join(names)}{why}"


def prepare() -> None:
    """Double precision, and a device that is there: a process of its own changes nobody else's settings."""
    jax.config.update("jax_enable_x64", True)
    _choose_device()


def _choose_device() -> None:
    """The CPU, and a line that says so, where the device of JAX_PLATFORMS is not there or its plugin is broken."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # the latter for "cuda" without its plugin
        wanted = os.environ.get("JAX_PLATFORMS", "")
        print(f"JAX_PLATFORMS={wanted}: no such device here; computing on the CPU", file=sys.stderr)
        jax.config.update("jax_platforms", "cpu")
        jax.devices()


def _keep_programs() -> None:
    # A program that is stored but not usable is said once, in the summary.
    warnings.filterwarnings("ignore", message="Error reading persistent compilation cache entry")
    try:
        use_cache()
    except ValueError as error:
        raise InputError(f"QDBJAX_CACHE: {error}") from None


def task_of(file: Path) -> SweepRun | FitRun:
    """What the file asks for, checked."""
    run, text = read(file)
    try:
        return SweepRun(run, text) if run.fit is None else FitRun(run, run.fit, file.parent)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
