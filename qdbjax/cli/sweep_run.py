"""A run file as a sweep: the function of the swept numbers, its axes, and the labels of its results."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.evolution_run import check_evolution, quantities_along
from qdbjax.cli.factory import generator_of, parts_of
from qdbjax.cli.parameters import paths_of, tree_of, with_values
from qdbjax.cli.quantities import QUANTITIES
from qdbjax.cli.schema import RunFile
from qdbjax.solvers import steady_state
from qdbjax.sweeps import sweep

if TYPE_CHECKING:
    import xarray


def check(run: RunFile) -> None:
    """Raise InputError for whatever can be known wrong before anything is computed, at both ends of every axis."""
    for name in run.output.quantities:
        if name not in QUANTITIES:
            allowed = ", ".join(QUANTITIES) + nearest(name, QUANTITIES)
            raise InputError(f"output.quantities: {name!r} is unknown; allowed are {allowed}")
    drawn = [*run.output.quantities, *(run.evolution.observables if run.evolution else ())]
    if run.output.plot is not None and run.output.plot not in drawn:
        raise InputError(f"output.plot: {run.output.plot!r} must be one of {', '.join(drawn)}")
    for name in run.output.crossings:
        if name not in run.sweep:
            raise InputError(f"output.crossings: {name!r} is no axis{nearest(name, run.sweep)}")
    for name in run.sweep:
        if name in QUANTITIES:
            raise InputError(f"sweep.{name}: the axis has the name of a quantity; call it something else")
    tree = tree_of(run)
    paths = paths_of(run, tree)
    for end in (np.min, np.max):
        ends = {name: float(end(axis.coordinates())) for name, axis in run.sweep.items()}
        system, _ = parts_of(with_values(tree, paths, ends))
    if run.evolution is not None:
        check_evolution(run, system.dimension, [("output.quantities", name) for name in run.output.quantities])
    _check_selection(run, system.dimension)


def _check_selection(run: RunFile, levels: int) -> None:
    variable = drawn_variable(run)
    axes = axes_of(run, variable)
    dims = [*axes, *dims_of(variable)]
    baths = [bath.name for bath in run.baths]
    for name, value in run.output.select.items():
        if name not in dims:
            raise InputError(f"output.select: {name!r} is no dimension of {variable}, which has {', '.join(dims)}")
        if name == "bath" and value not in baths:
            raise InputError(f"output.select.bath: must be one of {', '.join(baths)}; got {value!r}")
        if name != "bath" and not isinstance(value, (int, float)):
            raise InputError(f"output.select.{name}: must be a number; got {value!r}")
        if name in ("level", "to", "from") and value not in range(levels):
            raise InputError(f"output.select.{name}: must be a level from 0 to {levels - 1}; got {value!r}")
    if all(name in run.output.select for name in axes):
        raise InputError("output.select: leaves no axis to plot along")


def drawn_variable(run: RunFile) -> str:
    """What the figure and the summary show."""
    return run.output.plot or run.output.quantities[0]


def dims_of(variable: str) -> tuple[str, ...]:
    """Dimensions of a variable beside the swept ones and the time."""
    return QUANTITIES[variable].dims if variable in QUANTITIES else ()


def axes_of(run: RunFile, variable: str) -> list[str]:
    """The swept axes of a variable, and the time if it changes in time."""
    still = variable in QUANTITIES and QUANTITIES[variable].reads == "generator"
    return [*run.sweep, *(["time"] if run.evolution is not None and not still else [])]


def function_of(run: RunFile) -> Callable[..., dict]:
    """The quantities as a function of the swept numbers by name; every other number is a constant in it."""
    tree = tree_of(run)
    paths = paths_of(run, tree)
    names = list(dict.fromkeys([*run.output.quantities, "residual"]))

    def quantities(**values):
        generator = generator_of(with_values(tree, paths, values))
        if run.evolution is not None:
            return quantities_along(run, generator, run.output.quantities, run.evolution.times.coordinates())
        steady = steady_state(generator)
        return {name: QUANTITIES[name].compute(generator, steady) for name in names}

    return quantities


def results_of(run: RunFile, text: str, *, progress: bool | None) -> "xarray.Dataset":
    """The swept quantities with names, units and the run file itself in the attributes."""
    axes = {name: axis.coordinates() for name, axis in run.sweep.items()}
    # An evolution without sweep is a sweep over one point.
    data = sweep(function_of(run), progress=progress, **(axes or {"point": np.zeros(1)}))
    if not axes:
        data = data.isel(point=0, drop=True)
    for name in set(data.data_vars) - {"status"}:
        dims = [*axes_of(run, name)[len(axes) :], *dims_of(name)]
        data = data.rename({f"{name}_dim{n}": dim for n, dim in enumerate(dims)})
        if name in QUANTITIES:
            data[name].attrs.update(_described(QUANTITIES[name].long_name, QUANTITIES[name].units))
    if run.evolution is not None:
        times = run.evolution.times
        data = data.assign_coords(time=times.coordinates())
        data["time"].attrs.update(_described(times.label or "time", times.unit or "inverse energy"))
    if "bath" in data.dims:
        data = data.assign_coords(bath=[bath.name for bath in run.baths])
    for name, axis in run.sweep.items():
        parameter = axis.parameter if isinstance(axis.parameter, str) else ", ".join(axis.parameter)
        data[name].attrs.update(_described(axis.label or parameter, axis.unit))
    data.attrs.update(title=run.title or "", run_file=text)
    return data


def _described(name: str, units: str | None) -> dict:
    return {"long_name": name} | ({"units": units} if units else {})
