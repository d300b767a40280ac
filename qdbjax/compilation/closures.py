"""A function as data: the numbers it closes over are arguments of its program, and only what it does is static.

Two functions made by the same code that differ in such numbers then share one compiled program, where jax.jit compiles
again for every new lambda. Followed are variables of the enclosing function, globals, defaults, functools.partial, and
functions of the user's own among them; numbers are Python floats and JAX arrays, and those in containers and pytrees.
Integers, strings and NumPy arrays are compared by value; modules, classes and functions of installed packages by
identity. A function that holds anything else (an object, a class or a module of the user's own, which may be changed in
place without a trace) is not taken apart, and a new one is compiled anew.
"""

import functools as ft
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

_CONSTANT = (bool, int, str, bytes, type(None), np.bool_, np.integer, np.dtype)


class _Opaque(Exception):
    """A function that cannot be taken apart."""


class _Kept:
    """Any object, compared by a key of ours: the object itself by identity, a NumPy array by its value."""

    def __init__(self, value: Any):
        by_value = isinstance(value, np.ndarray)
        self.value = value.copy() if by_value else value
        self._key = (value.shape, str(value.dtype), value.tobytes()) if by_value else id(value)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and self._key == other._key


class ClosedFunction(eqx.Module):
    """A function, taken apart into its numbers and the plan to put it together again."""

    numbers: list
    plan: Any = eqx.field(static=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _together(self.plan, self.numbers)(*args, **kwargs)


def closed(function: Callable) -> Callable:
    """The function as a ClosedFunction; the function itself where it cannot be taken apart."""
    numbers: list = []
    try:
        plan = _apart(function, numbers, ())
        hash(plan)
    except (_Opaque, TypeError):
        return function
    return ClosedFunction(numbers, plan)


def _apart(value: Any, numbers: list, within: tuple) -> tuple:
    """A hashable plan of a value; its numbers are appended to the list."""
    if isinstance(value, jax.Array | float | complex | np.inexact):
        numbers.append(jnp.asarray(value))
        return "number", len(numbers) - 1
    if isinstance(value, _CONSTANT):
        return "constant", type(value), value
    if isinstance(value, np.ndarray):
        return "kept", _Kept(value)
    if isinstance(value, types.FunctionType) and not is_of_a_library(value):
        return _function_apart(value, numbers, within)
    if isinstance(value, ft.partial) and not isinstance(value, jax.tree_util.Partial):
        parts = [_apart(part, numbers, within) for part in (value.func, value.args, dict(value.keywords))]
        return "partial", *parts
    leaves, tree = jax.tree.flatten(value)
    if len(leaves) == 1 and leaves[0] is value:
        if not is_of_a_library(value):
            raise _Opaque("an object that may be changed in place")
        return "kept", _Kept(value)
    if " at 0x" in str(tree):  # the address of a function or object among what is static, such as β(ω) of a bath
        raise _Opaque("a function or an object inside a pytree")
    return "tree", tree, tuple(_apart(leaf, numbers, within) for leaf in leaves)


def _function_apart(function: types.FunctionType, numbers: list, within: tuple) -> tuple:
    if any(function is outer for outer in within):
        raise _Opaque("a function that calls itself")
    inside = (*within, function)
    try:
        cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    except ValueError:
        raise _Opaque("a variable of the enclosing function that is not set yet") from None
    named = {name: function.__globals__[name] for name in names_in(function.__code__) if name in function.__globals__}
    parts = [cells, function.__defaults__, function.__kwdefaults__, named]
    plans = [_apart(part, numbers, inside) for part in parts]
    return "function", function.__code__, _Kept(function.__globals__), function.__name__, *plans


def names_in(code: types.CodeType) -> Iterator[str]:
    """Names that a function and those written inside it may look up in its module."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)


def is_of_a_library(value: Any) -> bool:
    """Whether a module, class or function belongs to an installed package, which nobody changes between two calls."""
    if isinstance(value, types.ModuleType):
        name = value.__name__
    elif isinstance(value, type) or callable(value):
        name = getattr(value, "__module__", None) if hasattr(value, "__qualname__") else None
    else:
        return False
    package = (name or "__main__").split(".")[0]
    if package in ("qdbjax", "builtins") or package in sys.stdlib_module_names - {"__main__"}:
        return True
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return any(folder in file for folder in ("site-packages", "dist-packages"))


def _together(plan: tuple, numbers: list) -> Any:
    """The value of a plan, with these numbers."""
    kind, *rest = plan
    if kind == "number":
        return numbers[rest[0]]
    if kind == "constant":
        return rest[1]
    if kind == "kept":
        return rest[0].value
    if kind == "tree":
        return jax.tree.unflatten(rest[0], [_together(part, numbers) for part in rest[1]])
    if kind == "partial":
        function, args, keywords = (_together(part, numbers) for part in rest)
        return ft.partial(function, *args, **keywords)
    code, module, name, *plans = rest
    cells, defaults, keyword_defaults, named = (_together(part, numbers) for part in plans)
    function = types.FunctionType(
        code, {**module.value, **named}, name, defaults, tuple(types.CellType(cell) for cell in cells)
    )
    function.__kwdefaults__ = keyword_defaults
    return function
