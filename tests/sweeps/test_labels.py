"""Names of dimensions, labels along them, and provenance: given, told by the output, in memory and in a store alike."""

import json
import platform

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax._labels import named
from qdbjax.sweeps import sweep

A = [0.5, 1.0, 2.0]
SHIFT = 0.25


def row(a):
    """Two variables with further dimensions that nobody knows."""
    return {"pair": jnp.stack([a, a + SHIFT]), "table": a * jnp.ones((2, 3)), "a2": a * a}


def machine(T):
    hot = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=T, name="warm")
    cold = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=0.2, name="cool")
    generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    steady = qdb.steady_state(generator)
    heat = qdb.heat_currents(generator, steady)
    return {
        "heat": heat,
        "first": heat[0],
        "double": 2 * heat,
        "micro": qdb.micro_currents(generator, steady),
        "steady": steady,
        "p": steady.populations,
    }


@pytest.fixture(scope="module")
def told():
    return sweep(machine, T=A)


def test_dimensions_that_an_output_tells(told):
    assert told["heat"].dims == ("T", "bath") and told["bath"].values.tolist() == ["warm", "cool"]
    assert told["micro"].dims == ("T", "bath", "to", "from")
    assert told["p"].dims == told["steady_populations"].dims == ("T", "level")
    assert told["first"].dims == ("T",) and told["double"].dims == ("T", "double_dim0")  # another array: nobody told
    warm = told["heat"].sel(bath="warm").values
    np.testing.assert_array_equal(warm, told["first"].values)
    assert warm[0] > 0 and warm[2] > warm[1] > warm[0]


def test_the_store_says_the_same(tmp_path, told):
    data = sweep(machine, T=A, out=tmp_path / "run.zarr", attrs={"sample": "B7"})
    for name in told.variables:
        assert data[name].dims == told[name].dims, name
    assert data["bath"].values.tolist() == ["warm", "cool"] and data.attrs["sample"] == "B7"
    (tmp_path / "run.zarr" / "bath" / "c" / "0").write_bytes(b"damaged")
    repaired = sweep(machine, T=A, out=tmp_path / "run.zarr", resume=True, verify=True)
    assert repaired["bath"].values.tolist() == ["warm", "cool"]
    assert set(data.attrs) == {*told.attrs, "sample"}
    for name in set(told.attrs) - {"created", "seconds", "compile_seconds", "points_per_second"}:
        assert data.attrs[name] == told.attrs[name], name


def test_what_is_told_gives_way():
    """An axis of that name, other labels or lengths, labels of the user's: plain names stand, nothing is refused."""

    def told(size, *labels):
        return lambda x: named(x * jnp.ones(size), ("bath",), bath=labels)

    one, other, three = told(2, "left", "x"), told(2, "right", "x"), told(3, "left", "x", "y")
    read = lambda x: {"one": one(x), "other": other(x), "three": three(x), "same": one(x)}  # noqa: E731
    data = sweep(read, x=A)
    assert {name: values.dims[1:] for name, values in data.data_vars.items() if name != "status"} == {
        "one": ("bath",),
        "other": ("other_dim0",),
        "three": ("three_dim0",),
        "same": ("bath",),
    }
    assert data["bath"].values.tolist() == ["left", "x"]
    assert sweep(lambda bath: {"one": one(bath)}, bath=A)["one"].dims == ("bath", "one_dim0")
    mine = sweep(read, x=A, dims={"other": "bath"}, coords={"bath": ["W", "C"]})
    assert mine["other"].dims == mine["one"].dims == ("x", "bath") and mine["bath"].values.tolist() == ["W", "C"]


def test_given_names(tmp_path):
    given = {"dims": {"pair": ("side",), "table": ["side", "n"]}, "coords": {"side": ["left", "right"], "n": [1, 2, 4]}}
    for data in (sweep(row, a=A, **given), sweep(row, a=A, out=tmp_path / "run.zarr", **given)):
        assert data["pair"].dims == ("a", "side") and data["table"].dims == ("a", "side", "n")
        assert data["side"].values.tolist() == ["left", "right"] and data["n"].values.tolist() == [1, 2, 4]
        np.testing.assert_array_equal(data["pair"].sel(side="right"), np.add(A, SHIFT))
    assert sweep(row, a=A, coords={"pair_dim0": [5.0, 6.0]})["pair_dim0"].values.tolist() == [5.0, 6.0]


WRONG = [
    ({"dims": {"pear": ("side",)}}, "dims names 'pear', which is no output of fn; those are pair, table, a2"),
    ({"dims": {"pair": ("x", "y")}}, "dims must name every dimension of pair beside the axes, 1 of shape"),
    ({"dims": {"table": ("x", "x")}}, "dims must be different names; got 'x' twice"),
    ({"dims": {"pair": ("a",)}}, "dimension 'a' of pair has the name of an axis or output"),
    ({"dims": {"pair": ("a2",)}}, "dimension 'a2' of pair has the name of an axis or output"),
    ({"dims": {"pair": "side", "table": ("n", "side")}}, "dimension 'side' has 3 entries in table and 2 elsewhere"),
    (
        {"dims": {"pair": "side"}, "coords": {"side": [1, 2, 3]}},
        "dimension 'side' has 2 entries in pair and 3 elsewhere",
    ),
    ({"coords": {"side": [1, 2]}}, "coords names 'side', which is no dimension of an output"),
    ({"coords": {"pair_dim0": [[1, 2]]}}, "coords must give numbers or texts in a row along pair_dim0"),
    ({"dims": {"pair": (1,)}}, "dims must give a list of names for pair"),
    ({"dims": ["pair"]}, "dims must be a mapping of names"),
    ({"attrs": {1: "x"}}, "names in attrs must be strings; got 1"),
    ({"attrs": {"x": float("nan")}}, "attrs must hold text, finite numbers"),
    ({"attrs": {"x": object()}}, "attrs must hold text, finite numbers"),
    ({"attrs": {"device": "mine"}}, "attrs names 'device', which the sweep itself says"),
    ({"attrs": {"seconds": 1}}, "attrs names 'seconds', which the sweep itself says"),
    ({"attrs": {"array_order": 1}}, "attrs names 'array_order', which the sweep itself says"),
]


@pytest.mark.parametrize(("given", "words"), WRONG, ids=[words[:30] for _, words in WRONG])
def test_names_that_do_not_fit(tmp_path, given, words):
    for out in (None, tmp_path / "run.zarr"):
        with pytest.raises((ValueError, TypeError), match=words.replace("(", r"\(")):
            sweep(row, a=A, out=out, **given)
    assert not list(tmp_path.iterdir())


def test_provenance_in_memory():
    scale = jnp.asarray(3.0)

    def scaled(a):
        return scale * a + SHIFT

    data = sweep(scaled, a=A, attrs={"sample": "B7", "runs": np.arange(2), "cold": True})
    told = json.loads(data.attrs["configuration"])
    assert told["scale in scaled"] == "3.0" and told["SHIFT in scaled"] == "0.25"
    assert told["precision"] == "float64" and len(data.attrs["configuration_sha256"]) == 64
    assert "return scale * a + SHIFT" in data.attrs["function_source"]
    assert data.attrs["jaxlib_version"] == jaxlib.__version__ and data.attrs["jax_version"] == jax.__version__
    assert data.attrs["python_version"] == platform.python_version()
    assert data.attrs["sample"] == "B7" and data.attrs["runs"] == [0, 1] and data.attrs["cold"] is True
    assert data.attrs["device"].startswith("cpu")
    other = sweep(scaled, a=A)
    assert other.attrs["configuration_sha256"] == data.attrs["configuration_sha256"]
    scale = jnp.asarray(4.0)
    assert sweep(scaled, a=A).attrs["configuration_sha256"] != data.attrs["configuration_sha256"]
