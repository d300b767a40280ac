"""Calling what a user gives: a function whose arguments are known by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def call_by_name(fn: Callable, values: Mapping[str, Any]) -> Any:
    """fn of arguments by name; by position if it was made by jax.grad and its like, which count arguments."""
    try:
        own = inspect.signature(fn, follow_wrapped=False).parameters.values()
        counts = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in own)
    except ValueError:  # made by equinox, or written in C
        counts = hasattr(fn, "__wrapped__")
    if not counts:
        return fn(**values)
    bound = inspect.signature(fn).bind(**values)
    return fn(*bound.args, **bound.kwargs)
