"""A checkpoint is taken up by the fit that wrote it and by no other, with the difference named."""

import shutil

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import qdbjax as qdb
from qdbjax import fitting

WANTED = [0.2, 0.4]


def model(x, w, c=0.0):
    return jnp.stack([x * w + c, x**2])


def like_it(x, w):
    """The same numbers in other words."""
    return jnp.stack([w * x, x * x])


def near_it(x, w):
    return jnp.stack([x * w * (1 + 1e-6), x**2])


def same_at_the_start(x, w):
    """Value and slope agree at x = 1."""
    return jnp.stack([x * w, 2 * x - 1])


OPTIONS = {
    "model": model,
    "objective": fitting.match(WANTED),
    "parameters": {"x": fitting.positive(1.0), "w": 1.0},
    "optimizer": optax.adam(0.05),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The file of 50 steps."""
    file = tmp_path_factory.mktemp("fit") / "fit.npz"
    qdb.fit(**OPTIONS, steps=50, checkpoint=file)
    return file


def again(written, folder, **changed):
    file = folder / "copy.npz"
    shutil.copy(written, file)
    return qdb.fit(**{**OPTIONS, "steps": 60, "checkpoint": file, **changed})


@pytest.mark.parametrize("same", [model, like_it], ids=lambda each: each.__name__)
def test_the_same_fit_goes_on(written, tmp_path, same):
    """To the numbers of one that was never stopped; a model in other words is the same one."""
    found = again(written, tmp_path, model=same)
    whole = qdb.fit(**OPTIONS, steps=60)
    assert found.steps == 60 and whole.steps == 60
    np.testing.assert_allclose(found.history, whole.history, rtol=1e-14)


FREE = {"x": fitting.positive(1.0)}
OTHERS = {
    "fixed value": ({"parameters": {**FREE, "w": 1.5}}, "fixed value 'w' is 1.5 here and 1.0 there"),
    "fixed value, close": ({"parameters": {**FREE, "w": 1 + 1e-15}}, "fixed value 'w' is 1.00000000"),
    "another fixed value": ({"parameters": {**FREE, "w": 1.0, "c": 0.0}}, "'c' is 0.0 here and absent there"),
    "start": ({"parameters": {"x": fitting.positive(1.1), "w": 1.0}}, "free value 'x' is .*start=1.1"),
    "kind": ({"parameters": {"x": fitting.real(1.0), "w": 1.0}}, "free value 'x' is .*Real"),
    "target": ({"objective": fitting.match([0.2, 0.41])}, "term for 'value' is .*0.41"),
    "error": ({"objective": fitting.match(WANTED, error=0.1)}, "term for 'value' is .*0.1"),
    "weight": ({"objective": fitting.match(WANTED, weight=4.0)}, "term for 'value'"),
    "another term": ({"objective": fitting.at_least(WANTED)}, "term for 'value' is BoundTerm.* and Match"),
    "function": ({"objective": lambda output: jnp.sum(output**2)}, "objective is .* here and absent there"),
    "rate": ({"optimizer": optax.adam(0.04)}, "optimizer is .*0.04.* here and .*0.05.* there"),
    "optimizer": ({"optimizer": optax.sgd(0.05)}, "optimizer is"),
    "starts": ({"starts": 2}, "starts is 2 here and 1 there"),
    "seed": ({"seed": 3}, "seed is 3 here and 0 there"),
    "tolerance": ({"tolerance": 1e-6}, "tolerance is 1e-06 here and 1e-10 there"),
    "model": ({"model": near_it}, "the model is another one: a loss of .* here and .* there"),
    "model, same start": ({"model": same_at_the_start}, "the model is another one: a loss of"),
}


@pytest.mark.parametrize(("changed", "words"), OTHERS.values(), ids=OTHERS)
def test_another_fit_is_refused(written, tmp_path, changed, words):
    """Whatever differs is named, and the file stays what it was."""
    with pytest.raises(ValueError, match=f"belongs to another fit: .*{words}"):
        again(written, tmp_path, **changed)
    assert (tmp_path / "copy.npz").read_bytes() == written.read_bytes()


def test_conditions_and_trees_are_compared(tmp_path):
    """A bath among the fixed values, and the conditions."""
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 5.0), temperature=1.0)
    options = {"model": lambda t, x, bath: x * t * bath.temperature, "objective": fitting.match([1.0, 2.0])}
    known = {"x": fitting.real(0.3), "bath": bath}
    file = tmp_path / "fit.npz"
    qdb.fit(**options, parameters=known, over={"t": [1.0, 2.0]}, checkpoint=file)
    with pytest.raises(ValueError, match=r"condition 't' is .*2\.5\] here and .*2\.0\] there"):
        qdb.fit(**options, parameters=known, over={"t": [1.0, 2.5]}, checkpoint=file)
    warmer = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 5.0), temperature=1.1)
    with pytest.raises(ValueError, match=r"fixed value 'bath' is .*temperature=1.1.* here and .*temperature=1.0"):
        qdb.fit(**options, parameters={**known, "bath": warmer}, over={"t": [1.0, 2.0]}, checkpoint=file)


def test_a_start_without_a_loss_is_no_difference(tmp_path):
    """ln x at a negative start, and beside it."""
    free = {"x": fitting.real(1.0, range=(-2.0, -1.0))}
    options = {"objective": fitting.match(0.5), "optimizer": optax.adam(0.01), "starts": 2}
    options["model"] = lambda x: jnp.log(x)
    for steps in (50, 60):
        found = qdb.fit(**options, parameters=free, steps=steps, checkpoint=tmp_path / "fit.npz")
    assert found.steps == 60 and np.isinf(found.losses[1])


@pytest.mark.parametrize("cut", [0, 10, 500, -20])
def test_a_broken_file_is_refused_in_words(written, tmp_path, cut):
    file = tmp_path / "copy.npz"
    file.write_bytes(written.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"copy.npz cannot be read \(.*\): remove it, or give another file"):
        qdb.fit(**OPTIONS, steps=60, checkpoint=file)


@pytest.mark.slow
def test_a_fit_with_bounds_goes_on_bit_by_bit(tmp_path):
    """Multipliers and penalties are kept, and rounds begin where they would have begun."""
    options = {
        "model": lambda x, y: {"a": x**2 + 3 * y**2, "b": x + y},
        "objective": {"a": fitting.minimize(), "b": fitting.at_least(0.7)},
        "parameters": {"x": fitting.real(0.1, range=(-1.0, 1.0)), "y": fitting.real(0.2, range=(-1.0, 1.0))},
        "starts": 3,
    }
    whole = qdb.fit(**options, steps=300)
    for steps in (50, 100, 300):
        found = qdb.fit(**options, steps=steps, checkpoint=tmp_path / "fit.npz")
    np.testing.assert_array_equal(found.history, whole.history)
    np.testing.assert_array_equal(found.values["x"], whole.values["x"])
    np.testing.assert_allclose([found.values["x"], found.values["y"]], [0.525, 0.175], rtol=1e-5)
