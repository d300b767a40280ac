"""Model, parameters and objective as one function of free reals."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from qdbjax._types import Array, Float, Scalar
from qdbjax.fitting.objectives import Objective, Push, as_outputs
from qdbjax.fitting.parameters import Parameters
from qdbjax.fitting.transforms import Free

FORWARD = 12  # up to this many free reals derivatives go forward: cheaper to compile and to run
NEAR = 0.1  # distance in free reals (10 % of what is positive) of the places around an extremum


class Problem(eqx.Module):
    """A model, called for each of its conditions, and what it is asked for."""

    model: Callable = eqx.field(static=True)
    parameters: Parameters
    objective: Objective
    over: dict[str, Array]

    def outputs(self, free: Free) -> dict[str, Array]:
        """Outputs by name, with a leading axis of conditions if there are any."""
        values = self.parameters.values(free)
        if not self.over:
            return as_outputs(self.model(**values))
        return jax.vmap(lambda condition: as_outputs(self.model(**values, **condition)))(self.over)

    def loss(self, free: Free) -> Scalar:
        """What is minimised."""
        return self.objective.loss(self.outputs(free))

    def residuals(self, free: Free) -> Array | None:
        """What least squares squares and adds up, None where there is no such thing."""
        return self.objective.residuals(self.outputs(free))

    @property
    def aims(self) -> bool:
        """Whether the objective has targets to attain, and nothing beside them that goes on for ever."""
        terms = self.objective.terms.values()
        return self.objective.function is None and not any(isinstance(term, Push) for term in terms)

    def slope(self, free: Free) -> tuple[Scalar, Free]:
        """Loss and its gradient, forward for a few reals and backward for many."""
        if free.shape[0] > FORWARD:
            return jax.value_and_grad(self.loss)(free)
        value, slope = jax.vmap(lambda x: jax.jvp(self.loss, (free,), (x,)))(jnp.eye(free.shape[0], dtype=free.dtype))
        return value[0], slope

    def features(self, free: Free) -> Float[Array, " m"]:
        """Residuals, or where there are none every output as reals: what tells parameters apart."""
        found = self.residuals(free)
        if found is not None:
            return found
        return jnp.concatenate([_reals(leaf) for leaf in jax.tree.leaves(self.outputs(free))])

    def jacobian(self, free: Free) -> Float[Array, "m n"]:
        """Change of the features with the free reals."""
        return (jax.jacfwd if free.shape[0] <= FORWARD else jax.jacrev)(self.features)(free)

    def visible(self, free: Free) -> Float[Array, "m n"]:
        """The Jacobian that tells parameters apart; of an extremum, those of places around it in turn.

        At an extremum slopes vanish, and at a constraint that of the aim is parallel to that of the constraint: there
        the Jacobian calls parameters unseen which the optimum does fix.
        """
        if self.aims:
            return self.jacobian(free)
        around = free[None, :] + NEAR * jnp.eye(free.shape[0], dtype=free.dtype)
        rows = jax.lax.map(self.jacobian, around).reshape(-1, free.shape[0])
        # A place outside what the model allows says nothing.
        return jnp.where(jnp.all(jnp.isfinite(rows), axis=1, keepdims=True), rows, 0.0)


def _reals(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    if jnp.iscomplexobj(leaf):
        return jnp.concatenate([jnp.real(leaf).reshape(-1), jnp.imag(leaf).reshape(-1)])
    return leaf.reshape(-1).astype(jnp.result_type(float))
