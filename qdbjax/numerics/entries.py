"""Entries of small matrices, each as two reals, and how arrays are taken apart into them and put together again.

Under vmap each part of each entry is one long vector, so that the batch lies on the last axis and vectorises:
batched 3x3 `dot_general` costs about ten times as much on a CPU, and interleaved complex numbers do not vectorise.
Numbers known while tracing (NumPy matrices: site projectors, Pauli matrices) cost nothing where they are 0 or 1.

An array that was put together from entries, and is taken apart again, gives the same entries back. For values that is
the same to XLA, which sees through it; in reverse mode it is not: every taking apart leaves a cotangent that is put
together, XLA does not see through the sum of two of them, and writes each to memory with the batch first.
"""

import functools as ft
import weakref
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from qdbjax._types import AnyArray, Array, DType

UNROLL = 3  # largest dimension written out; compile time grows with its cube


def is_known(x: Any) -> bool:
    """Whether a part of an entry is a number known while tracing."""
    return isinstance(x, (int, float))


def add(x: Any, y: Any) -> Any:
    """x + y of reals, traced or known."""
    if is_known(x) and x == 0:
        return y
    return x if is_known(y) and y == 0 else x + y


def multiply(x: Any, y: Any) -> Any:
    """x · y of reals, traced or known."""
    if (is_known(x) and x == 0) or (is_known(y) and y == 0):
        return 0.0
    if is_known(x) and x == 1:
        return y
    return x if is_known(y) and y == 1 else x * y


class _Memory:
    """What traced arrays were put together from, for as long as they live."""

    def __init__(self):
        self._parts: dict[int, tuple[weakref.ref, list]] = {}

    def keep(self, array: Array, parts: Sequence[AnyArray]) -> Array:
        """Remembers the parts of an array that is being traced, and returns it."""
        if isinstance(array, Tracer) and all(map(_is_strong, parts)):
            place = id(array)
            self._parts[place] = weakref.ref(array, lambda _: self._parts.pop(place, None)), list(parts)
        return array

    def recall(self, array: AnyArray) -> list | None:
        """The parts of an array, None where it was not put together."""
        alive, parts = self._parts.get(id(array), (lambda: None, None))
        return parts if alive() is array else None


def _is_strong(part) -> bool:
    # A number of Python's, or made of such, would come back without the type of the array that it became part of.
    return isinstance(part, jax.Array) and not jax.typeof(part).weak_type


_STACKED, _COMPLEX = _Memory(), _Memory()


def _minus(x):
    return -x


class Entry:
    """A complex number as two reals, each an array or a number known while tracing."""

    __slots__ = ("im", "re")

    def __init__(self, re: Any, im: Any = 0.0):
        self.re = re
        self.im = im

    def __add__(self, other: "Entry") -> "Entry":
        return Entry(add(self.re, other.re), add(self.im, other.im))

    def __neg__(self) -> "Entry":
        return Entry(_minus(self.re), _minus(self.im))

    def __sub__(self, other: "Entry") -> "Entry":
        return self + (-other)

    def __mul__(self, other: "Entry") -> "Entry":
        re = add(multiply(self.re, other.re), _minus(multiply(self.im, other.im)))
        return Entry(re, add(multiply(self.re, other.im), multiply(self.im, other.re)))

    def scaled(self, factor: Any) -> "Entry":
        """Product with a real number."""
        return Entry(multiply(self.re, factor), multiply(self.im, factor))

    def conj(self) -> "Entry":
        """Complex conjugate."""
        return Entry(self.re, _minus(self.im))

    def squared(self) -> Any:
        """|z|²."""
        return add(multiply(self.re, self.re), multiply(self.im, self.im))


def choose(condition: Array, x: Entry, y: Entry) -> Entry:
    """x where the condition holds, y elsewhere."""
    im = 0.0 if is_known(x.im) and is_known(y.im) and x.im == y.im == 0 else jnp.where(condition, x.im, y.im)
    return Entry(jnp.where(condition, x.re, y.re), im)


def unstack(vector: Array) -> list:
    """The entries of a (d,) vector as a list of scalars; of a larger array, its parts along the first axis.

    By `lax.split`, whose transpose is one concatenation; that of a slice is a padded array for each entry, and a sum of
    all of them (measured for the gradient of the three-dot ring: slices 0.9, split 0.1 µs a cell).
    """
    if vector.shape[0] == 0:
        return []
    if (parts := _STACKED.recall(vector)) is not None:
        return list(parts)
    return [jax.lax.squeeze(part, (0,)) for part in jax.lax.split(vector, (1,) * vector.shape[0], axis=0)]


def matrix_entries(matrix: Array | np.ndarray) -> list[list]:
    """The entries of a real (d, d) matrix as nested lists of scalars."""
    if isinstance(matrix, np.ndarray):
        return matrix.tolist()
    return [unstack(row) for row in unstack(matrix)]


def split(matrix: Array | np.ndarray) -> list[list[Entry]]:
    """The entries of a (d, d) matrix as nested lists of `Entry`."""
    if not jnp.issubdtype(matrix.dtype, jnp.complexfloating):
        return [[Entry(x) for x in row] for row in matrix_entries(matrix)]
    re, im = map(matrix_entries, real_and_imaginary(matrix))
    return [[Entry(x, y) for x, y in zip(row, row_im, strict=True)] for row, row_im in zip(re, im, strict=True)]


def stack(parts: Sequence[AnyArray]) -> Array:
    """Arrays of one shape along a new first axis.

    As jnp.stack, whose batching rule (jax 0.10) puts the batch last: reading an entry of the stack then goes through a
    transposition that XLA does not see through (measured for the three-dot ring: 0.19 against 0.09 µs a cell).
    """
    return _STACKED.keep(jax.lax.concatenate([jax.lax.expand_dims(part, (0,)) for part in parts], 0), parts)


def complex_array(re: Array, im: Array) -> Array:
    """An array from its real and its imaginary part."""
    return _COMPLEX.keep(jax.lax.complex(re, im), [re, im])


def real_and_imaginary(array: Any) -> tuple[Any, Any]:
    """The real and the imaginary part of a complex array, of JAX or NumPy."""
    re, im = _COMPLEX.recall(array) or (array.real, array.imag)
    return re, im


def from_entries(array: Array) -> Array:
    """The same small array, put together from its entries: what is taken apart later gives these.

    For what a function with a derivative rule of its own returns, which nothing is remembered of.
    """
    if isinstance(array, np.ndarray):
        return array
    if jnp.iscomplexobj(array):
        return complex_array(*map(from_entries, real_and_imaginary(array)))
    return stack_entries(flat_entries(array), array.shape)


def stack_real(rows: list[list], dtype: DType) -> Array:
    """A real matrix from nested lists of reals, which are numbers or arrays of one shape."""
    shape = next((x.shape for row in rows for x in row if not is_known(x)), ())
    return stack([stack([_whole(x, shape, dtype) for x in row]) for row in rows])


def _whole(x, shape: tuple[int, ...], dtype: DType) -> Array:
    return jnp.full(shape, x, dtype) if is_known(x) else jnp.asarray(x, dtype)


def join(rows: list[list[Entry]], dtype: DType) -> Array:
    """A matrix from nested lists of `Entry`."""
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        return stack_real([[entry.re for entry in row] for row in rows], dtype)
    part = jnp.finfo(dtype).dtype
    shape = next((x.shape for row in rows for entry in row for x in (entry.re, entry.im) if not is_known(x)), ())
    re = [[_whole(entry.re, shape, part) for entry in row] for row in rows]
    im = [[_whole(entry.im, shape, part) for entry in row] for row in rows]
    return complex_array(stack_real(re, part), stack_real(im, part))


def product(x: list[list[Entry]], y: list[list[Entry]]) -> list[list[Entry]]:
    """Matrix product of nested lists."""
    d = len(x)
    total = [[x[i][0] * y[0][j] for j in range(d)] for i in range(d)]
    for k in range(1, d):
        total = [[total[i][j] + x[i][k] * y[k][j] for j in range(d)] for i in range(d)]
    return total


def inverse(x: list[list[Entry]]) -> list[list[Entry]]:
    """Inverse of nested lists for d <= 3, A⁻¹ = adj(A)/det(A) (Cramer's rule).

    Scaling a row or a column by any factor scales all terms of a sum alike: bad scaling costs no accuracy.
    """
    d = len(x)
    if d == 1:
        adjugate = [[Entry(1.0)]]
    elif d == 2:
        adjugate = [[x[1][1], -x[0][1]], [-x[1][0], x[0][0]]]
    else:
        minor = lambda i, j, k, l: x[i][k] * x[j][l] - x[i][l] * x[j][k]  # noqa: E731
        after = [(1, 2), (2, 0), (0, 1)]
        adjugate = [[minor(*after[j], *after[i]) for j in range(3)] for i in range(3)]
    determinant = ft.reduce(Entry.__add__, [x[0][k] * adjugate[k][0] for k in range(d)])
    back = determinant.conj().scaled(1 / determinant.squared())
    return [[entry * back for entry in row] for row in adjugate]


def flat_entries(array: Any) -> list:
    """The entries of an array of any shape, in row-major order."""
    rows = [array]
    for _ in range(array.ndim):
        rows = [entry for row in rows for entry in unstack(row)]
    return rows


def stack_entries(parts: list, shape: tuple[int, ...]) -> Array:
    """An array of the given shape from its entries in row-major order, stacked axis by axis.

    XLA reads one entry of it without assembling the rest; through a reshape it does not see that far.
    """
    if not shape:
        return parts[0]
    step = len(parts) // shape[0]
    return stack([stack_entries(parts[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])])
