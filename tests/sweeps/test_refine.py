"""sweep(refine=…): changes located to a tolerance with few points, a budget that is kept, a labelled list of points."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.sweeps import Refine, grid_run, sweep


def brackets(data, axis, values):
    """Pairs of neighbours along a line between which the sign of the values changes."""
    order = np.argsort(data[axis].values)
    at, values = data[axis].values[order], values[order]
    change = np.flatnonzero(np.sign(values[:-1]) != np.sign(values[1:]))
    return [(at[n], at[n + 1]) for n in change]


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-10])
@pytest.mark.parametrize("zero", [0.1234567, 0.5, 0.99, 1 / 3])
def test_a_change_of_sign(zero, tolerance):
    data = sweep(lambda x: (x - zero) * (2 + x), x=np.linspace(0.0, 1.0, 5), refine=Refine(tolerance, jump=2.0))
    found = brackets(data, "x", data["value"].values)
    assert len(found) == (2 if zero == 0.5 else 1)  # where a point is exactly on it, from either side
    for low, high in found:
        assert low <= zero <= high and high - low <= tolerance
    halvings = np.ceil(np.log2(0.25 / tolerance))
    assert data.sizes["point"] == 5 + len(found) * halvings  # a grid has 1/tolerance
    assert data.attrs["refined_completely"] and data["x"].dtype == float


def disc(x, y):
    return {"inside": jnp.where(x * x + y * y < 0.5, 1.0, 0.0), "smooth": x + y}


SQUARE = {"x": np.linspace(-1.0, 1.0, 9), "y": np.linspace(-1.0, 1.0, 9)}


def test_a_boundary_in_two_dimensions():
    tolerance = 1 / 128
    data = sweep(disc, axes=SQUARE, refine=Refine(tolerance, variables=["inside"]))
    x, y = data["x"].values, data["y"].values
    np.testing.assert_array_equal(data["inside"].values, np.where(x * x + y * y < 0.5, 1.0, 0.0))
    assert data["inside"].dims == ("point",) and data.attrs["points"] == data.sizes["point"] == len(
        set(zip(x, y, strict=True))
    )
    assert data.sizes["point"] < 0.12 * (2 / (2 * tolerance) + 1) ** 2  # of the points of a grid as fine
    # Everywhere on the circle a point inside and one outside lie within two cells.
    for angle in np.linspace(0, 2 * np.pi, 50):
        distance = np.hypot(x - np.sqrt(0.5) * np.cos(angle), y - np.sqrt(0.5) * np.sin(angle))
        near = data["inside"].values[distance < 2 * 2 * tolerance]
        assert set(near) == {0.0, 1.0}


def test_only_the_axis_that_matters_is_cut():
    """A straight boundary needs points along one axis alone."""
    data = sweep(lambda x, y: jnp.where(x < 0.3, 1.0, 0.0) + 0 * y, axes=SQUARE, refine=Refine(1e-3))
    assert sorted(set(data["y"].values)) == SQUARE["y"].tolist()
    assert data.sizes["point"] == 81 + 9 * 7 and data.attrs["refined_completely"]
    edge = data.isel(point=data["y"].values == 0.25)
    ((low, high),) = brackets(edge, "x", edge["value"].values - 0.5)
    assert low <= 0.3 <= high and high - low <= 2e-3


def test_what_a_neighbour_has_found_is_followed():
    """A disc bulges into a cell whose corners lie outside of it; a corner of its neighbour lies in a triangle."""
    disc = lambda x, y: (x - 0.9) ** 2 + (y - 0.5) ** 2 < 0.35**2  # noqa: E731
    inside = lambda x, y: jnp.where(disc(x, y) | (x + y < 0.2), 1.0, 0.0)  # noqa: E731
    found = sweep(inside, axes={"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0]}, refine=Refine(1 / 128))
    x, y = found["x"].values[found["value"].values == 1], found["y"].values[found["value"].values == 1]
    assert x.max() == pytest.approx(1.25, abs=2 / 64) and y.max() == pytest.approx(0.85, abs=1 / 64)
    assert found.attrs["refined_completely"] and found.sizes["point"] < 0.2 * 129**2


@pytest.mark.parametrize("budget", [81, 100, 333])
def test_the_budget_is_kept(budget):
    data = sweep(disc, axes=SQUARE, refine=Refine(1e-4, budget=budget, variables=["inside"]))
    assert budget - 3 <= data.sizes["point"] <= budget and not data.attrs["refined_completely"]
    if budget == 333:  # evenly: no place on the circle is left out for another
        x, y = data["x"].values, data["y"].values
        angles = np.arctan2(y, x)[np.abs(np.hypot(x, y) - np.sqrt(0.5)) < 0.1]
        assert np.diff(np.sort(angles)).max() < 0.3


def test_one_program_and_few_calls(monkeypatch):
    sizes, true = [], grid_run.Compiler._lowered
    monkeypatch.setattr(
        grid_run.Compiler, "_lowered", lambda self, block, *rest: sizes.append(block) or true(self, block, *rest)
    )
    data = sweep(disc, axes=SQUARE, batch_size=50, refine=Refine(1 / 64, variables=["inside"]))
    assert sizes == [(50, 50)] and data.attrs["block"] == 50
    again = sweep(disc, axes=SQUARE, batch_size=50, refine=Refine(1 / 64, variables=["inside"]))
    assert len(sizes) == 1 and again.equals(data)


def test_smooth_maps_get_points_where_they_are_steep():
    data = sweep(lambda x: jnp.tanh(20 * (x - 0.7)) + 2, x=np.linspace(0.0, 1.0, 6), refine=Refine(1e-4, jump=0.05))
    x, values = data["x"].values, data["value"].values
    assert np.abs(np.diff(values)).max() <= 0.05 * np.ptp(values)
    assert (np.diff(x) > 0).all() and np.diff(x).max() == pytest.approx(0.2) and 30 < len(x) < 60
    plain = sweep(lambda x: 3 + 0 * x, x=[0.0, 1.0], refine=Refine())
    assert plain.sizes["point"] == 2 and plain.attrs["refined_completely"]


def test_three_dimensions_and_complex_values():
    def ball(x, y, z):
        inside = x * x + y * y + z * z < 0.8
        return {"phase": jnp.where(inside, 1j, -1j), "pair": jnp.stack([x, y])}

    axes = {name: np.linspace(-1.0, 1.0, 5) for name in "xyz"}
    refine = Refine(1 / 32, variables=["phase"])
    data = sweep(
        ball, axes=axes, dims={"pair": ("which",)}, coords={"which": ["x", "y"]}, attrs={"k": 1}, refine=refine
    )
    assert data["pair"].dims == ("point", "which") and data["which"].values.tolist() == ["x", "y"]
    radius = np.sqrt(sum(data[name].values ** 2 for name in "xyz"))
    np.testing.assert_array_equal(data["phase"].values.imag > 0, radius**2 < 0.8)
    assert data.sizes["point"] < 0.5 * 33**3 and data.attrs["refined_completely"]
    assert data.attrs["k"] == 1 and json.loads(data.attrs["refine"])["budget"] == 10000
    assert "def ball" in data.attrs["function_source"] and json.loads(data.attrs["configuration"])


def test_rounding_is_no_change_of_sign():
    noisy = lambda x: jnp.maximum(0.45 - x, 0.0) + 1e-17 * jnp.cos(10 * jnp.pi * x)  # noqa: E731
    data = sweep(noisy, x=np.linspace(0.0, 1.0, 11), refine=Refine(1e-6, jump=2.0))
    assert data.sizes["point"] < 11 + 2 * 20
    assert (np.sign(data["value"].values[data["x"].values > 0.5]) < 0).any()
    residual = lambda x: {"one": 1 + x, "residual": jnp.sin(1e9 * x)}  # noqa: E731
    assert sweep(residual, x=np.linspace(0.0, 1.0, 11), refine=Refine(jump=0.5)).sizes["point"] == 11


def crossing(x, T):
    """Two levels that cross at x = 0; cold, the lower one is filled."""
    system = qdb.System(jnp.stack([jnp.stack([x, 0 * x]), jnp.stack([0 * x, -x])]))
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=T, name="bath")
    steady = qdb.steady_state(qdb.davies(system, bath))
    return {"z": qdb.expect(steady, qdb.sigma_z())}


def test_a_level_crossing_is_found():
    """⟨σ_z⟩ = -tanh(x/T): the line x = 0, and its width, which is T."""
    axes = {"x": np.linspace(-1.0, 0.9, 6), "T": [0.01, 0.1]}
    data = sweep(crossing, axes=axes, refine=Refine({"x": 1e-4, "T": 1.0}, jump=0.1))
    x, T = data["x"].values, data["T"].values
    np.testing.assert_allclose(data["z"].values, -np.tanh(x / T), atol=1e-6)
    for temperature in (0.01, 0.1):
        line = data.isel(point=temperature == T)
        ((low, high),) = brackets(line, "x", line["z"].values)
        assert low <= 0 <= high and high - low <= 1e-4
        assert 20 < line.sizes["point"] < 60 and np.abs(np.diff(line["z"].values)).max() <= 0.2 + 1e-9
    assert data.attrs["refined_completely"] and not data["status"].values.any()


def test_the_boundary_of_a_flagged_region():
    def flagged(x, y):
        return {"v": 1 + 0 * x, "status": jnp.where(y < 0.5 * x, 16, 0)}

    data = sweep(flagged, axes=SQUARE, refine=Refine(1 / 64))
    x, y, status = data["x"].values, data["y"].values, data["status"].values
    np.testing.assert_array_equal(status, np.where(y < 0.5 * x, 16, 0))
    for at in np.linspace(-0.9, 0.9, 10):
        near = np.hypot(x - at, y - 0.5 * at) < 3 / 32
        assert set(status[near]) == {0, 16}

    # One flag more is a change, however large the numbers of other flags are.
    two = lambda x: {"v": x, "status": jnp.where(x < 0.2, 8192, jnp.where(x < 0.7, 16, 18))}  # noqa: E731
    found = sweep(two, x=np.linspace(0, 1, 3), refine=Refine(1e-3, jump=0.9))
    assert np.abs(found["x"].values - 0.7).min() < 1e-3 and np.abs(found["x"].values - 0.2).min() < 1e-3
    # NaN that no flag goes with.
    silent = lambda x: {"value": jnp.where(x < 0.7, x, jnp.nan), "status": 0}  # noqa: E731
    invalid = sweep(silent, x=np.linspace(0, 1, 3), refine=Refine(1e-3, jump=2.0))
    valid = np.isfinite(invalid["value"].values)
    assert invalid["x"].values[valid].max() <= 0.7 <= invalid["x"].values[~valid].min()
    assert invalid["x"].values[~valid].min() - invalid["x"].values[valid].max() <= 1e-3


WRONG = [
    (lambda: Refine(0.0), "tolerance and jump must be numbers > 0; got 0.0"),
    (lambda: Refine({"x": "a"}), "tolerance and jump must be numbers > 0; got 'a'"),
    (lambda: Refine(jump=True), "tolerance and jump must be numbers > 0; got True"),
    (lambda: Refine(budget=0.5), "budget must be an integer >= 1"),
    (lambda: Refine(variables="inside"), "variables must be a list of names"),
    (lambda: sweep(disc, axes=SQUARE, refine=0.1), "refine must be a qdbjax.sweeps.Refine; got 0.1"),
    (lambda: sweep(disc, axes=SQUARE, refine=Refine(budget=80)), "the axes have 81 points and budget is 80"),
    (lambda: sweep(disc, axes=SQUARE, refine=Refine(variables=["x"])), "variables names 'x', which is no output"),
    (lambda: sweep(disc, axes=SQUARE, refine=Refine({"x": 1.0})), "tolerance must name the axes x, y; got x"),
    (lambda: sweep(disc, x=[0.0, 1.0], y=[1.0, 0.0], refine=Refine()), "axis y must have two finite values at least"),
    (lambda: sweep(disc, x=[0.0, 1.0], y=[1.0], refine=Refine()), "axis y must have two finite values at least"),
    (lambda: sweep(disc, x=[0.0, np.nan], y=[0.0, 1.0], refine=Refine()), "axis x must have two finite values"),
    (lambda: sweep(lambda point: point, point=[0.0, 1.0], refine=Refine()), "'point' is the dimension of a refined"),
    (lambda: sweep(disc, axes=SQUARE, out="x.zarr", refine=Refine()), "a refined sweep stays in memory"),
    (lambda: sweep(disc, axes=SQUARE, refine=Refine(), attrs={"refine": 1}), "attrs names 'refine'"),
]


@pytest.mark.parametrize(("call", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_bad_input(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()
