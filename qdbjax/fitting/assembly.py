"""From the states of a search to a Fit: the best start, its verdict, intervals, and what stays undetermined."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.fitting.objectives import Match
from qdbjax.fitting.problem import Evaluation, Problem, around
from qdbjax.fitting.result import Fit, status_of
from qdbjax.fitting.search import SearchState, finished, is_flat
from qdbjax.fitting.transforms import Bounded, Free
from qdbjax.fitting.uncertainty import NORMAL_QUANTILE, covariance, identifiability

Look = Callable[[Array], Evaluation]
AT_BOUND = 1e-3  # part of its range within which a bounded parameter counts as held back


@jit_if_eager
def _jacobian(problem: Problem, free: Free, bounds: int) -> Array:
    return problem.jacobian(free, bounds)


@jit_if_eager
def _around(free: Free) -> Array:
    return around(free)


def _jacobian_of(problem: Problem, state: SearchState, look: Look, starts: int) -> np.ndarray:
    """The Jacobian that tells parameters apart: that of the last step where it is, else as the problem says.

    That of a model with one output around its extremum is taken from the program of the search, which is there: to
    compile another is a third of the time of a first fit.
    """
    evaluation, bounds = state.evaluation, state.merit.sizes.shape[0]
    if problem.has_targets:
        return np.asarray(
            _jacobian(problem, evaluation.free, bounds) if evaluation.jacobian is None else evaluation.jacobian
        )
    leaves = jax.tree.leaves(evaluation.outputs)
    if bounds or len(leaves) > 1 or leaves[0].size > 1 or jnp.iscomplexobj(leaves[0]):
        rows = np.asarray(_jacobian(problem, evaluation.free, bounds))
    else:
        points = np.asarray(_around(evaluation.free))
        batches = [np.take(points, range(n, n + starts), axis=0, mode="clip") for n in range(0, len(points), starts)]
        rows = np.concatenate([np.asarray(look(jnp.asarray(batch)).slope) for batch in batches])[: len(points)]
    # Outside the domain of the model rows are NaN and tell nothing.
    return np.where(np.all(np.isfinite(rows), axis=1, keepdims=True), rows, 0.0)


@jit_if_eager
def _miss_values_slopes(problem: Problem, free: Free, outputs: dict[str, Array]) -> tuple[Array, dict, dict]:
    """Relative miss, free values by name, and their derivatives with respect to the free reals."""
    values = problem.parameters.free_values
    return problem.objective.relative_miss(outputs), values(free), jax.jacfwd(values)(free)


def _bound_miss(states: SearchState) -> np.ndarray:
    """(start,), the largest excess over a bound, in units of its tolerance."""
    excess = np.asarray(states.evaluation.excess) / np.asarray(states.merit.sizes)
    worst = np.max(excess / np.asarray(states.merit.tolerances), axis=1, initial=0.0)
    return np.where(np.isfinite(worst), worst, np.inf)


def _best_start(states: SearchState) -> int:
    """Of the starts that keep the bounds the one of the lowest loss; where none does, the one that comes nearest."""
    losses, miss = np.asarray(states.loss), _bound_miss(states)
    order = np.lexsort((losses, np.where(miss <= 1, 0.0, miss), ~np.isfinite(losses)))
    return int(order[0])


def assemble(
    problem: Problem, states: SearchState, history: np.ndarray, steps_made: int, look: Look, least_squares: bool
) -> Fit:
    """The Fit of a search. look: evaluations at points (start, n), by the program of the search."""
    losses, best = np.asarray(states.loss), _best_start(states)
    state = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[best]), states)
    evaluation = state.evaluation
    free, outputs = evaluation.free, evaluation.outputs
    jacobian = _jacobian_of(problem, state, look, len(losses))
    data, active = _data_and_active_bounds(problem, state, jacobian)
    miss, values, slopes = _miss_values_slopes(problem, free, outputs)
    miss = max(float(miss), float(_bound_miss(states)[best]))
    report = identifiability(data, problem.parameters.labels, active)
    has_finished = bool(finished(state))
    if state.merit.sizes.shape[0] and miss <= 1:
        has_finished &= bool(state.converged | is_flat(evaluation))
    verdict = "failed"
    if np.isfinite(losses[best]):
        attained = miss <= 1 and (has_finished or problem.has_targets)
        verdict = "converged" if attained else "stalled" if has_finished else "unfinished"
    matrix, errors, intervals = None, {}, {}
    if least_squares and verdict != "failed":
        matrix = covariance(data, _residual_variance(problem, float(losses[best]), data.shape), active)
        errors, intervals = _errors_and_intervals(problem, free, matrix, slopes)
    terms, condition_status = problem.objective.terms, np.asarray(evaluation.status)
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
        status=status_of(verdict, report, condition_status),
        condition_status=condition_status,
        covariance=matrix,
        standard_errors=errors,
        intervals=intervals,
        at_bounds=_at_bounds(problem, values),
        identifiability=report,
    )


def _data_and_active_bounds(
    problem: Problem, state: SearchState, jacobian: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Jacobians of what is fitted and of the bounds that hold it back."""
    bounds = state.merit.sizes.shape[0]
    if not bounds or not problem.has_targets:  # around an extremum outputs tell everything
        return jacobian, np.zeros((0, jacobian.shape[1]))
    data, excess = jacobian[:-bounds], jacobian[-bounds:]
    return data, (excess / np.asarray(state.merit.sizes)[:, None])[np.asarray(state.merit.multipliers) > 0]


def _at_bounds(problem: Problem, values: dict[str, Array]) -> list[str]:
    """Bounded parameters that lie at a bound, in words: they can only approach it, and a search seldom converges."""
    words = []
    for name, parameter in problem.parameters.named:
        if isinstance(parameter.transform, Bounded):
            value = np.asarray(values[name])
            low, high = (np.broadcast_to(np.asarray(x), value.shape) for x in parameter.transform.bounds)
            edge = AT_BOUND * (high - low)
            for side, bound, held in (("lower", low, value < low + edge), ("upper", high, value > high - edge)):
                for index in zip(*np.nonzero(held), strict=True) if value.ndim else [()] * bool(held):
                    entry = f"[{', '.join(map(str, index))}]" if index else ""
                    words.append(f"{name}{entry} lies at its {side} bound {bound[index]:g}")
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
