"""Model, parameters and objective as one function of free reals."""

import functools as ft
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._call import call_by_name
from qdbjax._status import collect
from qdbjax._types import Array, Float, Int, Scalar
from qdbjax.fitting.merit import Merit, first_merit
from qdbjax.fitting.objectives import LinearTerm, Objective, as_outputs
from qdbjax.fitting.parameters import Parameters
from qdbjax.fitting.transforms import Free
from qdbjax.numerics.products import dot

FORWARD_LIMIT = 12  # free reals up to which derivatives go forward: cheaper to compile and to run
EXTREMUM_STEP = 0.1  # distance in free reals (10 % of what is positive) of the points around an extremum


class Evaluation(eqx.Module):
    """A problem evaluated at one point.

    free: (n,), the point.
    merit: the number that is minimised (`Merit`); infinite without a finite gradient.
    loss: the objective, without bounds.
    excess: (k,), over the bounds.
    status: flags of the solves inside the model, (conditions,) or ().
    outputs: of the model.
    slope: (n,), gradient of the merit; before units are known that of the loss.
    jacobian: (m + k, n), of the features (`Problem.features`) and of the excess; None where derivatives go backward.

    A search keeps that of its best point: to evaluate the model after the search would compile it a second time, half
    of the time of a first fit.
    """

    free: Free
    merit: Scalar
    loss: Scalar
    excess: Float[Array, " k"]
    status: Int[Array, "..."]
    outputs: dict[str, Array]
    slope: Free
    jacobian: Float[Array, "m n"] | None


class Problem(eqx.Module):
    """A model, its parameters and conditions, and the objective."""

    model: Callable = eqx.field(static=True)
    parameters: Parameters
    objective: Objective
    over: dict[str, Array]
    forward: bool = eqx.field(static=True, default=True)

    def outputs(self, free: Free) -> tuple[dict[str, Array], Int[Array, "..."]]:
        """Outputs by name and the flags raised inside, with a leading axis of conditions if there are any."""
        arguments = self.parameters.arguments(free)

        def observe(condition):
            with collect() as found:
                outputs = as_outputs(call_by_name(self.model, {**arguments, **condition}))
            return outputs, ft.reduce(jnp.bitwise_or, found, jnp.zeros((), jnp.int32))

        return jax.vmap(observe)(self.over) if self.over else observe({})

    @property
    def has_targets(self) -> bool:
        """Whether every term has a target: then a loss of zero is the end, and no term can improve for ever."""
        terms = self.objective.terms.values()
        return self.objective.function is None and not any(isinstance(term, LinearTerm) for term in terms)

    def features(self, outputs: dict[str, Array]) -> Float[Array, " m"]:
        """The vector whose Jacobian tells parameters apart: residuals, or without residuals all outputs as reals."""
        residuals = self.objective.residuals(outputs)
        if residuals is not None:
            return residuals
        return jnp.concatenate([_flatten_to_reals(leaf) for leaf in jax.tree.leaves(outputs)])

    def evaluate_with_jacobian(self, free: Free, merit: Merit) -> tuple[Evaluation, Free, Float[Array, " m"], Merit]:
        """The evaluation with its Jacobian, the gradient of the merit, the features, and the merit with its units."""

        def observe(free):
            outputs, status = self.outputs(free)
            outputs = jax.tree.map(jnp.asarray, outputs)
            loss, features, excess = (
                self.objective.loss(outputs),
                self.features(outputs),
                self.objective.excess(outputs),
            )
            return (loss, features, excess), (loss, features, excess, outputs, status)

        derivative = jax.jacfwd if self.forward else jax.jacrev
        slopes, (loss, features, excess, outputs, status) = derivative(observe, has_aux=True)(free)
        gradient = merit.gradient(slopes[0], dot(merit.pull(excess), slopes[2]))
        value = merit.value(loss, excess)
        jacobian = jnp.concatenate([slopes[1], slopes[2]])
        found = Evaluation(free, _where_defined(value, gradient), loss, excess, status, outputs, gradient, jacobian)
        terms = self.objective.bound_terms(outputs)
        reach = jnp.max(jnp.abs(slopes[2]), axis=1, initial=0.0)
        reach = jnp.asarray([jnp.max(jnp.where(term > 0, reach, 0.0)) for term in terms], free.dtype)
        return found, gradient, features, self._measured(merit, found, slopes[0], reach)

    def evaluate(self, free: Free, merit: Merit) -> tuple[Evaluation, Free, Merit]:
        """The evaluation, without a Jacobian where derivatives go backward, the gradient, and the merit with units."""
        if self.forward:
            found, gradient, _, units = self.evaluate_with_jacobian(free, merit)
            return found, gradient, units

        def observe(free):
            outputs, status = self.outputs(free)
            outputs = jax.tree.map(jnp.asarray, outputs)
            loss, excess = self.objective.loss(outputs), self.objective.excess(outputs)
            terms = self.objective.bound_terms(outputs)
            # One number for each term of bounds: what pulls at it, or, to see how far it moves, a sum of random signs.
            signs = jax.random.rademacher(jax.random.key(0), excess.shape, excess.dtype)
            pull = jax.lax.stop_gradient(jnp.where(merit.is_measured, merit.pull(excess), signs))
            sums = [jnp.sum(jnp.where(term > 0, pull * excess, 0.0)) for term in terms]
            return jnp.stack([loss, *sums]), (loss, excess, status, outputs)

        values, pull_back, (loss, excess, status, outputs) = jax.vjp(observe, free, has_aux=True)
        # Pulled back one by one: there are few of them, and a batch of one row compiles longer than none.
        slopes = jnp.stack([pull_back(row)[0] for row in jnp.eye(values.shape[0], dtype=values.dtype)])
        gradient, value = merit.gradient(slopes[0], jnp.sum(slopes[1:], axis=0)), merit.value(loss, excess)
        found = Evaluation(free, _where_defined(value, gradient), loss, excess, status, outputs, gradient, None)
        return (
            found,
            gradient,
            self._measured(merit, found, slopes[0], jnp.max(jnp.abs(slopes[1:]), axis=1, initial=0.0)),
        )

    def _measured(self, merit: Merit, found: Evaluation, slope: Free, reach: Array) -> Merit:
        """The merit with units from this evaluation, if it has none. reach: (terms,), how far each of bounds moves."""
        terms, sizes = self.objective.bound_terms(found.outputs), self.objective.bound_sizes(found.outputs)
        each = dot(reach, jnp.asarray(terms, reach.dtype))
        return merit.measured(found.loss, slope, found.excess, sizes, each, self.has_targets)

    def merit(self, free: Free, merit: Merit) -> Scalar:
        """What is minimised."""
        outputs, _ = self.outputs(free)
        return merit.value(self.objective.loss(outputs), self.objective.excess(outputs))

    def empty_evaluation(self, shapes: dict[str, Any], with_jacobian: bool) -> Evaluation:
        """An evaluation of zeros; shapes: of the outputs. NumPy arrays, for which nothing is compiled."""
        free = jax.eval_shape(self.parameters.start)
        read = lambda o: (self.objective.loss(o), self.features(o), self.objective.excess(o))  # noqa: E731
        loss, features, excess = jax.eval_shape(read, shapes)
        jacobian = jax.ShapeDtypeStruct((features.size + excess.size, *free.shape), features.dtype)
        status = jax.ShapeDtypeStruct(self.conditions, jnp.int32)
        shaped = free, loss, loss, excess, status, shapes, free, jacobian if with_jacobian else None
        found = jax.eval_shape(Evaluation, *shaped)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), found)

    @property
    def conditions(self) -> tuple[int, ...]:
        """(n,) for n conditions, () without."""
        return next((np.shape(values)[:1] for values in self.over.values()), ())

    def jacobian(self, free: Free, bounds: int) -> Float[Array, "m n"]:
        """The Jacobian of features and excess at a point with targets; that of features around an extremum.

        At an extremum gradients vanish, and at an active bound that of the objective is parallel to that of the bound:
        the Jacobian there has a null space, though the optimum fixes every parameter. bounds: number of them.
        """
        merit = first_merit(bounds, free.dtype, True)

        def here(free: Free) -> Array:
            found = self.evaluate_with_jacobian(free, merit)[0].jacobian
            assert found is not None  # of this way of evaluating
            return found

        if self.has_targets:
            return here(free)
        return jax.lax.map(lambda free: here(free)[: -bounds or None], around(free)).reshape(-1, free.shape[0])


def around(free: Free) -> Float[Array, "n n"]:
    """The n points around an extremum from which it is looked at, one along each free real."""
    return free[None, :] + EXTREMUM_STEP * jnp.eye(free.shape[0], dtype=free.dtype)


def _where_defined(value: Scalar, gradient: Free) -> Scalar:
    return jnp.where(jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient)), value, jnp.inf)


def _flatten_to_reals(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    if jnp.iscomplexobj(leaf):
        return jnp.concatenate([jnp.real(leaf).reshape(-1), jnp.imag(leaf).reshape(-1)])
    return leaf.reshape(-1).astype(jnp.result_type(float))
