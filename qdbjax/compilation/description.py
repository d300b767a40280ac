"""What a value or a function is, in words that are the same in every process: files say so what they belong to."""

import ast
import dataclasses
import functools as ft
import hashlib
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax.compilation.closures import is_of_a_library, names_in

SHOWN = 8  # numbers of an array that are written out; of more, a hash
LINE = 60  # letters of a description in an error
DEPTH = 6  # of functions within functions that are described


def describe(value: Any, depth: int = DEPTH) -> str:
    """A value by what it holds: numbers exactly, functions by name and what they close over."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _describe_array(value)
    if isinstance(value, bool | int | float | complex | str | bytes | None):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {describe(each, depth)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"({', '.join(describe(each, depth) for each in value)})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):  # every equinox module
        fields = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
        held = ", ".join(f"{name}={describe(getattr(value, name), depth)}" for name in fields)
        return f"{type(value).__name__}({held})"
    if isinstance(value, ft.partial):  # and jax.tree_util.Partial
        return f"partial{describe((value.func, value.args, value.keywords), depth)}"
    if inspect.isfunction(value):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)] if depth > 0 else []
        inside = ", ".join(describe(each, depth - 1) for each in (*cells, *(value.__defaults__ or ())))
        return f"{value.__qualname__}({inside})"
    return getattr(value, "__qualname__", type(value).__qualname__)


def _describe_array(array: Any) -> str:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    array = np.asarray(array)
    if array.size == 1:
        return repr(array.reshape(()).item())
    if array.size <= SHOWN:
        return f"{array.dtype} {array.tolist()}"
    return f"{array.dtype} {array.shape} #{hashlib.sha256(array.tobytes()).hexdigest()[:12]}"


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def where_they_differ(here: str, there: str) -> tuple[str, ...]:
    """Two descriptions from the part on in which they differ."""
    length = next((n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), 0)
    words = here[:length].rpartition(", ")
    begin = max(len(words[0] + words[1]), here.rfind("(", 0, length) + 1) if len(here + there) > LINE else 0
    return tuple(text[begin : begin + LINE] + (" …" if len(text) > begin + LINE else "") for text in (here, there))


def describe_function(fn: Callable) -> dict[str, str]:
    """A function by its code and by what it closes over, each part by name.

    Functions of the user's own that it calls by name are described in the same way; those of installed packages, and
    whatever is reached through a module or an object, by name alone. The code is the text without comments and
    docstring, or the bytecode where there is no text (a lambda, an interactive session).
    """
    found: dict[str, str] = {}
    for name, text in _parts(fn, set()):
        found[name] = f"{found[name]}; {text}" if name in found else text  # two lambdas have one name
    return found


def _parts(fn: Callable, seen: set[int]) -> Iterator[tuple[str, str]]:
    if isinstance(fn, ft.partial):
        yield from _parts(fn.func, seen)
        given = {**{f"argument {n}": each for n, each in enumerate(fn.args)}, **fn.keywords}
        for name, value in given.items():
            yield from _part(f"{name} of partial", value, seen)
        return
    if isinstance(fn, types.MethodType):
        yield from _part(f"self of {fn.__name__}", fn.__self__, seen)
        fn = fn.__func__
    fn = _plain(fn)
    if not isinstance(fn, types.FunctionType):
        yield "function", describe(fn)
        if isinstance(type(fn).__call__, types.FunctionType) and not is_of_a_library(type(fn)):
            yield from _parts(type(fn).__call__, seen)
        return
    if id(fn) in seen:
        return
    seen.add(id(fn))
    yield f"function {fn.__name__}", _code_of(fn)
    cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
    values = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
    values |= {name: fn.__globals__[name] for name in names_in(fn.__code__) if name in fn.__globals__}
    values |= {
        name: p.default
        for name, p in inspect.signature(fn, follow_wrapped=False).parameters.items()
        if p.default is not p.empty
    }
    for name, value in values.items():
        yield from _part(f"{name} in {fn.__name__}", value, seen)


def _plain(fn: Any) -> Any:
    """The function under jax.jit; what a decorator of the user's own does belongs to the function that it makes."""
    while hasattr(fn, "__wrapped__") and not isinstance(fn, types.FunctionType):
        fn = fn.__wrapped__
    return fn


def _part(name: str, value: Any, seen: set[int]) -> Iterator[tuple[str, str]]:
    if isinstance(value, types.ModuleType):
        return
    plain = _plain(value)
    if isinstance(plain, types.FunctionType | types.MethodType | ft.partial) and not is_of_a_library(plain):
        yield from _parts(plain, seen)
    else:
        yield name, describe(value)


def _code_of(fn: types.FunctionType) -> str:
    try:
        (written,) = ast.parse(textwrap.dedent(inspect.getsource(fn.__code__))).body
    except (OSError, SyntaxError, TypeError, ValueError):
        written = None
    if not isinstance(written, ast.FunctionDef):
        return f"bytecode #{hashlib.sha256(repr(_bytecode(fn.__code__)).encode()).hexdigest()[:12]}"
    if ast.get_docstring(written) is not None:
        written.body = written.body[1:] or [ast.Pass()]
    return ast.unparse(written)


def _bytecode(code: types.CodeType) -> tuple:
    return code.co_code, code.co_names, code.co_varnames, [_constant(each) for each in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _bytecode(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)  # sets have no order
