"""Numbers that equinox.tree_at puts in place of arrays: as if the constructor had been given them."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts.registry import DENSITIES

import qdbjax as qdb
from qdbjax._checks import as_made

HAMILTONIAN = np.diag([0.0, 1.0])
DOWN = np.array([[0.0, 1.0], [0.0, 0.0]])
TURN = np.array([[0.0, -1j], [1j, 0.0]])
RECORDS = {
    "bath": qdb.Bath(np.stack([qdb.sigma_x(), TURN]), qdb.Ohmic(0.1, 5.0), temperature=1.0, correlation=np.eye(2)),
    "field": qdb.Field(DOWN, qdb.Ohmic(0.1, 5.0), temperature=1.0, chemical_potential=-1.0),
    "lead": qdb.Lead(DOWN, qdb.Flat(0.1), temperature=1.0),
    "gas": qdb.Gas(qdb.sigma_x(), temperature=1.0),
    "system": qdb.System(np.diag([0.0, 1.0]), number=np.diag([0.0, 1.0]), eigenbasis=np.eye(2), energies=[0.0, 1.0]),
}
RECORDS |= {name: density for name, (density, *_) in DENSITIES.items() if name != "function"}


def parts_of(record, within=()):
    """The path of every numeric field, through records inside of records."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, jax.Array | np.ndarray):
            yield (*within, field.name)
        elif isinstance(value, tuple):
            for n, part in enumerate(value):
                yield from parts_of(part, (*within, field.name, n))
        elif isinstance(value, eqx.Module) and type(value).__module__.startswith("qdbjax"):
            yield from parts_of(value, (*within, field.name))


def at(record, path):
    """What stands at the end of a path."""
    for step in path:
        record = record[step] if isinstance(step, int) else getattr(record, step)
    return record


def generator(record):
    """A generator that a record has a part in."""
    if isinstance(record, qdb.System):
        return qdb.davies(record, RECORDS["bath"])
    if isinstance(record, qdb.Gas):
        return qdb.low_density(HAMILTONIAN, record)
    if isinstance(record, qdb.baths.AbstractSpectralDensity):
        record = qdb.Bath(qdb.sigma_x(), record, temperature=1.0)
    return qdb.davies(HAMILTONIAN, record)


CASES = {f"{name}: {'.'.join(map(str, path))}": (name, path) for name, x in RECORDS.items() for path in parts_of(x)}
KINDS = {"python": lambda x: x.tolist(), "numpy": lambda x: np.asarray(x)[()]}


def test_every_class_is_here():
    """Baths, densities, systems and gases."""
    kinds = qdb.baths.AbstractSpectralDensity, qdb.baths.AbstractBath
    classes = {x for x in vars(qdb.baths).values() if isinstance(x, type) and issubclass(x, kinds)}
    classes = {x for x in classes if not x.__name__.startswith("Abstract")} | {qdb.Gas, qdb.System}
    assert {type(record) for record in RECORDS.values()} == classes and len(CASES) > 40


@pytest.mark.parametrize("kind", ["python", pytest.param("numpy", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_a_number_is_as_good_as_an_array(case, kind):
    """Rates and flags are those of the record whose array was replaced."""
    name, path = CASES[case]
    record = RECORDS[name]
    put = eqx.tree_at(lambda x: at(x, path), record, KINDS[kind](at(record, path)))
    found, wanted = generator(put), generator(record)
    np.testing.assert_array_equal(found.total_rates, wanted.total_rates)
    assert found.status == wanted.status and jax.tree.structure(found) == jax.tree.structure(wanted)
    assert all(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves((found.jumps, found.system)))


# What a constructor refuses is refused where it was put in, by name.
REFUSED = {
    "temperature": ("bath", ("temperature",), -0.5, "temperature must be >= 0; got -0.5"),
    "cutoff": ("bath", ("spectral_density", "cutoff"), -2, "cutoff must be > 0 and finite|cutoff must be > 0"),
    "potential": ("gas", ("potential",), [[0.0, 1.0], [0.5, 0.0]], "potential must be Hermitian"),
    "mass": ("gas", ("mass",), 0, "mass must be > 0 and finite; got 0"),
    "strength in a sum": ("sum", ("parts", 1, "strength"), -1.0, "strength must be >= 0 and finite; got -1"),
    "chemical potential": ("lead", ("chemical_potential",), float("nan"), "chemical_potential must be"),
    "hamiltonian": ("system", ("hamiltonian",), [[0.0, 1.0], [1.0, 0.0]], "number must commute"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_constructor_refuses(case):
    """The words are those of the constructor."""
    name, path, value, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        generator(eqx.tree_at(lambda x: at(x, path), RECORDS[name], value))


def test_whole_numbers_and_tracers_of_python_numbers():
    """An integer array, and a record with a Python number that goes into jit and grad."""
    bath = RECORDS["bath"]
    heat = lambda b: qdb.davies(HAMILTONIAN, b).total_rates[1, 0]  # noqa: E731
    whole = eqx.tree_at(lambda b: b.temperature, bath, jnp.asarray(2))
    python = eqx.tree_at(lambda b: b.temperature, bath, 2.0)
    right = eqx.tree_at(lambda b: b.temperature, bath, jnp.asarray(2.0))
    np.testing.assert_array_equal(heat(whole), heat(right))
    np.testing.assert_allclose(jax.jit(heat)(python), heat(right), rtol=1e-14)
    slopes = [jax.jit(jax.grad(heat, allow_int=True))(b).temperature for b in (python, right)]
    np.testing.assert_allclose(*slopes, rtol=1e-14)


def test_readings_of_a_bath():
    """What takes a bath itself."""
    bath = RECORDS["bath"]
    put = eqx.tree_at(lambda b: (b.temperature, b.spectral_density.cutoff), bath, (1.0, 5))
    frequencies = np.array([-1.0, 0.0, 0.5])
    np.testing.assert_array_equal(put.noise(frequencies), bath.noise(frequencies))
    for function in (qdb.baths.memory_time, lambda b: qdb.baths.bath_correlation(b, [0.0, 0.3])):
        np.testing.assert_array_equal(function(put), function(bath))


def test_untouched_records_stay_the_same_object():
    """Nothing is rebuilt where nothing was put in."""
    for record in RECORDS.values():
        assert as_made(record) is record
