"""Every public function shows itself at work, and what the examples print is what they say."""

import doctest
import inspect

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import qdbjax as qdb

ROOMS = (
    *("balance", "baths", "compilation", "fitting", "interop", "models"),
    *("plotting", "solvers", "states", "thermodynamics"),
)
# Exported for other rooms of the package, not for users.
INTERNAL = {
    *("is_inaccurate", "lamb_error", "lamb_matrix", "map_stacked", "noise_roots"),
    *("shared_lamb_shift", "value_and_slope_at_level", "exposed_to_deadlock", "cache_use"),
}
MADE_BY_USERS = {
    *("Bath", "Field", "Lead", "Gas", "System", "Ohmic", "PowerLaw", "DrudeLorentz", "UnderdampedLorentzian"),
    *("Flat", "Tabulated", "Algebraic", "LorentzianBand", "Custom", "Sum"),
}


def public():
    """(full name, object) of what the front door and the rooms export, each once."""
    found = {}
    for prefix, room in [("qdb", qdb), *((f"qdb.{name}", getattr(qdb, name)) for name in ROOMS)]:
        for name in sorted(dir(room)):
            thing = getattr(room, name)
            is_made = inspect.isclass(thing) and name in MADE_BY_USERS
            is_function = callable(thing) and not inspect.isclass(thing)
            if not name.startswith("_") and name not in INTERNAL and (is_made or is_function):
                found.setdefault(inspect.unwrap(thing), f"{prefix}.{name}")
    return {name: thing for thing, name in found.items()}


PUBLIC = public()


def test_all_that_is_public_was_looked_at():
    assert len(PUBLIC) > 130 and {"qdb.davies", "qdb.Bath", "qdb.balance.cycle_basis"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_there_is_an_example_that_names_the_function(name):
    shown = "\n".join(line for line in inspect.getdoc(PUBLIC[name]).splitlines() if line.lstrip().startswith(">>>"))
    used = name in shown or name.rpartition(".")[2] == "Sum"  # which is written J_1 + J_2
    assert used, f"{name}: no example"


@pytest.mark.slow
def test_examples_print_what_they_say():
    """In one process: two baths, two levels and double precision, so that they share most of their programs."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = {"qdb": qdb, "jnp": jnp, "np": np, "jax": jax}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as a user has them
        for name, thing in PUBLIC.items():
            for test in doctest.DocTestFinder(recurse=False).find(thing, name, globs=dict(names)):
                runner.run(test)
            plt.close("all")
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 250
