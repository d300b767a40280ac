"""A JAX primitive: one function evaluated in the cells of a batch that ask for it, zeros in all others.

Under vmap `lax.cond` with a batched predicate evaluates both branches for every cell. The batching rule here merges
nested batches into one, and the lowering collects the cells that ask, a block of fixed size at a time, and scatters the
results back; a batch in which no cell asks skips it all.

A primitive, because derivatives must not cost the other cells anything either, in forward, reverse and mixed mode. With
J the Jacobian of f, x ↦ J x and y ↦ Jᵀ y are two more functions evaluated cell by cell, each the transpose of the
other. They are traced when they are lowered and not before: the rules below only combine names.
"""

from collections.abc import Callable, Sequence

import jax
import jax.extend.core as jex
import jax.numpy as jnp
from jax.interpreters import ad, batching, mlir

Shape = jax.ShapeDtypeStruct


class LaneFunction:
    """A function of one cell: flat arrays in, flat arrays out, of known shapes.

    linear: positions of the arguments in which it is linear, () if in none; transpose then takes the other arguments
    and one cotangent per result. Compared by identity.
    """

    def __init__(self, call: Callable, results: Sequence[Shape], linear: tuple[int, ...] = ()):
        self.call, self.results, self.linear = call, tuple(results), linear
        self.transpose: LaneFunction | None = None
        self._derivatives: dict[tuple[int, ...], LaneFunction] = {}

    def derivative(self, moving: tuple[int, ...], arguments: Sequence[Shape]) -> "LaneFunction":
        """(all arguments, tangents of the moving ones) ↦ tangents of the results."""
        if moving not in self._derivatives:
            count = len(arguments)

            def at(values):
                def restricted(*moved):
                    whole = list(values)
                    for place, value in zip(moving, moved, strict=True):
                        whole[place] = value
                    return self.call(*whole)

                return restricted, tuple(values[place] for place in moving)

            def push(*values):
                function, point = at(values[:count])
                return jax.jvp(function, point, tuple(values[count:]))[1]

            def pull(*values):
                function, point = at(values[:count])
                return list(jax.vjp(function, *point)[1](list(values[count:])))

            forward = LaneFunction(push, self.results, tuple(range(count, count + len(moving))))
            back = [Shape(arguments[place].shape, arguments[place].dtype) for place in moving]
            reverse = LaneFunction(pull, back, tuple(range(count, count + len(self.results))))
            forward.transpose, reverse.transpose = reverse, forward
            self._derivatives[moving] = forward
        return self._derivatives[moving]


masked_map_p = jex.Primitive("collected")
masked_map_p.multiple_results = True


def collected(wanted: jax.Array, operands: Sequence[jax.Array], function: LaneFunction, block: int) -> list[jax.Array]:
    """function(*operands) where `wanted` (a scalar), zeros elsewhere; at most `block` cells of a batch at a time."""
    return masked_map_p.bind(wanted, *operands, function=function, block=block, varies=(False,) * len(operands))


def _of_one_cell(aval, varied: bool) -> Shape:
    return Shape(aval.shape[1:] if varied else aval.shape, aval.dtype)


def _abstract(wanted, *operands, function, block, varies):
    """`wanted` is a scalar, or (cells,) and then results and varying operands have the cells as their first axis."""
    return [jax.core.ShapedArray((*wanted.shape, *result.shape), result.dtype) for result in function.results]


def _evaluate(wanted, *operands, function, block, varies):
    if wanted.ndim:
        return _collect(function, block, wanted, operands, varies)
    nothing = [jnp.zeros(result.shape, result.dtype) for result in function.results]
    return jax.lax.cond(wanted, lambda: list(function.call(*operands)), lambda: nothing)


def _collect(
    function: LaneFunction, block: int, wanted: jax.Array, operands: Sequence, varies: tuple[bool, ...]
) -> list:
    """Blocks of wanted cells gathered, worked on, and scattered back."""
    cells = wanted.shape[0]
    size = min(block, cells)
    empty = [jnp.zeros((cells, *result.shape), result.dtype) for result in function.results]
    # The cell number itself is one varying argument, for a batch whose other operands are all shared.
    axes = (0, *[0 if varied else None for varied in varies])
    over_cells = jax.vmap(lambda _, *values: function.call(*values), in_axes=axes)

    def collect():
        place = jnp.where(wanted, jnp.cumsum(wanted, dtype=jnp.int32) - 1, cells + size)
        queue = jnp.full((cells + size,), cells, jnp.int32)
        queue = queue.at[place].set(jnp.arange(cells, dtype=jnp.int32), mode="drop")
        count = jnp.sum(wanted, dtype=jnp.int32)

        def work(carry):
            start, results = carry
            cell = jax.lax.dynamic_slice(queue, (start,), (size,))
            gathered = [
                jnp.take(x, cell, axis=0, mode="clip") if varied else x
                for x, varied in zip(operands, varies, strict=True)
            ]
            done = over_cells(cell, *gathered)
            return start + size, [old.at[cell].set(new, mode="drop") for old, new in zip(results, done, strict=True)]

        return jax.lax.while_loop(lambda carry: carry[0] < count, work, (jnp.int32(0), empty))[1]

    return jax.lax.cond(jnp.any(wanted), collect, lambda: empty)


def _batch(arguments, axes, *, function, block, varies):
    """One more batch axis, merged with the cells there are."""
    wanted, *operands = arguments
    size = next(x.shape[axis] for x, axis in zip(arguments, axes, strict=True) if axis is not None)
    before = [n for n in range(wanted.ndim) if n != axes[0]]
    cells = wanted.shape[before[0]] if before else None

    def flat(x, axis, had_cells):
        """(axis, cells, ...) merged; an operand that lacks one of the two is repeated along it."""
        x = jnp.broadcast_to(x[None], (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        if cells is None:
            return x
        if not had_cells:
            x = jnp.broadcast_to(x[:, None], (size, cells, *x.shape[1:]))
        return x.reshape(size * cells, *x.shape[2:])

    merged, still = [flat(wanted, axes[0], True)], []
    for x, axis, varied in zip(operands, axes[1:], varies, strict=True):
        moves = varied or axis is not None
        merged.append(flat(x, axis, varied) if moves else x)
        still.append(moves)
    found = masked_map_p.bind(*merged, function=function, block=block, varies=tuple(still))
    if cells is not None:
        found = [x.reshape(size, cells, *x.shape[1:]) for x in found]
    return found, [0] * len(found)


def _jvp(primals, tangents, *, function, block, varies):
    wanted, *operands = primals
    value = masked_map_p.bind(wanted, *operands, function=function, block=block, varies=varies)
    moving = tuple(n for n, tangent in enumerate(tangents[1:]) if type(tangent) is not ad.Zero)
    if not moving:
        return value, [ad.Zero(jax.typeof(x).to_tangent_aval()) for x in value]
    if set(moving) <= set(function.linear):
        moved = [ad.instantiate_zeros(tangents[1 + n]) if n in function.linear else x for n, x in enumerate(operands)]
        return value, masked_map_p.bind(wanted, *moved, function=function, block=block, varies=varies)
    shapes = [_of_one_cell(jax.typeof(x), varied) for x, varied in zip(operands, varies, strict=True)]
    slope = function.derivative(moving, shapes)
    varying = varies + tuple(varies[n] for n in moving)
    changes = [tangents[1 + n] for n in moving]
    return value, masked_map_p.bind(wanted, *operands, *changes, function=slope, block=block, varies=varying)


def _transpose(cotangents, wanted, *operands, function, block, varies):
    linear = function.linear
    rest = [n for n in range(len(operands)) if n not in linear]
    back = [
        jnp.zeros((*wanted.shape, *result.shape), result.dtype) if type(ct) is ad.Zero else ct
        for ct, result in zip(cotangents, function.results, strict=True)
    ]
    varying = tuple(varies[n] for n in rest) + (wanted.ndim > 0,) * len(back)
    found = masked_map_p.bind(
        wanted, *[operands[n] for n in rest], *back, function=function.transpose, block=block, varies=varying
    )
    answers = [None] * (1 + len(operands))
    for n, x in zip(linear, found, strict=True):
        if ad.is_undefined_primal(operands[n]):
            answers[1 + n] = x if varies[n] or not wanted.ndim else jnp.sum(x, axis=0)
    return answers


masked_map_p.def_abstract_eval(_abstract)
masked_map_p.def_impl(lambda *arguments, **names: jax.jit(lambda *values: _evaluate(*values, **names))(*arguments))
mlir.register_lowering(masked_map_p, mlir.lower_fun(_evaluate, multiple_results=True))
batching.primitive_batchers[masked_map_p] = _batch
ad.primitive_jvps[masked_map_p] = _jvp
ad.primitive_transposes[masked_map_p] = _transpose
