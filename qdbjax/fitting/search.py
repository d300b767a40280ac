"""The search itself: many starts at once, in compiled stretches of steps."""

import functools as ft
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx

from qdbjax._types import Array, Bool, Float, Int
from qdbjax.fitting.problem import FORWARD, Problem, View
from qdbjax.fitting.transforms import Free

PATIENCE = 100  # steps without progress after which a start is given up
PROGRESS = 1e-9  # relative decrease of the loss that counts as progress


class Walker(eqx.Module):
    """One start on its way: where it is, the optimizer's state, the best it has seen, and whether it rests.

    view: of the best, or where it has seen nothing finite of the last. idle: steps since the last progress. settled:
    gradient below the tolerance, or loss zero to rounding.
    """

    free: Free
    state: Any
    best: Free
    view: View
    loss: Float[Array, ""]
    idle: Int[Array, ""]
    settled: Bool[Array, ""]


def begin(view: View, optimizer: optax.GradientTransformation | None, free: Free) -> Walker:
    """A walker at its start, which has seen nothing yet."""
    state = None if optimizer is None else optimizer.init(free)
    nothing = jnp.asarray(jnp.inf, free.dtype)
    return Walker(free, state, free, view, nothing, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def _seen(walker: Walker, view: View, better: Array) -> View:
    taken = better | jnp.isinf(walker.loss)
    return jax.tree.map(lambda new, old: jnp.where(taken, new, old), view, walker.view)


def _step(problem: Problem, optimizer: optax.GradientTransformation, walker: Walker, tolerance: Array) -> Walker:
    view, slope = problem.view(walker.free)
    loss = view.loss
    fine = jnp.isfinite(loss) & jnp.all(jnp.isfinite(slope))
    better = fine & (loss < walker.loss)
    gained = better & ~(walker.loss - loss <= PROGRESS * jnp.abs(loss))
    best = jnp.where(better, walker.free, walker.best)
    lowest = jnp.where(better, loss, walker.loss)
    settled = walker.settled | (fine & (jnp.max(jnp.abs(slope)) <= tolerance * jnp.maximum(1.0, jnp.abs(loss))))
    moving = fine & ~settled
    safe = jnp.where(jnp.isfinite(slope), slope, 0.0)
    # optax mixes Python floats and arrays of both precisions.
    with jax.numpy_dtype_promotion("standard"):
        extra = optax.with_extra_args_support(optimizer)
        change, state = extra.update(safe, walker.state, walker.free, value=loss, grad=safe, value_fn=problem.loss)
        moved = optax.apply_updates(walker.free, change)
    # A step into the undefined is taken back halfway to the best point, with the optimizer as it was.
    free = jnp.where(
        moving & jnp.all(jnp.isfinite(moved)), moved, jnp.where(settled, walker.free, _between(walker, best))
    )
    state = jax.tree.map(lambda new, old: jnp.where(moving, new, old), state, walker.state)
    idle = jnp.where(gained, 0, walker.idle + 1)
    return Walker(free, state, best, _seen(walker, view, better), lowest, idle, settled)


def _between(walker: Walker, best: Free) -> Free:
    return 0.5 * (walker.free + best)


@eqx.filter_jit
def descend(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    walkers: Walker,
    tolerance: Array,
    length: int,
) -> tuple[Walker, Float[Array, "step start"]]:
    """A stretch of steps of every walker, and the best loss after each."""

    def step(walkers, _):
        walkers = jax.vmap(lambda each: _step(problem, optimizer, each, tolerance))(walkers)
        return walkers, walkers.loss

    return jax.lax.scan(step, walkers, None, length=length)


Solver = optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser


@eqx.filter_jit
def solve(problem: Problem, solver: Solver, walkers: Walker, length: int) -> tuple[Walker, Float[Array, "step start"]]:
    """The same with a solver of optimistix; one loss for the whole stretch, whose inner state is begun anew.

    Half the time to compile of L-BFGS with its line search, which writes the model out at every place it looks at it.
    """

    def run(walker):
        if isinstance(solver, optx.AbstractLeastSquaresSolver):
            search, options = optx.least_squares, None
        else:
            search, options = optx.minimise, {"autodiff_mode": "fwd" if walker.free.shape[0] <= FORWARD else "bwd"}
        found = search(
            ft.partial(_linear, problem, search is optx.least_squares),
            solver,
            walker.free,
            options=options,
            has_aux=True,
            max_steps=length,
            throw=False,
        )
        # What the solver last accepted; its `aux` is of one step before.
        view = getattr(found.state, "aux", found.aux)
        better = view.loss < walker.loss
        gained = better & ~(walker.loss - view.loss <= PROGRESS * jnp.abs(view.loss))
        best = jnp.where(better, view.free, walker.best)
        return Walker(
            best,
            None,
            best,
            _seen(walker, view, better),
            jnp.where(better, view.loss, walker.loss),
            jnp.where(gained, 0, walker.idle + length),
            walker.settled | (jnp.isfinite(view.loss) & (found.result == optx.RESULTS.successful)),
        )

    walkers = jax.vmap(run)(walkers)
    return walkers, walkers.loss[None]


# A call of its own, because optimistix traces what it is given four times.
@eqx.filter_jit
def _forward_view(problem: Problem, free: Free) -> tuple[View, Free, Array]:
    return problem.forward_view(free)


@eqx.filter_jit
def _view(problem: Problem, free: Free) -> tuple[View, Free]:
    return problem.view(free)


def _linear(problem: Problem, squares: bool, free: Free, _: None) -> tuple[Array, View]:
    """Residuals or loss, right in value and first derivative, and linear in what is differentiated.

    Whatever a solver does with the derivative, the model is written out once, with it.
    """
    here = jax.lax.stop_gradient(free)
    if squares:
        view, _, residuals = _forward_view(problem, here)
        return residuals + jnp.matmul(view.jacobian, free - here, precision="highest"), view
    view, slope = _view(problem, here)
    return view.loss + jnp.sum(slope * (free - here)), view
