"""Model, parameters and objective as one function of free reals."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Scalar
from qdbjax.fitting.objectives import LinearTerm, Objective, as_outputs
from qdbjax.fitting.parameters import Parameters
from qdbjax.fitting.transforms import Free

FORWARD_LIMIT = 12  # free reals up to which derivatives go forward: cheaper to compile and to run
EXTREMUM_STEP = 0.1  # distance in free reals (10 % of what is positive) of the points around an extremum


class Evaluation(eqx.Module):
    """A problem evaluated at one point.

    free: (n,), the point.
    loss: the number that is minimised.
    outputs: of the model; None where derivatives go backward.
    jacobian: (m, n), of the features (`Problem.features`); None where derivatives go backward.

    A search keeps that of its best point: to evaluate the model after the search would compile it a second time, half
    of the time of a first fit.
    """

    free: Free
    loss: Scalar
    outputs: dict[str, Array] | None
    jacobian: Float[Array, "m n"] | None


class Problem(eqx.Module):
    """A model, its parameters and conditions, and the objective."""

    model: Callable = eqx.field(static=True)
    parameters: Parameters
    objective: Objective
    over: dict[str, Array]
    forward: bool = eqx.field(static=True, default=True)

    def outputs(self, free: Free) -> dict[str, Array]:
        """Outputs by name, with a leading axis of conditions if there are any."""
        arguments = self.parameters.arguments(free)
        if not self.over:
            return as_outputs(self.model(**arguments))
        return jax.vmap(lambda condition: as_outputs(self.model(**arguments, **condition)))(self.over)

    def loss(self, free: Free) -> Scalar:
        """The number that is minimised."""
        return self.objective.loss(self.outputs(free))

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

    def evaluate_with_jacobian(self, free: Free) -> tuple[Evaluation, Free, Float[Array, " m"]]:
        """The evaluation with its Jacobian, the gradient of the loss, and the features."""

        def loss_and_features(free):
            outputs = jax.tree.map(jnp.asarray, self.outputs(free))
            loss, features = self.objective.loss(outputs), self.features(outputs)
            return (loss, features), (loss, features, outputs)

        derivative = jax.jacfwd if self.forward else jax.jacrev
        (gradient, jacobian), (loss, features, outputs) = derivative(loss_and_features, has_aux=True)(free)
        return Evaluation(free, loss, outputs, jacobian), gradient, features

    def evaluate(self, free: Free) -> tuple[Evaluation, Free]:
        """The evaluation, without a Jacobian where derivatives go backward, and the gradient of the loss."""
        if self.forward:
            return self.evaluate_with_jacobian(free)[:2]
        loss, gradient = jax.value_and_grad(self.loss)(free)
        return Evaluation(free, loss, None, None), gradient

    def empty_evaluation(self, shapes: dict[str, Any], with_jacobian: bool) -> Evaluation:
        """An evaluation of zeros; shapes: of the outputs. NumPy arrays, for which nothing is compiled."""
        free = jax.eval_shape(self.parameters.start)
        loss_and_features = lambda outputs: (self.objective.loss(outputs), self.features(outputs))  # noqa: E731
        loss, features = jax.eval_shape(loss_and_features, shapes)
        jacobian = jax.ShapeDtypeStruct(features.shape + free.shape, features.dtype)
        found = Evaluation(free, loss, shapes, jacobian) if with_jacobian else Evaluation(free, loss, None, None)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), found)

    def identifiability_jacobian(self, free: Free) -> Float[Array, "m n"]:
        """The Jacobian of the features at a point with targets; around an extremum those of n points, row by row.

        At an extremum gradients vanish, and at an active constraint that of the objective is parallel to that of the
        constraint: the Jacobian there has a null space, though the optimum fixes every parameter.
        """
        jacobian = lambda free: self.evaluate_with_jacobian(free)[0].jacobian  # noqa: E731
        if self.has_targets:
            return jacobian(free)
        around = free[None, :] + EXTREMUM_STEP * jnp.eye(free.shape[0], dtype=free.dtype)
        rows = jax.lax.map(jacobian, around).reshape(-1, free.shape[0])
        # Outside the domain of the model rows are NaN and tell nothing.
        return jnp.where(jnp.all(jnp.isfinite(rows), axis=1, keepdims=True), rows, 0.0)


def _flatten_to_reals(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    if jnp.iscomplexobj(leaf):
        return jnp.concatenate([jnp.real(leaf).reshape(-1), jnp.imag(leaf).reshape(-1)])
    return leaf.reshape(-1).astype(jnp.result_type(float))
