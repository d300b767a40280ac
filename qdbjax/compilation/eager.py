"""What is compiled when: a function called eagerly, a function in a program, a value known while a program is made.

jax.jit takes compiler options, but not under an eager jax.grad, which places the derivative in a program of its own.
So a call outside of programs is one primitive, whose derivatives and batches are calls of the same kind; each of them
is compiled when it is reached, by the tier that its number of cells asks for.
"""

import contextlib
import functools as ft
import gc
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.interpreters import ad, batching, mlir, partial_eval as pe

from qdbjax._checks import is_traced, setting
from qdbjax.compilation.flat_function import FlatFunction, dependence
from qdbjax.compilation.tiers import compiler_options

Function = TypeVar("Function", bound=Callable)
SETTINGS = (  # of JAX, that a trace depends on
    "jax_enable_x64",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_default_matmul_precision",
    "jax_default_device",
    "jax_debug_nans",
)


def _in_a_program() -> bool:
    """Whether what is computed now becomes part of a program (jit, scan, make_jaxpr): a constant is a tracer there."""
    return isinstance(jnp.zeros((), bool), Tracer)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Tracing makes objects by the million, few of them garbage: looking for it takes a tenth of a first call."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_HERE = object()  # marks the place of an array among what is static
KEPT = 1024  # programs of one function


def _jit_arguments(options: dict[str, Any]) -> dict[str, Any]:
    return {"compiler_options": options} if options else {}


class Tiered:
    """A function compiled quickly for few cells and optimised for many; arrays are traced, all else is static.

    For programs that say themselves on how many cells they work, as the first argument: the steps of a fit. Not
    differentiated from outside.
    """

    def __init__(self, function: Callable):
        self._function = function
        self._programs: dict[tuple, Callable] = {}

    def __call__(self, cells: int, *args: Any, **kwargs: Any) -> Any:
        """function(*args, **kwargs), by a program for so many cells at once."""
        options = compiler_options(cells, (args, kwargs))
        key = tuple(options.items())
        if key not in self._programs:
            self._programs[key] = eqx.filter_jit(self._function, **_jit_arguments(options))
        return self._programs[key](*args, **kwargs)


class _Program:
    """An eager function for arguments of one kind: its flat form, and how its results are put together again."""

    static: Any  # what of the results is no array, and their structure: known once the function has been traced
    tree: Any

    def __init__(self, function: Callable, tree: Any, leaves: list, arrays: list):
        places = [n for n, leaf in enumerate(leaves) if _is_array(leaf)]
        rest = [_HERE if _is_array(leaf) else leaf for leaf in leaves]

        def flat(*values):
            whole = list(rest)
            for place, value in zip(places, values, strict=True):
                whole[place] = value
            args, kwargs = jax.tree.unflatten(tree, whole)
            found, self.static = eqx.partition(function(*args, **kwargs), eqx.is_array)
            results, self.tree = jax.tree.flatten(found)
            return results

        closed = jax.jit(flat).trace(*arrays).jaxpr
        if len(closed.in_avals) > len(arrays):  # arrays that the function closes over: constants, not arguments
            closed = jax.make_jaxpr(flat)(*arrays)
        # What the function closes over while an outer transformation is under way belongs to this call alone.
        self.lasting = not is_traced(closed.consts)
        self.flat = FlatFunction(
            jex.jaxpr_as_fun(closed), closed.in_avals, closed.out_avals, depends=dependence(closed.jaxpr), source=flat
        )

    def run(self, arrays: list) -> Any:
        """The results for these arguments."""
        found = program_p.bind(*arrays, function=self.flat, cells=1) if self.lasting else self.flat.call(*arrays)
        return eqx.combine(jax.tree.unflatten(self.tree, found), self.static)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def jit_if_eager(function: Function) -> Function:
    """Run a function compiled when it is called eagerly; inline it where a program is being made.

    A newcomer's first eager call would otherwise compile some hundred single operations, and under an eager grad or
    vmap do so every time (5.5 s against 0.02 s for the README's gradient); inside a program inlining keeps constants
    constants and leaves fusion to the outer program. Arrays are arguments, all else is static, as in
    equinox.filter_jit.
    """
    programs: dict[tuple, _Program] = {}

    @ft.wraps(function)
    def call(*args, **kwargs):
        if _in_a_program():
            return function(*args, **kwargs)
        leaves, tree = jax.tree.flatten((args, kwargs))
        arrays = [leaf for leaf in leaves if _is_array(leaf)]
        kinds = tuple(jax.typeof(leaf) if _is_array(leaf) else (type(leaf), leaf) for leaf in leaves)
        key = (tree, kinds, *(setting(name) for name in SETTINGS))
        program = programs.get(key)
        if program is None:
            with _uncollected():
                program = _Program(function, tree, leaves, arrays)
            if program.lasting:
                programs[key] = program
                if len(programs) > KEPT:
                    del programs[next(iter(programs))]
        return program.run(arrays)

    return cast(Function, call)


program_p = jex.Primitive("program")
program_p.multiple_results = True


def _compiled(*arrays, function: FlatFunction, cells: int) -> list:
    """Compiled at the first call of its kind, by the tier for so many cells."""
    options = compiler_options(cells, arrays)
    made = _jit_arguments(options)
    key = ("program", *options.items())
    with contextlib.nullcontext() if function.has(key) else _uncollected():
        return function.kept(key, lambda: jax.jit(function.source, **made))(*arrays)


def _batch(arrays, axes, *, function, cells):
    size = next(x.shape[axis] for x, axis in zip(arrays, axes, strict=True) if axis is not None)
    found = program_p.bind(*arrays, function=function.batched(tuple(axes), size), cells=cells * size)
    return found, [0] * len(found)


def _jvp(primals, tangents, *, function, cells):
    moving = tuple(n for n, tangent in enumerate(tangents) if type(tangent) is not ad.Zero)
    if moving and set(moving) <= set(function.linear):
        moved = [ad.instantiate_zeros(tangents[n]) if n in function.linear else x for n, x in enumerate(primals)]
        return tuple(program_p.bind(*each, function=function, cells=cells) for each in (primals, moved))
    moved = function.moved(moving) if moving else ()
    given, found = [tangents[n] for n in moving], []
    if moved and any(isinstance(tangent, pe.JaxprTracer) for tangent in given):
        # Tangents that are not known yet: JAX collects what is linear in them, to transpose it for reverse mode.
        with _uncollected():
            forward, slope = function.linearized(moving)
        values = program_p.bind(*primals, function=forward, cells=cells)
        values, residuals = values[: len(function.results)], values[len(function.results) :]
        found = program_p.bind(*residuals, *given, function=slope, cells=cells)
    else:
        values = program_p.bind(*primals, function=function, cells=cells)
        if moved:
            found = program_p.bind(*primals, *given, function=function.derivative(moving), cells=cells)
    changes: list = [ad.Zero(jax.typeof(x).to_tangent_aval()) for x in values]
    for n, change in zip(moved, found, strict=True):
        changes[n] = change
    return values, changes


def _transpose(cotangents, *arguments, function, cells):
    active = tuple(n for n, ct in enumerate(cotangents) if type(ct) is not ad.Zero)
    answers: list = [None] * len(arguments)
    if active:
        rest = [x for n, x in enumerate(arguments) if n not in function.linear]
        back = [cotangents[n] for n in active]
        found = program_p.bind(*rest, *back, function=function.transpose(active), cells=cells)
        for n, x in zip(function.linear, found, strict=True):
            answers[n] = x if ad.is_undefined_primal(arguments[n]) else None
    return answers


program_p.def_abstract_eval(lambda *_, function, cells: list(function.results))
program_p.def_impl(_compiled)
mlir.register_lowering(program_p, mlir.lower_fun(lambda *x, function, cells: function.call(*x), multiple_results=True))
batching.primitive_batchers[program_p] = _batch
ad.primitive_jvps[program_p] = _jvp
ad.primitive_transposes[program_p] = _transpose


def eval_at_trace_time(function: Function) -> Function:
    """Run a function at once where its arguments are known, though a program is being traced.

    What it returns is then a constant of the program that can be looked at, not a tracer.
    """

    @ft.wraps(function)
    def call(*args, **kwargs):
        if is_traced(args, kwargs):
            return function(*args, **kwargs)
        with jax.ensure_compile_time_eval():
            return function(*args, **kwargs)

    return cast(Function, call)
