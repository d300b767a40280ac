"""Fits: what was planted is found, what cannot be told or reached is said to be so."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest
import scipy.optimize

import qdbjax as qdb
from qdbjax import Status, fitting

GRID = {"T_hot": np.linspace(0.4, 3.0, 16)}
TRUTH = {"eta": 0.02, "splitting": 1.3, "T_cold": 0.3}


def current(T_hot, eta, splitting, T_cold):
    """Heat through a qubit from a hot bath into a cold one, whose strength is known."""
    hot = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(eta, 10.0), temperature=T_hot)
    cold = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=T_cold)
    generator = qdb.davies(qdb.models.qubit(splitting), [hot, cold])
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def written_out(T_hot, eta, splitting, T_cold):
    """The same in closed form: J = ω (d_1 u_2 - u_1 d_2)/Σ, positive into the system."""
    rates = []
    for strength, temperature in ((eta, T_hot), (0.01, T_cold)):
        size = 2 * np.pi * strength * splitting * np.exp(-splitting / 10.0)
        quanta = 1 / np.expm1(splitting / temperature)
        rates.append((size * (quanta + 1), size * quanta))
    (down1, up1), (down2, up2) = rates
    return splitting * (up1 * down2 - down1 * up2) / (down1 + up1 + down2 + up2)


DATA = written_out(GRID["T_hot"], **TRUTH)
STARTS = {
    "eta": fitting.positive(0.005, range=(1e-3, 0.1)),
    "splitting": fitting.bounded(0.8, low=0.3, high=3.0),
    "T_cold": fitting.positive(0.5, range=(0.1, 1.0)),
}


@pytest.fixture(scope="module")
def exact_fit():
    """The three planted parameters from exact data."""
    return qdb.fit(current, fitting.match(DATA), STARTS, over=GRID)


def test_planted_parameters(exact_fit):
    """Exact data give the truth to 1e-6; report, table and file say what was found."""
    found = exact_fit
    assert found.verdict == "converged" and found.status == 0
    for name, value in TRUTH.items():
        np.testing.assert_allclose(found.values[name], value, rtol=1e-6)
    text = repr(found)
    assert "converged, target attained" in text and "splitting = 1.3" in text
    np.testing.assert_allclose(found.outputs["value"], DATA, rtol=1e-6)
    np.testing.assert_allclose(found.parameters["eta"], TRUTH["eta"], rtol=1e-6)


def test_saved_and_loaded(tmp_path, exact_fit):
    """A file holds everything but trees."""
    found = exact_fit
    found.save(tmp_path / "fit.json")
    again = fitting.load_fit(tmp_path / "fit.json")
    assert repr(again) == repr(found)
    np.testing.assert_array_equal(again.history, found.history)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="does not hold a fit"):
        fitting.load_fit(tmp_path / "other.json")


@pytest.mark.slow
def test_a_hundred_machines_and_their_intervals():
    """100 machines from 4 starts, exact and with 1 % noise; 95 % intervals hold 90 to 98 % of the truths."""
    rng = np.random.default_rng(7)
    inside, errors, recovered = [], [], 0
    for _ in range(100):
        truth = {"eta": rng.uniform(0.005, 0.05), "splitting": rng.uniform(0.6, 2.5), "T_cold": rng.uniform(0.15, 0.35)}
        data = written_out(GRID["T_hot"], **truth)
        exact = qdb.fit(current, fitting.match(data), STARTS, over=GRID, starts=4)
        wrong = max(abs(float(exact.values[name]) / value - 1) for name, value in truth.items())
        recovered += wrong < 1e-3 and exact.verdict == "converged"
        scale = 0.01 * np.abs(data) + 1e-9
        noisy = data + scale * rng.normal(size=data.shape)
        found = qdb.fit(current, fitting.match(noisy, error=scale), STARTS, over=GRID, starts=4)
        for name, value in truth.items():
            low, high = found.intervals[name]
            inside.append(low <= value <= high)
            errors.append(abs(float(found.values[name]) / value - 1))
    median, coverage = np.median(errors), np.mean(inside)
    print(f"recovered {recovered} of 100; with 1 % noise median error {median:.2e}, coverage {coverage:.3f}")
    assert recovered >= 95
    assert 0.90 <= np.mean(inside) <= 0.98


def ratio(T_hot, eta_hot, eta_cold):
    """Populations know two strengths only through their ratio."""
    baths = [
        qdb.Bath(qdb.sigma_x(), qdb.Ohmic(eta, 10.0), temperature=t) for eta, t in ((eta_hot, T_hot), (eta_cold, 0.3))
    ]
    generator = qdb.davies(qdb.models.qubit(1.0), baths)
    return qdb.steady_state(generator).populations[1]


def test_what_cannot_be_told_apart():
    """Two strengths in populations: flagged, and said in words; the fit itself is good."""
    data = np.asarray(jax.vmap(lambda t: ratio(t, 0.02, 0.01))(jnp.asarray(GRID["T_hot"])))
    free = {"eta_hot": fitting.positive(0.01), "eta_cold": fitting.positive(0.01)}
    found = qdb.fit(ratio, fitting.match(data), free, over=GRID)
    assert found.status & int(Status.NOT_IDENTIFIABLE) and found.identifiability.rank == 1
    assert "eta_cold and eta_hot only through their ratio: not seen at all" in repr(found)
    assert np.isinf(found.standard_errors["eta_hot"])
    np.testing.assert_allclose(found.values["eta_hot"] / found.values["eta_cold"], 2.0, rtol=1e-6)


def hill(x, y):
    """Highest at x = 1, y = 2; the same along xy = 3."""
    return {"height": -((x - 1.0) ** 2) - 3 * (y - 2.0) ** 2, "product": -((x * y - 3.0) ** 2), "sum": x + y}


def test_an_extremum_tells_parameters_apart():
    """Slopes vanish at a maximum, and are parallel at a bound; neither is a sign of parameters that nothing sees."""
    free = {"x": fitting.positive(1.5), "y": fitting.positive(1.0)}
    top = qdb.fit(hill, {"height": fitting.maximize()}, free)
    np.testing.assert_allclose([top.values["x"], top.values["y"]], [1.0, 2.0], rtol=1e-5)
    bounded = qdb.fit(hill, {"height": fitting.maximize(), "sum": fitting.at_most(2.0)}, free)
    np.testing.assert_allclose([bounded.values["x"], bounded.values["y"]], [0.25, 1.75], rtol=1e-6)
    assert top.status == bounded.status == 0 and top.identifiability.rank == bounded.identifiability.rank == 2
    ridge = qdb.fit(lambda x, y: hill(x, y)["product"], fitting.maximize(), free)
    assert ridge.status == int(Status.NOT_IDENTIFIABLE) and ridge.identifiability.rank == 1
    assert "x and y only through their product: not seen at all" in repr(ridge)


def test_targets_of_one_shape_share_a_program(caplog):
    """Another target state compiles nothing."""
    fitting.to_state(np.diag([0.5, 0.3, 0.2]))
    with jax.log_compiles():
        fitting.to_state(np.diag([0.2, 0.3, 0.5]))
    assert not [record for record in caplog.records if "XLA compilation" in record.getMessage()]


def state(T_hot, T_cold, eta):
    """Three levels between two baths with different couplings."""
    dense = np.array([[0.2, 0.8, 0.5], [0.8, -0.1, 0.6], [0.5, 0.6, 0.4]])
    ladder = np.diag([1.0, 1.0], 1) + np.diag([1.0, 1.0], -1)
    baths = [
        qdb.Bath(dense, qdb.Ohmic(eta, 6.0), temperature=T_hot),
        qdb.Bath(ladder, qdb.Ohmic(0.01, 6.0), temperature=T_cold),
    ]
    return qdb.steady_state(qdb.davies(qdb.models.three_level([0.0, 1.0, 2.3]), baths)).density_matrix


BATHS = {
    "T_hot": fitting.positive(1.0, range=(0.5, 4.0)),
    "T_cold": fitting.positive(0.4, range=(0.1, 1.0)),
    "eta": 0.02,
}


@pytest.mark.slow
def test_a_state_within_reach():
    """Fidelity 1 - 1e-8 to a state that two baths hold."""
    target = np.asarray(state(2.1, 0.25, 0.02))
    found = qdb.fit(state, fitting.to_state(target), BATHS, steps=200)
    assert found.verdict == "converged"
    root = np.sqrt(np.diagonal(target).real)
    fidelity = np.sum(root * np.sqrt(np.diagonal(found.outputs["value"]).real)) ** 2
    assert 1 - fidelity < 1e-8


@pytest.mark.slow
def test_a_state_out_of_reach():
    """Inverted levels: said to be out of reach; the loss is the optimum of a global search without gradients."""
    target = np.diag([0.1, 0.3, 0.6])
    found = qdb.fit(state, fitting.to_state(target, distance="relative_entropy"), BATHS, steps=400, starts=3)
    assert found.verdict == "stalled" and found.status & int(Status.TARGET_NOT_ATTAINED)
    probe = jax.jit(lambda x: jnp.real(jnp.diagonal(state(jnp.exp(x[0]), jnp.exp(x[1]), 0.02))))
    wanted = np.diag(target)
    entropy = lambda x: float(np.sum(wanted * np.log(wanted / np.asarray(probe(jnp.asarray(x))))))  # noqa: E731
    box = [(np.log(0.1), np.log(1e4))] * 2
    searched = scipy.optimize.differential_evolution(entropy, box, seed=1, tol=1e-8, maxiter=60)
    assert found.loss <= searched.fun * (1 + 1e-3)
    with pytest.raises(ValueError, match="target must be a density matrix"):
        fitting.to_state(np.diag([0.7, 0.7, -0.4]))


def test_starts_that_are_none():
    """At a bound, NaN, a model without a number: an error that names it, or a verdict."""
    with pytest.raises(ValueError, match="start must lie inside its bounds 0 and 1, not on them"):
        fitting.bounded(1.0, low=0.0, high=1.0)
    with pytest.raises(ValueError, match="start must be positive and finite"):
        fitting.positive(np.nan)
    nothing = qdb.fit(lambda x: jnp.log(-x), fitting.match(1.0), {"x": fitting.positive(1.0)}, steps=5)
    assert nothing.verdict == "failed" and nothing.status & int(Status.NONFINITE_INPUT)


def test_what_a_bound_holds_back_is_named(tmp_path):
    """The best x lies beyond its range."""
    free = {"x": fitting.bounded(low=0.0, high=2.0), "y": fitting.bounded(low=-1.0, high=1.0)}
    found = qdb.fit(lambda x, y: x - (y - 0.3) ** 2, fitting.maximize(), free)
    assert found.at_bounds == ["x lies at its upper bound 2"] and "x lies at its upper bound 2" in repr(found)
    np.testing.assert_allclose(found.values["y"], 0.3, atol=1e-4)
    found.save(tmp_path / "fit.json")
    assert fitting.load_fit(tmp_path / "fit.json").at_bounds == found.at_bounds


def narrow(x):
    """NaN beyond 2, where large steps lead."""
    return jnp.where(x < 2.0, (x - 1.9) ** 2, jnp.nan)


OPTIMIZERS = {
    "adam": optax.adam(0.05),
    "lbfgs": optax.lbfgs(),
    "momentum": optax.sgd(0.05, 0.5),
    "optimistix": optx.BFGS(1e-8, 1e-8),
    "default": None,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    """Any of optax, and those of optimistix that use derivatives; steps into the undefined are taken back."""
    free = {"x": fitting.real(0.3)}
    found = qdb.fit(narrow, fitting.minimize(), free, optimizer=OPTIMIZERS[name], steps=400)
    np.testing.assert_allclose(found.values["x"], 1.9, atol=1e-3)
    # The history begins at the start and never rises; it is as long as steps were taken.
    assert found.history.shape == (found.steps, 1) and np.all(np.diff(found.history[:, 0]) <= 0)
    np.testing.assert_allclose(found.history[0], 1.6**2)
    with pytest.raises(TypeError, match="NelderMead does without derivatives"):
        qdb.fit(narrow, fitting.minimize(), free, optimizer=optx.NelderMead(1e-8, 1e-8))


def test_a_network_is_trained_as_it_is():
    """All arrays of a module are free, its activation, a function among the leaves, is not."""
    network = eqx.nn.MLP(1, 1, 4, 1, activation=jnp.tanh, key=jax.random.key(0))
    grid = {"x": np.linspace(-1.0, 1.0, 9)}
    found = qdb.fit(
        lambda x, net: net(x[None])[0], fitting.match(grid["x"] ** 2), {"net": fitting.trainable(network)}, over=grid
    )
    assert found.loss < 1e-8 and isinstance(found.parameters["net"], eqx.nn.MLP)
    again = [float(found.parameters["net"](x[None])[0]) for x in grid["x"]]
    np.testing.assert_allclose(again, found.outputs["value"], rtol=1e-12)


@pytest.mark.slow
def test_stopped_and_taken_up_again(tmp_path):
    """A checkpoint gives the same numbers, bit by bit; one of another fit is refused."""
    options = {"over": GRID, "optimizer": optax.adam(0.02), "starts": 2, "seed": 3}
    whole = qdb.fit(current, fitting.match(DATA), STARTS, steps=150, **options)
    file = tmp_path / "fit.npz"
    qdb.fit(current, fitting.match(DATA), STARTS, steps=50, checkpoint=file, **options)
    again = qdb.fit(current, fitting.match(DATA), STARTS, steps=150, checkpoint=file, **options)
    np.testing.assert_array_equal(again.history, whole.history)
    np.testing.assert_array_equal(again.values["eta"], whole.values["eta"])
    assert again.steps == whole.steps == 150
    with pytest.raises(ValueError, match="belongs to another fit"):
        qdb.fit(current, fitting.match(2 * DATA), STARTS, steps=150, checkpoint=file, **options)


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), None], ids=["adam", "least squares"])
def test_a_model_is_compiled_once(optimizer):
    """Traced for its shapes and for the search, whose last look the report takes over; later fits trace nothing."""
    traced = []

    def model(t, rate):
        traced.append(rate)
        return jnp.exp(-rate * t)

    def run(value):
        grid = {"t": np.linspace(0.0, 2.0, 5)}
        options = {"over": grid, "optimizer": optimizer, "steps": 60}
        return qdb.fit(model, fitting.match(np.exp(-value * grid["t"])), {"rate": fitting.positive(1.0)}, **options)

    first = run(0.7)
    assert len(traced) == 2
    second = run(0.8)
    assert len(traced) == 2
    for found in (first, second):
        rate = float(found.values["rate"])
        np.testing.assert_allclose(found.outputs["value"], np.exp(-rate * found.over["t"]), rtol=1e-12)
        slope = -rate * found.over["t"] * found.outputs["value"]  # residuals in units of the largest value, 1
        np.testing.assert_allclose(found.identifiability.singular_values, [np.linalg.norm(slope)], rtol=1e-10)


def test_derivatives_backward_for_many():
    """Beyond twelve free reals a gradient goes backward, and the report asks for outputs and Jacobian by itself."""
    wanted = np.linspace(0.5, 1.5, 14)
    for optimizer in (optax.adam(0.1), None):
        free = {"x": fitting.positive(np.ones(14))}
        found = qdb.fit(lambda x: x**2, fitting.match(wanted**2), free, optimizer=optimizer, steps=400)
        np.testing.assert_allclose(found.values["x"], wanted, rtol=1e-3)
        assert found.identifiability.rank == 14


@pytest.mark.slow
def test_leaves_of_a_bath():
    """Parameters inside a bath, shared by every place that uses it; and an inequality."""
    template = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.004, 10.0), temperature=0.6)
    free = fitting.leaves(template, (lambda b: b.spectral_density.strength, fitting.positive))

    def model(T_hot, bath):
        hot = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.02, 10.0), temperature=T_hot)
        generator = qdb.davies(qdb.models.qubit(1.3), [hot, bath])
        heat = qdb.heat_currents(generator, qdb.steady_state(generator))[0]
        return {"heat": heat, "eta": bath.spectral_density.strength}

    data = np.asarray(jax.vmap(lambda t: model(t, template)["heat"])(jnp.asarray(GRID["T_hot"])))
    found = qdb.fit(model, {"heat": fitting.match(3 * data)}, {"bath": free}, over=GRID)
    assert found.parameters["bath"].spectral_density.strength > 0.01
    limited = qdb.fit(
        model, {"heat": fitting.match(3 * data), "eta": fitting.at_most(0.006)}, {"bath": free}, over=GRID
    )
    np.testing.assert_allclose(limited.parameters["bath"].spectral_density.strength, 0.006, rtol=1e-6)


def test_transforms():
    """There and back; values stay where they are allowed, whatever the free reals."""
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    for parameter in (
        fitting.real(rng.normal(size=4)),
        fitting.positive(rng.uniform(0.1, 3.0, size=(2, 2))),
        fitting.bounded(0.3, low=-1.0, high=2.0),
        fitting.simplex([0.2, 0.5, 0.3]),
        fitting.hermitian(matrix + matrix.conj().T),
    ):
        transform, start = parameter.transform, parameter.start
        free = transform.inverse(start)
        assert free.shape == (parameter.size,) and len(transform.labels("x", start.shape)) == parameter.size
        np.testing.assert_allclose(transform.forward(free, start.shape), start, rtol=1e-13, atol=1e-14)
        moved = np.asarray(transform.forward(free + 3.0, start.shape))
        assert transform.invalid_reason(moved) is None


BAD_INPUT = (
    (lambda: fitting.simplex([0.5, 0.6]), "add up to 1"),
    (lambda: fitting.hermitian([[0.0, 1.0], [2.0, 0.0]]), "Hermitian"),
    (lambda: fitting.bounded(low=1.0, high=0.0), "low must be below high"),
    (lambda: fitting.positive(1.0, range=(2.0, 1.0)), "range must ascend"),
    (lambda: qdb.fit(current, fitting.match(DATA), {"eta": 0.1}, over=GRID), "nothing is free"),
    (lambda: qdb.fit(current, fitting.match(DATA[:3]), STARTS, over=GRID), "has shape"),
    (lambda: qdb.fit(current, {"heat": fitting.match(DATA)}, STARTS, over=GRID), "names the output 'heat'"),
    (lambda: fitting.match(DATA, error=0.0), "error must be positive and finite; got 0"),
    (lambda: qdb.fit(current, fitting.match(DATA), {**STARTS, "T_hot": 1.0}, over=GRID), "both parameters and"),
)


@pytest.mark.parametrize(("call", "words"), BAD_INPUT, ids=[words for _, words in BAD_INPUT])
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_parameters_print_their_transform_and_start():
    assert repr(fitting.positive([0.5, 2.0])) == "Parameter(transform=Positive, start=[0.5 2. ])"
    assert repr(fitting.bounded(low=0.0, high=2.0)) == "Parameter(transform=Bounded, start=1)"


def test_a_slope_is_a_model():
    """What `jax.grad` returns counts its arguments, which a fit knows by name."""
    slope = jax.grad(lambda gain, x: gain * jnp.sin(gain * x), 1)
    x = np.array([0.1, 0.4, 0.9])
    found = qdb.fit(slope, fitting.match(1.3**2 * np.cos(1.3 * x)), {"gain": fitting.positive(1.0)}, over={"x": x})
    np.testing.assert_allclose(found.parameters["gain"], 1.3, rtol=1e-9)
