"""The part of a run that follows a state in time."""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian
from qdbjax._types import Array, ArrayLike, Matrix
from qdbjax.cli.errors import InputError
from qdbjax.cli.factory import operator_of
from qdbjax.cli.quantities import QUANTITIES
from qdbjax.cli.schema import Evolution, Initial, RunFile
from qdbjax.generators import Generator
from qdbjax.solvers import evolve
from qdbjax.states.state import density_matrix


def check_evolution(run: RunFile, evolution: Evolution, levels: int) -> None:
    """Raise InputError for an initial state or observable that does not fit the system."""
    table = evolution.initial
    for name in ("level", "site"):
        number = getattr(table, name)
        if number is not None and number >= levels:
            raise InputError(f"evolution.initial.{name}: must be from 0 to {levels - 1}; got {number}")
    for name in evolution.observables:
        if name in QUANTITIES or name in run.sweep:
            raise InputError(f"evolution.observables.{name}: the name is taken; choose another")
    try:
        if table.level is None:
            density_matrix(_written(table, levels), levels, "state")
    except (ValueError, TypeError) as error:
        raise InputError(f"evolution.initial: {error}") from None
    for name in evolution.observables:
        try:
            matrix = _observable(run, evolution, name, levels)
            if matrix.shape != (levels, levels):
                raise ValueError(f"must have shape {(levels, levels)}; got {matrix.shape}")
            as_hermitian(matrix, "operator")
        except (ValueError, TypeError) as error:
            raise InputError(f"evolution.observables.{name}: {error}") from None


def _observable(run: RunFile, evolution: Evolution, name: str, levels: int) -> np.ndarray:
    return operator_of(evolution.observables[name].model_dump(), run.system.model, levels)


def _written(table: Initial, levels: int) -> np.ndarray:
    """The ket or density matrix that a file gives in the basis of the Hamiltonian."""
    if table.site is not None:
        return np.eye(levels)[table.site]
    return np.asarray(table.ket if table.ket is not None else table.matrix)


def _initial(table: Initial, generator: Generator) -> Matrix | np.ndarray:
    if table.level is None:
        return _written(table, generator.dimension)
    ket = jnp.asarray(generator.spectrum.basis)[:, table.level]
    return ket[:, None] * ket.conj()[None, :]


def quantities_in_time(
    run: RunFile,
    evolution: Evolution,
    generator: Generator,
    names: list[str],
    times: ArrayLike,
    mode: str = "reverse",
) -> dict[str, Array]:
    """The named quantities and every observable of the file, with the time in front where they change in time.

    mode: of differentiation, as `evolve` takes it.
    """
    levels = generator.dimension
    observables = {name: _observable(run, evolution, name, levels) for name in evolution.observables}
    start = _initial(evolution.initial, generator)
    found = evolve(generator, start, times, observables=observables, mode=mode)
    values = dict(found.expectations)
    for name in names:
        compute = QUANTITIES[name].compute
        if QUANTITIES[name].reads == "generator":
            values[name] = compute(generator, None)
        else:
            values[name] = jax.vmap(lambda rho, compute=compute: compute(generator, rho))(found.density_matrix)
    return values
