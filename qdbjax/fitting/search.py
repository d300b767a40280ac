"""The search: from many starts at once, in compiled calls of up to 50 steps.

    z ← z + step(state, M(z), ∇M(z)), for every start until it has converged or makes no more progress.

Steps are those of optax (any transformation of the gradient) or of optimistix (least squares, BFGS). What they see is
the merit (`Merit`) in place of the loss, in rounds where there are bounds.
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
from qdbjax.fitting.merit import Merit, first_merit
from qdbjax.fitting.problem import Evaluation, Problem
from qdbjax.fitting.transforms import Free
from qdbjax.numerics.products import dot

STEPS_PER_CALL = 50  # of one compiled call, after which progress is shown and a checkpoint written
PATIENCE = 100  # steps without progress after which a start is given up
PROGRESS = 1e-9  # relative decrease of the merit that counts as progress
ROUND_PATIENCE = 20  # steps without progress after which a round with fixed multipliers is given up by a line search
FLAT = 1e-4  # slope of the merit, in its own unit, below which it hardly changes
ROUND_STEPS = 100  # of one round
FIXED_RATE = 2.5  # times as many for optimizers of optax, whose steps oscillate

Solver = optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser
Optimizer = optax.GradientTransformation | Solver


class SearchState(eqx.Module):
    """The search from one start.

    free: (n,), the current point.
    optimizer_state: of optax or optimistix.
    merit: what is minimised.
    anchor: (n,), where the round began.
    best: (n,), the point of the lowest merit in this round.
    evaluation: of the best point; of the first one as long as no merit was finite.
    lowest: merit at the best point.
    loss: at the best point.
    idle_steps: since the last progress.
    converged: gradient below the tolerance, or what optimistix says; with bounds, that they are kept besides.
    """

    free: Free
    optimizer_state: Any
    merit: Merit
    anchor: Free
    best: Free
    evaluation: Evaluation
    lowest: Float[Array, ""]
    loss: Float[Array, ""]
    idle_steps: Int[Array, ""]
    converged: Bool[Array, ""]


def initial_state(problem: Problem, optimizer: Optimizer, empty: Evaluation, free: Free) -> SearchState:
    """The search before its first step. empty: an evaluation of zeros."""
    infinite = jnp.asarray(jnp.inf, free.dtype)
    bounds = empty.excess.shape[0]
    merit = first_merit(bounds, free.dtype, bounds > 0 or not problem.has_targets)
    optimizer_state = _initial_optimizer_state(problem, optimizer, merit, free)
    none, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return SearchState(free, optimizer_state, merit, free, free, empty, infinite, infinite, none, no)


def _initial_optimizer_state(problem: Problem, optimizer: Optimizer, merit: Merit, free: Free) -> Any:
    if isinstance(optimizer, optax.GradientTransformation):
        # optax mixes Python floats and arrays of both precisions.
        with jax.numpy_dtype_promotion("standard"):
            return optimizer.init(free)
    return _OptimistixStepper(problem, optimizer, merit, free).leaves


def _followed(
    state: SearchState, evaluation: Evaluation, units: Merit, free: Free, optimizer_state: Any, converged: Array
) -> SearchState:
    """After a step that evaluated a point and proposes another; the first one, where units are unknown, measures."""
    lowest = evaluation.merit
    is_better = lowest < state.lowest  # infinite where it is not defined
    progress = is_better & ~(state.lowest - lowest <= PROGRESS * jnp.abs(lowest))
    take_new = is_better | (state.merit.steps == 0)
    kept = jax.tree.map(lambda new, old: jnp.where(take_new, new, old), evaluation, state.evaluation)
    best = jnp.where(is_better, evaluation.free, state.best)
    loss = jnp.where(is_better, evaluation.loss, state.loss)
    measures = ~state.merit.is_measured
    keep_old = lambda old, new: jax.tree.map(lambda a, b: jnp.where(measures, a, b), old, new)  # noqa: E731
    return SearchState(
        keep_old(state.free, free),
        keep_old(state.optimizer_state, optimizer_state),
        eqx.tree_at(lambda merit: merit.steps, units, units.steps + 1),
        state.anchor,
        best,
        kept,
        jnp.where(measures, jnp.inf, jnp.where(is_better, lowest, state.lowest)),
        loss,
        jnp.where(progress, 0, state.idle_steps + 1),
        ~measures & (state.converged | converged),
    )


def _optax_step(
    problem: Problem, optimizer: optax.GradientTransformation, state: SearchState, tolerance: Array
) -> SearchState:
    evaluation, gradient, units = problem.evaluate(state.free, state.merit)
    value = evaluation.merit
    finite = jnp.isfinite(value)
    best = jnp.where(finite & (value < state.lowest), state.free, state.best)
    converged = state.converged | (
        finite & (jnp.max(jnp.abs(gradient)) <= tolerance * jnp.maximum(1.0, jnp.abs(value)))
    )
    is_accepted = finite & ~converged
    safe_gradient = jnp.where(jnp.isfinite(gradient), gradient, 0.0)
    value_fn = lambda free: problem.merit(free, state.merit)  # noqa: E731
    with jax.numpy_dtype_promotion("standard"):
        extra = optax.with_extra_args_support(optimizer)
        updates, optimizer_state = extra.update(
            safe_gradient, state.optimizer_state, state.free, value=value, grad=safe_gradient, value_fn=value_fn
        )
        updated = jnp.asarray(optax.apply_updates(state.free, updates))
    # From a point without a finite merit and gradient: halfway back to the best point, with the old optimizer state.
    halfway = 0.5 * (state.free + best)
    free = jnp.where(is_accepted & jnp.all(jnp.isfinite(updated)), updated, jnp.where(converged, state.free, halfway))
    optimizer_state = jax.tree.map(
        lambda new, old: jnp.where(is_accepted, new, old), optimizer_state, state.optimizer_state
    )
    return _followed(state, evaluation, units, free, optimizer_state, converged)


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

    def __init__(self, problem: Problem, solver: Solver, merit: Merit, free: Free):
        least_squares = isinstance(solver, optx.AbstractLeastSquaresSolver)
        self.solver, self.fn = solver, ft.partial(_linearized, problem, least_squares, merit)
        self.options = {"jac": "fwd"} if least_squares else {"autodiff_mode": "fwd"}
        shapes = jax.eval_shape(self.fn, free, None)
        state = solver.init(self.fn, free, None, self.options, shapes[0], shapes[1], frozenset())
        if not hasattr(state, "f_info"):
            raise TypeError(f"optimizer {type(solver).__name__} does without derivatives; take one that uses them.")
        dynamic, self.static = eqx.partition(state, eqx.is_array)
        self.leaves, self.tree = jax.tree.flatten(dynamic)

    def step(self, free: Free, leaves: list[Array]) -> tuple[Free, list[Array], tuple[Evaluation, Merit], Array, Array]:
        """Next point and state, evaluation of the last accepted point, whether it converged, whether it failed."""
        state = eqx.combine(jax.tree.unflatten(self.tree, leaves), self.static)
        free, state, _ = self.solver.step(self.fn, free, None, self.options, state, frozenset())
        done, result = self.solver.terminate(self.fn, free, None, self.options, state, frozenset())
        failed = result != optx.RESULTS.successful
        # `aux` of the state is of the last accepted point; the one that a step returns is of the point before.
        return free, jax.tree.leaves(eqx.filter(state, eqx.is_array)), state.aux, done & ~failed, failed


def _optimistix_step(problem: Problem, solver: Solver, state: SearchState) -> SearchState:
    stepper = _OptimistixStepper(problem, solver, state.merit, state.free)
    free, optimizer_state, (evaluation, units), done, failed = stepper.step(state.free, state.optimizer_state)
    found = _followed(
        state, evaluation, units, free, optimizer_state, jnp.isfinite(evaluation.merit) & done & state.merit.is_measured
    )
    gives_up = failed & state.merit.is_measured
    return eqx.tree_at(lambda s: s.idle_steps, found, jnp.where(gives_up, PATIENCE, found.idle_steps))


def is_flat(evaluation: Evaluation) -> Bool[Array, "..."]:
    """Whether the merit hardly changes with any free real: what a search that is given up must be, to be at rest."""
    return jnp.max(jnp.abs(evaluation.slope), axis=-1) <= FLAT * jnp.maximum(1.0, jnp.abs(evaluation.merit))


def _next_round(problem: Problem, optimizer: Optimizer, state: SearchState) -> SearchState:
    """Where a round with fixed multipliers has ended: with new ones from its best point, until the bounds are kept."""
    longer = FIXED_RATE if isinstance(optimizer, optax.GradientTransformation) else 1.0
    gives_up = ~state.converged & (state.idle_steps >= int(longer * ROUND_PATIENCE))
    is_stuck = gives_up & ~is_flat(state.evaluation)
    ended = state.converged | gives_up | (state.merit.steps >= int(longer * ROUND_STEPS))
    following, is_kept, is_lost = state.merit.next_round(state.evaluation.excess, is_stuck)
    is_last = is_kept & (state.converged | (gives_up & ~is_stuck))
    is_last |= state.merit.is_exhausted | jnp.isinf(state.lowest)
    start = jnp.where(is_lost, state.anchor, state.best)
    fresh = SearchState(
        start,
        _initial_optimizer_state(problem, optimizer, following, start),
        following,
        start,
        start,
        state.evaluation,
        jnp.full_like(state.lowest, jnp.inf),
        state.loss,
        jnp.zeros_like(state.idle_steps),
        jnp.zeros_like(state.converged),
    )
    last = eqx.tree_at(lambda s: (s.merit, s.idle_steps), state, (following, jnp.full_like(state.idle_steps, PATIENCE)))
    choose = lambda condition, new, old: jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)  # noqa: E731
    return choose(ended, choose(is_last, last, fresh), state)


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
        if state.merit.sizes.shape[0]:
            updated = _next_round(problem, optimizer, updated)
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
def _evaluate_with_jacobian(problem: Problem, free: Free, merit: Merit) -> tuple[Evaluation, Free, Array, Merit]:
    return problem.evaluate_with_jacobian(free, merit)


@eqx.filter_jit
def _evaluate(problem: Problem, free: Free, merit: Merit) -> tuple[Evaluation, Free, Merit]:
    return problem.evaluate(free, merit)


def _linearized(problem: Problem, least_squares: bool, merit: Merit, free: Free, _: Any) -> tuple[Array, tuple]:
    """f(z₀) + f'(z₀)(z - z₀) at z = z₀, with z₀ a constant; f: residuals, or the merit.

    Value and first derivative are those of f, and however often a solver differentiates it, the program holds the model
    and its derivative once.
    """
    here = jax.lax.stop_gradient(free)
    if least_squares:
        found, _, residuals, units = _evaluate_with_jacobian(problem, here, merit)
        assert found.jacobian is not None  # of this way of evaluating
        count, excess = residuals.shape[0], found.excess
        slopes = merit.residual_slopes(found.jacobian[:count], found.jacobian[count:], excess)
        value = merit.residuals(residuals, excess)
        return value + dot(slopes, free - here), (found, units)
    found, gradient, units = _evaluate(problem, here, merit)
    return found.merit + jnp.sum(gradient * (free - here)), (found, units)
