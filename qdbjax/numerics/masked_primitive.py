"""A JAX primitive: one function evaluated in the active cells of a batch, zeros in all others (stream compaction).

Under vmap `lax.cond` with a batched predicate evaluates both branches for every cell. The batching rule here merges
nested batches into one; the lowering gathers the active cells, a block of fixed size at a time, evaluates the function
and scatters the results back. A batch without an active cell skips all of it.

It is a primitive because derivatives, in forward, reverse and mixed mode, must not cost inactive cells anything either.
With J the Jacobian of f, x ↦ J x and y ↦ Jᵀ y are two more functions evaluated cell by cell, each the transpose of the
other. They are traced when they are lowered and not before: the rules below only say which function comes next.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.interpreters import ad, batching, mlir

from qdbjax.compilation.flat_function import FlatFunction
from qdbjax.numerics.batch_minor import over_cells

masked_map_p = jex.Primitive("masked_map")
masked_map_p.multiple_results = True


ALL = np.iinfo(np.int32).max  # size of a block for a whole batch


class Blocks(NamedTuple):
    """How active cells are worked on together.

    size: largest number of cells of a block.
    minor: whether they stand along the last axis (`batch_minor`), for functions of small arrays.
    entries: whether small arrays are handed over entry by entry (`masked`), for branches that few cells take.
    bytes: that the largest array of a block may have; no limit if 0.
    """

    size: int
    minor: bool = False
    entries: bool = True
    bytes: int = 0

    def within_bytes(self, cell: jex.ClosedJaxpr) -> "Blocks":
        """With as many cells as the limit on bytes has room for, `cell` being what is evaluated in one of them."""
        room = self.bytes // max(1, _largest_array(cell.jaxpr)) if self.bytes else self.size
        return self._replace(size=max(1, min(self.size, room)))


def _largest_array(jaxpr: jex.Jaxpr) -> int:
    """Bytes of the largest array that a program makes on its way."""
    inner = [
        part for equation in jaxpr.eqns for part in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
    ]
    programs = [getattr(part, "jaxpr", part) for part in inner if _is_program(part)]
    made = [v.aval for equation in jaxpr.eqns for v in equation.outvars]
    sizes = [x.size * x.dtype.itemsize for x in made if isinstance(x, ShapedArray)]
    return max([0, *sizes, *map(_largest_array, programs)])


def _is_program(part: object) -> bool:
    return isinstance(part, (jex.Jaxpr, jex.ClosedJaxpr))


def _abstract(active, *operands, function, blocks, batched):
    """`active` is a scalar, or (cells,); results and batched operands then have the cells as their first axis."""
    return [ShapedArray((*active.shape, *result.shape), result.dtype) for result in function.results]


def _evaluate(active, *operands, function, blocks, batched):
    if active.ndim:
        return _collect(function, blocks, active, operands, batched)
    nothing = [jnp.zeros(result.shape, result.dtype) for result in function.results]
    return jax.lax.cond(active, lambda: list(function.call(*operands)), lambda: nothing)


def _collect(
    function: FlatFunction, blocks: Blocks, active: jax.Array, operands: Sequence, batched: tuple[bool, ...]
) -> list:
    """Blocks of active cells gathered, evaluated, and scattered back."""
    cells = active.shape[0]
    size = min(blocks.size, cells)
    empty = [jnp.zeros((cells, *result.shape), result.dtype) for result in function.results]
    # The cell number itself is one batched argument, for a batch whose other operands are all shared.
    numbered, numbered_batched = lambda _, *values: function.call(*values), (True, *batched)
    if blocks.minor:
        over = over_cells(numbered, numbered_batched, size)
    else:
        over = jax.vmap(numbered, in_axes=[0 if is_batched else None for is_batched in numbered_batched])

    def collect():
        place = jnp.where(active, jnp.cumsum(active, dtype=jnp.int32) - 1, cells + size)
        queue = jnp.full((cells + size,), cells, jnp.int32)
        queue = queue.at[place].set(jnp.arange(cells, dtype=jnp.int32), mode="drop")
        count = jnp.sum(active, dtype=jnp.int32)

        def work(carry):
            start, results = carry
            cell = jax.lax.dynamic_slice(queue, (start,), (size,))
            index = cell[:, None]
            gathered = [_gather(x, index) if is_batched else x for x, is_batched in zip(operands, batched, strict=True)]
            done = over(cell, *gathered)
            return start + size, [_scatter(old, index, new) for old, new in zip(results, done, strict=True)]

        return jax.lax.while_loop(lambda carry: carry[0] < count, work, (jnp.int32(0), empty))[1]

    return jax.lax.cond(jnp.any(active), collect, lambda: empty)


def _gather(x: jax.Array, index: jax.Array) -> jax.Array:
    """x[index[:, 0]] along the first axis; beyond the end the last row. One operation, where jnp.take makes four."""
    window = tuple(range(1, x.ndim))
    numbers = jax.lax.GatherDimensionNumbers(offset_dims=window, collapsed_slice_dims=(0,), start_index_map=(0,))
    return jax.lax.gather(x, index, numbers, (1, *x.shape[1:]), mode=jax.lax.GatherScatterMode.CLIP)


def _scatter(x: jax.Array, index: jax.Array, rows: jax.Array) -> jax.Array:
    """x with new rows in the places of index[:, 0] along the first axis; those beyond the end are dropped."""
    window = tuple(range(1, x.ndim))
    numbers = jax.lax.ScatterDimensionNumbers(
        update_window_dims=window, inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,)
    )
    return jax.lax.scatter(x, index, rows, numbers, mode=jax.lax.GatherScatterMode.FILL_OR_DROP)


def _batch(arguments, axes, *, function, blocks, batched):
    """One more batch axis, merged with the cells there are."""
    active, *operands = arguments
    size = next(x.shape[axis] for x, axis in zip(arguments, axes, strict=True) if axis is not None)
    before = [n for n in range(active.ndim) if n != axes[0]]
    cells = active.shape[before[0]] if before else None

    def flat(x, axis, had_cells):
        """(axis, cells, ...) merged; an operand that lacks one of the two is repeated along it."""
        x = jnp.broadcast_to(x[None], (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        if cells is None:
            return x
        if not had_cells:
            x = jnp.broadcast_to(x[:, None], (size, cells, *x.shape[1:]))
        return x.reshape(size * cells, *x.shape[2:])

    merged, still = [flat(active, axes[0], True)], []
    for x, axis, is_batched in zip(operands, axes[1:], batched, strict=True):
        moves = is_batched or axis is not None
        merged.append(flat(x, axis, is_batched) if moves else x)
        still.append(moves)
    found = masked_map_p.bind(*merged, function=function, blocks=blocks, batched=tuple(still))
    if cells is not None:
        found = [x.reshape(size, cells, *x.shape[1:]) for x in found]
    return found, [0] * len(found)


def _jvp(primals, tangents, *, function, blocks, batched):
    active, *operands = primals
    value = masked_map_p.bind(active, *operands, function=function, blocks=blocks, batched=batched)
    moving = tuple(n for n, tangent in enumerate(tangents[1:]) if type(tangent) is not ad.Zero)
    if not moving:
        return value, [ad.Zero(jax.typeof(x).to_tangent_aval()) for x in value]
    if set(moving) <= set(function.linear):
        # Linear in all that moves: the tangent is the function itself, at the tangents.
        inputs = [ad.instantiate_zeros(tangents[1 + n]) if n in function.linear else x for n, x in enumerate(operands)]
        return value, masked_map_p.bind(active, *inputs, function=function, blocks=blocks, batched=batched)
    slope = function.derivative(moving)
    still_batched = batched + tuple(batched[n] for n in moving)
    changes = [tangents[1 + n] for n in moving]
    found = masked_map_p.bind(active, *operands, *changes, function=slope, blocks=blocks, batched=still_batched)
    return value, found


def _transpose(cotangents, active, *operands, function, blocks, batched):
    linear = function.linear
    rest = [n for n in range(len(operands)) if n not in linear]
    given = tuple(n for n, cotangent in enumerate(cotangents) if type(cotangent) is not ad.Zero)
    if not given:
        return [None] * (1 + len(operands))
    back = [cotangents[n] for n in given]
    still_batched = tuple(batched[n] for n in rest) + (active.ndim > 0,) * len(back)
    transposed = function.transpose(given)
    found = masked_map_p.bind(
        active,
        *[operands[n] for n in rest],
        *back,
        function=transposed,
        blocks=blocks,
        batched=still_batched,
    )
    answers = [None] * (1 + len(operands))
    for n, x in zip(linear, found, strict=True):
        if ad.is_undefined_primal(operands[n]):
            answers[1 + n] = x if batched[n] or not active.ndim else jnp.sum(x, axis=0)
    return answers


masked_map_p.def_abstract_eval(_abstract)
masked_map_p.def_impl(lambda *arguments, **names: jax.jit(lambda *values: _evaluate(*values, **names))(*arguments))
mlir.register_lowering(masked_map_p, mlir.lower_fun(_evaluate, multiple_results=True))
batching.primitive_batchers[masked_map_p] = _batch
ad.primitive_jvps[masked_map_p] = _jvp
ad.primitive_transposes[masked_map_p] = _transpose
