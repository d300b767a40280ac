"""Model, parameters and objective as one function of free reals."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Scalar
from qdbjax.fitting.objectives import Objective, Push, as_outputs
from qdbjax.fitting.parameters import Parameters
from qdbjax.fitting.transforms import Free

FORWARD = 12  # up to this many free reals derivatives go forward: cheaper to compile and to run
NEAR = 0.1  # distance in free reals (10 % of what is positive) of the places around an extremum


class View(eqx.Module):
    """A problem at one place: loss, outputs and Jacobian of the features there (None where derivatives go backward).

    Carried along by a search, because whoever asks again afterwards has the model compiled again: half of the time
    that a first fit takes.
    """

    free: Free
    loss: Scalar
    outputs: dict[str, Array] | None
    jacobian: Float[Array, "m n"] | None


class Problem(eqx.Module):
    """A model, called for each of its conditions, and what it is asked for."""

    model: Callable = eqx.field(static=True)
    parameters: Parameters
    objective: Objective
    over: dict[str, Array]
    forward: bool = eqx.field(static=True, default=True)

    def outputs(self, free: Free) -> dict[str, Array]:
        """Outputs by name, with a leading axis of conditions if there are any."""
        values = self.parameters.values(free)
        if not self.over:
            return as_outputs(self.model(**values))
        return jax.vmap(lambda condition: as_outputs(self.model(**values, **condition)))(self.over)

    def loss(self, free: Free) -> Scalar:
        """What is minimised."""
        return self.objective.loss(self.outputs(free))

    @property
    def aims(self) -> bool:
        """Whether the objective has targets to attain, and nothing beside them that goes on for ever."""
        terms = self.objective.terms.values()
        return self.objective.function is None and not any(isinstance(term, Push) for term in terms)

    def whole_view(self, free: Free) -> tuple[View, Free, Float[Array, " m"]]:
        """The view with its Jacobian, the gradient of the loss, and the features."""

        def at(free):
            outputs = jax.tree.map(jnp.asarray, self.outputs(free))
            loss, features = self.objective.loss(outputs), self.features_of(outputs)
            return (loss, features), (loss, features, outputs)

        derivative = jax.jacfwd if self.forward else jax.jacrev
        (slope, jacobian), (loss, features, outputs) = derivative(at, has_aux=True)(free)
        return View(free, loss, outputs, jacobian), slope, features

    def view(self, free: Free) -> tuple[View, Free]:
        """The view and the gradient of the loss; no Jacobian where derivatives go backward."""
        if self.forward:
            return self.whole_view(free)[:2]
        loss, slope = jax.value_and_grad(self.loss)(free)
        return View(free, loss, None, None), slope

    def unseen(self, shapes: dict[str, Any], whole: bool) -> View:
        """Zeros in the place of a view; shapes: of the outputs. NumPy arrays, for which nothing is compiled."""
        free = jax.eval_shape(self.parameters.start)
        at = lambda outputs: (self.objective.loss(outputs), self.features_of(outputs))  # noqa: E731
        loss, features = jax.eval_shape(at, shapes)
        slopes = jax.ShapeDtypeStruct(features.shape + free.shape, features.dtype)
        view = View(free, loss, shapes, slopes) if whole else View(free, loss, None, None)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), view)

    def features_of(self, outputs: dict[str, Array]) -> Float[Array, " m"]:
        """Residuals, or where there are none every output as reals: what tells parameters apart."""
        found = self.objective.residuals(outputs)
        if found is not None:
            return found
        return jnp.concatenate([_reals(leaf) for leaf in jax.tree.leaves(outputs)])

    def visible(self, free: Free) -> Float[Array, "m n"]:
        """The Jacobian that tells parameters apart; of an extremum, those of places around it in turn.

        At an extremum slopes vanish, and at a constraint that of the aim is parallel to that of the constraint: there
        the Jacobian calls parameters unseen which the optimum does fix.
        """
        jacobian = lambda free: self.whole_view(free)[0].jacobian  # noqa: E731
        if self.aims:
            return jacobian(free)
        around = free[None, :] + NEAR * jnp.eye(free.shape[0], dtype=free.dtype)
        rows = jax.lax.map(jacobian, around).reshape(-1, free.shape[0])
        # A place outside what the model allows says nothing.
        return jnp.where(jnp.all(jnp.isfinite(rows), axis=1, keepdims=True), rows, 0.0)


def _reals(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    if jnp.iscomplexobj(leaf):
        return jnp.concatenate([jnp.real(leaf).reshape(-1), jnp.imag(leaf).reshape(-1)])
    return leaf.reshape(-1).astype(jnp.result_type(float))
