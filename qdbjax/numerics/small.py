"""Arithmetic of small matrices, written out entry by entry in real and imaginary parts.

Under vmap each part of each entry is one long vector, so that the batch lies on the last axis and vectorises:
batched 3x3 `dot_general` costs about ten times as much on a CPU, and interleaved complex numbers do not vectorise.
Numbers known while tracing (NumPy matrices: site projectors, Pauli matrices) cost nothing where they are 0 or 1.
"""

import functools as ft
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array

UNROLL = 3  # largest dimension written out; compile time grows with its cube
DIRECT = 8  # largest dimension at which stacks are multiplied by sums of products
ENTRIES = 36  # arrays of up to this many entries are reduced and mapped entry by entry


def _known(x) -> bool:
    return isinstance(x, (int, float))


def add(x, y):
    """x + y of reals, traced or known."""
    if _known(x) and x == 0:
        return y
    return x if _known(y) and y == 0 else x + y


def multiply(x, y):
    """x · y of reals, traced or known."""
    if (_known(x) and x == 0) or (_known(y) and y == 0):
        return 0.0
    if _known(x) and x == 1:
        return y
    return x if _known(y) and y == 1 else x * y


def _minus(x):
    return -x


class Entry:
    """A complex number as two reals, each an array or a number known while tracing."""

    __slots__ = ("im", "re")

    def __init__(self, re, im=0.0):
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

    def scaled(self, factor) -> "Entry":
        """Product with a real number."""
        return Entry(multiply(self.re, factor), multiply(self.im, factor))

    def conj(self) -> "Entry":
        """Complex conjugate."""
        return Entry(self.re, _minus(self.im))

    def squared(self):
        """|z|²."""
        return add(multiply(self.re, self.re), multiply(self.im, self.im))


def choose(condition: Array, x: Entry, y: Entry) -> Entry:
    """x where the condition holds, y elsewhere."""
    im = 0.0 if _known(x.im) and _known(y.im) and x.im == y.im == 0 else jnp.where(condition, x.im, y.im)
    return Entry(jnp.where(condition, x.re, y.re), im)


def vector_entries(vector: Array) -> list:
    """The entries of a (d,) vector as a list of scalars; of a larger array, its parts along the first axis.

    The transpose of `split` is one concatenation, that of a slice is a padded array for each entry, to be added up
    (measured for the gradient of the three-dot ring: 0.9 against 0.1 µs a cell).
    """
    if vector.shape[0] == 0:
        return []
    return [jax.lax.squeeze(part, (0,)) for part in jax.lax.split(vector, (1,) * vector.shape[0], axis=0)]


def matrix_entries(matrix: Array | np.ndarray) -> list[list]:
    """The entries of a real (d, d) matrix as nested lists of scalars."""
    if isinstance(matrix, np.ndarray):
        return matrix.tolist()
    return [vector_entries(row) for row in vector_entries(matrix)]


def split(matrix: Array | np.ndarray) -> list[list[Entry]]:
    """The entries of a (d, d) matrix as nested lists of `Entry`."""
    if not jnp.issubdtype(matrix.dtype, jnp.complexfloating):
        return [[Entry(x) for x in row] for row in matrix_entries(matrix)]
    re, im = matrix_entries(matrix.real), matrix_entries(matrix.imag)
    return [[Entry(x, y) for x, y in zip(row, row_im, strict=True)] for row, row_im in zip(re, im, strict=True)]


def stacked(parts: list[Array]) -> Array:
    """Arrays of one shape along a new first axis.

    As jnp.stack, whose batching rule (jax 0.10) puts the batch last: reading an entry of the stack then goes through a
    transposition that XLA does not see through (measured for the three-dot ring: 0.19 against 0.09 µs a cell).
    """
    return jax.lax.concatenate([jax.lax.expand_dims(part, (0,)) for part in parts], 0)


def stack_real(rows: list[list], dtype) -> Array:
    """A real matrix from nested lists of reals."""
    return stacked([stacked([jnp.asarray(x, dtype) for x in row]) for row in rows])


def join(rows: list[list[Entry]], dtype) -> Array:
    """A matrix from nested lists of `Entry`."""
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        return stack_real([[entry.re for entry in row] for row in rows], dtype)
    part = jnp.finfo(dtype).dtype
    re = [[jnp.asarray(entry.re, part) for entry in row] for row in rows]
    im = [[jnp.asarray(entry.im, part) for entry in row] for row in rows]
    return jax.lax.complex(stack_real(re, part), stack_real(im, part))


def product(x: list[list[Entry]], y: list[list[Entry]]) -> list[list[Entry]]:
    """Matrix product of nested lists."""
    d = len(x)
    total = [[x[i][0] * y[0][j] for j in range(d)] for i in range(d)]
    for k in range(1, d):
        total = [[total[i][j] + x[i][k] * y[k][j] for j in range(d)] for i in range(d)]
    return total


def inverse(x: list[list[Entry]]) -> list[list[Entry]]:
    """Inverse of nested lists for d <= 3, adjugate over determinant: rows and columns may differ by any factor."""
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


def matmul(a: Array | np.ndarray, b: Array | np.ndarray) -> Array:
    """a @ b for square matrices of one size; written out for d <= 3."""
    dtype = np.promote_types(a.dtype, b.dtype)
    if a.shape[0] > UNROLL:
        return jnp.matmul(jnp.asarray(a, dtype), jnp.asarray(b, dtype), precision="highest")
    return join(product(split(a), split(b)), dtype)


def compose(a: Array, b: Array) -> Array:
    """a @ b for stacks of matrices (..., d, d) that broadcast; sums of products up to d = 8.

    For every matrix of a batch XLA makes one small `dot` on a CPU, slower than the fused loop of the sum.
    """
    dtype = np.promote_types(a.dtype, b.dtype)
    a, b = a.astype(dtype), b.astype(dtype)
    if a.shape[-1] > DIRECT:
        return jnp.matmul(a, b, precision="highest")
    rank = max(a.ndim, b.ndim)
    a, b = (jnp.expand_dims(x, tuple(range(rank - x.ndim))) for x in (a, b))
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2)


def dagger(a: Array) -> Array:
    """Hermitian conjugate of a matrix, or of each in a stack (..., d, d)."""
    return jnp.swapaxes(a.conj(), -1, -2)


def in_frame(basis: Array | np.ndarray, operator: Array | np.ndarray) -> Array:
    """V† A V, the operator in the basis whose vectors are the columns of V."""
    return matmul(dagger(basis), matmul(operator, basis))


def diagonal(matrix: Array) -> Array:
    """The diagonal of a (d, d) matrix."""
    if matrix.shape[0] > UNROLL:
        return jnp.diagonal(matrix)
    rows = vector_entries(matrix)
    return stacked([vector_entries(row)[i] for i, row in enumerate(rows)])


def diagonal_matrix(vector: Array) -> Array:
    """A (d, d) matrix with the given diagonal."""
    if vector.shape[0] > UNROLL:
        return jnp.diag(vector)
    values = vector_entries(vector)
    d = len(values)
    return stack_real([[values[i] if i == j else 0.0 for j in range(d)] for i in range(d)], vector.dtype)


def all_entries(array: Array) -> list:
    """The entries of an array of any shape, in row-major order."""
    rows = [array]
    for _ in range(array.ndim):
        rows = [entry for row in rows for entry in vector_entries(row)]
    return rows


def nested(parts: list, shape: tuple[int, ...]) -> Array:
    """An array of the given shape from its entries in row-major order, stacked axis by axis.

    XLA reads one entry of it without assembling the rest; through a reshape it does not see that far.
    """
    if not shape:
        return parts[0]
    step = len(parts) // shape[0]
    return stacked([nested(parts[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])])


def largest(array: Array) -> Array:
    """The largest entry.

    Reducing over a small axis would make XLA assemble the whole batch of small arrays in memory first; a chain of
    elementwise operations does not (measured for the three-dot ring: 0.4 against 0.1 µs a cell).
    """
    return jnp.max(array) if array.size > ENTRIES else ft.reduce(jnp.maximum, all_entries(array))


def total(array: Array) -> Array:
    """The sum of all entries, likewise."""
    return jnp.sum(array) if array.size > ENTRIES else ft.reduce(jnp.add, all_entries(array))


def every(condition: Callable, array: Array) -> Array:
    """Whether an elementwise condition holds in every entry."""
    array = jax.lax.stop_gradient(array)  # or every derivative of a program would take it apart as well
    if array.size > ENTRIES:
        return jnp.all(condition(array))
    return ft.reduce(jnp.logical_and, [condition(entry) for entry in all_entries(array)])


def entrywise(function: Callable, *arrays: Array) -> Array:
    """An elementwise function of arrays of one shape."""
    shape = arrays[0].shape
    if not 0 < arrays[0].size <= ENTRIES:
        return function(*arrays)
    return nested([function(*entry) for entry in zip(*map(all_entries, arrays), strict=True)], shape)
