"""A run file as a fit: its model, what is free, what is wanted, and the data."""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx

from qdbjax._types import Array
from qdbjax.cli.data_file import columns
from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.evolution_run import check_evolution, quantities_in_time
from qdbjax.cli.fit_schema import Aim, FitTable, FreeNumber
from qdbjax.cli.parameters import Parameters
from qdbjax.cli.plan import Plan
from qdbjax.cli.schema import RunFile
from qdbjax.fitting import (
    AbstractTerm,
    Fit,
    Parameter,
    at_least,
    at_most,
    bounded,
    fit,
    match,
    maximize,
    minimize,
    positive,
    real,
)
from qdbjax.fitting.problem import FORWARD_LIMIT
from qdbjax.fitting.search import ClippedBFGS
from qdbjax.generators import Generator
from qdbjax.solvers import steady_state

LIMITS = {"at_most": at_most, "at_least": at_least}
PUSHES = {"maximize": maximize, "minimize": minimize}


class FitRun:
    """The fit of a run file, checked: whatever can be known wrong is said before anything is computed.

    run: the file.
    table: its [fit].
    folder: where its data lie.
    """

    def __init__(self, run: RunFile, table: FitTable, folder: Path):
        self.run, self.table = run, table
        parameters = Parameters(run)
        self.data = self._data(folder)
        self.free = {name: _parameter(name, each, parameters) for name, each in table.parameters.items()}
        over = {
            name: np.asarray(each.values, float) if each.column is None else self.data[each.column]
            for name, each in table.over.items()
        }
        lengths = {name: len(values) for name, values in over.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"fit.over: conditions must have the same length; got {lengths}")
        self.plan = Plan(run, parameters, over, {name: float(each.start) for name, each in self.free.items()})
        self._check_quantities()
        self.indices = {name: self._index(name, aim) for name, aim in table.aims.items()}
        self.terms = {name: self._term(name, aim) for name, aim in table.aims.items()}

    def result(self, *, progress: bool | None) -> Fit:
        """The fit itself. Raises InputError for what `fit` refuses."""
        table = self.table
        optimizer = {
            None: None,
            "levenberg_marquardt": optx.LevenbergMarquardt(rtol=table.tolerance, atol=table.tolerance),
            "bfgs": ClippedBFGS(table.tolerance, table.tolerance),
            "adam": optax.adam(table.learning_rate),
        }[table.optimizer]
        settings = {"steps": table.steps, "starts": table.starts, "seed": table.seed, "tolerance": table.tolerance}
        try:
            return fit(
                self.model(),
                self.terms,
                self.free,
                over=self.plan.axes,
                optimizer=optimizer,
                progress=progress,
                **settings,
            )
        except (ValueError, TypeError) as error:
            raise InputError(f"fit: {error}") from None

    def model(self) -> Callable[..., dict[str, Array]]:
        """The aimed-at quantities by aim, as a function of the free numbers and one condition."""
        clock = next((name for name, each in self.table.over.items() if each.parameter == "time"), None)
        asked = [aim.quantity for aim in self.table.aims.values()]
        mode = "forward" if len(self.free) <= FORWARD_LIMIT else "reverse"
        evolution = self.run.evolution

        def model(**values):
            generator = self.plan.generator(values)
            if clock is None or evolution is None:
                found = self._stationary(generator, asked)
            else:
                along = quantities_in_time(self.plan, generator, asked, values[clock][None], mode)
                still = {name for name in asked if self.plan.quantities[name].reads == "generator"}
                found = {name: value if name in still else value[0] for name, value in along.items()}
            return {name: found[aim.quantity][self.indices[name]] for name, aim in self.table.aims.items()}

        return model

    def _stationary(self, generator: Generator, asked: list[str]) -> dict[str, Array]:
        steady = steady_state(generator)
        return {name: jnp.asarray(self.plan.quantities[name].compute(generator, steady)) for name in asked}

    def _data(self, folder: Path) -> dict[str, np.ndarray]:
        wanted = [each.column for each in (*self.table.over.values(), *self.table.aims.values())]
        wanted += [aim.error for aim in self.table.aims.values() if isinstance(aim.error, str)]
        wanted = [name for name in wanted if name is not None]
        return columns(folder / str(self.table.data), wanted) if wanted else {}

    def _check_quantities(self) -> None:
        known = list(self.plan.quantities)
        for name, aim in self.table.aims.items():
            key = f"fit.aims.{name}.quantity"
            if aim.quantity not in known:
                hint = nearest(aim.quantity, known)
                raise InputError(f"{key}: {aim.quantity!r} is unknown; allowed are {', '.join(known)}{hint}")
            self.plan.check_quantity(key, aim.quantity)
        if self.run.evolution is not None:
            check_evolution(self.run.evolution, self.plan.levels)

    def _index(self, name: str, aim: Aim) -> tuple:
        """Where the aim stands in its quantity; dimensions that are not selected stay whole."""
        dims = self.plan.dims_of(aim.quantity)
        index = []
        for key, value in aim.select.items():
            allowed = self.plan.coordinates(key)
            if key not in dims:
                raise InputError(f"fit.aims.{name}.select: {key!r} is no dimension of {aim.quantity}{_listed(dims)}")
            if value not in allowed:
                raise InputError(f"fit.aims.{name}.select.{key}: must be one of {_brief(allowed)}; got {value!r}")
        for dim in dims:
            chosen = aim.select.get(dim)
            whole = chosen is None
            index.append(slice(None) if whole else self.plan.coordinates(dim).index(chosen))
            if whole and aim.column is not None:
                raise InputError(f"fit.aims.{name}.select: a column needs one number: choose {dim} as well")
        return tuple(index)

    def _term(self, name: str, aim: Aim) -> AbstractTerm:
        if aim.goal in PUSHES:
            return PUSHES[aim.goal](aim.weight)
        shape = self._shape(aim)
        value = self.data[aim.column] if aim.column is not None else np.asarray(aim.value, float)
        error = self.data[aim.error] if isinstance(aim.error, str) else aim.error
        for given in (value, error):
            if given is not None and (np.ndim(given) > len(shape) or np.shape(given)[:1] not in ((), shape[-1:])):
                raise InputError(f"fit.aims.{name}: has shape {np.shape(given)}, the quantity {shape}, rows first")
        value = np.broadcast_to(value, shape)
        try:
            if aim.goal in LIMITS:
                return LIMITS[aim.goal](value)
            return match(value, error=error, weight=aim.weight)
        except ValueError as wrong:
            raise InputError(f"fit.aims.{name}: {wrong}") from None

    def _shape(self, aim: Aim) -> tuple[int, ...]:
        """Of the aim, rows first."""
        dims = [dim for dim in self.plan.dims_of(aim.quantity) if dim not in aim.select]
        rows = [len(values) for values in list(self.plan.axes.values())[:1]]
        return (*rows, *(len(self.plan.coordinates(dim)) for dim in dims))


def _parameter(name: str, given: FreeNumber, parameters: Parameters) -> Parameter:
    first = parameters.paths[name][0]
    start = given.start if given.start is not None else parameters.known[first]
    if start is None and given.range is not None:
        low, high = given.range
        start = float(np.sqrt(low * high)) if given.kind == "positive" else 0.5 * (low + high)
    if start is None:
        raise InputError(f"fit.parameters.{name}: give a start, a range, or {first} itself")
    span = None if given.range is None else (given.range[0], given.range[1])
    try:
        if given.kind == "bounded" and span is not None:
            return bounded(start, low=span[0], high=span[1])
        return (positive if given.kind == "positive" else real)(start, range=span)
    except ValueError as error:
        raise InputError(f"fit.parameters.{name}: {error}") from None


def _listed(dims: tuple[str, ...]) -> str:
    return f", which has {', '.join(dims)}" if dims else ", which is a single number"


def _brief(allowed: list) -> str:
    return ", ".join(map(str, allowed))
