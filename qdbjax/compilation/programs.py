"""Compiled programs by function, so that a second sweep or fit of the same function does not compile.

Programs hold no reference to the function and go when it goes. What a function closes over is baked into its program
as a constant: rebinding a global or a variable of the enclosing function makes a new program; changing an object in
place, or what a helper closes over, is not seen, as with jax.jit.
"""

import functools as ft
import inspect
import weakref
from collections.abc import Callable

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_programs: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def programs_of(fn: Callable) -> dict:
    """The dictionary of programs compiled for fn and for what it closes over now; a fresh one where none is kept."""
    try:
        captured, programs = _programs.get(fn, (None, None))
        now = _captured(fn)
        if programs is None or not _same(captured, now):
            programs = {}
            _programs[fn] = (now, programs)
        return programs
    except TypeError:  # not hashable, or without weak references
        return {}


def _captured(fn: Callable) -> tuple:
    if isinstance(fn, ft.partial):
        return (*_captured(fn.func), *fn.args, *fn.keywords.values())
    if not inspect.isfunction(fn):
        return ()
    try:
        variables = inspect.getclosurevars(fn)
    except ValueError:  # a variable of the enclosing function that is not set yet
        return ()
    values = (*variables.nonlocals.values(), *variables.globals.values(), *(fn.__defaults__ or ()))
    # A function that calls itself would be kept alive by its own entry.
    return tuple(value for value in values if value is not fn)


def _same(old: tuple, new: tuple) -> bool:
    return len(old) == len(new) and all(
        a is b or (type(a) is type(b) and isinstance(a, _PLAIN) and a == b) for a, b in zip(old, new, strict=True)
    )
