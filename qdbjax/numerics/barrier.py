"""An optimisation barrier: values that are computed once, written to memory, and read from there at every use.

XLA recomputes cheap-looking producers inside every consumer. A conditional that is not decided at compile time is the
one barrier that it keeps on a CPU. Its predicate is made of one number of the first cell of a batch: it stays a branch
under vmap, and costs nothing (the predicate that any energy of a batch is a number took a quarter of the ring's time).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.interpreters import ad, batching, mlir

from qdbjax._types import Array, Bool
from qdbjax.numerics.entries import UNROLL, complex_array, flat_entries, real_and_imaginary, stack_entries

LARGE_TENSOR = 8**4  # number of entries up to which a barrier gains nothing


opaque_true_p = jex.Primitive("opaque_true")


def opaque_true(unknown: Array) -> Bool[Array, ""]:
    """True, which XLA cannot tell, and which is one for all cells of a batch.

    unknown: an array of which XLA does not know every number when it compiles.
    """
    return opaque_true_p.bind(unknown)


def _opaque_true(unknown: Array) -> Bool[Array, ""]:
    positive = jnp.sum(jnp.real(unknown)) > 0
    return positive | ~positive


def _first_cell(unknown: Array, axis: int) -> Array:
    return jax.lax.index_in_dim(unknown, 0, axis, keepdims=False) if unknown.shape[axis] else jnp.zeros(())


def _opaque_true_batch(arguments, axes):
    return opaque_true(_first_cell(*arguments, *axes)), None


def _opaque_true_jvp(primals, _):
    value = opaque_true(*primals)
    return value, ad.Zero(jax.typeof(value).to_tangent_aval())


opaque_true_p.def_abstract_eval(lambda _: ShapedArray((), np.dtype(bool)))
opaque_true_p.def_impl(jax.jit(_opaque_true))
mlir.register_lowering(opaque_true_p, mlir.lower_fun(_opaque_true, multiple_results=False))
batching.primitive_batchers[opaque_true_p] = _opaque_true_batch
ad.primitive_jvps[opaque_true_p] = _opaque_true_jvp


def optimization_barrier_cond(function: Callable, unknown: Array, *operands: Any) -> Any:
    """function(*operands), behind a barrier.

    operands: trees, whose leaves need not all be arrays (a network's activation function). Complex ones pass as real
        and imaginary part, from which loops fill vectors (tables of a block of three levels: 0.7 of the time).
    unknown: see `opaque_true`; of what decides the conditional.
    """
    arrays, rest = eqx.partition(operands, eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)

    def of_parts(parts):
        whole = [jax.lax.complex(*part) if len(part) == 2 else part[0] for part in parts]
        return function(*eqx.combine(jax.tree.unflatten(tree, whole), rest))

    parts = [(jnp.real(x), jnp.imag(x)) if jnp.iscomplexobj(x) else (x,) for x in leaves]
    shapes = jax.eval_shape(of_parts, parts)

    def never(*_):
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    return jax.lax.cond(opaque_true(unknown), of_parts, never, parts)


def barrier_where_large(function: Callable, unknown: Array, *operands: Any) -> Array:
    """function(*operands), an array, behind a barrier if it is large; to reshape it is free then.

    With four indices computed from two the compiler fills no vector (matrix of L, d = 16: 720 µs in place of 160).
    """
    if jax.eval_shape(function, *operands).size <= LARGE_TENSOR:
        return function(*operands)
    return optimization_barrier_cond(function, unknown, *operands)


written_p = jex.Primitive("written")
written_p.multiple_results = True


def materialize(array: Array) -> Array:
    """Energies or eigenvectors of up to three levels behind a barrier; without, XLA computes them anew at each use.

    So are tangents (sines of a ring's flux: 21 in place of 3, and twice the time). Cotangents are used once.
    """
    if array.shape[0] > UNROLL:
        return array
    if jnp.iscomplexobj(array):
        return complex_array(*map(materialize, real_and_imaginary(array)))
    parts = flat_entries(array)
    return stack_entries(written_p.bind(sum(parts[1:], parts[0]), *parts), array.shape)


def _written(unknown: Array, *values: Array) -> list[Array]:
    return optimization_barrier_cond(lambda *values: list(values), unknown, *values)


def _written_batch(arguments, axes):
    (unknown, *values), (axis, *others) = arguments, axes
    return written_p.bind(unknown if axis is None else _first_cell(unknown, axis), *values), others


def _written_jvp(primals, tangents):
    unknown, *values = primals
    changes = [ad.instantiate_zeros(change) for change in tangents[1:]]
    return written_p.bind(unknown, *values), written_p.bind(unknown, *changes)


def _written_transpose(cotangents, _, *values):
    # Tangents that are known to be zero are no unknowns: none of theirs is asked for.
    linear = map(ad.is_undefined_primal, values)
    return [None, *(each if is_linear else None for each, is_linear in zip(cotangents, linear, strict=True))]


written_p.def_abstract_eval(lambda _, *values: list(values))
written_p.def_impl(jax.jit(_written))
mlir.register_lowering(written_p, mlir.lower_fun(_written, multiple_results=True))
batching.primitive_batchers[written_p] = _written_batch
ad.primitive_jvps[written_p] = _written_jvp
ad.primitive_transposes[written_p] = _written_transpose
