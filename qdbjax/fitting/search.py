"""The search itself: many starts at once, in compiled stretches of steps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx

from qdbjax._types import Array, Bool, Float, Int
from qdbjax.fitting.problem import Problem
from qdbjax.fitting.transforms import Free

PATIENCE = 100  # steps without progress after which a start is given up
PROGRESS = 1e-9  # relative decrease of the loss that counts as progress


class Walker(eqx.Module):
    """One start on its way: where it is, the optimizer's state, the best it has seen, and whether it rests.

    idle: steps since the last progress. settled: gradient below the tolerance, or loss zero to rounding.
    """

    free: Free
    state: Any
    best: Free
    loss: Float[Array, ""]
    idle: Int[Array, ""]
    settled: Bool[Array, ""]


def begin(problem: Problem, optimizer: optax.GradientTransformation | None, free: Free) -> Walker:
    """A walker at its start."""
    state = None if optimizer is None else optimizer.init(free)
    return Walker(free, state, free, jnp.asarray(jnp.inf, free.dtype), jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def _step(problem: Problem, optimizer: optax.GradientTransformation, walker: Walker, tolerance: Array) -> Walker:
    loss, slope = problem.slope(walker.free)
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
    return Walker(free, state, best, lowest, jnp.where(gained, 0, walker.idle + 1), settled)


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

    way = "fwd" if problem.forward else "bwd"

    def run(walker):
        if isinstance(solver, optx.AbstractLeastSquaresSolver):
            mode = {"jac": way}
            found = optx.least_squares(
                lambda free, _: problem.residuals(free),
                solver,
                walker.free,
                options=mode,
                max_steps=length,
                throw=False,
            )
        else:
            mode = {"autodiff_mode": way}
            found = optx.minimise(
                lambda free, _: problem.loss(free), solver, walker.free, options=mode, max_steps=length, throw=False
            )
        loss = problem.loss(found.value)
        better = loss < walker.loss
        gained = better & ~(walker.loss - loss <= PROGRESS * jnp.abs(loss))
        best = jnp.where(better, found.value, walker.best)
        return Walker(
            best,
            None,
            best,
            jnp.where(better, loss, walker.loss),
            jnp.where(gained, 0, walker.idle + length),
            walker.settled | (jnp.isfinite(loss) & (found.result == optx.RESULTS.successful)),
        )

    walkers = jax.vmap(run)(walkers)
    return walkers, walkers.loss[None]
