"""The part of a run that follows a state in time."""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, Matrix
from qdbjax.cli.errors import InputError
from qdbjax.cli.plan import Plan
from qdbjax.cli.quantities import observable
from qdbjax.cli.schema import Evolution, Initial
from qdbjax.generators import Generator
from qdbjax.solvers import evolve
from qdbjax.states.state import density_matrix


def check_evolution(evolution: Evolution, levels: int) -> None:
    """Raise InputError for an initial state that does not fit the system."""
    table = evolution.initial
    for name in ("level", "site"):
        number = getattr(table, name)
        if number is not None and number >= levels:
            raise InputError(f"evolution.initial.{name}: must be from 0 to {levels - 1}; got {number}")
    try:
        if table.level is None:
            density_matrix(_written(table, levels), levels, "state")
    except (ValueError, TypeError) as error:
        raise InputError(f"evolution.initial: {error}") from None


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
    plan: Plan, generator: Generator, names: list[str], times: ArrayLike, mode: str = "reverse"
) -> dict[str, Array]:
    """The named quantities, with the time in front where they change in time.

    mode: of differentiation, as `evolve` takes it.
    """
    run, evolution = plan.run, plan.run.evolution
    assert evolution is not None
    observables = {name: observable(run, name, generator.dimension) for name in names if name in run.observables}
    start = _initial(evolution.initial, generator)
    found = evolve(generator, start, times, observables=observables, mode=mode)
    values = dict(found.expectations)
    for name in dict.fromkeys(each for each in names if each not in values):
        compute = plan.quantities[name].compute
        if plan.quantities[name].reads == "generator":
            values[name] = compute(generator, None)
        else:
            values[name] = jax.vmap(lambda rho, compute=compute: compute(generator, rho))(found.density_matrix)
    return values
