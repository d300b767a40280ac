"""What a constructor refuses when it is known, it makes NaN when it is traced, and the status says so."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts.registry import DENSITIES

import qdbjax as qdb
from qdbjax import Status

SX, LEVELS = np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([0.0, 1.0])
START = np.array([0.3, 0.7])


def steady(hamiltonian=LEVELS, coupling=SX, density=None, temperature=1.0, **options):
    density = qdb.Ohmic(0.01, 10.0) if density is None else density
    state = qdb.steady_state(qdb.davies(hamiltonian, qdb.Bath(coupling, density, temperature=temperature, **options)))
    return state.populations[1], state.status


def field_of(density, name):
    return lambda x: steady(density=type(density)(**{**vars_of(density), name: x}))


def vars_of(density):
    return {field.name: getattr(density, field.name) for field in dataclasses.fields(density)}


def of_gas(**options):
    gas = qdb.Gas(np.array([[1.0, 0.3], [0.3, 0.5]]), **{"temperature": 1.0, **options})
    state = qdb.steady_state(qdb.low_density(LEVELS, gas))
    return state.populations[1], state.status


def evolved(rho=START, times=(0.0, 1.0)):
    generator = qdb.davies(LEVELS, qdb.Bath(SX, qdb.Ohmic(0.01, 10.0), temperature=1.0))
    rho = jnp.diag(rho) if jnp.ndim(rho) == 1 else rho
    run = qdb.evolve(generator, rho, times, observables={"x": SX})
    return run.populations[-1, 1], run.status


def asymptotic(rho):
    generator = qdb.davies(LEVELS, qdb.Bath(np.diag([1.0, -1.0]), qdb.Ohmic(0.01, 10.0), temperature=1.0))
    state = qdb.asymptotic_state(generator, rho)
    return state.populations[1], state.status


def correlated(x):
    couplings = np.stack([SX, np.array([[0.0, -1j], [1j, 0.0]])])
    return steady(coupling=couplings, correlation=jnp.array([[1.0, x], [x, 0.5]]))


def correlated_three(x):
    couplings = np.stack([SX, 0.5 * SX, np.diag([1.0, 0.0])])
    return steady(coupling=couplings, correlation=jnp.array([[1.0, x, 0.0], [x, 1.0, x], [0.0, x, 1.0]]))


def matrix(x):
    """Hermitian at x = 0.5."""
    return jnp.array([[0.0, 0.5], [x, 1.0]])


def large(x):
    """Five levels, Hermitian at x = 0."""
    return jnp.diag(jnp.arange(5.0)).at[3, 1].set(x)


WIDE = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
COHERENT = lambda x: jnp.array([[0.3, x], [x, 0.7]])  # noqa: E731
KINDS = {
    "hamiltonian": (lambda x: steady(matrix(x)), [0.5, 0.5 + 1e-14], [0.4, -0.5, np.nan, np.inf]),
    "complex hamiltonian": (
        lambda x: steady(jax.lax.complex(jnp.diag(jnp.array([0.0, 1.0])), jnp.array([[0.0, 0.5], [-x, 0.0]]))),
        [0.5],
        [-0.5, 0.4, 0.5 + 1e-9],
    ),
    "imaginary energy": (lambda x: steady(jax.lax.complex(jnp.asarray(LEVELS), x * LEVELS)), [0.0], [1e-6, -1.0]),
    "five levels": (lambda x: steady(large(x), WIDE), [0.0], [1e-9, 1.0]),
    "coupling": (lambda x: steady(coupling=matrix(x)), [0.5], [0.4, -0.5, np.nan]),
    "correlation": (correlated, [0.0, 0.5, np.sqrt(0.5), -0.7], [0.72, -1.0, np.nan]),
    "correlation of three": (correlated_three, [0.0, 0.7, -0.7], [0.72, -1.0, 3.0]),
    "table": (
        lambda x: steady(density=qdb.Tabulated(jnp.array([0.5, 1.5, x]), [0.1, 0.2, 0.3])),
        [1.6, 3.0],
        [1.5, 1.0, -1.0, np.nan],
    ),
    "first of a table": (
        lambda x: steady(density=qdb.Tabulated(jnp.array([x, 1.5]), [0.1, 0.2])),
        [0.5, 1e-9],
        [0.0, -0.5],
    ),
    "values of a table": (
        lambda x: steady(density=qdb.Tabulated([0.5, 1.5], jnp.array([0.1, x]))),
        [0.0, 0.2],
        [-1e-9, -1.0, np.nan],
    ),
    "temperature": (lambda x: steady(temperature=x), [0.0, 0.5], [-1e-3, -1.0, np.nan]),
    "window": (
        lambda x: (lambda s: (s.populations[1], s.status))(
            qdb.steady_state(qdb.davies(LEVELS, qdb.Bath(SX, qdb.Ohmic(0.01, 10.0), temperature=1.0), window=x))
        ),
        [0.0, 0.1],
        [-0.1, np.nan],
    ),
    "density of a gas": (lambda x: of_gas(density=x), [0.5], [-1.0, np.nan]),
    "mass of a gas": (lambda x: of_gas(mass=x), [0.5], [0.0, -1.0]),
    "temperature of a gas": (lambda x: of_gas(temperature=x), [0.5], [0.0, -1.0]),
    "times": (lambda x: evolved(times=jnp.array([0.5, x])), [0.5, 2.0], [0.4, -1.0, np.nan, np.inf]),
    "first time": (lambda x: evolved(times=jnp.array([x, 3.0])), [0.0, 3.0], [-1e-3, 4.0, np.nan]),
    "trace": (lambda x: evolved(jnp.array([x, 0.7])), [0.3], [0.31, -0.3, np.nan]),
    "positivity": (lambda x: evolved(jnp.array([1 - x, x])), [0.0, 0.2, 1.0], [-0.5, 1.5]),
    "coherence": (lambda x: evolved(COHERENT(x)), [0.0, 0.45, np.sqrt(0.21)], [0.46, -1.0]),
    "minors of three levels": (
        lambda x: (lambda run: (run.populations[-1, 1], run.status))(
            qdb.evolve(
                qdb.davies(np.diag([0.0, 1.0, 2.3]), qdb.Bath(WIDE[:3, :3], qdb.Ohmic(0.01, 10.0), temperature=1.0)),
                (jnp.eye(3) + x * (jnp.ones((3, 3)) - jnp.eye(3))) / 3,
                [0.0, 1.0],
            )
        ),
        [0.0, 0.9, 1.0, -0.5],
        [-0.51, -0.9, 1.01],
    ),
    "asymptotic start": (lambda x: asymptotic(COHERENT(x)), [0.0, 0.45], [0.46, np.nan]),
}
FORMULAS = {name: case[0] for name, case in DENSITIES.items() if name not in ("tabulated", "function", "module", "sum")}
for name, density in FORMULAS.items():
    for field, value in vars_of(density).items():
        if field != "center" and np.isfinite(value):
            zero = [] if field == "strength" else [0.0]
            KINDS[f"{name}, {field}"] = field_of(density, field), [float(value)], [*zero, -0.5, -1e3, np.nan]
QUICK = ("hamiltonian", "correlation", "times", "ohmic, cutoff")
CASES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in KINDS]


@pytest.mark.parametrize("name", CASES)
def test_traced_as_known(name):
    """Allowed values give what they give when known; all others NaN and a fatal flag, alone and in a batch."""
    function, right, wrong = KINDS[name]
    given = np.array([*right, *wrong])
    values, status = jax.jit(jax.vmap(function))(given)
    for n, x in enumerate(given):
        if n < len(right):
            wanted, _ = function(jnp.asarray(x))
            assert int(status[n]) & ~int(Status.NEAR_DEGENERATE) == 0, x
            np.testing.assert_allclose(values[n], wanted, rtol=1e-9)
        else:
            assert np.isnan(values[n]) and int(status[n]) & int(Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH), x
            with pytest.raises((ValueError, TypeError)), warnings.catch_warnings(action="ignore"):
                function(x)


@pytest.mark.slow
def test_flags_reach_every_reader():
    """One bad cell of a sweep is NaN and flagged, whatever is read, and the other cells are as without it."""

    def generator(eta):
        return qdb.davies(LEVELS, qdb.Bath(SX, qdb.Ohmic(eta, 10.0), temperature=1.0))

    readers = {
        "rates": lambda eta: generator(eta).rates[0, 0, 1],
        "decay_rates": lambda eta: qdb.decay_rates(generator(eta))[-1],
        "propagator": lambda eta: jnp.real(qdb.propagator(generator(eta), 1.0))[0, 0],
        "asymptotic": lambda eta: qdb.asymptotic_state(generator(eta), [1.0, 0.0]).populations[0],
        "evolve": lambda eta: qdb.evolve(generator(eta), [1.0, 0.0], [1.0]).populations[0, 0],
        "correlation": lambda eta: jnp.real(qdb.correlation(generator(eta), None, SX, SX, [1.0]))[0],
        "heat": lambda eta: qdb.heat_currents(generator(eta), np.diag([0.5, 0.5]))[0],
        "relaxing": lambda eta: qdb.entropy_production(generator(eta), np.diag([0.5, 0.5])),
    }
    together = qdb.sweep(lambda eta: {name: read(eta) for name, read in readers.items()}, eta=[0.1, -0.1, 0.05])
    assert together["status"].values.tolist()[::2] == [0, 0] and together["status"].values[1] != 0
    for name, read in readers.items():
        found = together[name].values
        assert np.isnan(found[1]), name
        np.testing.assert_allclose(found[[0, 2]], [read(0.1), read(0.05)], rtol=1e-9, err_msg=name)


def test_gradient_through_a_check():
    """The derivative of what is allowed is that of the function without the check."""
    heat = lambda cutoff: steady(density=qdb.Ohmic(0.01, cutoff), hamiltonian=matrix(0.5))[0]  # noqa: E731
    assert abs(jax.grad(heat)(3.0)) < 1e-12
    energy = lambda x: steady(jnp.array([[0.0, 0.5 * x], [0.5 * x, 1.0]]))[0]  # noqa: E731
    h = 1e-5
    np.testing.assert_allclose(jax.grad(energy)(1.2), (energy(1.2 + h) - energy(1.2 - h)) / (2 * h), rtol=1e-7)
