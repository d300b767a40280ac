"""diffrax without its own look at the times, which calls back into Python from every compiled program.

diffeqsolve raises from within a program if times do not ascend, by a callback to the host: such a program cannot be
exported to another platform, is not kept on disk, and stops an accelerator at every call. Times are checked before
(`checked_times`: an error where they are known, NaN where they are traced), and diffrax has no setting for it.
"""

import contextlib
import contextvars
import functools as ft
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_is_quiet: contextvars.ContextVar[bool] = contextvars.ContextVar("qdbjax_unchecked_times", default=False)


class _Internals:
    """equinox.internal as diffrax sees it: checks of values are left out where `times_unchecked` says so."""

    def __init__(self, internals: ModuleType):
        self._internals = internals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._internals, name)

    def error_if(self, x: Any, pred: Any, msg: str, **options: Any) -> Any:
        return x if _is_quiet.get() else self._internals.error_if(x, pred, msg, **options)


@ft.cache
def _install() -> None:
    """Once; everybody else's calls of diffrax stay as they are, in other threads too."""
    module: Any = importlib.import_module("diffrax._integrate")

    module.eqxi = _Internals(module.eqxi)


@contextlib.contextmanager
def times_unchecked() -> Iterator[None]:
    """Leave the check of times out of what is traced inside a `with` block."""
    _install()
    token = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(token)
