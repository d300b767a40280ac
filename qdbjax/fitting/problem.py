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


class Problem(eqx.Module):
    """A model, called for each of its conditions, and what it is asked for."""

    model: Callable = eqx.field(static=True)
    parameters: Parameters
    objective: Objective
    over: dict[str, Array]
    forward: bool = eqx.field(static=True)

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
        """Loss and its gradient, forward or backward."""
        if not self.forward:
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
        return (jax.jacfwd if self.forward else jax.jacrev)(self.features)(free)


def _reals(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    if jnp.iscomplexobj(leaf):
        return jnp.concatenate([jnp.real(leaf).reshape(-1), jnp.imag(leaf).reshape(-1)])
    return leaf.reshape(-1).astype(jnp.result_type(float))
