"""Two ways to compile a program: quickly, where it runs once or on few cells, or optimised, where it runs on many.

On a CPU most of a first call is LLVM. Quick programs leave out its expensive passes and XLA's fusion emitters: a ring's
gradient compiles in 2.7 s of processor time for 7.6 s, a chain of 3 spins in 1.3 s for 5.3 s. One call takes as long as
before, a cell of a batch two to three times as long. Their numbers agree to rounding.
"""

import contextlib
import contextvars
import functools as ft
from collections.abc import Iterator
from typing import Any

import jax
from jax.core import Tracer

from qdbjax._checks import setting

# Level 1 in place of 0 ends the process inside LLVM for some gradients (jaxlib 0.10.2, AVX-512: "Cannot select").
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
# Cells from which on a program is optimised. What optimising costs is saved by 5e6 to 1e7 cells of a ring, of an
# arbitrary 3x3 Hamiltonian or of a chain, forward or gradient: within ten calls of this size.
MANY = 1_000_000
# Entries of a constant (an operator of 128 levels) from which on XLA must not compute with constants: its compiler
# multiplies matrices entry by entry, so that a chain of ten spins compiled for more than five minutes, and in 3 s
# without. Smaller constants are worth folding, a chain of three spins is twice as fast.
LARGE = 2**14
UNFOLDED = {"xla_disable_hlo_passes": "constant_folding"}
_is_unfolded: contextvars.ContextVar[bool] = contextvars.ContextVar("qdbjax_unfolded", default=False)
_wanted: contextvars.ContextVar[bool | None] = contextvars.ContextVar("qdbjax_optimize", default=None)


@contextlib.contextmanager
def optimize(wanted: bool | None) -> Iterator[None]:
    """Choose how programs are compiled inside a `with` block.

    wanted: True for optimised programs (slower to compile, faster on many cells), False for quick ones, None for the
        choice by the number of cells.

    Programs inside a jax.jit of yours are yours to compile. Raises ValueError for anything else.

    >>> with qdb.compilation.optimize(True):
    ...     found = qdb.gibbs(qdb.models.qubit(1.0), temperature=1.0)
    """
    if wanted not in (True, False, None):
        raise ValueError(f"optimize must be True, False or None; got {wanted!r}.")
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


@contextlib.contextmanager
def unfolded(wanted: bool) -> Iterator[None]:
    """Leave products of constants to the program, not to its compiler, inside a `with` block; see `LARGE`."""
    token = _is_unfolded.set(wanted or _is_unfolded.get())
    try:
        yield
    finally:
        _is_unfolded.reset(token)


def chosen(wanted: bool | None) -> contextlib.AbstractContextManager:
    """`optimize` for an argument of that name, whose None leaves what is chosen outside."""
    return contextlib.nullcontext() if wanted is None else optimize(wanted)


def is_optimized(cells: int) -> bool:
    """Whether a program that runs on so many cells at once is to be optimised."""
    wanted = _wanted.get()
    return cells >= MANY if wanted is None else wanted


def compiler_options(cells: int, *arguments: Any) -> dict[str, Any]:
    """Options of jax.jit for a program that runs on so many cells; none for other backends than the CPU's."""
    quick = not is_optimized(cells) and _platforms(arguments) == {"cpu"}
    return (_accepted(tuple(QUICK.items())) if quick else {}) | unfolded_options(_is_unfolded.get())


def unfolded_options(wanted: bool) -> dict[str, Any]:
    """Options under which the compiler does not compute with constants, if it is wanted and this jaxlib knows them."""
    return _accepted(tuple(UNFOLDED.items())) if wanted else {}


def _platforms(arguments: tuple) -> set[str]:
    """Where a program with these arguments will run."""
    arrays = [leaf for leaf in jax.tree.leaves(arguments) if isinstance(leaf, jax.Array)]
    known = {device.platform for x in arrays if not isinstance(x, Tracer) for device in x.devices()}
    return known or {default_platform()}


def default_platform() -> str:
    """The platform of JAX's own choice of a device."""
    chosen = setting("jax_default_device")
    if chosen is None:
        return jax.default_backend()
    return chosen if isinstance(chosen, str) else chosen.platform


@ft.cache
def _accepted(options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Those that this version of jaxlib knows: another one would make every program an error."""
    if _compiles(dict(options)):
        return dict(options)
    return {name: value for name, value in options if _compiles({name: value})}


def _compiles(options: dict[str, Any]) -> bool:
    cpu = jax.local_devices(backend="cpu")[0]
    try:
        with jax.default_device(cpu):
            jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def cells_of(tree: Any) -> int:
    """How many cells a call under jax.vmap works on at once, 1 outside of it.

    A batched array knows its own shape and, inside, that of the whole batch.
    """
    return max((_cells(leaf) for leaf in jax.tree.leaves(tree) if isinstance(leaf, Tracer)), default=1)


def _cells(tracer: Tracer) -> int:
    size, whole = max(1, tracer.size), tracer
    while isinstance(whole, Tracer):
        inner = getattr(whole, "val", getattr(whole, "primal", None))
        if inner is None:  # a tracer of a kind that is not known here
            break
        whole = inner
    return max(1, getattr(whole, "size", 1) // size)
