"""Functions in words: the same in every process, and different where the function is."""

import functools as ft
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.compilation.description import describe_function

SCALE = np.arange(20.0)


def outer(x, power=2):
    """Says nothing."""
    return inner(x) ** power


def inner(x):
    return SCALE[3] * jnp.sin(x)


def itself(x, depth=2):
    return x if depth == 0 else itself(x, depth - 1)


def closing_over(number, function=jnp.sin):
    return lambda x: number * function(x) if x in {"a", "b", "c"} else 0


def decorated(number):
    @ft.wraps(outer)
    def wrapper(x):
        return number * outer(x)

    return wrapper


class Wave:
    def __call__(self, x):
        return jnp.sin(x)

    def at(self, x):
        return jnp.cos(x)


class Other:
    def __call__(self, x):
        return jnp.sin(2 * x)

    def at(self, x):
        return jnp.cos(2 * x)


Other.__qualname__ = "Wave"


def test_code_constants_and_helpers_are_named():
    found = describe_function(outer)
    assert list(found) == ["function outer", "function inner", "SCALE in inner", "power in outer"]
    assert found["function outer"] == "def outer(x, power=2):\n    return inner(x) ** power"
    assert found["SCALE in inner"].startswith("float64 (20,) #") and found["power in outer"] == "2"


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        (closing_over(1.0), closing_over(2.0), {"number in <lambda>"}),
        (closing_over(1.0), closing_over(1.0, jnp.cos), {"function in <lambda>"}),
        (closing_over(1.0), lambda x: x, None),
        (ft.partial(outer, power=3), ft.partial(outer, power=4), {"power of partial"}),
        (ft.partial(outer, 1.0), ft.partial(outer, 2.0), {"argument 0 of partial"}),
        (jax.jit(outer), outer, set()),
        (itself, itself, set()),
        (closing_over(np.arange(9)), closing_over(np.arange(9)), set()),
        (closing_over(np.arange(9)), closing_over(np.arange(9) + 1), {"number in <lambda>"}),
        (lambda x: inner(x), lambda x: inner(x), set()),
        (lambda x: 2 * inner(x), lambda x: 3 * inner(x), {"function <lambda>"}),
        (np.sin, np.cos, {"function"}),
        (decorated(2.0), decorated(3.0), {"number in outer"}),
        (decorated(2.0), outer, {"function outer", "number in outer"}),
        (Wave(), Other(), {"function __call__"}),
        (Wave().at, Other().at, {"function at"}),
    ],
)
def test_what_differs(one, other, names):
    here, there = describe_function(one), describe_function(other)
    differing = {name for name in {*here, *there} if here.get(name) != there.get(name)}
    assert differing if names is None else differing == names


def test_the_same_in_another_process():
    """Sets have another order there, and objects another address."""
    code = (
        f"import sys; sys.path.insert(0, {__file__.rpartition('/')[0]!r})\n"
        "import test_description as t\n"
        "print(t.describe_function(t.closing_over(1.0)))"
    )
    wanted = str(describe_function(closing_over(1.0)))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": "1"})
    assert done.stdout.strip() == wanted
