"""A run file as a sweep: the function of the swept numbers, its axes, and the labels of its results."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.evolution_run import check_evolution, quantities_in_time
from qdbjax.cli.parameters import Parameters
from qdbjax.cli.plan import Plan
from qdbjax.cli.quantities import NAMES, PERFORMANCE
from qdbjax.cli.schema import Plot, RunFile
from qdbjax.compilation.description import describe
from qdbjax.solvers import steady_state
from qdbjax.sweeps import StoreError
from qdbjax.sweeps.dataset import labelled_sweep
from qdbjax.sweeps.labels import Labels
from qdbjax.sweeps.plan import Plan as SweepPlan, plan_of
from qdbjax.sweeps.store_run import Destination

if TYPE_CHECKING:
    import xarray


class Figure(NamedTuple):
    """A variable, the slice of it that is drawn, and what tells its file from those of other figures."""

    variable: str
    select: dict[str, str | float]
    label: str


class SweepRun:
    """The sweep or evolution of a run file.

    run: the file.
    text: the same as it is written.
    figures: what is drawn; the summary shows the first.
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
            check_evolution(run.evolution, self.plan.levels)
        self.outputs = [*dict.fromkeys([*run.output.quantities, *run.observables])]
        if run.evolution is None:
            self.outputs = [*dict.fromkeys([*self.outputs, "residual"])]
        self.figures = self._figures()

    def axes_of(self, variable: str) -> list[str]:
        """The swept axes of a variable, and the time if it changes in time."""
        still = self.plan.quantities[variable].reads == "generator"
        return [*self.plan.axes, *(["time"] if self.run.evolution is not None and not still else [])]

    def function(self) -> Callable[..., dict]:
        """The quantities as a function of the swept numbers by name; every other number is a constant in it."""
        run, plan = self.run, self.plan

        def quantities(**values):
            generator = plan.generator(values)
            if run.evolution is not None:
                return quantities_in_time(plan, generator, self.outputs, run.evolution.moments().coordinates())
            steady = steady_state(generator)
            return {name: plan.quantities[name].compute(generator, steady) for name in self.outputs}

        return quantities

    def result(self, *, progress: bool | None, to: Destination) -> "xarray.Dataset":
        """The swept quantities in a store, with names, units and the run file itself in the attributes."""
        with self._refusing():
            return labelled_sweep(self.function(), self._axes(), self._labels(), to, progress=progress)

    def planned(self) -> SweepPlan:
        """What `result` would compute."""
        with self._refusing():
            return plan_of(self.function(), self._axes(), self._labels())

    def _axes(self) -> dict[str, np.ndarray]:
        """Coordinates in the precision of the session; none for an evolution without sweep."""
        return {name: np.asarray(jnp.asarray(values)) for name, values in self.plan.axes.items()}

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            raise InputError(str(error)) from None
        except (ValueError, TypeError) as error:  # what shows only when all quantities are put together
            raise InputError(f"{', '.join(self.run.output.quantities)}: {error}") from None

    def _labels(self) -> Labels:
        run, axes = self.run, self.plan.axes
        dims = {name: (*self.axes_of(name)[len(axes) :], *self.plan.dims_of(name)) for name in self.outputs}
        attributes = {name: each.described() for name, each in self.plan.quantities.items()}
        named = {each for name in self.outputs for each in dims[name]}
        coordinates: dict[str, Any] = {name: self.plan.coordinates(name) for name in ("bath", "order") if name in named}
        if run.evolution is not None:
            times = run.evolution.moments()
            coordinates["time"] = times.coordinates()
            attributes["time"] = _described(times.label or "time", times.unit or "inverse energy")
        for name, axis in run.sweep.items():
            parameter = axis.parameter if isinstance(axis.parameter, str) else ", ".join(axis.parameter or ())
            attributes[name] = _described(axis.label or parameter, axis.unit)
        general = {"title": run.title or "", "run_file": self.text}
        return Labels(dims, coordinates, attributes, general, origin_of(run))

    def _figures(self) -> list[Figure]:
        """What [output] says of figures, checked; by default one, of the first quantity."""
        output = self.run.output
        plots = output.plot or [Plot(quantity=output.quantities[0])]
        known = {name for plot in plots for name in self._dims(plot.quantity)}
        for name in output.select:
            if name not in known:
                first = plots[0].quantity
                raise InputError(
                    f"output.select: {name!r} is no dimension of {first}, which has {', '.join(self._dims(first))}"
                )
        figures = []
        for number, plot in enumerate(plots):
            common = {name: value for name, value in output.select.items() if name in self._dims(plot.quantity)}
            self._check_selection("output.select", plot.quantity, common)
            self._check_selection(f"output.plot.{number}.select", plot.quantity, plot.select)
            select = common | plot.select
            if all(name in select for name in self.axes_of(plot.quantity)):
                raise InputError("output.select: leaves no axis to plot along")
            label = "-".join(
                [plot.quantity, *(value if isinstance(value, str) else f"{value:g}" for value in plot.select.values())]
            )
            label = re.sub(r"[^\w.-]", "_", label)
            taken = sum(figure.label == label for figure in figures)
            figures.append(Figure(plot.quantity, select, f"{label}-{number + 1}" if taken else label))
        return figures

    def _dims(self, variable: str) -> list[str]:
        return [*self.axes_of(variable), *self.plan.dims_of(variable)]

    def _check_selection(self, key: str, variable: str, select: Mapping[str, str | float]) -> None:
        plan = self.plan
        for name, value in select.items():
            if name not in self._dims(variable):
                raise InputError(
                    f"{key}: {name!r} is no dimension of {variable}, which has {', '.join(self._dims(variable))}"
                )
            if name == "bath" and value not in plan.baths:
                raise InputError(f"{key}.bath: must be one of {', '.join(plan.baths)}; got {value!r}")
            if name != "bath" and not isinstance(value, (int, float)):
                raise InputError(f"{key}.{name}: must be a number; got {value!r}")
            if name in ("level", "to", "from", "order") and value not in plan.coordinates(name):
                first, last = plan.coordinates(name)[0], plan.coordinates(name)[-1]
                what = "an order" if name == "order" else "a level"
                raise InputError(f"{key}.{name}: must be {what} from {first} to {last}; got {value!r}")


def _check_output(run: RunFile) -> None:
    """Names in [output] and [sweep] that need no system."""
    for name in run.output.quantities:
        if name not in NAMES:
            allowed = ", ".join(NAMES) + nearest(name, NAMES)
            raise InputError(f"output.quantities: {name!r} is unknown; allowed are {allowed}")
    drawn = [*run.output.quantities, *run.observables]
    for plot in run.output.plot:
        if plot.quantity not in drawn:
            raise InputError(f"output.plot: {plot.quantity!r} must be one of {', '.join(drawn)}")
    for name in run.output.crossings:
        if name not in run.sweep:
            raise InputError(f"output.crossings: {name!r} is no axis{nearest(name, run.sweep)}")
    for name in run.sweep:
        if name in NAMES:
            raise InputError(f"sweep.{name}: the axis has the name of a quantity; call it something else")


def origin_of(run: RunFile) -> dict[str, str]:
    """What decides the numbers of a run file, by the path of each key; how they are called and drawn does not."""
    content = run.model_dump(include={"system", "baths", "generator", "evolution", "observables"}, exclude_none=True)
    for section, names in (("cumulants", ("cumulants",)), ("performance", tuple(PERFORMANCE))):
        if set(names) & set(run.output.quantities):
            content[section] = getattr(run, section).model_dump(exclude_none=True)
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
