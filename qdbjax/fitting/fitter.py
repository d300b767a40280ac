"""Fit: parameters of a model from what it should do."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx

from qdbjax._checks import as_real
from qdbjax._progress import progress_bar
from qdbjax._types import Array, ArrayLike
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.compilation.programs import programs_of
from qdbjax.compilation.tiers import chosen
from qdbjax.fitting.checkpoint import restore, store
from qdbjax.fitting.objectives import AbstractTerm, Match, as_objective
from qdbjax.fitting.parameters import as_parameters
from qdbjax.fitting.problem import FORWARD_LIMIT, Evaluation, Problem
from qdbjax.fitting.result import Fit, status_of
from qdbjax.fitting.search import (
    STEPS_PER_CALL,
    ClippedBFGS,
    Optimizer,
    SearchState,
    advance,
    finished,
    initial_state,
)
from qdbjax.fitting.transforms import Bounded, Free
from qdbjax.fitting.uncertainty import NORMAL_QUANTILE, covariance, identifiability

AT_BOUND = 1e-3  # part of its range within which a bounded parameter counts as held back


def fit(
    model: Callable[..., Any],
    objective: AbstractTerm | Mapping[str, AbstractTerm] | Callable,
    parameters: Mapping[str, Any],
    *,
    over: Mapping[str, ArrayLike] | None = None,
    optimizer: Optimizer | None = None,
    steps: int = 500,
    starts: int = 1,
    seed: int = 0,
    tolerance: float = 1e-10,
    mode: str | None = None,
    progress: bool | None = None,
    checkpoint: str | pathlib.Path | None = None,
    optimize: bool | None = None,
) -> Fit:
    """Parameters with which the outputs of a model meet an objective.

    Minimises loss(z) = objective(model(**parameters(z), **condition)) over the free reals z behind the free parameters,
    from one or many starts at once.

    model: function of named parameters (and conditions) that JAX can trace; returns an array or a dict of arrays.
    objective: a term for each output by name (`match`, `to_state`, `maximize`, `minimize`, `at_most`, `at_least`), a
        single term for a model with one output, or any function of the outputs that returns a number.
    parameters: by name, free ones (`positive`, `bounded`, `real`, `simplex`, `hermitian`, `leaves`, `trainable`) and
        fixed values.
    over: conditions by name, vectors (n,); the model is called for each of the n, and outputs have a leading axis n.
    optimizer: any of optax, or a least-squares solver or minimiser of optimistix that uses derivatives; by default
        Levenberg and Marquardt where every term has residuals, else BFGS with clipped steps.
    steps: the largest number of steps.
    starts: number of starts; the first from the given values, further ones drawn from the ranges.
    seed: of these draws.
    tolerance: largest entry of the gradient, relative to a loss above 1, at which a start has converged (for optimistix
        relative and absolute tolerance of steps and loss); a start is given up after 100 steps without progress.
    mode: how the model is differentiated: "forward" (one Jacobian-vector product a free real), "reverse" (one pass back
        through the model a loss, or a residual); by default forward for up to 12 free reals and for least squares, and
        in reverse for more, and for models that have no forward derivative, such as `evolve` with its own adjoint.
    progress: whether to draw a bar with the loss; None: on terminals only.
    checkpoint: a file that is written every 50 steps, and from which a search that was stopped goes on.
    optimize: True for programs that compile slower and run faster, False for the opposite, None to decide by steps
        times starts times conditions (a million or more).
    Returns a Fit with its verdict. Raises ValueError for wrong names, starts out of range, outputs of another shape.
    *Source:* R. A. Vargas-Hernández, R. T. Q. Chen, K. A. Jung, P. Brumer, arXiv:2103.12604, for gradients through
    stationary states.
    """
    if mode not in (None, "forward", "reverse"):
        raise ValueError(f"mode must be 'forward', 'reverse' or None; got {mode!r}.")
    if starts < 1 or steps < 1:
        raise ValueError(f"starts and steps must be at least 1; got {starts} and {steps}.")
    problem = _build_problem(model, objective, parameters, over or {})
    shapes = _check_outputs(problem)
    least_squares = jax.eval_shape(problem.objective.residuals, shapes) is not None
    optimizer = _choose_optimizer(optimizer, least_squares, tolerance)
    prefers_forward = problem.parameters.size <= FORWARD_LIMIT or _solves_least_squares(optimizer)
    forward = prefers_forward if mode is None else mode == "forward"
    keys = jax.random.split(jax.random.key(seed), starts)

    def search(problem):
        empty = problem.empty_evaluation(shapes, problem.forward or _solves_least_squares(optimizer))
        states = _initial_states(problem, optimizer, empty, keys)
        return _search(problem, optimizer, states, steps, tolerance, progress, checkpoint)

    problem = dataclasses.replace(problem, forward=forward)
    with chosen(optimize):
        try:
            states, history, steps_made = search(problem)
        except TypeError as error:
            if mode is not None or not forward or "custom_vjp" not in str(error):
                raise
            problem = dataclasses.replace(problem, forward=False)
            states, history, steps_made = search(problem)
        return _assemble_fit(problem, states, history, steps_made, least_squares)


def _choose_optimizer(optimizer: Optimizer | None, least_squares: bool, tolerance: float) -> Optimizer:
    if optimizer is None:
        solver = optx.LevenbergMarquardt if least_squares else ClippedBFGS
        return solver(rtol=tolerance, atol=tolerance)
    if _solves_least_squares(optimizer):
        if not least_squares:
            raise ValueError(
                f"{type(optimizer).__name__} needs residuals, and a term of this objective has none: take an optimizer "
                "of optax, such as optax.adam(1e-2), or a minimiser of optimistix."
            )
    elif not isinstance(optimizer, optax.GradientTransformation | optx.AbstractMinimiser):
        raise TypeError(f"optimizer must be one of optax or a solver of optimistix; got {optimizer!r}.")
    return optimizer


def _solves_least_squares(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, optx.AbstractLeastSquaresSolver)


def _build_problem(
    model: Callable, objective: Any, parameters: Mapping[str, Any], over: Mapping[str, ArrayLike]
) -> Problem:
    if not callable(model):
        raise TypeError(f"model must be a function of the parameters; got {model!r}.")
    conditions = {name: as_real(values, f"over[{name!r}]") for name, values in over.items()}
    lengths = {name: values.shape for name, values in conditions.items()}
    if len({shape[:1] for shape in lengths.values()}) > 1 or any(shape == () for shape in lengths.values()):
        raise ValueError(f"conditions in over must be vectors of one length; got shapes {lengths}.")
    shared = set(conditions) & set(parameters)
    if shared:
        raise ValueError(f"{sorted(shared)} are both parameters and conditions.")
    return Problem(model, as_parameters(parameters), as_objective(objective), conditions)


def _check_outputs(problem: Problem) -> dict[str, Any]:
    """Shapes of the outputs, which must be those of the targets."""
    shapes = _output_shapes(problem)
    for name, term in problem.objective.terms.items():
        if name not in shapes:
            known = ", ".join(map(repr, shapes))
            raise ValueError(f"objective names the output {name!r}; the model returns {known}.")
        if isinstance(term, Match) and term.value.shape != shapes[name].shape:
            raise ValueError(
                f"match for {name!r} has shape {term.value.shape}, the model returns {shapes[name].shape}"
                f"{' (conditions first)' if problem.over else ''}."
            )
    return shapes


def _output_shapes(problem: Problem) -> dict[str, Any]:
    """Shapes of the outputs. The model is traced for them with its fixed values known, so that it can refuse them.

    Cached by model, because tracing is most of the time of a second fit.
    """
    cache, key = programs_of(problem.model), _shapes_key(problem)
    if key not in cache:
        cache[key] = jax.eval_shape(problem.outputs, problem.parameters.start())
    return cache[key]


def _shapes_key(problem: Problem) -> tuple:
    """What shapes depend on, and the fixed values, arrays by their bytes; a fresh key where one cannot be hashed."""
    tree = jax.tree.structure((problem.parameters, problem.over))
    free = [_leaf_key(leaf, False) for leaf in jax.tree.leaves((problem.parameters.free, problem.over))]
    key = ("shapes", tree, *free, *(_leaf_key(leaf, True) for leaf in jax.tree.leaves(problem.parameters.fixed)))
    try:
        hash(key)
    except TypeError:
        return ("shapes", object())
    return key


def _leaf_key(leaf: Any, by_value: bool) -> tuple:
    """A leaf as something to compare: what is no array, such as the activation of a network, as it is."""
    if not isinstance(leaf, np.ndarray | jax.Array) or jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        return type(leaf), leaf
    return leaf.shape, str(leaf.dtype), np.asarray(leaf).tobytes() if by_value else b""


@jit_if_eager
def _initial_states(problem: Problem, optimizer: Optimizer, empty: Evaluation, keys: Array) -> SearchState:
    others = [problem.parameters.sample(key) for key in keys[1:]]
    points = jnp.stack([problem.parameters.start(), *others])
    return jax.vmap(lambda free: initial_state(problem, optimizer, jax.tree.map(jnp.asarray, empty), free))(points)


def _search(
    problem: Problem,
    optimizer: Optimizer,
    states: SearchState,
    steps: int,
    tolerance: float,
    progress: bool | None,
    checkpoint: str | pathlib.Path | None,
) -> tuple[SearchState, np.ndarray, int]:
    """States after at most `steps` steps, the history of losses (step, start), and how many steps were made."""
    history: list[np.ndarray] = []
    steps_made = 0
    conditions = next((len(values) for values in problem.over.values()), 1)
    cells = steps * states.loss.shape[0] * conditions
    if checkpoint is not None:
        states, history, steps_made = restore(checkpoint, problem, states)
    with progress_bar(steps, "fit", progress, "steps") as show:
        show(steps_made)
        while steps_made < steps and not np.all(np.asarray(finished(states))):
            allowed = jnp.asarray(min(STEPS_PER_CALL, steps - steps_made), jnp.int32)
            states, losses, count = advance(cells, problem, optimizer, states, jnp.asarray(tolerance), allowed)
            history.append(np.asarray(losses)[: int(count)])
            steps_made += int(count)
            if checkpoint is not None:
                store(checkpoint, problem, states, history, steps_made)
            show(int(count), f"loss {float(np.min(np.asarray(states.loss))):.6g}")
    return states, np.concatenate(history) if history else np.zeros((0, states.loss.shape[0])), steps_made


@jit_if_eager
def _outputs(problem: Problem, free: Free) -> dict[str, Array]:
    return problem.outputs(free)


@jit_if_eager
def _identifiability_jacobian(problem: Problem, free: Free) -> Array:
    return problem.identifiability_jacobian(free)


@jit_if_eager
def _miss_values_slopes(problem: Problem, free: Free, outputs: dict[str, Array]) -> tuple[Array, dict, dict]:
    """Relative miss, free values by name, and their derivatives with respect to the free reals."""
    values = problem.parameters.free_values
    return problem.objective.relative_miss(outputs), values(free), jax.jacfwd(values)(free)


def _assemble_fit(
    problem: Problem, states: SearchState, history: np.ndarray, steps_made: int, least_squares: bool
) -> Fit:
    losses = np.asarray(states.loss)
    best = int(np.argmin(losses))
    free, evaluation = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[best]), (states.best, states.evaluation))
    is_of_best = evaluation.jacobian is not None and np.array_equal(evaluation.free, free)
    outputs = evaluation.outputs if is_of_best else _outputs(problem, free)
    jacobian = evaluation.jacobian if is_of_best and problem.has_targets else _identifiability_jacobian(problem, free)
    miss, values, slopes = _miss_values_slopes(problem, free, outputs)
    report = identifiability(np.asarray(jacobian), problem.parameters.labels)
    has_finished = bool(np.asarray(finished(states))[best])
    verdict = "failed"
    if np.isfinite(losses[best]):
        attained = float(miss) <= 1 and (has_finished or problem.has_targets)
        verdict = "converged" if attained else "stalled" if has_finished else "unfinished"
    matrix, errors, intervals = None, {}, {}
    if least_squares and verdict != "failed":
        matrix = covariance(report, _residual_variance(problem, float(losses[best]), jacobian.shape))
        errors, intervals = _errors_and_intervals(problem, free, matrix, slopes)
    terms = problem.objective.terms
    return Fit(
        parameters=problem.parameters.arguments(free),
        values={name: np.asarray(value) for name, value in values.items()},
        loss=float(losses[best]),
        losses=losses,
        history=history,
        steps=steps_made,
        outputs={name: np.asarray(value) for name, value in outputs.items()},
        targets={n: (np.asarray(t.value), np.asarray(t.error)) for n, t in terms.items() if isinstance(t, Match)},
        over={name: np.asarray(value) for name, value in problem.over.items()},
        table={name: term.report_row(outputs[name]) for name, term in terms.items()},
        verdict=verdict,
        status=status_of(verdict, report),
        covariance=matrix,
        standard_errors=errors,
        intervals=intervals,
        at_bounds=_at_bounds(problem, values),
        identifiability=report,
    )


def _at_bounds(problem: Problem, values: dict[str, Array]) -> list[str]:
    """Bounded parameters that lie at a bound, in words: they can only approach it, and a search seldom converges."""
    words = []
    for name, parameter in problem.parameters.named:
        if isinstance(parameter.transform, Bounded):
            low, high = float(parameter.transform.low), float(parameter.transform.high)
            value, edge = np.asarray(values[name]), AT_BOUND * (high - low)
            words += [f"{name} lies at its lower bound {low:g}"] if np.any(value < low + edge) else []
            words += [f"{name} lies at its upper bound {high:g}"] if np.any(value > high - edge) else []
    return words


def _residual_variance(problem: Problem, loss: float, shape: tuple[int, int]) -> float:
    """Of the residuals: 1 where all errors are given, otherwise their mean square, 2 loss/(m - n)."""
    if all(not isinstance(term, Match) or term.measured for term in problem.objective.terms.values()):
        return 1.0
    return 2 * loss / max(shape[0] - shape[1], 1)


def _errors_and_intervals(
    problem: Problem, free: Free, matrix: np.ndarray, slopes: dict[str, Array]
) -> tuple[dict, dict]:
    """Standard errors of the values, and their 95 % intervals: those of the free reals, transformed."""
    errors, intervals, offset = {}, {}, 0
    widths = np.sqrt(np.diagonal(matrix))
    for name, parameter in problem.parameters.named:
        part = slice(offset, offset + parameter.size)
        offset += parameter.size
        slope = np.asarray(slopes[name])[..., part]
        known = np.where(np.isfinite(matrix[part, part]), matrix[part, part], 0.0)
        error = np.sqrt(np.abs(np.einsum("...i,ij,...j->...", slope, known, slope.conj())))
        is_undetermined = np.any((np.abs(slope) > 0) & ~np.isfinite(widths[part]), axis=-1)
        errors[name] = np.where(is_undetermined, np.inf, error)
        if parameter.is_entrywise:
            centre, width, shape = np.asarray(free[part]), NORMAL_QUANTILE * widths[part], parameter.start.shape
            ends = [parameter.transform.forward(jnp.asarray(centre + sign * width), shape) for sign in (-1, 1)]
            intervals[name] = tuple(np.asarray(end) for end in ends)
    return errors, intervals
