"""A function of one cell for a block of cells that stand along the last axis of every array (batch-minor layout).

`jax.vmap` puts the cells first, so that the innermost loop of each operation runs over the few entries of one small
matrix and no processor's vector unit is full. With the cells last the innermost loop runs over cells: the inverse of
9 x 9 matrices takes 0.55 µs in place of 1.65, an equation of two levels with given jumps 0.45 in place of 1.9 (one core
with eight doubles a vector). XLA does not choose such a layout by itself, nor keep one that it is asked for through
reductions and loops; the equations of a traced function are therefore evaluated here one by one, each on wider arrays.
What has no rule below goes through `jax.vmap`, right and slower.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.extend.core as jex
import jax.numpy as jnp
from jax import lax

from qdbjax.numerics.barrier import opaque_true
from qdbjax.numerics.short_reduction import is_short_reduction, reduce_in_halves

Value = tuple[Any, bool]  # an array, and whether its last axis is that of the cells
Each = TypeVar("Each")  # what stands for each operand: a Value, or whether it has that axis

ELEMENTWISE = """
    abs acos add add_any and asin atan atan2 cbrt ceil clamp complex conj convert_element_type copy cos cosh div eq erf
    exp exp2 expm1 floor ge gt imag integer_pow is_finite le log log1p logistic lt max min mul ne neg nextafter not or
    pow real reduce_precision rem round rsqrt select_n sign sin sinh sqrt square stop_gradient sub tan tanh xor
"""
SAME_AXES = """
    argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce_and reduce_max reduce_min reduce_or reduce_prod
    reduce_sum rev split squeeze unstack
"""
UNROLLED = 16  # largest number of terms of a product, and of entries to choose from, that are written out
JOINS = frozenset(("concatenate", "stack"))
OVER_ALL = {"unvmap_any": jnp.any, "unvmap_all": jnp.all, "unvmap_max": jnp.max}  # of equinox, over the cells too
# Derivatives are taken before: a rule for them has done its work.
CALLS = frozenset(
    ("jit", "pjit", "checkpoint", "remat", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")
)


class _Block(NamedTuple):
    """What the cells of a block share.

    cells: how many there are.
    true: True, which XLA cannot know, for barriers (`numerics.barrier`).
    """

    cells: int
    true: jax.Array


def over_cells(function: Callable, batched: Sequence[bool], cells: int) -> Callable:
    """`jax.vmap(function)` for flat arrays to a list of arrays, computed with the cells along the last axis.

    batched: which arguments have an axis of cells, as their first one; of the results all do.
    cells: length of that axis.
    """

    def run(*operands):
        shapes = [
            jax.ShapeDtypeStruct(x.shape[1:] if is_batched else x.shape, x.dtype)
            for x, is_batched in zip(operands, batched, strict=True)
        ]
        traced = jax.make_jaxpr(lambda *values: list(function(*values)))(*shapes)
        given = [
            (jnp.moveaxis(x, 0, -1), True) if is_batched else (x, False)
            for x, is_batched in zip(operands, batched, strict=True)
        ]
        block = _Block(cells, opaque_true(next(x[..., 0] for x, is_wide in given if is_wide)))
        return [jnp.moveaxis(x, -1, 0) for x in _wide(_evaluate(traced, given, block), cells)]

    return run


def _wide(values: Sequence[Value], cells: int, where: Sequence[bool] | None = None) -> list[jax.Array]:
    """The arrays, repeated for every cell where they are shared; where: only in these places."""

    def wide(x):
        x = jnp.asarray(x)
        return lax.broadcast_in_dim(x, (*x.shape, cells), tuple(range(x.ndim)))

    asked = [True] * len(values) if where is None else where
    return [wide(x) if is_asked and not is_wide else x for (x, is_wide), is_asked in zip(values, asked, strict=True)]


def _evaluate(traced: Any, values: Sequence[Value], block: _Block) -> list[Value]:
    """The results of a closed jaxpr."""
    known = dict(zip(traced.jaxpr.constvars, ((x, False) for x in traced.consts), strict=True))
    known |= dict(zip(traced.jaxpr.invars, values, strict=True))

    def read(variable: Any) -> Value:
        if isinstance(variable, jex.Literal):
            shaped: Any = variable.aval
            return jnp.asarray(variable.val, shaped.dtype), False
        return known[variable]

    for equation in traced.jaxpr.eqns:
        found = _apply(equation, [read(variable) for variable in equation.invars], block)
        known |= dict(zip(equation.outvars, found, strict=True))
    return [read(variable) for variable in traced.jaxpr.outvars]


def _apply(equation: Any, values: list[Value], block: _Block) -> list[Value]:
    """The results of one equation."""
    name, names, cells = equation.primitive.name, equation.params, block.cells
    if name in CALLS:
        return _evaluate(_closed(names), values, block)
    if name == "custom_linear_solve":
        return _evaluate(names["jaxprs"].solve, _of_solve(names, values), block)
    if name in OVER_ALL:
        return [(OVER_ALL[name](values[0][0]), False)]
    if name == "opaque_true":
        return [(block.true, False)]
    if name in CONTROL:
        return CONTROL[name](names, values, block)
    arrays, wide = [x for x, _ in values], [is_wide for _, is_wide in values]

    def bind(*operands):
        found = equation.primitive.bind(*operands, **names)
        return list(found) if equation.primitive.multiple_results else [found]

    if not any(wide):
        return [(x, False) for x in bind(*arrays)]
    if name in ELEMENTWISE.split():
        found = bind(*_of_one_shape([v.aval.shape for v in equation.invars], values, cells))
    elif is_short_reduction(name, arrays[0].shape, names):
        found = [reduce_in_halves(name, arrays[0], names["axes"], block.true)]
    elif name in SAME_AXES.split():
        found = bind(*arrays)
    elif name in JOINS:
        found = bind(*_wide(values, cells))
    elif name in SHAPES and not any(wide[1:]):
        found = [SHAPES[name](names, cells, *arrays)]
    elif name == "dynamic_slice" and _takes_one(equation, wide):
        found = [_take_one(*arrays)]
    elif name == "dot_general":
        found = [_dot_general(names, *_wide(values, cells)).astype(equation.outvars[0].aval.dtype)]
    else:
        found = jax.vmap(bind, in_axes=[-1 if is_wide else None for is_wide in wide], out_axes=-1)(*arrays)
    return [(x, True) for x in found]


def _of_one_shape(shapes: list[tuple], values: list[Value], cells: int) -> list[jax.Array]:
    """Operands of an operation entry by entry; the condition of `select_n` and the bounds of `clamp` may be scalars."""
    shape = max(shapes, key=len)

    def whole(x, is_wide):
        x = jnp.asarray(x)
        if is_wide:
            return x if x.ndim > len(shape) else lax.broadcast_in_dim(x, (*shape, cells), (len(shape),))
        return lax.broadcast_in_dim(x, (*(x.shape or shape), cells), tuple(range(x.ndim)))

    return [whole(x, is_wide) for x, is_wide in values]


SHAPES: dict[str, Callable] = {
    "broadcast_in_dim": lambda names, cells, x: lax.broadcast_in_dim(
        x, (*names["shape"], cells), (*names["broadcast_dimensions"], len(names["shape"]))
    ),
    "reshape": lambda names, cells, x: lax.reshape(x, (*names["new_sizes"], cells)),
    "transpose": lambda names, cells, x: lax.transpose(x, (*names["permutation"], x.ndim - 1)),
    "slice": lambda names, cells, x: lax.slice(
        x,
        (*names["start_indices"], 0),
        (*names["limit_indices"], cells),
        None if names["strides"] is None else (*names["strides"], 1),
    ),
    "pad": lambda names, cells, x, value: lax.pad(x, value, (*names["padding_config"], (0, 0, 0))),
    "dynamic_slice": lambda names, cells, x, *start: lax.dynamic_slice(
        x, (*start, jnp.zeros_like(start[0])), (*names["slice_sizes"], cells)
    ),
}


def _dot_general(names: dict, left: jax.Array, right: jax.Array) -> jax.Array:
    """A product of small arrays as a sum of products, written out up to `UNROLLED` terms: no loop is as fast."""
    (of_left, of_right), (batch_left, batch_right) = names["dimension_numbers"]

    def ordered(x, batch, contracted):
        free = [n for n in range(x.ndim - 1) if n not in (*batch, *contracted)]
        return lax.transpose(x, (*batch, *free, *contracted, x.ndim - 1)), len(free)

    batch, summed = len(batch_left), len(of_left)
    (left, rows), (right, columns) = ordered(left, batch_left, of_left), ordered(right, batch_right, of_right)
    left = jnp.expand_dims(left, tuple(range(batch + rows, batch + rows + columns)))
    right = jnp.expand_dims(right, tuple(range(batch, batch + rows)))
    first = batch + rows + columns
    size = math.prod(left.shape[first : first + summed])
    left, right = (x.reshape(*x.shape[:first], size, x.shape[-1]) for x in (left, right))
    if size > UNROLLED:
        return jnp.sum(left * right, axis=first)
    return functools.reduce(jnp.add, (left[..., n, :] * right[..., n, :] for n in range(size)))


def _takes_one(equation: Any, wide: list[bool]) -> bool:
    """Whether a slice is one entry along the first axis, of few, at a place of each cell's own."""
    shape, sizes = equation.invars[0].aval.shape, equation.params["slice_sizes"]
    return wide[0] and wide[1] and sizes == (1, *shape[1:]) and shape[0] <= UNROLLED


def _take_one(values: jax.Array, at: jax.Array, *_: jax.Array) -> jax.Array:
    """values[at] along the first axis as a chain of choices; no gather is as fast."""
    found = values[:1]
    for n in range(1, values.shape[0]):
        found = jnp.where(at >= n, values[n : n + 1], found)
    return found


def _which_are_wide(traced: Any, wide: Sequence[bool]) -> list[bool]:
    """Which results of a closed jaxpr have an axis of cells, given which arguments do; nothing is computed."""
    known = dict.fromkeys(traced.jaxpr.constvars, False) | dict(zip(traced.jaxpr.invars, wide, strict=True))
    read = lambda variable: not isinstance(variable, jex.Literal) and known[variable]  # noqa: E731
    for equation in traced.jaxpr.eqns:
        found = _get_wide(equation, [read(variable) for variable in equation.invars])
        known |= dict(zip(equation.outvars, found, strict=True))
    return [read(variable) for variable in traced.jaxpr.outvars]


def _get_wide(equation: Any, wide: list[bool]) -> list[bool]:
    """The same for one equation, as `_apply` does it."""
    name, names = equation.primitive.name, equation.params
    if name in CALLS:
        return _which_are_wide(_closed(names), wide)
    if name == "custom_linear_solve":
        return _which_are_wide(names["jaxprs"].solve, _of_solve(names, wide))
    if name in OVER_ALL or name == "opaque_true":
        return [False]
    if name == "while":
        return _carried_wide(names, wide)
    if name == "scan":
        return _scanned_wide(names, *_scan_parts(names, wide))
    if name == "cond":
        return _chosen_wide(names, wide)
    return [any(wide)] * len(equation.outvars)


def _closed(names: dict) -> Any:
    inner = names["jaxpr"] if "jaxpr" in names else names["call_jaxpr"]
    return inner if hasattr(inner, "consts") else jex.ClosedJaxpr(inner, ())


def _of_solve(names: dict, values: list[Each]) -> list[Each]:
    """Those arguments of a linear solve that its solution reads."""
    lengths = names["const_lengths"]
    start = lengths.matvec + lengths.vecmat
    return values[start : start + lengths.solve] + values[sum(lengths) :]


def _carried_wide(names: dict, wide: list[bool]) -> list[bool]:
    """Which carried values of a loop have an axis of cells: all, if its condition has one."""
    constants = names["cond_nconsts"], names["body_nconsts"]
    of_condition, of_body = wide[: constants[0]], wide[constants[0] : sum(constants)]

    def after(carry):
        by_cell = _which_are_wide(names["cond_jaxpr"], of_condition + carry)[0]
        return [True] * len(carry) if by_cell else _which_are_wide(names["body_jaxpr"], of_body + carry)

    return _settled(wide[sum(constants) :], after)


def _scanned_wide(names: dict, fixed: list[bool], start: list[bool], over: list[bool]) -> list[bool]:
    """Which carried values of a scan have an axis of cells, then which stacked results do."""
    results = lambda carry: _which_are_wide(names["jaxpr"], fixed + carry + over)  # noqa: E731
    carry = _settled(start, lambda carry: results(carry)[: len(start)])
    return carry + results(carry)[len(start) :]


def _chosen_wide(names: dict, wide: list[bool]) -> list[bool]:
    """Which results of a branch have an axis of cells: all, if each cell chooses.

    What no branch makes different from cell to cell stays shared, as diffrax asks of the counters of its loops.
    """
    found = [_which_are_wide(each, wide[1:]) for each in names["branches"]]
    return [wide[0] or any(each) for each in zip(*found, strict=True)]


def _settled(start: Sequence[bool], after: Callable) -> list[bool]:
    """Which parts of a loop's carry have an axis of cells: those that start with one and those that get one."""
    wide = list(start)
    while True:
        then = [before or now for before, now in zip(wide, after(wide), strict=True)]
        if then == wide:
            return wide
        wide = then


def _while(names: dict, values: list[Value], block: _Block) -> list[Value]:
    """A loop that ends for each cell when its own condition says so: cells that have ended keep their values."""
    of_condition = values[: names["cond_nconsts"]]
    of_body = values[names["cond_nconsts"] :][: names["body_nconsts"]]
    start = values[names["cond_nconsts"] + names["body_nconsts"] :]
    wide = _carried_wide(names, [is_wide for _, is_wide in values])

    def condition(carry):
        return _evaluate(names["cond_jaxpr"], [*of_condition, *zip(carry, wide, strict=True)], block)[0][0]

    def body(carry):
        found = _evaluate(names["body_jaxpr"], [*of_body, *zip(carry, wide, strict=True)], block)
        return _wide(found, block.cells, wide)

    first = _wide(start, block.cells, wide)
    if jax.eval_shape(condition, first).ndim == 0:
        return list(zip(lax.while_loop(condition, body, first), wide, strict=True))

    def step(state):
        running, carry = state
        carry = [jnp.where(running, new, old) for new, old in zip(body(carry), carry, strict=True)]
        return condition(carry), carry  # of a cell that has ended the condition stays what it was

    _, found = lax.while_loop(lambda state: jnp.any(state[0]), step, (condition(first), first))
    return list(zip(found, wide, strict=True))


def _scan_parts(names: dict, values: list[Each]) -> list[list[Each]]:
    """Constants, carried values and what is gone over; JAX keeps numbers of them up to 0.11, trees from 0.12 on."""
    if "num_consts" not in names:
        return [list(part.vals) for part in names["ft_in"].update(values).unpack()]
    carried = names["num_consts"] + names["num_carry"]
    return [values[: names["num_consts"]], values[names["num_consts"] : carried], values[carried:]]


def _scan(names: dict, values: list[Value], block: _Block) -> list[Value]:
    fixed, start, over = _scan_parts(names, values)
    carried = len(start)
    shared = lambda some: [is_wide for _, is_wide in some]  # noqa: E731
    found = _scanned_wide(names, shared(fixed), shared(start), shared(over))
    wide, stacked_wide = found[:carried], found[carried:]

    def step(carry, each):
        slices = zip(each, shared(over), strict=True)
        found = _evaluate(names["jaxpr"], [*fixed, *zip(carry, wide, strict=True), *slices], block)
        return _wide(found[:carried], block.cells, wide), [x for x, _ in found[carried:]]

    last, stacked = lax.scan(
        step,
        _wide(start, block.cells, wide),
        [x for x, _ in over],
        length=names["length"],
        reverse=names["reverse"],
        unroll=names["unroll"],
    )
    return [*zip(last, wide, strict=True), *zip(stacked, stacked_wide, strict=True)]


def _cond(names: dict, values: list[Value], block: _Block) -> list[Value]:
    """A branch for all cells, or every branch where each cell decides for itself."""
    (index, by_cell), *rest = values
    wide = [is_wide for _, is_wide in rest]
    chosen_wide = _chosen_wide(names, [by_cell, *wide])

    def branch(traced):
        values_of = lambda arrays: list(zip(arrays, wide, strict=True))  # noqa: E731
        return lambda *arrays: _wide(_evaluate(traced, values_of(arrays), block), block.cells, chosen_wide)

    arrays, branches = [x for x, _ in rest], [branch(traced) for traced in names["branches"]]
    platforms = names.get("branches_platforms")
    index = index.astype(jnp.int32)
    if platforms is not None:
        named = {name: each for some, each in zip(platforms, branches, strict=True) for name in some or ()}
        default = next((each for some, each in zip(platforms, branches, strict=True) if some is None), None)
        found = lax.platform_dependent(*arrays, default=default, **named)
    elif not by_cell:
        found = lax.switch(index, branches, *arrays)
    else:
        index = jnp.clip(index, 0, len(branches) - 1)
        results = [each(*arrays) for each in branches]
        # `select_n` takes a condition of another shape only if it is a scalar.
        chosen = lambda *xs: lax.select_n(jnp.broadcast_to(index, xs[0].shape), *xs)  # noqa: E731
        found = [chosen(*xs) for xs in zip(*results, strict=True)]
    return list(zip(found, chosen_wide, strict=True))


CONTROL = {"while": _while, "scan": _scan, "cond": _cond}
