"""Protocols that jump: value, account and derivatives against the closed form of a qubit whose rates are constant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.solvers.breakpoints import cut

OFF_ON, GAPS, TEMPERATURES = (0.0, 0.02), (1.0, 1.6), (1.0, 0.4)
TIMES = np.array([0.5, 2.0, 3.25, 6.0])
WEIGHTS = np.random.default_rng(7).normal(size=(4, 5))
START = 0.3


def after(time, point, values):
    """One value before a point in time, another from then on."""
    return jnp.where(time >= point, values[1], values[0])


def protocol(points):
    """A bath switched on at points[0], a gap that jumps at points[1], a temperature that jumps at points[2]."""

    def at(time):
        excited = jnp.diag(jnp.array([0.0, 1.0])) * after(time, points[1], GAPS)
        density = qdb.Ohmic(0.01 + after(time, points[0], OFF_ON), 10.0)
        return qdb.davies(excited, qdb.Bath(qdb.sigma_x(), density, temperature=after(time, points[2], TEMPERATURES)))

    return at


def seen(points, times=TIMES, mode="reverse"):
    """Excited population, heat, work, entropy flow and energy (time, 5)."""
    rho = np.diag([0.3, 0.7])
    result = qdb.evolve(protocol(points), rho, times, start=START, breakpoints=points, mode=mode, rtol=1e-11)
    account = result.account
    excited = jnp.real(result.density_matrix[:, 1, 1])
    return jnp.stack([excited, account.heat[:, 0], account.work, account.entropy_flow[:, 0], account.energy], axis=1)


def exact(points, time, known):
    """The same at one time by exponentials; known: the points as NumPy numbers, which decide the order."""
    p, heat, work, flow, now = 0.7, 0.0, 0.0, 0.0, START
    settings = [OFF_ON[int(known[0] <= START)], GAPS[int(known[1] <= START)], TEMPERATURES[int(known[2] <= START)]]
    inside = [n for n in np.argsort(known, kind="stable") if START < known[n] < time]
    for n in [*inside, None]:
        end = time if n is None else points[n]
        extra, gap, temperature = settings
        rate = 2 * jnp.pi * (0.01 + extra) * gap * jnp.exp(-gap / 10)
        level = 1 / (jnp.exp(gap / temperature) + 1)
        new = level + (p - level) * jnp.exp(-rate / jnp.tanh(gap / temperature / 2) * (end - now))
        heat, flow = heat + gap * (new - p), flow + gap * (new - p) / temperature
        p, now = new, end
        if n is not None:
            settings[n] = (OFF_ON, GAPS, TEMPERATURES)[n][1]
            work = work + p * (settings[1] - gap)
    return jnp.stack([p, heat, work, flow, settings[1] * p])


CASES = np.array(
    [
        [1.0, 2.5, 4.0],  # one after another, save times between
        [4.0, 2.5, 1.0],
        [2.5, 5.0, 3.0],
        [0.4, 0.45, 0.49],  # before the first save time
        [3.3, 3.4, 5.9],
        [1.0, 1.0, 1.0],  # all at once
        [1.5, 4.0, 1.5],
        [-1.0, 2.5, 7.0],  # outside
        [0.3, 3.0, 5.0],  # at the start
        [9.0, 8.0, 7.0],  # beyond the end: nothing happens
        [-3.0, -2.0, -1.0],  # all is over at the start
        [1.0, 1.0 + 1e-9, 2.5],
        [2.0, 2.5, 4.0],  # at a save time: what is just before it, and its derivative
        [1.0, 3.25, 6.0],
    ]
)
# Points that are equal move together: there is a kink where one overtakes another.
MOVES = np.random.default_rng(3).normal(size=CASES.shape)
MOVES[5], MOVES[6, 2] = MOVES[5, :1], MOVES[6, 0]


def weighed(points, mode="reverse"):
    """A number that every result has a part in, and the results."""
    results = seen(points, mode=mode)
    return jnp.sum(WEIGHTS * results), results


def weighed_exactly(known):
    """The same by exponentials, as a function of the points."""
    return lambda points: sum(jnp.sum(WEIGHTS[n] * exact(points, t, known)) for n, t in enumerate(TIMES))


@pytest.mark.slow
def test_values():
    """Populations, heat, work, entropy flow and energy; the instantaneous ones are those of the side of the state."""
    for points, results in zip(CASES, jax.jit(jax.vmap(seen))(CASES), strict=True):
        wanted = np.stack([exact(points, time, points) for time in TIMES])
        np.testing.assert_allclose(results, wanted, rtol=0, atol=1e-8)


def test_pieces():
    """The clock runs from k to k + 1 on piece k; times and slopes are those of the line, inside by rounding."""
    points, start, end = jnp.array([4.0, -1.0, 1.0]), jnp.asarray(0.0), jnp.asarray(5.0)
    pieces, moved = jax.jvp(lambda x: cut(x, start, end), (points,), (jnp.array([1.0, 100.0, 10.0]),))
    np.testing.assert_array_equal(pieces.begins, [0, 0, 1, 4])
    np.testing.assert_array_equal(pieces.ends, [0, 1, 4, 5])
    np.testing.assert_array_equal(moved.begins, [0, 0, 10, 1])
    np.testing.assert_array_equal(moved.ends, [0, 10, 1, 0])
    times = jnp.array([0.0, 0.25, 1.0, 2.5, 4.0, 5.0])
    np.testing.assert_array_equal(pieces.piece_of(times), [1, 1, 1, 2, 2, 3])
    clocks = pieces.clocks(times)
    np.testing.assert_allclose(clocks, [1, 1.25, 2, 2.5, 3, 4], rtol=0, atol=1e-13)
    assert clocks[2] < 2 and clocks[4] < 3 and clocks[5] == 4
    back, length = jax.vmap(pieces.at)(clocks)
    np.testing.assert_allclose(back, times, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(length, [1, 1, 1, 3, 3, 1])
    assert back[2] < 1 and back[4] < 4
    after, _ = jax.vmap(pieces.at)(jnp.array([2.0, 3.0]))
    assert after[0] > 1 and after[1] > 4
    assert np.all(pieces.ending[1:] < np.array([1.0, 4.0])) and np.all(pieces.starting[1:] > np.array([1.0, 4.0]))


BAD = {
    "a number": (2.0, r"breakpoints must be a vector of times, \[s\] for one; got shape \(\)"),
    "NaN": ([1.0, np.nan], "breakpoints must be numbers; got"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    """Breakpoints that are none."""
    given, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        qdb.evolve(protocol((1.0, 2.0, 3.0)), np.diag([0.3, 0.7]), TIMES, breakpoints=given)


def test_refused_for_a_generator():
    """A generator does not change in time."""
    with pytest.raises(ValueError, match="breakpoints belong to a protocol"):
        qdb.evolve(protocol((1.0, 2.0, 3.0))(0.0), np.diag([0.3, 0.7]), TIMES, breakpoints=[1.0])


@pytest.mark.slow
def test_not_a_number_is_flagged():
    """NaN among traced breakpoints."""
    points = CASES[:2].copy()
    points[1, 1] = np.nan
    status = jax.jit(
        jax.vmap(lambda x: qdb.evolve(protocol(CASES[0]), np.diag([0.3, 0.7]), TIMES, breakpoints=x).status)
    )(points)
    assert status[0] == 0 and status[1] & qdb.Status.NONFINITE_INPUT


@pytest.mark.slow
def test_second_law_across_jumps():
    """First law with the work of a jump of H, entropy that is never destroyed, and the kinks of the current."""
    times = np.linspace(0.3, 6, 58)
    points = (1.0, 2.5, 4.0)
    evolution = qdb.evolve(protocol(points), np.diag([0.3, 0.7]), times, start=START, breakpoints=points)
    law = qdb.thermodynamics.second_law(evolution)
    gained = law.work + np.sum(law.heat, axis=1)
    np.testing.assert_allclose(gained, law.energy - law.energy[0], rtol=0, atol=1e-8)
    assert np.abs(law.work[-1]) > 0.1 and np.all(np.diff(law.entropy_produced) > -1e-8)
    jumped = np.flatnonzero(np.abs(np.diff(law.work)) > 0.01)
    np.testing.assert_array_equal(jumped, [22])  # the interval that follows 2.5, where the state is that before
    np.testing.assert_array_equal(evolution.work_current, 0)


@pytest.mark.slow
def test_reverse_mode():
    """The gradient, in reverse mode."""
    found = jax.jit(jax.vmap(jax.grad(weighed, has_aux=True)))(CASES)
    for points, move, gradient in zip(CASES, MOVES, found[0], strict=True):
        wanted = jax.grad(weighed_exactly(points))(jnp.asarray(points))
        np.testing.assert_allclose(gradient @ move, wanted @ move, rtol=0, atol=1e-8)
        if len(set(points)) == 3:
            np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-8)
    assert np.abs(found[0][0]).min() > 1e-3


@pytest.mark.slow
def test_forward_mode_and_second_derivatives():
    """First and second derivative along a direction in which all points move."""
    cases, moves = CASES[[0, 1, 2, 4, 7]], MOVES[[0, 1, 2, 4, 7]]

    def both(function, point, move):
        first = lambda x: jax.jvp(function, (x,), (move,))[1]  # noqa: E731
        return jax.jvp(first, (point,), (move,))

    found = jax.jit(jax.vmap(lambda x, move: both(lambda y: weighed(y, "forward")[0], x, move)))(cases, moves)
    for points, move, slope, curvature in zip(cases, moves, *found, strict=True):
        wanted = both(weighed_exactly(points), jnp.asarray(points), jnp.asarray(move))
        np.testing.assert_allclose(slope, wanted[0], rtol=0, atol=1e-8)
        np.testing.assert_allclose(curvature, wanted[1], rtol=0, atol=1e-7)
    assert np.abs(found).min() > 1e-3
