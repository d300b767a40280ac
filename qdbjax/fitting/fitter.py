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

from qdbjax._progress import progress_bar
from qdbjax._types import Array, ArrayLike, as_real
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.compilation.programs import programs_of
from qdbjax.compilation.tiers import chosen
from qdbjax.fitting.checkpoint import restore, store
from qdbjax.fitting.objectives import AbstractTerm, Match, as_objective
from qdbjax.fitting.parameters import as_parameters
from qdbjax.fitting.problem import FORWARD, Problem, View
from qdbjax.fitting.result import Fit, flags
from qdbjax.fitting.search import STRETCH, Optimizer, ShortBFGS, Walker, advance, begin, resting
from qdbjax.fitting.transforms import Bounded, Free
from qdbjax.fitting.uncertainty import NORMAL, covariance, identifiability

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
    """Parameters with which a model does what is wanted of it.

    Minimises the objective over the free parameters, z → loss(model(parameters(z))), from one or many starts at once.
    model: a function of named parameters, the same that `sweep` takes; returns an array or a dict of arrays.
    objective: for each output a term (`match`, `to_state`, `maximize`, `minimize`, `at_most`, `at_least`), or any
    function of the outputs that returns a number. parameters: by name free ones (`positive`, `bounded`, `real`,
    `simplex`, `hermitian`, `leaves`, `trainable`) and fixed values. over: conditions by name (n,), for each of which
    the model is called; outputs then have a leading axis n. optimizer: any of optax, or a least-squares solver
    or minimiser of optimistix; by default Levenberg and Marquardt where every term has residuals, else BFGS in short
    steps. steps: the most to take; tolerance: of the gradient (of steps and loss for optimistix) at which a start
    rests; it also rests after 100 steps without progress. starts: the first from the given start, others from the
    ranges, by seed. mode: "forward" or "reverse" derivatives; by default forward for up to 12 free reals, and in
    reverse for more and for models that allow nothing else, such as `evolve` with its own adjoint. progress: a bar
    with the loss; None draws it on a terminal only. checkpoint: a file to go on from, and to write to after every
    stretch. optimize: True for a program that takes longer to compile and runs faster, False for the opposite, None to
    decide by steps times starts times conditions (a million or more).
    Returns a Fit with its verdict. Raises ValueError for wrong names, starts out of range, outputs of another shape.
    *Source:* R. A. Vargas-Hernández, R. T. Q. Chen, K. A. Jung, P. Brumer, arXiv:2103.12604, for gradients through
    stationary states.
    """
    if mode not in (None, "forward", "reverse"):
        raise ValueError(f"mode must be 'forward', 'reverse' or None; got {mode!r}.")
    if starts < 1 or steps < 1:
        raise ValueError(f"starts and steps must be at least 1; got {starts} and {steps}.")
    problem = _problem(model, objective, parameters, over or {})
    shapes = _check_outputs(problem)
    squares = jax.eval_shape(problem.objective.residuals, shapes) is not None
    optimizer = _default(optimizer, squares, tolerance)
    few = problem.parameters.size <= FORWARD or _by_squares(optimizer)
    forward = few if mode is None else mode == "forward"
    keys = jax.random.split(jax.random.key(seed), starts)

    def search(problem):
        unseen = problem.unseen(shapes, problem.forward or _by_squares(optimizer))
        walkers = _begin(problem, optimizer, unseen, keys)
        return _search(problem, optimizer, walkers, steps, tolerance, progress, checkpoint)

    problem = dataclasses.replace(problem, forward=forward)
    with chosen(optimize):
        try:
            walkers, history, taken = search(problem)
        except TypeError as error:
            if mode is not None or not forward or "custom_vjp" not in str(error):
                raise
            problem = dataclasses.replace(problem, forward=False)
            walkers, history, taken = search(problem)
        return _report(problem, walkers, history, taken, squares)


def _default(optimizer: Optimizer | None, squares: bool, tolerance: float) -> Optimizer:
    if optimizer is None:
        return optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance) if squares else ShortBFGS(tolerance, tolerance)
    if _by_squares(optimizer):
        if not squares:
            raise ValueError(
                f"{type(optimizer).__name__} needs residuals, and a term of this objective has none: take an optimizer "
                "of optax, such as optax.adam(1e-2), or a minimiser of optimistix."
            )
    elif not isinstance(optimizer, optax.GradientTransformation | optx.AbstractMinimiser):
        raise TypeError(f"optimizer must be one of optax or a solver of optimistix; got {optimizer!r}.")
    return optimizer


def _by_squares(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, optx.AbstractLeastSquaresSolver)


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


def _check_outputs(problem: Problem) -> dict[str, Any]:
    """Shapes of the outputs, which must be those of the targets."""
    shapes = _shapes(problem)
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


def _shapes(problem: Problem) -> dict[str, Any]:
    """Shapes of the outputs. The model is traced for them with its fixed values known, so that it can refuse them.

    Kept, because that is most of what a second fit of the same model would do.
    """
    kept, key = programs_of(problem.model), _key(problem)
    if key not in kept:
        kept[key] = jax.eval_shape(problem.outputs, problem.parameters.start())
    return kept[key]


def _key(problem: Problem) -> tuple:
    """What shapes depend on, and the fixed values, arrays by their bytes; a fresh key where one cannot be hashed."""
    tree = jax.tree.structure((problem.parameters, problem.over))
    free = [_sign(leaf, False) for leaf in jax.tree.leaves((problem.parameters.free, problem.over))]
    key = ("shapes", tree, *free, *(_sign(leaf, True) for leaf in jax.tree.leaves(problem.parameters.fixed)))
    try:
        hash(key)
    except TypeError:
        return ("shapes", object())
    return key


def _sign(leaf: Any, by_value: bool) -> tuple:
    """A leaf as something to compare: what is no array, such as the activation of a network, as it is."""
    if not isinstance(leaf, np.ndarray | jax.Array) or jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        return type(leaf), leaf
    return leaf.shape, str(leaf.dtype), np.asarray(leaf).tobytes() if by_value else b""


@jit_if_eager
def _begin(problem: Problem, optimizer: Optimizer, unseen: View, keys: Array) -> Walker:
    others = [problem.parameters.sample(key) for key in keys[1:]]
    points = jnp.stack([problem.parameters.start(), *others])
    return jax.vmap(lambda free: begin(problem, optimizer, jax.tree.map(jnp.asarray, unseen), free))(points)


def _search(
    problem: Problem,
    optimizer: Optimizer,
    walkers: Walker,
    steps: int,
    tolerance: float,
    progress: bool | None,
    checkpoint: str | pathlib.Path | None,
) -> tuple[Walker, np.ndarray, int]:
    history: list[np.ndarray] = []
    taken = 0
    conditions = next((len(values) for values in problem.over.values()), 1)
    cells = steps * walkers.loss.shape[0] * conditions
    if checkpoint is not None:
        walkers, history, taken = restore(checkpoint, problem, walkers)
    with progress_bar(steps, "fit", progress, "steps") as shown:
        shown(taken)
        while taken < steps and not np.all(np.asarray(resting(walkers))):
            length = jnp.asarray(min(STRETCH, steps - taken), jnp.int32)
            walkers, losses, count = advance(cells, problem, optimizer, walkers, jnp.asarray(tolerance), length)
            history.append(np.asarray(losses)[: int(count)])
            taken += int(count)
            if checkpoint is not None:
                store(checkpoint, problem, walkers, history, taken)
            shown(int(count), f"loss {float(np.min(np.asarray(walkers.loss))):.6g}")
    return walkers, np.concatenate(history) if history else np.zeros((0, walkers.loss.shape[0])), taken


@jit_if_eager
def _outputs(problem: Problem, free: Free) -> dict[str, Array]:
    return problem.outputs(free)


@jit_if_eager
def _visible(problem: Problem, free: Free) -> Array:
    return problem.visible(free)


@jit_if_eager
def _judge(problem: Problem, free: Free, outputs: dict[str, Array]) -> tuple[Array, dict, dict]:
    """Miss, and values and their slopes at the free reals."""
    table = problem.parameters.table
    return problem.objective.miss(outputs), table(free), jax.jacfwd(table)(free)


def _report(problem: Problem, walkers: Walker, history: np.ndarray, taken: int, squares: bool) -> Fit:
    losses = np.asarray(walkers.loss)
    best = int(np.argmin(losses))
    free, view = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[best]), (walkers.best, walkers.view))
    seen = view.jacobian is not None and np.array_equal(view.free, free)
    outputs = view.outputs if seen else _outputs(problem, free)
    jacobian = view.jacobian if seen and problem.aims else _visible(problem, free)
    miss, values, slopes = _judge(problem, free, outputs)
    report = identifiability(np.asarray(jacobian), problem.parameters.labels)
    rests = bool(np.asarray(resting(walkers))[best])
    verdict = "failed"
    if np.isfinite(losses[best]):
        attained = float(miss) <= 1 and (rests or problem.aims)
        verdict = "converged" if attained else "stalled" if rests else "unfinished"
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
        at_bounds=_at_bounds(problem, values),
        identifiability=report,
    )


def _at_bounds(problem: Problem, values: dict[str, Array]) -> list[str]:
    """Bounded parameters that lie at a bound, which they can only approach: there a search seldom settles."""
    words = []
    for name, parameter in problem.parameters.singles:
        if isinstance(parameter.transform, Bounded):
            low, high = float(parameter.transform.low), float(parameter.transform.high)
            value, edge = np.asarray(values[name]), AT_BOUND * (high - low)
            words += [f"{name} lies at its lower bound {low:g}"] if np.any(value < low + edge) else []
            words += [f"{name} lies at its upper bound {high:g}"] if np.any(value > high - edge) else []
    return words


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
