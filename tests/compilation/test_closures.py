"""Functions that differ in numbers share a program; those that differ in anything else do not."""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.compilation.closures import ClosedFunction, closed
from qdbjax.compilation.eager import jit_if_eager

traced = []
RATE = 0.5


@jit_if_eager
def run(function, x):
    traced.append(function)
    return function(x)


def made(function, x=2.0):
    """The result, and whether the function had to be traced."""
    before = len(traced)
    found = run(closed(function), jnp.asarray(x))
    return float(found), len(traced) > before


def line(slope, offset=1.0, *, power=2, table=(1.0, 2.0)):
    bend = np.array(table)
    inside = lambda x: slope * x**power  # noqa: E731
    return lambda x: inside(x) + offset + jnp.sum(jnp.asarray(bend))


def test_numbers_are_arguments():
    assert made(line(3.0)) == (16.0, True)
    assert made(line(4.0)) == (20.0, False)
    assert made(line(jnp.asarray(0.5), 2.0))[0] == 7.0
    assert made(line(4.0, power=3)) == (36.0, True)
    assert made(line(4.0, table=(1.0, 3.0))) == (21.0, True)
    assert made(line(5.0, table=(1.0, 3.0))) == (25.0, False)


def test_globals_defaults_partials_and_containers(monkeypatch):
    def one():
        return lambda x, gain=2.0: gain * RATE * x

    assert made(one()) == (2.0, True)
    monkeypatch.setitem(globals(), "RATE", 1.5)
    assert made(one()) == (6.0, False)

    def added(x, a, b):
        return x + a["first"] * b[0]

    assert made(ft.partial(added, a={"first": 1.0}, b=[2.0])) == (4.0, True)
    assert made(ft.partial(added, a={"first": 3.0}, b=[4.0])) == (14.0, False)
    assert made(ft.partial(added, a={"first": 3.0}, b=[4])) == (14.0, True)


class Box:
    """An object of the user's."""

    shared = 5.0

    def __init__(self, value):
        self.value = value


def test_what_may_be_changed_in_place_is_looked_at_anew(monkeypatch):
    """Objects, classes, and functions inside a pytree: a new function sees what has become of them."""
    box, bath = Box(2.0), qdb.Bath(qdb.sigma_x(), lambda w: RATE * w, temperature=1.0)
    makers = [
        lambda: lambda x: box.value * x,
        lambda: lambda x: Box.shared * x,
        lambda: lambda x: bath.noise(x) * 0 + bath.spectral_density.over_frequency(x) * x,
    ]
    first = [made(maker())[0] for maker in makers]
    box.value = 3.0
    monkeypatch.setattr(Box, "shared", 7.0)
    monkeypatch.setitem(globals(), "RATE", 1.5)
    again = [made(maker())[0] for maker in makers]
    np.testing.assert_allclose(first, [4.0, 10.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(again, [6.0, 14.0, 3.0], rtol=1e-12)


def test_a_bath_is_taken_apart():
    """Its numbers are arguments, its operators known."""
    through = lambda t: (lambda b: lambda x: b.noise(x))(qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.1, 5.0), temperature=t))  # noqa: E731
    (cold, traced_once), (hot, traced_again) = made(through(0.5)), made(through(2.0))
    assert traced_once and not traced_again and hot > cold


def test_what_cannot_be_taken_apart_stays_a_function():
    def countdown(x):
        return x if RATE > 100 else countdown

    assert closed(countdown) is countdown
    assert closed(len) is not None and not isinstance(closed(countdown), ClosedFunction)


def ramp(rate, sign=1):
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.05, 5.0), temperature=0.5)
    return lambda time: qdb.davies((0.5 + sign * rate * time) * jnp.asarray(qdb.sigma_z(), time.dtype), bath)


TIMES, START = np.linspace(0.0, 4.0, 3), np.diag([0.5, 0.5])


def work(rate, sign=1):
    return qdb.evolve(ramp(rate, sign), START, TIMES).account.work[-1]


@pytest.mark.slow
def test_a_new_protocol_compiles_nothing():
    """Work of a slow ramp of a qubit, by its own derivative and by differences; the same numbers another way."""
    from compilation.test_eager import compilations

    first = work(0.1)
    found = []
    assert compilations(lambda: found.extend([work(0.2), work(0.1)])) == 0
    assert found[1] == first and found[0] < first
    inlined = jax.jit(lambda: work(0.2))()  # the number a constant of the program
    np.testing.assert_allclose(found[0], inlined, rtol=1e-9)
    assert work(0.1, -1) > 0 > first  # an integer, compiled anew


@pytest.mark.slow
def test_gradient_through_a_protocol():
    """In the number that a protocol closes over, against differences."""
    slope = jax.grad(work)(0.2)
    np.testing.assert_allclose(slope, (work(0.2 + 1e-4) - work(0.2 - 1e-4)) / 2e-4, rtol=1e-6)


@pytest.mark.parametrize("decides", ["python", "numpy"])
def test_a_protocol_that_looks_at_its_numbers(decides):
    """By `if`, or through NumPy: then they are constants, as they are."""

    def protocol(rate):
        def generator(time):
            gap = 0.5 + (rate if rate > 0 else 0.0) * time if decides == "python" else 0.5 + np.square(rate**0.5) * time
            bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.05, 5.0), temperature=0.5)
            return qdb.davies(gap * jnp.asarray(qdb.sigma_z(), time.dtype), bath)

        return generator

    np.testing.assert_allclose(qdb.evolve(protocol(0.2), START, TIMES).account.work[-1], work(0.2), rtol=1e-9)
