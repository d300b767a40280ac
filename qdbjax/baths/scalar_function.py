"""Functions of one real number that a user gives: J(ω), β(ω). They are looked at before they are used."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp

from qdbjax._checks import is_traced


def as_scalar_function(function: Callable, name: str) -> Any:
    """The function as a pytree; TypeError, in one sentence, for what JAX cannot evaluate to one real number."""
    if not callable(function):
        raise TypeError(f"{name} must be callable; got {function!r}.")
    number = jax.ShapeDtypeStruct((), jnp.result_type(float))
    try:
        found = jax.tree.leaves(jax.eval_shape(function, number))
    except jax.errors.TracerArrayConversionError:
        raise TypeError(
            f"{name} must be written with jax.numpy; it calls NumPy or another library. Write jnp.exp for np.exp."
        ) from None
    except jax.errors.ConcretizationTypeError:
        raise TypeError(
            f"{name} must not branch on the number it is given or turn it into a Python number (if, while, and, float, "
            "math); use jnp.where and jax.numpy."
        ) from None
    except Exception as error:
        words = next(iter(str(error).splitlines()), "")[:200]
        raise TypeError(
            f"{name} must be a function of one real number; calling it raised {type(error).__name__}: {words}"
        ) from None
    if len(found) != 1 or found[0].shape != () or not jnp.issubdtype(found[0].dtype, jnp.floating):
        got = ", ".join(f"{x.dtype} of shape {x.shape}" for x in found) or "nothing"
        raise TypeError(
            f"{name} must return one real floating-point number for one number; it returns {got}. Write 1.0 for 1, "
            "jnp.real(x) for a complex x."
        )
    # A bare function hides in the tree structure, so that what holds it stays a pytree of arrays.
    return function if isinstance(function, eqx.Module) else jax.tree_util.Partial(function)


def at_fixed_parameters(function: Callable) -> tuple[Callable, bool]:
    """The function with parameters that have no derivatives, and whether any is traced, a leaf or in its closure."""
    closed = jax.make_jaxpr(function)(jnp.zeros(()))
    if not is_traced(closed.consts):
        return function, False
    evaluate = jex.jaxpr_as_fun(jex.ClosedJaxpr(closed.jaxpr, jax.lax.stop_gradient(closed.consts)))
    return lambda x: evaluate(x)[0], True
