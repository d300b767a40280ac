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

from qdbjax._checks import as_integer, as_real, as_scalar
from qdbjax._progress import progress_bar
from qdbjax._types import Array, ArrayLike
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.compilation.programs import programs_of
from qdbjax.compilation.tiers import chosen
from qdbjax.fitting.assembly import assemble
from qdbjax.fitting.checkpoint import Checkpoint
from qdbjax.fitting.objectives import AbstractTerm, ToState, as_objective
from qdbjax.fitting.parameters import as_parameters
from qdbjax.fitting.problem import FORWARD_LIMIT, Evaluation, Problem
from qdbjax.fitting.result import Fit
from qdbjax.fitting.search import (
    STEPS_PER_CALL,
    ClippedBFGS,
    Optimizer,
    SearchState,
    advance,
    finished,
    initial_state,
)


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
    from one or many starts at once, subject to the bounds of `at_most` and `at_least`. The search goes in units of the
    loss at its start and of the bounds, so that its result depends on neither units nor a common weight.

    model: function of named parameters (and conditions) that JAX can trace; returns an array or a dict of arrays.
    objective: a term for each output by name (`match`, `to_state`, `maximize`, `minimize`, `at_most`, `at_least`), a
        single term for a model with one output, or any function of the outputs that returns a number.
    parameters: by name, free ones (`positive`, `bounded`, `real`, `simplex`, `hermitian`, `leaves`, `trainable`) and
        fixed values.
    over: conditions by name, vectors (n,); the model is called for each of the n, and outputs have a leading axis n.
    optimizer: any of optax, or a least-squares solver or minimiser of optimistix that uses derivatives; by default
        Levenberg and Marquardt where every term has residuals, else BFGS with clipped steps. With bounds keep to those
        that come to rest: at a fixed rate, as that of optax.adam, bounds are kept to the size of its steps.
    steps: the largest number of steps, a whole number.
    starts: number of starts; the first from the given values, further ones drawn from the ranges.
    seed: of these draws.
    tolerance: largest entry of the gradient, relative to a loss above 1 (in the unit of the search), at which a start
        has converged (for optimistix relative and absolute tolerance of steps and loss); a start is given up after 100
        steps without progress.
    mode: how the model is differentiated: "forward" (one Jacobian-vector product a free real), "reverse" (one pass back
        through the model a loss, or a residual); by default forward for up to 12 free reals and for least squares, and
        in reverse for more, and for models that have no forward derivative, such as `evolve` with its own adjoint.
    progress: whether to draw a bar with the loss; None: on terminals only.
    checkpoint: a file that is written every 50 steps, and from which a search that was stopped goes on; one of another
        model, fixed value, target or setting is refused, with the difference named.
    optimize: True for programs that compile slower and run faster, False for the opposite, None to decide by steps
        times starts times conditions (a million or more).
    Returns a Fit with its verdict, and the flags that the model's own solves raised. Raises ValueError for wrong names,
    starts out of range, outputs of another shape, numbers of steps or starts that are not whole.
    *Source:* R. A. Vargas-Hernández, R. T. Q. Chen, K. A. Jung, P. Brumer, arXiv:2103.12604, for gradients through
    stationary states.

    >>> model = lambda T: {"p": qdb.gibbs(qdb.models.qubit(1.0), temperature=T).populations[1]}
    >>> found = qdb.fit(model, {"p": qdb.fitting.match(0.2)}, {"T": qdb.fitting.positive(1.0)})
    >>> found.verdict, round(float(found.values["T"]), 4)  # p = 1/(e^{1/T} + 1)
    ('converged', 0.7213)
    """
    if mode not in (None, "forward", "reverse"):
        raise ValueError(f"mode must be 'forward', 'reverse' or None; got {mode!r}.")
    steps, starts, seed = as_integer(steps, "steps", 1), as_integer(starts, "starts", 1), as_integer(seed, "seed", 0)
    tolerance = float(as_scalar(tolerance, "tolerance", low=0, strict=True))
    problem = _build_problem(model, objective, parameters, over or {})
    shapes = _check_outputs(problem)
    least_squares = jax.eval_shape(problem.objective.residuals, shapes) is not None
    optimizer = _choose_optimizer(optimizer, least_squares, tolerance)
    prefers_forward = problem.parameters.size <= FORWARD_LIMIT or _solves_least_squares(optimizer)
    forward = prefers_forward if mode is None else mode == "forward"

    points = _starting_points(problem, jax.random.key(seed), starts)
    cells = steps * starts * next(iter(problem.conditions), 1)
    least = jnp.asarray(tolerance, points.dtype)

    def search(problem):
        empty = problem.empty_evaluation(shapes, problem.forward or _solves_least_squares(optimizer))
        begin = lambda points: _states_at(problem, optimizer, empty, points)  # noqa: E731
        step = lambda states, most: advance(cells, problem, optimizer, states, least, jnp.asarray(most, jnp.int32))  # noqa: E731
        look = lambda points: step(begin(points), 1)[0].evaluation  # noqa: E731
        settings = {"optimizer": optimizer, "tolerance": least, "starts": starts, "seed": seed}
        file = None if checkpoint is None else Checkpoint(checkpoint, problem, settings, look, points)
        return *_search(step, begin(points), steps, progress, file), look

    problem = dataclasses.replace(problem, forward=forward)
    with chosen(optimize):
        try:
            states, history, steps_made, look = search(problem)
        except TypeError as error:
            if mode is not None or not forward or "custom_vjp" not in str(error):
                raise
            problem = dataclasses.replace(problem, forward=False)
            states, history, steps_made, look = search(problem)
        return assemble(problem, states, history, steps_made, look, least_squares)


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
        found = shapes[name]
        wrong = term.shape_problem(found.shape)
        if wrong:
            first = " (conditions first)" if problem.over else ""
            raise ValueError(f"objective for {name!r}: {wrong}, the model returns {found.shape}{first}.")
        if jnp.issubdtype(found.dtype, jnp.complexfloating) and not isinstance(term, ToState):
            raise TypeError(f"output {name!r} must be real for this term; it is {found.dtype}: return its real part.")
    return shapes


def _output_shapes(problem: Problem) -> dict[str, Any]:
    """Shapes of the outputs. The model is traced for them with its fixed values known, so that it can refuse them.

    Cached by model, because tracing is most of the time of a second fit.
    """
    cache, key = programs_of(problem.model), _shapes_key(problem)
    if key not in cache:
        cache[key] = jax.eval_shape(lambda: problem.outputs(problem.parameters.start()))[0]
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
def _starting_points(problem: Problem, key: Array, starts: int) -> Array:
    """(start, n), the free reals of every start."""
    keys = jax.random.split(key, starts)
    return jnp.concatenate([problem.parameters.start()[None, :], jax.vmap(problem.parameters.sample)(keys[1:])])


@jit_if_eager
def _states_at(problem: Problem, optimizer: Optimizer, empty: Evaluation, points: Array) -> SearchState:
    return jax.vmap(lambda free: initial_state(problem, optimizer, jax.tree.map(jnp.asarray, empty), free))(points)


def _search(
    step: Callable, states: SearchState, steps: int, progress: bool | None, checkpoint: Checkpoint | None
) -> tuple[SearchState, np.ndarray, int]:
    """States after at most `steps` steps, the history of losses (step, start), and how many steps were made."""
    history: list[np.ndarray] = []
    steps_made = 0
    if checkpoint is not None:
        states, history, steps_made = checkpoint.restore(states)
    with progress_bar(steps, "fit", progress, "steps") as show:
        show(steps_made)
        while steps_made < steps and not np.all(np.asarray(finished(states))):
            states, losses, count = step(states, min(STEPS_PER_CALL, steps - steps_made))
            history.append(np.asarray(losses)[: int(count)])
            steps_made += int(count)
            if checkpoint is not None:
                checkpoint.store(states, history, steps_made)
            show(int(count), f"loss {float(np.min(np.asarray(states.loss))):.6g}")
    return states, np.concatenate(history) if history else np.zeros((0, states.loss.shape[0])), steps_made
