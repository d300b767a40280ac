"""Fit: parameters of a model from what it should do."""

import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx

from qdbjax._types import Array, ArrayLike, as_real
from qdbjax.fitting.checkpoint import restore, store
from qdbjax.fitting.objectives import AbstractTerm, Match, as_objective
from qdbjax.fitting.parameters import as_parameters
from qdbjax.fitting.problem import Problem
from qdbjax.fitting.result import Fit, flags
from qdbjax.fitting.search import PATIENCE, Solver, Walker, begin, descend, solve
from qdbjax.fitting.transforms import Free
from qdbjax.fitting.uncertainty import NORMAL, covariance, identifiability

Optimizer = optax.GradientTransformation | Solver
STRETCH, WHOLE = 50, 100  # steps in one compiled stretch, of an optax optimizer and of a solver of optimistix


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
    progress: bool = False,
    checkpoint: str | pathlib.Path | None = None,
) -> Fit:
    """Parameters with which a model does what is wanted of it.

    Minimises the objective over the free parameters, z → loss(model(parameters(z))), from one or many starts at once;
    derivatives forward for up to 12 free reals, backward for more.
    model: a function of named parameters, the same that `sweep` takes; returns an array or a dict of arrays.
    objective: for each output a term (`match`, `to_state`, `maximize`, `minimize`, `at_most`, `at_least`), or any
    function of the outputs that returns a number. parameters: by name free ones (`positive`, `bounded`, `real`,
    `simplex`, `hermitian`, `leaves`, `trainable`) and fixed values. over: conditions by name (n,), for each of which
    the model is called; outputs then have a leading axis n. optimizer: any of optax, or a least-squares solver
    or minimiser of optimistix; by default Levenberg and Marquardt where every term has residuals, BFGS otherwise.
    steps: the most to take; tolerance: of the gradient (of steps and loss for optimistix) at which a start rests; it
    also rests after 100 steps without progress. starts: the first from the given start, others from the ranges, by
    seed. progress: show the loss. checkpoint: a file to go on from, and to write to after every stretch.
    Returns a Fit with its verdict. Raises ValueError for wrong names, starts out of range, outputs of another shape.
    *Source:* R. A. Vargas-Hernández, R. T. Q. Chen, K. A. Jung, P. Brumer, arXiv:2103.12604, for gradients through
    stationary states.
    """
    problem = _problem(model, objective, parameters, over or {})
    squares = _check_outputs(problem)
    optimizer = _default(optimizer, squares, tolerance)
    if starts < 1 or steps < 1:
        raise ValueError(f"starts and steps must be at least 1; got {starts} and {steps}.")
    walkers = _begin(problem, optimizer, starts, seed)
    walkers, history, taken = _search(problem, optimizer, walkers, steps, tolerance, progress, checkpoint)
    return _report(problem, walkers, history, taken, squares)


def _default(optimizer: Optimizer | None, squares: bool, tolerance: float) -> Optimizer:
    if optimizer is None:
        return optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance) if squares else optx.BFGS(tolerance, tolerance)
    if isinstance(optimizer, optx.AbstractLeastSquaresSolver):
        if not squares:
            raise ValueError(
                f"{type(optimizer).__name__} needs residuals, and a term of this objective has none: take an optimizer "
                "of optax, such as optax.adam(1e-2), or a minimiser of optimistix."
            )
    elif not isinstance(optimizer, optax.GradientTransformation | optx.AbstractMinimiser):
        raise TypeError(f"optimizer must be one of optax or a solver of optimistix; got {optimizer!r}.")
    return optimizer


def _problem(model: Callable, objective: Any, parameters: Mapping[str, Any], over: Mapping[str, ArrayLike]) -> Problem:
    if not callable(model):
        raise TypeError(f"model must be a function of the parameters; got {model!r}.")
    conditions = {name: as_real(values, f"over[{name!r}]") for name, values in over.items()}
    lengths = {name: values.shape for name, values in conditions.items()}
    if len({shape[:1] for shape in lengths.values()}) > 1 or any(shape == () for shape in lengths.values()):
        raise ValueError(f"conditions in over must be vectors of one length; got shapes {lengths}.")
    twice = set(conditions) & set(parameters)
    if twice:
        raise ValueError(f"{sorted(twice)} are both parameters and conditions.")
    return Problem(model, as_parameters(parameters), as_objective(objective), conditions)


def _check_outputs(problem: Problem) -> bool:
    """Whether every term has residuals; the model is traced once, for its shapes."""
    shapes = jax.eval_shape(problem.outputs, problem.parameters.start())
    for name, term in problem.objective.terms.items():
        if name not in shapes:
            known = ", ".join(map(repr, shapes))
            raise ValueError(f"objective names the output {name!r}; the model returns {known}.")
        if isinstance(term, Match) and term.value.shape != shapes[name].shape:
            raise ValueError(
                f"match for {name!r} has shape {term.value.shape}, the model returns {shapes[name].shape}"
                f"{' (conditions first)' if problem.over else ''}."
            )
    return jax.eval_shape(problem.objective.residuals, shapes) is not None


def _begin(problem: Problem, optimizer: Optimizer, starts: int, seed: int) -> Walker:
    keys = jax.random.split(jax.random.key(seed), starts)
    others = [problem.parameters.sample(key) for key in keys[1:]]
    gradient = optimizer if isinstance(optimizer, optax.GradientTransformation) else None
    points = jnp.stack([problem.parameters.start(), *others])
    with jax.numpy_dtype_promotion("standard"):
        return jax.vmap(lambda free: begin(problem, gradient, free))(points)


def _search(
    problem: Problem,
    optimizer: Optimizer,
    walkers: Walker,
    steps: int,
    tolerance: float,
    progress: bool,
    checkpoint: str | pathlib.Path | None,
) -> tuple[Walker, np.ndarray, int]:
    whole = not isinstance(optimizer, optax.GradientTransformation)
    stretch = min(WHOLE if whole else STRETCH, steps)
    history: list[np.ndarray] = []
    taken = 0
    if checkpoint is not None:
        walkers, history, taken = restore(checkpoint, problem, walkers)
    while taken < steps and not _resting(walkers):
        if whole:
            walkers, losses = solve(problem, optimizer, walkers, stretch)
        else:
            walkers, losses = descend(problem, optimizer, walkers, jnp.asarray(tolerance), stretch)
        history.append(np.asarray(losses))
        taken += stretch
        if checkpoint is not None:
            store(checkpoint, problem, walkers, history, taken)
        if progress:
            best = float(np.min(np.asarray(walkers.loss)))
            print(f"\rfit: step {taken} of {steps}, loss {best:.6g}", end="", file=sys.stderr, flush=True)
    if progress:
        print(file=sys.stderr)
    return walkers, np.concatenate(history) if history else np.zeros((0, walkers.loss.shape[0])), taken


def _resting(walkers: Walker) -> bool:
    return bool(np.all(np.asarray(walkers.settled) | (np.asarray(walkers.idle) >= PATIENCE)))


@eqx.filter_jit
def _judge(problem: Problem, free: Free) -> tuple[dict, Array, Array, dict[str, Array], dict[str, Array]]:
    """Outputs, miss, what tells parameters apart, and values and their slopes at the free reals."""
    outputs = problem.outputs(free)
    slopes = jax.jacfwd(problem.parameters.table)(free)
    values = problem.parameters.table(free)
    return outputs, problem.objective.miss(outputs), problem.visible(free), values, slopes


def _report(problem: Problem, walkers: Walker, history: np.ndarray, taken: int, squares: bool) -> Fit:
    losses = np.asarray(walkers.loss)
    best = int(np.argmin(losses))
    free = walkers.best[best]
    outputs, miss, jacobian, values, slopes = _judge(problem, free)
    report = identifiability(np.asarray(jacobian), problem.parameters.labels)
    resting = bool(walkers.settled[best]) or int(walkers.idle[best]) >= PATIENCE
    verdict = "failed"
    if np.isfinite(losses[best]):
        attained = float(miss) <= 1 and (resting or problem.aims)
        verdict = "converged" if attained else "stalled" if resting else "unfinished"
    matrix, errors, intervals = None, {}, {}
    if squares and verdict != "failed":
        matrix = covariance(report, _variance(problem, float(losses[best]), jacobian.shape))
        errors, intervals = _spread(problem, free, matrix, slopes)
    terms = problem.objective.terms
    return Fit(
        parameters=problem.parameters.values(free),
        values={name: np.asarray(value) for name, value in values.items()},
        loss=float(losses[best]),
        losses=losses,
        history=history,
        steps=taken,
        achieved={name: np.asarray(value) for name, value in outputs.items()},
        wanted={n: (np.asarray(t.value), np.asarray(t.error)) for n, t in terms.items() if isinstance(t, Match)},
        over={name: np.asarray(value) for name, value in problem.over.items()},
        table={name: term.row(outputs[name]) for name, term in terms.items()},
        verdict=verdict,
        status=flags(verdict, report),
        covariance=matrix,
        standard_errors=errors,
        intervals=intervals,
        identifiability=report,
    )


def _variance(problem: Problem, loss: float, shape: tuple[int, int]) -> float:
    """1 where errors are known, otherwise what the residuals themselves say."""
    if all(not isinstance(term, Match) or term.measured for term in problem.objective.terms.values()):
        return 1.0
    return 2 * loss / max(shape[0] - shape[1], 1)


def _spread(problem: Problem, free: Free, matrix: np.ndarray, slopes: dict[str, Array]) -> tuple[dict, dict]:
    """Standard errors of the values, and intervals that the transforms carry over from the free reals."""
    errors, intervals, place = {}, {}, 0
    widths = np.sqrt(np.diagonal(matrix))
    for name, parameter in problem.parameters.singles:
        part = slice(place, place + parameter.size)
        place += parameter.size
        slope = np.asarray(slopes[name])[..., part]
        known = np.where(np.isfinite(matrix[part, part]), matrix[part, part], 0.0)
        error = np.sqrt(np.abs(np.einsum("...i,ij,...j->...", slope, known, slope.conj())))
        lost = np.any((np.abs(slope) > 0) & ~np.isfinite(widths[part]), axis=-1)
        errors[name] = np.where(lost, np.inf, error)
        if parameter.monotonic:
            middle, width, shape = np.asarray(free[part]), NORMAL * widths[part], parameter.start.shape
            ends = [parameter.transform.forward(jnp.asarray(middle + sign * width), shape) for sign in (-1, 1)]
            intervals[name] = tuple(np.asarray(end) for end in ends)
    return errors, intervals
