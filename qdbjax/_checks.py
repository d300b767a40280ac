"""What every public function does with its input: take it and check it.

One check for both kinds of values. Where a value is known, what a function does not allow is a ValueError. Where it is
traced it cannot be looked at; it becomes NaN then (`allowed`), so that whatever is computed from it is NaN, and what
has a status says `NONFINITE_INPUT`.
"""

import copy
import dataclasses
import functools as ft
import inspect
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from qdbjax._types import Array, ArrayLike, DType

HERMITICITY = 1e-12  # the least of what counts as rounding in a Hermitian matrix, relative to its largest entry


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is a tracer, whose value cannot be looked at."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def allowed(value: Array, condition: Any) -> Array:
    """A traced value where a condition on it holds, NaN in its place where not."""
    return jnp.where(jax.lax.stop_gradient(condition), value, jnp.nan)


@ft.cache
def _warn_of_single_precision() -> None:
    warnings.warn(
        "JAX computes in single precision: populations are right to 5e-6, currents to 1e-4. For ten digits call "
        'jax.config.update("jax_enable_x64", True) before the first computation. This is said once.',
        stacklevel=4,
    )


def setting(name: str) -> Any:
    """A setting of JAX, which has them as attributes that no type checker sees."""
    return getattr(jax.config, name)


def warn_if_single_precision() -> None:
    """Warn, once a process, where JAX turns numbers into single precision."""
    if not setting("jax_enable_x64"):
        _warn_of_single_precision()


def check_single(numbers: Any, name: str) -> None:
    """Raise ValueError for what holds vectors (…, d) in place of one (d,): a result of jax.vmap outside of it."""
    batch = np.shape(numbers)[:-1]
    if batch:
        raise ValueError(f"{name} must be one; got a batch of {batch}. Map the function over it, with jax.vmap.")


def matrix_of_state(value: Any) -> Any:
    """The density matrix, in the basis of the Hamiltonian, of what holds one (SteadyState, State); else it."""
    return getattr(value, "density_matrix", value)


def as_dense(value: Any) -> Any:
    """A Qobj of QuTiP as its `.full()`, a sparse matrix of SciPy as its `.toarray()`, lists of them as lists of arrays;
    anything else as it is."""
    if isinstance(value, jax.Array | np.ndarray):
        return value
    if isinstance(value, list | tuple) and value and (hasattr(value[0], "full") or hasattr(value[0], "toarray")):
        return [as_dense(each) for each in value]
    dense = getattr(value, "full", None) or getattr(value, "toarray", None)
    return dense() if callable(dense) else value


def _inexact(value: Any, name: str) -> np.ndarray | Array:
    if isinstance(value, (list, tuple)) and is_traced(value):
        leaves = [_inexact(item, name) for item in value]
        common = ft.reduce(np.promote_types, [jnp.asarray(leaf).dtype for leaf in leaves])
        return jnp.stack([jnp.asarray(leaf, common) for leaf in leaves])
    value = as_dense(value)
    if not isinstance(value, jax.Array):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{name} must be a rectangular array of numbers; {error}") from None
        if value.dtype == object or value.dtype.kind not in "biufc":
            raise TypeError(f"{name} must be an array of numbers; got dtype {value.dtype}.")
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        value = value.astype(np.float64)
    width = value.dtype.itemsize // (2 if jnp.issubdtype(value.dtype, jnp.complexfloating) else 1)
    wide = setting("jax_enable_x64")
    if width != 4 and not (width == 8 and wide):
        complex_ = jnp.issubdtype(value.dtype, jnp.complexfloating)
        kind, bits = ("complex", 128) if complex_ else ("float", 64)
        value = value.astype(f"{kind}{bits if wide else bits // 2}")
    if getattr(jax.typeof(value), "weak_type", False):
        # jax.grad(f)(1.0) traces a weakly typed number: it would need programs of its own.
        value = jax.lax.convert_element_type(value, value.dtype)
    return value


def as_real(value: ArrayLike, name: str) -> Array:
    """A real array of the session's precision from a number, list, NumPy or JAX array."""
    value = _inexact(value, name)
    if jnp.issubdtype(value.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real; got dtype {value.dtype}.")
    if isinstance(value, jax.Array):
        return value
    # What is known stays known while a program is traced: it can be looked at, and is a constant of the program.
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value)


def as_integer(value: Any, name: str, low: float, high: int | None = None) -> int:
    """A Python int from `low` to `high`, both included."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer; got {_brief(value)}.")
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {allowed}; got {value}.")
    return int(value)


def as_tuple(value: Any, name: str, words: str) -> tuple:
    """What a list, tuple or array holds; TypeError, with what belongs there in words, for what holds nothing."""
    if isinstance(value, str) or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"{name} must be {words}; got {_brief(value)}.")
    return tuple(value)


def check_kind(value: Any, name: str, kind: type, remedy: str) -> None:
    """Raise TypeError, with the remedy, for an object of another class."""
    if not isinstance(value, kind):
        words = kind.__name__.removeprefix("Abstract")
        raise TypeError(f"{name} must be a {words}; got {_brief(value)}. {remedy}")


def _brief(value: Any) -> str:
    """A value in a message: arrays by their shape, what is long by its type."""
    if isinstance(value, np.ndarray | jax.Array):
        return f"an array of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text and text[0] != "<" else f"a {type(value).__name__}"


def as_scalar(
    value: ArrayLike, name: str, *, low: float = -np.inf, strict: bool = False, infinite: bool = False
) -> Array:
    """A real scalar at least `low` (above it, if strict), no NaN, and finite unless `infinite`; else NaN if traced."""
    value = as_real(value, name)
    if value.ndim != 0:
        raise ValueError(f"{name} must be a single number; got shape {value.shape}. Use vmap or sweep for many.")
    if is_traced(value):
        if low > -np.inf:
            value = allowed(value, value > low if strict else value >= low)
    else:
        number = float(value)
        bounds = [] if low == -np.inf else [f"{'>' if strict else '>='} {low:g}"]
        wanted = " and ".join(bounds if infinite else [*bounds, "finite"])
        if np.isnan(number) or number < low or (strict and number == low) or (np.isinf(number) and not infinite):
            raise ValueError(f"{name} must be {wanted}; got {number}.")
    return value


def as_made(record: Any) -> Any:
    """A bath, density, system or gas as its constructor makes it, where a number in it was put in place of an array.

    equinox.tree_at puts in what it is given: a Python or NumPy number, a list, whole numbers. What holds such a thing
    goes through its constructor, which converts it and refuses what it refuses there; all else stays the same object.
    """
    if isinstance(record, tuple):
        made = tuple(as_made(part) for part in record)
        return record if all(new is old for new, old in zip(made, record, strict=True)) else made
    if not (isinstance(record, eqx.Module) and type(record).__module__.startswith("qdbjax.")):
        return record
    values = {each.name: getattr(record, each.name, None) for each in dataclasses.fields(record)}
    changed = {name: new for name, old in values.items() if (new := as_made(old)) is not old}
    if changed:
        record = copy.copy(record)
        for name, value in changed.items():
            object.__setattr__(record, name, value)
    if not any(_is_put_in(getattr(record, each.name, None)) for each in dataclasses.fields(record)):
        return record
    wanted = inspect.signature(type(record)).parameters
    return type(record)(**{name: getattr(record, name) for name in wanted if hasattr(record, name)})


def _is_put_in(value: Any) -> bool:
    """Whether a constructor would have made another array of a value."""
    if isinstance(value, bool | str) or value is None:
        return False
    if isinstance(value, jax.Array | np.ndarray):
        return not jnp.issubdtype(value.dtype, jnp.inexact) or getattr(jax.typeof(value), "weak_type", False)
    return isinstance(value, int | float | complex | np.generic | list)


def spreads_over(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of this shape stands for one of the target shape, without making it larger."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def as_matrix(value: ArrayLike, name: str, *, ndim: tuple[int, ...] = (2,)) -> np.ndarray | Array:
    """A square matrix (or a stack of them); NumPy input stays NumPy, so that its zeros are known while tracing."""
    value = _inexact(value, name)
    if value.ndim not in ndim or value.ndim < 2 or value.shape[-1] != value.shape[-2]:
        wanted = " or ".join("(d, d)" if n == 2 else "(k, d, d)" for n in ndim)
        raise ValueError(f"{name} must have shape {wanted}; got {value.shape}.")
    if value.shape[-1] == 0:
        raise ValueError(f"{name} must act on at least one level; got shape {value.shape}.")
    if not is_traced(value):
        concrete = np.asarray(value)
        if not np.all(np.isfinite(concrete)):
            raise ValueError(f"{name} must be finite; got NaN or Inf in it.")
        # An operator that is real keeps real arithmetic all the way: eigh and products are 2-4 times cheaper.
        if np.iscomplexobj(concrete) and not np.any(np.imag(concrete)):
            value = value.real
    return value


def hermiticity(dtype: DType) -> float:
    """The largest anti-Hermitian part, relative to the largest entry, that is taken as rounding."""
    return max(HERMITICITY, 8 * float(jnp.finfo(dtype).eps))


def as_hermitian(
    value: ArrayLike, name: str, *, ndim: tuple[int, ...] = (2,), traced: bool = True
) -> np.ndarray | Array:
    """`as_matrix` for an operator that must be Hermitian, up to rounding; NaN if a traced one is not.

    traced: whether a traced one is looked at here; otherwise the caller does.
    """
    value = as_matrix(value, name, ndim=ndim)
    if value.size == 0 or (is_traced(value) and not traced):
        return value
    rounding = hermiticity(value.dtype)
    if is_traced(value):
        size = lambda x: jnp.maximum(jnp.max(jnp.abs(jnp.real(x))), jnp.max(jnp.abs(jnp.imag(x))))  # noqa: E731
        excess = size(value - jnp.swapaxes(value.conj(), -1, -2))
        return allowed(value, (excess <= rounding * size(value)) & (excess < jnp.inf))
    concrete = np.asarray(value)
    excess = np.abs(concrete - np.swapaxes(concrete.conj(), -1, -2)).max()
    if excess > rounding * np.abs(concrete).max():
        raise ValueError(
            f"{name} must be Hermitian; it differs from its conjugate transpose by {excess:.3g}. "
            f"Use ({name} + {name}.conj().T) / 2 if that is rounding."
        )
    return value
