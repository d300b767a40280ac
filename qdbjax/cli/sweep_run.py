"""A run file as a sweep: the function of the swept numbers, its axes, and the labels of its results."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.evolution_run import check_evolution, quantities_in_time
from qdbjax.cli.parameters import Parameters
from qdbjax.cli.plan import Plan
from qdbjax.cli.quantities import QUANTITIES
from qdbjax.cli.schema import RunFile
from qdbjax.compilation.description import describe
from qdbjax.solvers import steady_state
from qdbjax.sweeps import StoreError
from qdbjax.sweeps.axes import as_axes
from qdbjax.sweeps.dataset import labelled_sweep
from qdbjax.sweeps.labels import Labels
from qdbjax.sweeps.store_run import Destination

if TYPE_CHECKING:
    import xarray


class SweepRun:
    """The sweep or evolution of a run file.

    run: the file.
    text: the same as it is written.
    drawn: the variable that figure and summary show.
    Raises InputError for whatever can be known wrong before anything is computed.
    """

    def __init__(self, run: RunFile, text: str):
        self.run, self.text = run, text
        _check_output(run)
        axes = {name: axis.coordinates() for name, axis in run.sweep.items()}
        self.plan = Plan(run, Parameters(run), axes)
        for name in run.output.quantities:
            self.plan.check_quantity("output.quantities", name)
        if run.evolution is not None:
            check_evolution(run, run.evolution, self.plan.levels)
        self.drawn = run.output.plot or run.output.quantities[0]
        self._check_selection()

    def axes_of(self, variable: str) -> list[str]:
        """The swept axes of a variable, and the time if it changes in time."""
        still = variable in QUANTITIES and QUANTITIES[variable].reads == "generator"
        return [*self.plan.axes, *(["time"] if self.run.evolution is not None and not still else [])]

    def function(self) -> Callable[..., dict]:
        """The quantities as a function of the swept numbers by name; every other number is a constant in it."""
        run, evolution = self.run, self.run.evolution
        names = list(dict.fromkeys([*run.output.quantities, "residual"]))

        def quantities(**values):
            generator = self.plan.generator(values)
            if evolution is not None:
                return quantities_in_time(
                    run, evolution, generator, run.output.quantities, evolution.moments().coordinates()
                )
            steady = steady_state(generator)
            return {name: QUANTITIES[name].compute(generator, steady) for name in names}

        return quantities

    def result(self, *, progress: bool | None, to: Destination | None = None) -> "xarray.Dataset":
        """The swept quantities with names, units and the run file itself in the attributes, in memory or in a store."""
        # An evolution without sweep is a sweep over one point.
        axes = self.plan.axes or {"point": np.zeros(1)}
        try:
            checked = {name: np.asarray(values) for name, values in as_axes(axes, {}).items()}
            data = labelled_sweep(self.function(), checked, self._labels(), to, progress=progress)
        except StoreError as error:
            raise InputError(str(error)) from None
        except (ValueError, TypeError) as error:  # what shows only when all quantities are put together
            raise InputError(f"{', '.join(self.run.output.quantities)}: {error}") from None
        return data if self.plan.axes else data.isel(point=0, drop=True)

    def _labels(self) -> Labels:
        run, axes = self.run, self.plan.axes
        observables = run.evolution.observables if run.evolution is not None else ()
        names = [*run.output.quantities, *observables, "residual"]
        dims = {name: (*self.axes_of(name)[len(axes) :], *self.plan.dims_of(name)) for name in names}
        attributes = {name: _described(q.long_name, q.units) for name, q in QUANTITIES.items()}
        coordinates = {}
        if run.evolution is not None:
            times = run.evolution.moments()
            coordinates["time"] = times.coordinates()
            attributes["time"] = _described(times.label or "time", times.unit or "inverse energy")
        if any("bath" in dims[name] for name in run.output.quantities):
            coordinates["bath"] = self.plan.baths
        for name, axis in run.sweep.items():
            parameter = axis.parameter if isinstance(axis.parameter, str) else ", ".join(axis.parameter or ())
            attributes[name] = _described(axis.label or parameter, axis.unit)
        general = {"title": run.title or "", "run_file": self.text}
        return Labels(dims, coordinates, attributes, general, origin_of(run))

    def _check_selection(self) -> None:
        plan, select = self.plan, self.run.output.select
        axes = self.axes_of(self.drawn)
        dims = [*axes, *plan.dims_of(self.drawn)]
        for name, value in select.items():
            if name not in dims:
                raise InputError(
                    f"output.select: {name!r} is no dimension of {self.drawn}, which has {', '.join(dims)}"
                )
            if name == "bath" and value not in plan.baths:
                raise InputError(f"output.select.bath: must be one of {', '.join(plan.baths)}; got {value!r}")
            if name != "bath" and not isinstance(value, (int, float)):
                raise InputError(f"output.select.{name}: must be a number; got {value!r}")
            if name in ("level", "to", "from") and value not in plan.coordinates(name):
                levels = f"a level from 0 to {plan.levels - 1}"
                raise InputError(f"output.select.{name}: must be {levels}; got {value!r}")
        if all(name in select for name in axes):
            raise InputError("output.select: leaves no axis to plot along")


def _check_output(run: RunFile) -> None:
    """Names in [output] and [sweep] that need no system."""
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


def origin_of(run: RunFile) -> dict[str, str]:
    """What decides the numbers of a run file, by the path of each key; how they are called and drawn does not."""
    content = run.model_dump(include={"system", "baths", "evolution"}, exclude_none=True)
    content |= {"sweep": {name: {"parameter": axis.parameter} for name, axis in run.sweep.items()}}
    content |= {"output.quantities": ", ".join(run.output.quantities)}
    return dict(_leaves(content, ""))


def _leaves(content: Any, path: str) -> Iterator[tuple[str, str]]:
    is_list_of_tables = isinstance(content, list) and all(isinstance(each, dict) for each in content)
    if isinstance(content, dict) or (is_list_of_tables and content):
        for name, each in content.items() if isinstance(content, dict) else enumerate(content):
            if name not in ("label", "unit"):
                yield from _leaves(each, f"{path}.{name}" if path else str(name))
    else:
        yield path, describe(content)


def _described(name: str, units: str | None) -> dict:
    return {"long_name": name} | ({"units": units} if units else {})
