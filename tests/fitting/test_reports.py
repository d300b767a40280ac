"""What a fit says of itself: flags of the model, networks in a line, covariance of many data, NaN gradients."""

import re
import tracemalloc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest

import qdbjax as qdb
from qdbjax import Status, fitting
from qdbjax._status import raise_flag, record
from qdbjax.fitting.uncertainty import covariance, identifiability

GRID = np.array([-1.0, 0.5, 1.0, 2.0, 3.0])


def flagged(t, x):
    """A model whose solves are flagged under some conditions, as any solver of the package flags."""
    record(raise_flag(t < 0.7, Status.NEAR_DEGENERATE))
    record(raise_flag(t > 2.5, Status.ILL_CONDITIONED))
    return x * t


def fatal(t, x):
    """NaN where the flag is."""
    record(raise_flag(t < 0.0, Status.UNPHYSICAL_BATH))
    return jnp.where(t < 0.0, jnp.nan, x * t)


@pytest.mark.parametrize("mode", ["forward", pytest.param("reverse", marks=pytest.mark.slow)])
def test_flagged_conditions_are_mentioned(mode, tmp_path):
    """How many, which and why."""
    found = qdb.fit(
        flagged, fitting.match(2 * GRID), {"x": fitting.positive(1.0)}, over={"t": GRID}, mode=mode, optimizer=None
    )
    assert found.verdict == "converged"
    near, ill = int(Status.NEAR_DEGENERATE), int(Status.ILL_CONDITIONED)
    np.testing.assert_array_equal(found.condition_status, [near, near, 0, 0, ill])
    assert found.status == near | ill
    text = repr(found)
    assert "3 of 5 conditions flagged: near_degenerate, ill_conditioned" in text and "near_degenerate: levels" in text
    found.save(tmp_path / "fit.json")
    assert repr(fitting.load_fit(tmp_path / "fit.json")) == text


@pytest.mark.slow
def test_flags_without_conditions():
    """Of a model that is called once, in words; one that is not flagged says nothing."""
    ill = int(Status.ILL_CONDITIONED)
    clean = qdb.fit(flagged, fitting.match(2.0), {"x": fitting.positive(1.0), "t": jnp.asarray(1.0)})
    assert clean.status == 0 and clean.condition_status.shape == () and "flagged" not in repr(clean)
    alone = qdb.fit(flagged, fitting.maximize(), {"x": fitting.bounded(low=0.0, high=1.0), "t": jnp.asarray(3.0)})
    assert alone.status & ill and "the model flagged: ill_conditioned" in repr(alone)


def test_a_fatal_condition_is_the_reason_given():
    """A fit that fails because of one condition says which kind of flag made it NaN."""
    found = qdb.fit(fatal, fitting.match(2 * GRID), {"x": fitting.positive(1.0)}, over={"t": GRID}, steps=5)
    assert found.verdict == "failed" and found.status & int(Status.UNPHYSICAL_BATH)
    assert "1 of 5 conditions flagged: unphysical_bath" in repr(found)
    np.testing.assert_allclose(found.values["x"], 1.0)


@pytest.mark.slow
def test_flags_of_solvers():
    """Of a nearly degenerate level, in words, beside what the sweep says of the same cells."""

    def upper(T, gap):
        levels = jnp.diag(jnp.stack([0.0 * gap, 1.0 + 0 * gap, 1.0 + gap]))
        both = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
        sign = np.diag([1.0, 1.0, -1.0])  # the cold bath excites the upper levels with opposite phases
        baths = [
            qdb.Bath(both, qdb.Ohmic(0.05, 10.0), temperature=T),
            qdb.Bath(sign @ both @ sign, qdb.Ohmic(0.05, 10.0), temperature=0.2),
        ]
        return qdb.steady_state(qdb.davies(levels, baths)).populations[2]

    gaps = np.array([1e-3, 1e-2, 0.2, 0.5, 1.0])
    swept = qdb.sweep(lambda gap: upper(0.7, gap), gap=gaps)
    data = np.asarray(jax.vmap(upper, (None, 0))(0.7, gaps))
    found = qdb.fit(upper, fitting.match(data), {"T": fitting.positive(1.0)}, over={"gap": gaps})
    np.testing.assert_allclose(found.values["T"], 0.7, rtol=1e-6)
    np.testing.assert_array_equal(found.condition_status, swept["status"].values)
    assert found.status != 0 and "of 5 conditions flagged: near_degenerate" in repr(found)


def test_a_network_is_one_line():
    """97 reals of which 7 data see 7; and no line is for one of them."""
    network = eqx.nn.MLP(1, 1, 8, 2, activation=jnp.tanh, key=jax.random.key(0))
    x = np.linspace(-1.0, 1.0, 7)
    model = lambda x, net, offset: net(x[None])[0] + 0 * offset  # noqa: E731
    free = {"net": fitting.trainable(network), "offset": fitting.real(0.0)}
    found = qdb.fit(model, fitting.match(x**2), free, over={"x": x}, steps=40)
    text = repr(found)
    assert "\n  net: 97 reals, 90 unseen\n" in text and re.search("offset = .* ± inf", text)
    assert len(text.splitlines()) < 10 and "net." not in text
    assert len(repr(found.identifiability).splitlines()) == 1
    assert found.identifiability.unseen() == 91 == len(found.identifiability.labels) - found.identifiability.rank
    assert len(found.identifiability.sloppy) >= 91


@pytest.mark.slow
def test_a_short_tree_is_written_out():
    """Of few reals each has its line."""
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 5.0), temperature=1.0)
    free = fitting.leaves(bath, lambda b: b.spectral_density.cutoff, lambda b: b.temperature)
    model = lambda bath: jnp.stack([bath.spectral_density.cutoff, bath.temperature])  # noqa: E731
    text = repr(qdb.fit(model, fitting.match([4.0, 2.0]), {"bath": free}))
    assert "bath.0 = 4." in text and "bath.1 = 2." in text and "reals" not in text


SHAPES = [(5, 3), (3, 5), (1, 1), (8192, 2), (8193, 2), (20000, 4), (2, 8), (0, 3), (30, 30), (100, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_in_blocks(shape):
    """Those of a decomposition at once, with a direction that is not seen."""
    jacobian = np.random.default_rng(5).normal(size=shape)
    if shape[1] > 1:
        jacobian[:, -1] = jacobian[:, 0]
    report = identifiability(jacobian, [f"x[{n}]" for n in range(shape[1])])
    values = np.zeros(shape[1])
    values[: min(shape)] = np.linalg.svd(jacobian, compute_uv=False)
    np.testing.assert_allclose(report.singular_values, values, rtol=1e-12, atol=1e-12 * values.max(initial=1.0))
    assert report.rank == (np.linalg.matrix_rank(jacobian) if jacobian.size else 0)
    found = covariance(jacobian, 1.0, np.zeros((0, shape[1])))
    if report.rank == shape[1]:
        np.testing.assert_allclose(found, np.linalg.inv(jacobian.T @ jacobian), rtol=1e-9)
    else:
        assert np.isinf(found).any()


def test_covariance_of_many_data():
    """200 000 data need room for their Jacobian, not for its square; digits are those of JᵀJ."""
    t = np.linspace(0.0, 5.0, 200_000)
    jacobian = np.stack([np.exp(-0.7 * t), -t * np.exp(-0.7 * t), np.ones_like(t)], axis=1)
    tracemalloc.start()
    report = identifiability(jacobian, ["a", "b", "c"])
    found = covariance(jacobian, 4.0, np.zeros((0, 3)))
    room = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert room < 4 * jacobian.nbytes and report.rank == 3
    np.testing.assert_allclose(found, 4 * np.linalg.inv(jacobian.T @ jacobian), rtol=1e-9)


def test_what_bounds_fix_does_not_vary():
    """Covariance on a plane: that of the coordinates in it."""
    rng = np.random.default_rng(11)
    for n in range(2, 7):
        jacobian, active = rng.normal(size=(40, n)), rng.normal(size=(n // 2, n))
        plane = np.linalg.svd(active)[2][n // 2 :]
        inside = np.linalg.inv(plane @ jacobian.T @ jacobian @ plane.T)
        np.testing.assert_allclose(covariance(jacobian, 2.0, active), 2 * plane.T @ inside @ plane, atol=1e-12)
        assert identifiability(np.zeros((40, n)), list("abcdefg")[:n], active).rank == n // 2


OPTIMIZERS = {
    "default": None,
    "adam": optax.adam(0.1),
    "lbfgs": optax.lbfgs(),
    "bfgs": optx.BFGS(1e-8, 1e-8),
    "gauss-newton": optx.GaussNewton(1e-8, 1e-8),
}

LINE_SEARCHES = ("lbfgs", "bfgs", "gauss-newton")


@pytest.mark.parametrize("name", ["default", "adam", *(pytest.param(x, marks=pytest.mark.slow) for x in LINE_SEARCHES)])
def test_nan_is_never_rest(name):
    """A finite loss whose gradient is NaN: not "converged", not "stalled", but failed, whatever made the steps."""
    kink = lambda x: jnp.sqrt((x - 1.0) ** 2)  # 0 at 1, where the chain rule gives 0/0  # noqa: E731
    assert np.isnan(jax.grad(kink)(1.0))
    free = {"x": fitting.real(1.0)}
    found = qdb.fit(kink, fitting.match(0.5), free, optimizer=OPTIMIZERS[name], steps=150)
    assert found.verdict == "failed" and found.status & int(Status.NONFINITE_INPUT)
    assert "no start has a finite loss with a finite gradient" in repr(found)
    np.testing.assert_allclose(found.values["x"], 1.0)
    if name == "default":  # another start is taken in its place
        found = qdb.fit(kink, fitting.match(0.5), free, starts=3)
        assert found.verdict == "converged" and np.isinf(found.losses[0])
        np.testing.assert_allclose(abs(found.values["x"] - 1), 0.5, rtol=1e-6)


WHOLE = (
    ({"steps": 1.5}, "steps must be an integer; got 1.5"),
    ({"steps": 0}, "steps must be at least 1; got 0."),
    ({"steps": np.inf}, "steps must be an integer; got inf"),
    ({"steps": np.nan}, "steps must be an integer; got nan"),
    ({"steps": "10"}, "steps must be an integer; got '10'"),
    ({"starts": 2.5}, "starts must be an integer; got 2.5"),
    ({"starts": -1}, "starts must be at least 1; got -1."),
    ({"starts": True}, "starts must be an integer; got True"),
    ({"seed": 0.5}, "seed must be an integer; got 0.5"),
    ({"tolerance": 0.0}, "tolerance must be > 0 and finite; got 0.0"),
    ({"tolerance": np.nan}, "tolerance must be > 0 and finite; got nan"),
)


@pytest.mark.parametrize(("options", "words"), WHOLE, ids=[words for _, words in WHOLE])
def test_numbers_of_steps_and_starts(options, words):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        qdb.fit(lambda x: x, fitting.match(1.0), {"x": fitting.real(0.0)}, **options)


@pytest.mark.parametrize("given", [[[0.1], [0.1]], [0.1] * 3, [[0.1, 0.1]], np.ones((1, 1)), np.ones((2, 2)), []])
def test_errors_of_another_shape(given):
    """Never spread over more entries than there are data."""
    with pytest.raises(ValueError, match=r"error must be a number or have the shape of value, \(2,\); got shape"):
        fitting.match([0.2, 0.3], error=given)


@pytest.mark.parametrize("given", [0.1, [0.1], [0.1, 0.2]])
def test_errors_that_fit(given):
    """A number, one for all, one for each."""
    term = fitting.match([0.2, 0.3], error=given)
    np.testing.assert_allclose(term.error, np.broadcast_to(given, (2,)))


SHAPED = (
    (lambda x: jnp.eye(3) * x, fitting.to_state(np.diag([1.0, 0.0])), ValueError, r"target of shape \(2, 2\), the mod"),
    (lambda x: x * jnp.ones(3), fitting.at_most([1.0, 2.0]), ValueError, r"a bound has shape \(2,\), the model"),
    (lambda x: x * jnp.ones(3), fitting.match(1.0), ValueError, r"match has shape \(\), the model returns \(3,\)"),
    (
        lambda x: jax.lax.complex(x, x),
        fitting.maximize(),
        TypeError,
        "output 'value' must be real for this term; it is complex128",
    ),
    (lambda x: jax.lax.complex(x, x), fitting.at_most(1.0), TypeError, "return its real part"),
)


@pytest.mark.parametrize(("model", "term", "kind", "words"), SHAPED, ids=[words for *_, words in SHAPED])
def test_outputs_of_another_kind(model, term, kind, words):
    with pytest.raises(kind, match=words):
        qdb.fit(model, term, {"x": fitting.real(0.0)})
