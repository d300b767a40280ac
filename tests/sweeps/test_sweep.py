"""sweep: the same numbers as a loop, labels, flags, batches, bad input."""

import functools as ft
import gc
import weakref
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax._status import Status
from qdbjax.compilation.programs import programs_of
from qdbjax.sweeps import grid_run, sweep


def power(a, b):
    """A function without physics: cheap to compile."""
    return a * jnp.exp(-b)


def vectors(a, b):
    return {"pair": jnp.stack([a, a + b]), "square": a * a, "whole": 3}


def machine(T, coupling=1.0):
    """A qubit between two baths; T < 0 is unphysical."""
    hot = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01 * coupling, 10.0), temperature=T, name="hot")
    cold = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=0.2, name="cold")
    generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    steady = qdb.steady_state(generator)
    return {"heat": qdb.heat_currents(generator, steady), "steady": steady}


A, B = [0.5, 1, 2.0], np.linspace(0.0, 1.0, 5)


def expected(a=A, b=B):
    return np.array([[x * np.exp(-y) for y in b] for x in a])


def test_equals_a_loop_and_is_labelled():
    data = sweep(power, a=A, b=B)
    assert data["power"].dims == ("a", "b")
    np.testing.assert_allclose(data["power"].values, expected(), rtol=1e-15)
    np.testing.assert_array_equal(data["a"].values, [0.5, 1.0, 2.0])
    assert data["a"].dtype == data["power"].dtype == np.float64
    assert data["status"].dtype == np.int32 and not data["status"].values.any()
    assert data.attrs["points"] == 15 and data.attrs["function"] == "power"
    assert data.attrs["jax_version"] == jax.__version__ and data.attrs["qdbjax_version"] == qdb.__version__
    assert data["status"].attrs["flag_masks"] == [int(flag) for flag in Status if flag.value]
    assert data["status"].attrs["flag_meanings"].split()[1] == "nonunique"


def test_dictionary_of_arrays():
    data = sweep(vectors, a=A, b=B)
    assert data["pair"].dims == ("a", "b", "pair_dim0")
    np.testing.assert_array_equal(data["pair"].values[..., 1], np.add.outer(A, B))
    np.testing.assert_array_equal(data["square"].values[:, 3], np.square(A))
    np.testing.assert_array_equal(data["whole"].values, np.full((3, 5), 3))
    assert list(data.data_vars) == ["pair", "square", "whole", "status"]


def test_tuples_lambdas_and_partials_are_named():
    assert set(sweep(lambda a: (a, -a), a=A).data_vars) == {"value_0", "value_1", "status"}
    data = sweep(ft.partial(power, b=jnp.asarray(0.0)), a=A)
    np.testing.assert_array_equal(data["power"].values, A)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 15, 1000])
def test_batches_do_not_change_the_numbers(batch_size):
    a = np.linspace(0.1, 1.0, 7)  # prime, no multiple of any batch
    whole = sweep(power, a=a, b=B)
    parts = sweep(power, batch_size=batch_size, a=a, b=B)
    np.testing.assert_allclose(parts["power"].values, whole["power"].values, rtol=1e-15)
    assert np.prod(parts.attrs["block"]) <= max(batch_size, 1)


@pytest.mark.parametrize("a", [[], [0.3]])
def test_axes_of_length_zero_and_one(a):
    data = sweep(power, a=a, b=B)
    assert data["power"].shape == (len(a), 5)
    np.testing.assert_allclose(data["power"].values, expected(a).reshape(len(a), 5), rtol=1e-15)


def test_out_of_memory_halves_the_batch(monkeypatch):
    sizes = []
    true = grid_run.execute

    def tight(compiled, coordinates):
        sizes.append(int(np.prod([len(values) for values in coordinates])))
        if sizes[-1] > 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte.")
        return true(compiled, coordinates)

    monkeypatch.setattr(grid_run, "execute", tight)
    data = sweep(power, a=A, b=B)
    np.testing.assert_allclose(data["power"].values, expected(), rtol=1e-15)
    assert sizes[0] == 15 and max(sizes[-4:]) <= 4


def test_memory_decides_the_block(monkeypatch):
    program = grid_run.Compiler(power, ("a", "b"), "power", (np.dtype(float),) * 2, 15).program((3, 5))
    monkeypatch.setattr(grid_run.memory, "bytes_free", lambda: 4 * program.bytes_needed // 2)
    data = sweep(power, a=A, b=B)
    assert 1 < np.prod(data.attrs["block"]) <= 7
    np.testing.assert_allclose(data["power"].values, expected(), rtol=1e-15)


def test_results_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(grid_run.memory, "bytes_free", lambda: 100)
    with pytest.raises(MemoryError, match="the results of 15 points take"):
        sweep(power, a=A, b=B)


def test_bad_points_are_flagged_and_disturb_nobody():
    data = sweep(machine, T=[0.5, np.nan, -1.0, 1.0])
    alone = sweep(machine, T=[0.5, 0.5, 1.0, 1.0])
    np.testing.assert_array_equal(data["heat"].values[[0, 3]], alone["heat"].values[[0, 3]])
    np.testing.assert_array_equal(data["steady_populations"].values[[0, 3]], alone["steady_populations"].values[[0, 3]])
    assert np.isnan(data["heat"].values[1:3]).all()
    status = data["status"].values
    assert status[0] == status[3] == 0
    assert status[1] & Status.NONFINITE_INPUT and status[2] == Status.UNPHYSICAL_BATH  # and nothing else


def test_status_agrees_with_the_scalar_call_also_through_an_inner_jit():
    data = sweep(jax.jit(machine), T=[0.5, -1.0])
    traced = jax.jit(lambda T: machine(T)["steady"].status)
    assert [int(traced(T)) for T in (0.5, -1.0)] == data["status"].values.tolist()
    heat = [float(machine(T)["heat"][0]) for T in (0.5,)]
    np.testing.assert_allclose(data["heat"].values[0, 0], heat[0], rtol=1e-13)


def test_gradients_report_through_nan_and_own_status():
    slope = jax.grad(lambda T: machine(T)["heat"][0])
    data = sweep(lambda T: slope(T), T=[0.5, -1.0])
    assert data["status"].values.tolist() == [0, int(Status.NONFINITE_INPUT)]
    step = 1e-5
    up, down = (float(machine(0.5 + s)["heat"][0]) for s in (step, -step))
    np.testing.assert_allclose(data["value"].values[0], (up - down) / (2 * step), rtol=1e-8)
    own = sweep(lambda a: {"a2": a * a, "status": jnp.where(a > 1, 64, 0)}, a=A)
    assert own["status"].values.tolist() == [0, 0, 64] and "a2" in own


@pytest.mark.parametrize(
    "made",
    [
        lambda f: jax.grad(f, (0, 1)),
        lambda f: jax.jit(jax.grad(f, (0, 1))),
        lambda f: jax.jacfwd(f, (0, 1)),
        lambda f: jax.grad(ft.partial(f, shift=0.5), (0, 1)),
        lambda f: ft.partial(jax.grad(f, (0, 1)), shift=0.5),
        lambda f: jax.checkpoint(jax.grad(f, (0, 1))),
    ],
)
def test_gradients_with_respect_to_axes_in_another_order(made):
    """What differentiates by position is called by position, wherever its axes stand."""
    data = sweep(made(lambda a, b, shift=0.5: a**3 * jnp.sin(b) + shift), b=[0.2, 0.7], a=[1.5])
    names = [name for name in data if name != "status"]
    for name, wanted in zip(names, (3 * 1.5**2 * np.sin(data["b"]), 1.5**3 * np.cos(data["b"])), strict=True):
        np.testing.assert_allclose(data[name].values[:, 0], wanted, rtol=1e-14)


def test_gradient_of_equinox_and_a_wrapper_that_takes_names_alone():
    slope = sweep(eqx.filter_grad(lambda a, b: a**3 * b), b=[0.2, 0.7], a=[1.5])
    np.testing.assert_allclose(slope["value"].values[:, 0], 3 * 1.5**2 * np.array([0.2, 0.7]), rtol=1e-14)

    @ft.wraps(power)
    def by_name(**values):
        return power(**values)

    np.testing.assert_array_equal(sweep(by_name, b=B, a=A)["power"].values, sweep(power, b=B, a=A)["power"].values)


def test_second_call_does_not_compile_and_a_new_constant_does():
    factor = jnp.asarray(2.0)

    def scaled(a):
        return factor * a

    first, second = sweep(scaled, a=A), sweep(scaled, a=A)
    assert first.attrs["compile_seconds"] > 0 and second.attrs["compile_seconds"] == 0
    factor = jnp.asarray(3.0)
    np.testing.assert_array_equal(sweep(scaled, a=A)["scaled"].values, 3 * np.asarray(A))


def test_programs_go_with_their_function():
    def passing(a):
        return a + 1

    sweep(passing, a=A)
    assert programs_of(passing)
    reference = weakref.ref(passing)
    del passing
    gc.collect()
    assert reference() is None


def test_work_of_one_axis_is_done_once_per_value():
    """The part that depends on b alone keeps the shape of b in the compiled program."""
    on_grid = grid_run.map_over_grid(grid_run.point_function(power, ("a", "b"), "power"), 2)
    text = str(jax.make_jaxpr(on_grid)(jnp.ones(3), jnp.ones(5)))
    assert "f64[5] = exp" in text and "f64[3,5] = exp" not in text


def positional(a, /):
    return a


@pytest.mark.parametrize(
    ("fn", "axes", "error", "words"),
    [
        (power, {}, ValueError, "at least one axis"),
        (power, {"a": A}, TypeError, "argument b of power is no axis and has no default"),
        (power, {"a": A, "b": B, "c": A}, TypeError, "axis c is not an argument of power, which takes a, b"),
        (power, {"a": [[1.0]], "b": B}, ValueError, r"axis a must be one-dimensional; got shape \(1, 1\)"),
        (power, {"a": 1.0, "b": B}, ValueError, "axis a must be one-dimensional"),
        (power, {"a": ["x"], "b": B}, TypeError, "axis a must be an array of numbers"),
        (3, {"a": A}, TypeError, "fn must be callable; got 3"),
        (positional, {"a": A}, TypeError, "positional only|not an argument"),
        (lambda a: "text", {"a": A}, TypeError, "fn must return arrays.*value is a str"),
        (lambda a: {"x": None}, {"a": A}, TypeError, r"value\['x'\] is a NoneType"),
        (lambda a: {}, {"a": A}, TypeError, "at least one array"),
        (lambda a: {"a": a}, {"a": A}, ValueError, "output 'a' has the name of an axis"),
        (
            lambda a: {"x": {"y": a}, "x_y": a},
            {"a": A},
            ValueError,
            r"two outputs 'x_y' \(keys of nested dicts are joined",
        ),
        (lambda a: {"x": (a, a), "x_1": a}, {"a": A}, ValueError, "two outputs 'x_1'"),
        (lambda a: {"x": {"y": {"z": a}}, "x_y": {"z": a}}, {"a": A}, ValueError, "two outputs 'x_y_z'"),
        (
            lambda a: {"x": jnp.stack([a]), "x_dim0": a},
            {"a": A},
            ValueError,
            "dimension 'x_dim0' of x has the name of an axis or output",
        ),
        (
            lambda x_dim0: {"x": jnp.stack([x_dim0])},
            {"x_dim0": A},
            ValueError,
            "dimension 'x_dim0' of x has the name of an axis or output",
        ),
        (
            lambda a: {"status": a},
            {"a": A},
            ValueError,
            "output 'status' must be one integer, the flags of the grid point",
        ),
        (lambda a: {"status": jnp.arange(2)}, {"a": A}, ValueError, "output 'status' must be one integer"),
    ],
)
def test_bad_input_is_refused_in_words(fn, axes, error, words):
    with pytest.raises(error, match=words):
        sweep(fn, **axes)


def options(fn, batch_size, progress, optimize, axes):
    """Arguments with the names of those of sweep."""
    return fn + 10 * batch_size + 100 * progress + 1000 * optimize + 10000 * axes


def test_axes_may_have_the_names_of_arguments_of_sweep():
    axes = {name: [n, n + 2.0] for n, name in enumerate(("fn", "batch_size", "progress", "optimize", "axes"))}
    data = sweep(options, axes=axes, batch_size=3, progress=False)
    assert data["options"].dims == tuple(axes)
    steps = [np.asarray(values) for values in axes.values()]
    wanted = sum(10.0**n * step for n, step in enumerate(np.meshgrid(*steps, indexing="ij")))
    np.testing.assert_array_equal(data["options"].values, wanted)


def test_axes_and_keywords_are_one_grid():
    data = sweep(power, axes={"b": B}, a=A)
    assert data["power"].dims == ("b", "a")
    np.testing.assert_allclose(data["power"].values, expected().T, rtol=1e-15)
    for given in ({"axes": {"a": A, "b": B}}, {"axes": {"a": A}, "b": B}, {"axes": {}, "a": A, "b": B}):
        data = sweep(power, **given)
        assert data["power"].dims == ("a", "b")
        np.testing.assert_array_equal(data["power"].values, sweep(power, a=A, b=B)["power"].values)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"axes": {"a": A, "b": B}, "b": B}, ValueError, "axis b is given twice, in axes and as a keyword"),
        ({"axes": {"status": A}}, ValueError, "no axis can be named status: the result holds the flags"),
        ({"status": A}, ValueError, "no axis can be named status"),
        ({"axes": {}}, ValueError, "at least one axis"),
        ({"axes": [A, B]}, TypeError, "axes must be a mapping of names to vectors"),
        ({"axes": {0: A}}, TypeError, "names in axes must be strings; got 0"),
    ],
)
def test_bad_axes_are_refused_in_words(given, error, words):
    with pytest.raises(error, match=words):
        sweep(power, **given)


class Reading(NamedTuple):
    """A result that is not known to sweeps."""

    height: jax.Array
    status: jax.Array


def test_a_result_with_asdict_brings_its_variables_and_its_status():
    def read(a):
        one = Reading(2 * a, jnp.where(a > 1, 64, 0))
        many = Reading(jnp.stack([a, -a]), jnp.stack([jnp.where(a < 1, 1, 0), jnp.where(a < 1, 2, 0)]))
        return {"one": one, "many": many}

    data = sweep(read, a=A)
    assert list(data.data_vars) == ["one_height", "many_height", "status"]
    np.testing.assert_array_equal(data["many_height"].values[:, 1], -np.asarray(A))
    assert data["status"].values.tolist() == [3, 0, 64]


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_bad_batch_size(batch_size):
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1"):
        sweep(power, batch_size=batch_size, a=A, b=B)


def test_progress_lines(capsys):
    sweep(power, batch_size=5, progress=True, a=A, b=B)
    assert "power: 15 of 15 points" in capsys.readouterr().err
    sweep(power, progress=False, a=A, b=B)
    assert capsys.readouterr().err == ""


def test_the_compiler_does_not_multiply_large_constants(rng):
    """Operators of 128 levels and more: XLA's own arithmetic takes minutes for products of them."""
    large, small = rng.normal(size=(128, 128)), rng.normal(size=(16, 16))

    def product(a, matrix):
        return a * jnp.sum(jnp.asarray(matrix) @ jnp.asarray(matrix))

    for matrix, kept in ((large, True), (small, False)):
        fn = ft.partial(product, matrix=matrix)
        program = grid_run.Compiler(fn, ("a",), "product", (np.dtype(float),), 2).program((2,))
        assert (" dot(" in program.compiled.as_text()) is kept
        np.testing.assert_allclose(
            sweep(fn, a=[1.0, 2.0])["product"].values, np.sum(matrix @ matrix) * np.array([1, 2])
        )


def test_the_tier_follows_the_points_or_the_argument(monkeypatch):
    """Quick below a million grid points, optimised above, or as told; the numbers are the same, the program another."""
    fn = lambda a, b: {"wave": jnp.sin(a) * jnp.exp(b)}  # noqa: E731
    seen, options = [], grid_run.compiler_options
    monkeypatch.setattr(grid_run, "compiler_options", lambda cells: seen.append(options(cells)) or seen[-1])
    axes = {"a": np.linspace(0, 1, 4), "b": np.linspace(0, 2, 3)}
    found = [sweep(fn, optimize=wanted, **axes)["wave"].values for wanted in (None, True, False)]
    sweep(fn, a=np.linspace(0, 1, 1000), b=np.linspace(0, 2, 1000))
    assert [bool(each) for each in seen] == [True, False, True, False]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-15)
    np.testing.assert_array_equal(found[0], found[2])
    with pytest.raises(ValueError, match="optimize must be True, False or None; got 'fast'"):
        sweep(fn, optimize="fast", **axes)
