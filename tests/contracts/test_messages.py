"""What is of another kind altogether is refused by name: the error says which argument, what came, and what to give."""

import numpy as np
import pytest

import qdbjax as qdb

SX, H = np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([0.0, 1.0])
RHO = np.diag([0.4, 0.6])


@pytest.fixture(scope="module")
def generator():
    return qdb.davies(H, qdb.Bath(SX, qdb.Ohmic(0.01, 5.0), temperature=1.0))


NO_GENERATOR = [None, "davies", H, np.eye(4), 1.0, object(), [], {}, np.nan, qdb.System(H)]
READERS = {
    "steady_state": qdb.steady_state,
    "asymptotic_state": lambda made: qdb.asymptotic_state(made, RHO),
    "evolve": lambda made: qdb.evolve(made, RHO, [0.0, 1.0]),
    "propagator": lambda made: qdb.propagator(made, 1.0),
    "relaxation": qdb.relaxation,
    "decay_rates": qdb.decay_rates,
    "heat_currents": qdb.heat_currents,
    "energy_currents": lambda made: qdb.energy_currents(made, RHO),
    "particle_currents": lambda made: qdb.particle_currents(made, RHO, number=H),
    "micro_currents": qdb.micro_currents,
    "entropy_production": qdb.entropy_production,
    "onsager_matrix": qdb.onsager_matrix,
    "balance_report": qdb.balance_report,
    "validity": qdb.validity,
    "performance": qdb.thermodynamics.performance,
    "noise_matrix": lambda made: qdb.thermodynamics.noise_matrix(made, RHO),
    "cycle_basis": qdb.balance.cycle_basis,
    "cycle_analysis": qdb.balance.cycle_analysis,
    "symmetry_residuals": qdb.balance.symmetry_residuals,
    "dynamical_balance": qdb.balance.dynamical_balance,
    "plot_levels": qdb.plot_levels,
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_generator(name):
    for value in NO_GENERATOR:
        with pytest.raises(TypeError, match=r"generator must be a Generator.*; got "):
            READERS[name](value)


KINDS = [None, "x", 1.5, np.eye(7), object(), [], {}, np.ones(3), True]


def unnamed(call, name, values):
    """The errors, of all with which these values are refused, that do not begin with the name of the argument."""
    found = []
    for value in values:
        with pytest.raises((TypeError, ValueError)) as error:
            call(value)
        said = str(error.value)
        if not said.startswith(name) or "\n" in said:
            found.append((value, said))
    return found


def test_integers():
    for call, name in (
        (lambda n: qdb.site(n, 2), "index"),
        (lambda n: qdb.site(0, n), "sites"),
        (lambda n: qdb.transition(n, 0, 2), "to"),
        (lambda n: qdb.transition(0, n, 2), "origin"),
        (lambda n: qdb.transition(0, 0, n), "levels"),
        (lambda n: qdb.fermion_destroy(n, 2), "mode"),
        (lambda n: qdb.fermion_destroy(0, n), "modes"),
        (lambda n: qdb.embed(SX, n, [2, 2]), "index"),
        (lambda n: qdb.embed(SX, 0, [2, n]), "dimensions[1]"),
        (lambda n: qdb.partial_trace(np.eye(4) / 4, n, [2, 2]), "keep"),
        (lambda n: qdb.partial_trace(np.eye(4) / 4, 0, [n, 2]), "dimensions[0]"),
    ):
        assert unnamed(call, name, [*KINDS, -1]) == []
    assert qdb.site(np.int64(1), np.int32(2)).tolist() == [[0, 0], [0, 1]]
    assert unnamed(lambda n: qdb.embed(SX, 0, n), "dimensions", [None, "ab", 1.5, object(), [], 2]) == []
    assert unnamed(lambda n: qdb.site(n, 3), "index must be between 0 and sites - 1 = 2; got", [3, -1]) == []


def test_baths_and_rates():
    assert unnamed(lambda b: qdb.davies(H, b), "baths", [*KINDS, (None,), [SX], qdb.Gas(SX, temperature=1.0)]) == []
    assert unnamed(lambda b: qdb.universal_lindblad(H, b), "baths", KINDS) == []
    assert unnamed(lambda b: qdb.low_density(H, b), "gases", KINDS) == []
    assert (
        unnamed(lambda r: qdb.pauli([0.0, 1.0], r), "rates", [None, "x", 1.5, np.eye(7), object(), [], np.ones(3), -1])
        == []
    )


def test_solvers_states_and_flags(generator):
    solvers = ["direct", 1.5, H, object(), [], {}, qdb.solvers.Dense]
    assert unnamed(lambda s: qdb.steady_state(generator, s), "solver must be a Solver", solvers) == []
    assert (
        unnamed(
            lambda n: qdb.evolve(generator, RHO, [0.0], max_steps=n), "max_steps", [None, "x", 1.5, H, 0, -1, np.nan]
        )
        == []
    )
    assert (
        unnamed(
            lambda n: qdb.evolve(generator, RHO, [0.0], observables=n),
            "observables",
            ["x", 1.5, object(), [None], [SX[0]]],
        )
        == []
    )
    assert unnamed(qdb.explain, "status", [None, "x", 1.5, object(), {}]) == []


@pytest.mark.parametrize("miss", [1e-6, -1e-6, 2e-9, 1e-3, 0.5, -0.25, 3e-8, 1e-5, -4e-4, 2.0])
def test_a_trace_that_is_not_one_is_shown_to_be_none(generator, miss):
    with pytest.raises(ValueError, match=r"^state must have trace 1; got ") as error:
        qdb.heat_currents(generator, RHO + miss * np.diag([1.0, 0.0]))
    shown = float(str(error.value).split("got ")[1].split(",")[0])
    assert abs(shown - 1 - miss) < 1e-11 and f"{abs(miss):.3g} off" in str(error.value)


def test_cycles(generator):
    wrong = [
        ((1, 0),),
        ((0, 0, 1), (0, 1)),
        (3,),
        ((0, 1, 2), (0, 2, 1)),
        ((1, 0, 1), (1, 1, 0)),
        ((-2, 0, 1),),
        ((0, -1, 0),),
    ]
    for cycle in wrong:
        with pytest.raises(ValueError, match=r"^cycles\[0\] must hold steps \(bath, to, from\)"):
            qdb.balance.cycle_analysis(generator, cycles=(cycle,))
    whole = qdb.balance.cycle_analysis(generator, cycles=(((-1, 0, 1), (-1, 1, 0)),))
    np.testing.assert_allclose(whole.affinities, 0.0, atol=1e-12)
