"""The search: from many starts at once, in compiled calls of up to 50 steps.

    z ← z + step(state, loss(z), ∇loss(z)), for every start until it has converged or makes no more progress.

Steps are those of optax (any transformation of the gradient) or of optimistix (least squares, BFGS).
"""

import functools as ft
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx

from qdbjax._types import Array, Bool, Float, Int
from qdbjax.compilation.eager import Tiered
from qdbjax.fitting.problem import Evaluation, Problem
from qdbjax.fitting.transforms import Free

STEPS_PER_CALL = 50  # of one compiled call, after which progress is shown and a checkpoint written
PATIENCE = 100  # steps without progress after which a start is given up
PROGRESS = 1e-9  # relative decrease of the loss that counts as progress

Solver = optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser
Optimizer = optax.GradientTransformation | Solver


class SearchState(eqx.Module):
    """The search from one start.

    free: (n,), the current point.
    optimizer_state: of optax or optimistix.
    best: (n,), the point of the lowest loss so far.
    evaluation: of the best point; of the current one as long as no loss was finite.
    loss: the lowest so far.
    idle_steps: since the last progress.
    converged: gradient below the tolerance, or what optimistix says.
    """

    free: Free
    optimizer_state: Any
    best: Free
    evaluation: Evaluation
    loss: Float[Array, ""]
    idle_steps: Int[Array, ""]
    converged: Bool[Array, ""]


def initial_state(problem: Problem, optimizer: Optimizer, empty: Evaluation, free: Free) -> SearchState:
    """The search before its first step. empty: an evaluation of zeros."""
    if isinstance(optimizer, optax.GradientTransformation):
        # optax mixes Python floats and arrays of both precisions.
        with jax.numpy_dtype_promotion("standard"):
            optimizer_state = optimizer.init(free)
    else:
        optimizer_state = _OptimistixStepper(problem, optimizer, free).leaves
    infinite = jnp.asarray(jnp.inf, free.dtype)
    return SearchState(free, optimizer_state, free, empty, infinite, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def _evaluation_to_keep(state: SearchState, evaluation: Evaluation, is_better: Array) -> Evaluation:
    take_new = is_better | jnp.isinf(state.loss)
    return jax.tree.map(lambda new, old: jnp.where(take_new, new, old), evaluation, state.evaluation)


def _is_progress(state: SearchState, loss: Array) -> Array:
    return ~(state.loss - loss <= PROGRESS * jnp.abs(loss))


def _optax_step(
    problem: Problem, optimizer: optax.GradientTransformation, state: SearchState, tolerance: Array
) -> SearchState:
    evaluation, gradient = problem.evaluate(state.free)
    loss = evaluation.loss
    finite = jnp.isfinite(loss) & jnp.all(jnp.isfinite(gradient))
    is_better = finite & (loss < state.loss)
    progress = is_better & _is_progress(state, loss)
    best = jnp.where(is_better, state.free, state.best)
    lowest = jnp.where(is_better, loss, state.loss)
    converged = state.converged | (finite & (jnp.max(jnp.abs(gradient)) <= tolerance * jnp.maximum(1.0, jnp.abs(loss))))
    is_accepted = finite & ~converged
    safe_gradient = jnp.where(jnp.isfinite(gradient), gradient, 0.0)
    with jax.numpy_dtype_promotion("standard"):
        extra = optax.with_extra_args_support(optimizer)
        updates, optimizer_state = extra.update(
            safe_gradient, state.optimizer_state, state.free, value=loss, grad=safe_gradient, value_fn=problem.loss
        )
        updated = optax.apply_updates(state.free, updates)
    # From a point without a finite loss and gradient: halfway back to the best point, with the old optimizer state.
    halfway = 0.5 * (state.free + best)
    free = jnp.where(is_accepted & jnp.all(jnp.isfinite(updated)), updated, jnp.where(converged, state.free, halfway))
    optimizer_state = jax.tree.map(
        lambda new, old: jnp.where(is_accepted, new, old), optimizer_state, state.optimizer_state
    )
    idle_steps = jnp.where(progress, 0, state.idle_steps + 1)
    kept = _evaluation_to_keep(state, evaluation, is_better)
    return SearchState(free, optimizer_state, best, kept, lowest, idle_steps, converged)


class ClippedNewtonDescent(optx.AbstractDescent):
    """Newton's step, scaled down to a largest change of 1 in a free real: a factor e of what is positive.

    The first step of BFGS is as long as the gradient. A steep penalty throws bounded parameters onto their bounds with
    it, where nothing has a slope: a refrigerator asked for its best gap between 0.1 and 1.8, begun at 0.3, ended at 1.8
    and called it converged.
    """

    newton: optx.NewtonDescent

    def init(self, y: Free, f_info_struct: Any) -> Any:
        return self.newton.init(y, f_info_struct)

    def query(self, y: Free, f_info: Any, state: Any) -> Any:
        return self.newton.query(y, f_info, state)

    def step(self, step_size: Array, state: Any) -> tuple[Free, optx.RESULTS]:
        step, result = self.newton.step(step_size, state)
        return step / jnp.maximum(1.0, jnp.max(jnp.abs(step))), result


class ClippedBFGS(optx.AbstractBFGS):
    """BFGS with clipped steps, whose Hessian is reset to the unit matrix where the curvature is negative.

    BFGS keeps the old Hessian there. Beyond a steep penalty that is the curvature of the penalty: the same search went
    on in steps of 1e-5 and had reached 1.469 after 400 of them, for an optimum at 1.413.
    """

    rtol: float
    atol: float
    norm: Callable[[Any], Array] = optx.max_norm
    use_inverse: bool = True
    descent: ClippedNewtonDescent = ClippedNewtonDescent(optx.NewtonDescent())
    search: optx.BacktrackingArmijo = optx.BacktrackingArmijo()
    verbose: Callable[..., None] = lambda **_: None

    def update_hessian(self, y: Free, y_eval: Free, f_info: Any, f_eval_info: Any, hessian_update_state: Any) -> tuple:
        found, state = super().update_hessian(y, y_eval, f_info, f_eval_info, hessian_update_state)
        negative_curvature = jnp.sum((f_eval_info.grad - f_info.grad) * (y_eval - y)) < 0
        inverse = found.hessian_inv.pytree
        unit = jnp.where(negative_curvature, jnp.eye(y.shape[0], dtype=inverse.dtype), inverse)
        return eqx.tree_at(lambda info: info.hessian_inv.pytree, found, unit), state


class _OptimistixStepper:
    """A solver of optimistix step by step, its state as a list of arrays."""

    def __init__(self, problem: Problem, solver: Solver, free: Free):
        least_squares = isinstance(solver, optx.AbstractLeastSquaresSolver)
        self.solver, self.fn = solver, ft.partial(_linearized, problem, least_squares)
        self.options = {"jac": "fwd"} if least_squares else {"autodiff_mode": "fwd"}
        shapes = jax.eval_shape(self.fn, free, None)
        state = solver.init(self.fn, free, None, self.options, *shapes, frozenset())
        if not hasattr(state, "f_info"):
            raise TypeError(f"optimizer {type(solver).__name__} does without derivatives; take one that uses them.")
        dynamic, self.static = eqx.partition(state, eqx.is_array)
        self.leaves, self.tree = jax.tree.flatten(dynamic)

    def step(self, free: Free, leaves: list[Array]) -> tuple[Free, list[Array], Evaluation, Array, Array]:
        """Next point and state, evaluation of the last accepted point, whether it converged, whether it failed."""
        state = eqx.combine(jax.tree.unflatten(self.tree, leaves), self.static)
        free, state, _ = self.solver.step(self.fn, free, None, self.options, state, frozenset())
        done, result = self.solver.terminate(self.fn, free, None, self.options, state, frozenset())
        failed = result != optx.RESULTS.successful
        # `aux` of the state is of the last accepted point; the one that a step returns is of the point before.
        evaluation = state.aux
        return free, jax.tree.leaves(eqx.filter(state, eqx.is_array)), evaluation, done & ~failed, failed


def _optimistix_step(problem: Problem, solver: Solver, state: SearchState) -> SearchState:
    stepper = _OptimistixStepper(problem, solver, state.free)
    free, optimizer_state, evaluation, done, failed = stepper.step(state.free, state.optimizer_state)
    loss = evaluation.loss
    is_better = loss < state.loss
    progress = is_better & _is_progress(state, loss)
    best, lowest = jnp.where(is_better, evaluation.free, state.best), jnp.where(is_better, loss, state.loss)
    idle_steps = jnp.where(failed, PATIENCE, jnp.where(progress, 0, state.idle_steps + 1))
    converged = state.converged | (jnp.isfinite(loss) & done)
    kept = _evaluation_to_keep(state, evaluation, is_better)
    return SearchState(free, optimizer_state, best, kept, lowest, idle_steps, converged)


def finished(state: SearchState) -> Bool[Array, "..."]:
    """Whether a search has converged, or is given up."""
    return state.converged | (state.idle_steps >= PATIENCE)


@Tiered
def advance(
    problem: Problem, optimizer: Optimizer, states: SearchState, tolerance: Array, steps: Int[Array, ""]
) -> tuple[SearchState, Float[Array, "step start"], Int[Array, ""]]:
    """Up to STEPS_PER_CALL steps of every search that is not finished.

    Returns the states, the lowest losses after each step (NaN beyond the last), and how many steps were made.
    """

    def step(state):
        if isinstance(optimizer, optax.GradientTransformation):
            updated = _optax_step(problem, optimizer, state, tolerance)
        else:
            updated = _optimistix_step(problem, optimizer, state)
        return jax.tree.map(lambda new, old: jnp.where(finished(state), old, new), updated, state)

    def body(carry):
        states, losses, count = carry
        states = jax.vmap(step)(states)
        return states, losses.at[count].set(states.loss), count + 1

    def unfinished(carry):
        return (carry[2] < steps) & ~jnp.all(finished(carry[0]))

    losses = jnp.full((STEPS_PER_CALL, states.loss.shape[0]), jnp.nan, states.loss.dtype)
    return jax.lax.while_loop(unfinished, body, (states, losses, jnp.zeros((), jnp.int32)))


# Compiled functions of their own, because optimistix traces what it is given four times.
@eqx.filter_jit
def _evaluate_with_jacobian(problem: Problem, free: Free) -> tuple[Evaluation, Free, Array]:
    return problem.evaluate_with_jacobian(free)


@eqx.filter_jit
def _evaluate(problem: Problem, free: Free) -> tuple[Evaluation, Free]:
    return problem.evaluate(free)


def _linearized(problem: Problem, least_squares: bool, free: Free, _: None) -> tuple[Array, Evaluation]:
    """f(z₀) + f'(z₀)(z - z₀) at z = z₀, with z₀ a constant; f: residuals, or the loss.

    Value and first derivative are those of f, and however often a solver differentiates it, the program holds the model
    and its derivative once.
    """
    here = jax.lax.stop_gradient(free)
    if least_squares:
        evaluation, _, residuals = _evaluate_with_jacobian(problem, here)
        return residuals + jnp.matmul(evaluation.jacobian, free - here, precision="highest"), evaluation
    evaluation, gradient = _evaluate(problem, here)
    return evaluation.loss + jnp.sum(gradient * (free - here)), evaluation
