"""One home for array aliases, and for what every public function does with its input: take it, check it, run it."""

import functools as ft
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Inexact, Int

Scalar = Float[Array, ""]
RealVector = Float[Array, " d"]
Matrix = Inexact[Array, "d d"]
Rates = Float[Array, "bath to from"]
BoolMatrix = Bool[Array, "d d"]
HERMITICITY = 1e-12  # largest anti-Hermitian part, relative to the largest entry, that is taken as rounding
StatusCode = Int[Array, ""]
ArrayLike = Any
Function = TypeVar("Function", bound=Callable)

__all__ = [
    "Array",
    "ArrayLike",
    "Bool",
    "BoolMatrix",
    "Complex",
    "Float",
    "Inexact",
    "Int",
    "Matrix",
    "Rates",
    "RealVector",
    "Scalar",
    "StatusCode",
    "as_hermitian",
    "as_matrix",
    "as_real",
    "as_scalar",
    "compiled_when_eager",
    "evaluated_early",
    "is_traced",
]


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is a tracer, whose value cannot be looked at."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def _in_a_program() -> bool:
    """Whether what is computed now becomes part of a program (jit, scan, make_jaxpr): a constant is a tracer there."""
    return isinstance(jnp.zeros((), bool), jax.core.Tracer)


def compiled_when_eager(function: Function) -> Function:
    """Run a function compiled when it is called eagerly; inline it where a program is being made.

    A newcomer's first eager call would otherwise compile some hundred single operations, and under an eager grad or
    vmap do so every time (5.5 s against 0.02 s for the README's gradient); inside a program inlining keeps constants
    constants and leaves fusion to the outer program.
    """
    jitted = eqx.filter_jit(function)

    @ft.wraps(function)
    def call(*args, **kwargs):
        inline = is_traced(args, kwargs) and _in_a_program()
        return function(*args, **kwargs) if inline else jitted(*args, **kwargs)

    return call


def evaluated_early(function: Function) -> Function:
    """Run a function at once where its arguments are known, though a program is being traced.

    What it returns is then a constant of the program that can be looked at, not a tracer.
    """

    @ft.wraps(function)
    def call(*args, **kwargs):
        if is_traced(args, kwargs):
            return function(*args, **kwargs)
        with jax.ensure_compile_time_eval():
            return function(*args, **kwargs)

    return call


def _plain(value: Any) -> Any:
    """QuTiP's Qobj and its like bring `.full()`; everything else goes through NumPy."""
    if isinstance(value, jax.Array):
        return value
    return value.full() if hasattr(value, "full") and callable(value.full) else value


def _inexact(value: Any, name: str) -> np.ndarray | Array:
    if isinstance(value, (list, tuple)) and is_traced(value):
        leaves = [_inexact(item, name) for item in value]
        common = ft.reduce(np.promote_types, [jnp.asarray(leaf).dtype for leaf in leaves])
        return jnp.stack([jnp.asarray(leaf, common) for leaf in leaves])
    value = _plain(value)
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
    if width != 4 and not (width == 8 and jax.config.jax_enable_x64):
        wide = jax.config.jax_enable_x64
        complex_ = jnp.issubdtype(value.dtype, jnp.complexfloating)
        kind, bits = ("complex", 128) if complex_ else ("float", 64)
        value = value.astype(f"{kind}{bits if wide else bits // 2}")
    return value


def as_real(value: ArrayLike, name: str) -> Array:
    """A real array of the session's precision from a number, list, NumPy or JAX array."""
    value = _inexact(value, name)
    if jnp.issubdtype(value.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real; got dtype {value.dtype}.")
    return jnp.asarray(value)


def as_scalar(
    value: ArrayLike, name: str, *, low: float = -np.inf, strict: bool = False, infinite: bool = False
) -> Array:
    """A real scalar; a concrete one must be at least `low` (above it, if strict), no NaN, and finite unless allowed."""
    value = as_real(value, name)
    if value.ndim != 0:
        raise ValueError(f"{name} must be a single number; got shape {value.shape}. Use vmap or sweep for many.")
    if not is_traced(value):
        number = float(value)
        bounds = [] if low == -np.inf else [f"{'>' if strict else '>='} {low:g}"]
        allowed = " and ".join(bounds if infinite else [*bounds, "finite"])
        if np.isnan(number) or number < low or (strict and number == low) or (np.isinf(number) and not infinite):
            raise ValueError(f"{name} must be {allowed}; got {number}.")
    return value


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
        if np.iscomplexobj(concrete) and not np.any(concrete.imag):
            value = value.real
    return value


def as_hermitian(value: ArrayLike, name: str, *, ndim: tuple[int, ...] = (2,)) -> np.ndarray | Array:
    """`as_matrix` for an operator that must be Hermitian; a concrete one that is not, beyond rounding, is refused."""
    value = as_matrix(value, name, ndim=ndim)
    if is_traced(value) or value.size == 0:
        return value
    concrete = np.asarray(value)
    excess = np.abs(concrete - np.swapaxes(concrete.conj(), -1, -2)).max()
    allowed = max(HERMITICITY, 8 * float(np.finfo(concrete.dtype).eps))
    if excess > allowed * np.abs(concrete).max():
        raise ValueError(
            f"{name} must be Hermitian; it differs from its conjugate transpose by {excess:.3g}. "
            f"Use ({name} + {name}.conj().T) / 2 if that is rounding."
        )
    return value
