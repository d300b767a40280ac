"""Arithmetic of matrices that is fast in a batch.

`LayoutMatrix` is the type that formulas are written with: entries kept apart up to d = 3 (`entries`), one array above.
Entries must stay apart from the first to the last operation of a formula; functions that take arrays and return arrays
cost 1.7 to 3 times as much (three-dot ring, value and gradient).
"""

import functools as ft
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import AnyArray, Array, BoolMatrix, DType, RealVector
from qdbjax.numerics.barrier import optimization_barrier_cond
from qdbjax.numerics.entries import (
    UNROLL,
    Entry,
    flat_entries,
    inverse,
    is_known,
    join,
    matrix_entries,
    multiply,
    product,
    split,
    stack,
    stack_entries,
    stack_real,
    unstack,
)
from qdbjax.numerics.products import adjoint_dot, dot

Known = TypeVar("Known", Array, np.ndarray)

DIRECT = 8  # largest dimension at which stacks are multiplied by sums of products
SPARSE = 2  # entries of a row, up to which a known matrix counts as sparse
ENTRIES = 36  # arrays of up to this many entries are reduced and mapped entry by entry


class LayoutMatrix:
    """A square matrix, or one for every sample, in one of two layouts with the same arithmetic.

    rows: nested lists of `Entry`, by default for d <= 3; None in the other layout.
    whole: an array (d, d, *samples), of NumPy where it is known while tracing; None in the first layout.
    """

    __slots__ = ("rows", "whole")

    def __init__(self, rows: list[list[Entry]] | None, whole: AnyArray | None = None):
        self.rows: Any = rows  # one of the two is there, which no type checker knows
        self.whole: Any = whole

    @staticmethod
    def of(array: AnyArray, *, samples: int = 0, entries: bool | None = None) -> "LayoutMatrix":
        """A LayoutMatrix from an array (d, d).

        samples: number of sample axes of the matrices that it is to be combined with.
        entries: whether to use entries, by default for d <= 3. In a branch that few cells of a batch take a small
            program is worth more than speed: False.
        """
        if array.shape[0] <= UNROLL if entries is None else entries:
            return LayoutMatrix(split(array))
        return LayoutMatrix(None, array.reshape(*array.shape, *[1] * samples))

    @staticmethod
    def zeros(like: "LayoutMatrix", dtype: DType) -> "LayoutMatrix":
        """Zeros in the layout of another matrix; entries are zeros known while tracing, which cost nothing."""
        if like.rows is None:
            return LayoutMatrix(None, jnp.zeros(like.whole.shape, dtype))
        return LayoutMatrix([[Entry(0.0) for _ in row] for row in like.rows])

    @staticmethod
    def diagonal_of(vector: Array, like: "LayoutMatrix") -> "LayoutMatrix":
        """The diagonal matrix of a vector (d, *samples), in the layout of another one."""
        if like.rows is None:
            d = vector.shape[0]
            return LayoutMatrix(None, vector[:, None] * _unit(d, vector))
        values = [Entry(x.real, x.imag) if jnp.iscomplexobj(x) else Entry(x) for x in unstack(vector)]
        each = range(len(values))
        return LayoutMatrix([[values[i] if i == j else Entry(0.0) for j in each] for i in each])

    @staticmethod
    def differences(energies: RealVector, like: "LayoutMatrix") -> "LayoutMatrix":
        """E_from - E_to at [to, from], in the layout of another matrix."""
        if like.rows is None:
            return LayoutMatrix(None, energies[None, :] - energies[:, None])
        energy = unstack(energies)
        return LayoutMatrix([[Entry(x - y if x is not y else 0.0) for x in energy] for y in energy])

    def tables(self, function: Callable) -> list["LayoutMatrix"]:
        """f(A_ij) of an antisymmetric real matrix, zero diagonal, one table for each of several functions f.

        function: x ↦ [(f(x), f(-x)), …], one pair for each f; called once a pair of indices.
        """
        if self.rows is None:
            off = ~np.eye(self.whole.shape[0], dtype=bool)
            return [LayoutMatrix(None, jnp.where(off, table, 0.0)) for table, _ in function(self.whole)]
        d = len(self.rows)
        tables: list[list[list[Entry]]] = []
        for n, m in zip(*np.triu_indices(d, 1), strict=True):
            found = function(self.rows[n][m].re)
            tables = tables or [[[Entry(0.0) for _ in range(d)] for _ in range(d)] for _ in found]
            for table, (forward, backward) in zip(tables, found, strict=True):
                table[n][m], table[m][n] = Entry(forward), Entry(backward)
        return [LayoutMatrix(table) for table in tables]

    def array(self, dtype: DType) -> Array:
        """The array (d, d, *samples)."""
        return jnp.asarray(self.whole, dtype) if self.rows is None else join(self.rows, dtype)

    def _each(self, of_entry: Callable, of_whole: Callable) -> "LayoutMatrix":
        if self.rows is None:
            return LayoutMatrix(None, of_whole(self.whole))
        return LayoutMatrix([[of_entry(x) for x in row] for row in self.rows])

    def __matmul__(self, other: "LayoutMatrix") -> "LayoutMatrix":
        if self.rows is not None:
            return LayoutMatrix(product(self.rows, other.rows))
        dtype = np.promote_types(self.whole.dtype, other.whole.dtype)
        if self.whole.ndim == 2:
            left, right = self.whole.astype(dtype), other.whole.astype(dtype)
            if is_sparse(left):
                return LayoutMatrix(None, sparse_matmul(left, right))
            return LayoutMatrix(None, dot(left, right))
        terms = self.whole.astype(dtype)[:, :, None] * other.whole.astype(dtype)[None]
        return LayoutMatrix(None, jnp.sum(terms, axis=1))

    def __add__(self, other: "LayoutMatrix") -> "LayoutMatrix":
        if self.rows is None:
            dtype = np.promote_types(self.whole.dtype, other.whole.dtype)
            return LayoutMatrix(None, self.whole.astype(dtype) + other.whole.astype(dtype))
        pairs = zip(self.rows, other.rows, strict=True)
        return LayoutMatrix([[x + y for x, y in zip(*rows, strict=True)] for rows in pairs])

    @property
    def H(self) -> "LayoutMatrix":
        """The Hermitian conjugate."""
        if self.rows is None:
            return LayoutMatrix(None, jnp.swapaxes(self.whole.conj(), 0, 1))
        return LayoutMatrix([[row[i].conj() for row in self.rows] for i in range(len(self.rows))])

    def adjoint_matmul(self, other: "LayoutMatrix") -> "LayoutMatrix":
        """A†B, faster than `A.H @ B`: an array is multiplied as `products.adjoint_dot` does it."""
        if self.rows is not None or self.whole.ndim > 2 or other.whole.ndim > 2:
            return self.H @ other
        dtype = np.promote_types(self.whole.dtype, other.whole.dtype)
        return LayoutMatrix(None, adjoint_dot(self.whole.astype(dtype), other.whole.astype(dtype)))

    def without_diagonal(self) -> "LayoutMatrix":
        """The matrix with zeros on its diagonal."""
        if self.rows is None:
            return LayoutMatrix(None, self.whole * (1 - _unit(self.whole.shape[0], self.whole[0])))
        each = range(len(self.rows))
        return LayoutMatrix([[Entry(0.0) if i == j else self.rows[i][j] for j in each] for i in each])

    def abs2(self) -> "LayoutMatrix":
        """|A_ij|² of every entry."""
        return self._each(lambda x: Entry(x.squared()), squared)

    def squared_terms(self, size: "LayoutMatrix") -> "LayoutMatrix":
        """(|V|²)ᵀ|A|²|V|², sums of the squares of the terms of V†AV, for size = |V|²; a bound, no exact number.

        Beyond `DIRECT` levels in single precision, half the time, relative to the largest entry of A. |V|² is taken 2⁵⁶
        times where V is in double precision, so that products down to 1e-71 stay in range: what leaves it is 0 or, on a
        processor, a denormal number, with which products at d = 16 take three times as long.
        """
        squares = self.abs2()
        if self.rows is not None or self.whole.shape[0] <= DIRECT:
            return size.adjoint_matmul(squares @ size)
        largest, dtype = squares.whole.max(), size.whole.dtype
        unit = largest + (largest == 0).astype(largest.dtype)
        enlarged = 1.0 if jnp.finfo(dtype).bits == 32 else 2.0**56
        single = lambda x: LayoutMatrix(None, x.astype(np.float32))  # noqa: E731
        weights = single(size.whole * enlarged)
        found = weights.adjoint_matmul(single(squares.whole / unit) @ weights)
        return LayoutMatrix(None, found.whole.astype(dtype) * (enlarged**-2 * unit))

    def times_i(self, factor: Array) -> "LayoutMatrix":
        """iA times a real number, or one for every sample."""

        def of_whole(x):
            dtype = np.promote_types(x.dtype, jnp.complex64)
            return 1j * factor.astype(dtype).reshape(*[1] * (x.ndim - factor.ndim), *factor.shape) * x.astype(dtype)

        return self._each(lambda x: Entry(0.0, 1.0) * x.scaled(factor), of_whole)

    def entrywise(self, function: Callable, *others: "LayoutMatrix") -> "LayoutMatrix":
        """A real function of the entries of real matrices; 0 where one of the entries is known to be 0."""
        if self.rows is None:
            return LayoutMatrix(None, function(self.whole, *(other.whole for other in others)))

        def at(*entries):
            parts = [entry.re for entry in entries]
            return Entry(0.0 if any(is_known(x) and x == 0 for x in parts) else function(*parts))

        tables = [self.rows, *(other.rows for other in others)]
        return LayoutMatrix([[at(*entries) for entries in zip(*row, strict=True)] for row in zip(*tables, strict=True)])

    def times(self, factor: "float | LayoutMatrix") -> "LayoutMatrix":
        """A_ij times a real number that is known, or times the entries of a real matrix."""
        if not isinstance(factor, LayoutMatrix):
            return self._each(lambda x: x.scaled(factor), lambda x: factor * x)
        if self.rows is None:
            return LayoutMatrix(None, factor.whole.astype(self.whole.dtype) * self.whole)
        pairs = zip(self.rows, factor.rows, strict=True)
        return LayoutMatrix([[x.scaled(y.re) for x, y in zip(*rows, strict=True)] for rows in pairs])

    def where(self, mask: BoolMatrix) -> "LayoutMatrix":
        """A_ij where the mask (d, d) holds, 0 elsewhere."""
        if self.rows is None:
            return LayoutMatrix(None, jnp.where(mask, self.whole, 0))
        keep = lambda holds, x: x if is_known(x) and x == 0 else jnp.where(holds, x, 0.0)  # noqa: E731
        pairs = zip(self.rows, matrix_entries(mask), strict=True)
        return LayoutMatrix(
            [[Entry(keep(m, x.re), keep(m, x.im)) for x, m in zip(*rows, strict=True)] for rows in pairs]
        )

    def materialized(self, unknown: Array) -> "LayoutMatrix":
        """The same matrix, its entries computed once and written to memory; arrays are anyhow. See `barrier`."""
        if self.rows is not None:
            parts = [part for row in self.rows for x in row for part in (x.re, x.im)]
            traced = [part for part in parts if not is_known(part)]
            behind = iter(optimization_barrier_cond(lambda *values: list(values), unknown, *traced))
            each = lambda part: part if is_known(part) else next(behind)  # noqa: E731
            return LayoutMatrix([[Entry(each(x.re), each(x.im)) for x in row] for row in self.rows])
        return self

    def real_diagonal(self) -> Array:
        """Re A_ii, (d,)."""
        if self.rows is None:
            return jnp.real(jnp.diagonal(self.whole))
        return stack([row[i].re for i, row in enumerate(self.rows)])

    def scaled(self, left: Array, right: Array) -> "LayoutMatrix":
        """a_i A_ij b_j for real vectors (d, *samples)."""
        if self.rows is None:
            return LayoutMatrix(None, left[:, None] * self.whole * right[None, :])
        a, b, each = unstack(left), unstack(right), range(len(self.rows))
        return LayoutMatrix([[self.rows[i][j].scaled(multiply(a[i], b[j])) for j in each] for i in each])

    def columns(self, right: Array) -> "LayoutMatrix":
        """A_ij b_j for a real vector (d, *samples)."""
        if self.rows is None:
            return LayoutMatrix(None, self.whole * right[None, :])
        b = unstack(right)
        return LayoutMatrix([[x.scaled(y) for x, y in zip(row, b, strict=True)] for row in self.rows])

    def sum_over_samples(self, weights: np.ndarray | None = None) -> "LayoutMatrix":
        """Σ_s w_s A_ij(s) of real entries."""

        def add_up(x):
            if weights is None:
                return jnp.sum(x, axis=-1)
            return jnp.sum(x * jnp.asarray(weights, x.dtype).reshape(*[1] * (x.ndim - 1), -1), axis=-1)

        return self._each(lambda x: Entry(x.re if is_known(x.re) else add_up(x.re)), add_up)

    def sum_over_pairs(self, values: RealVector) -> Array:
        """Σ_{m>n} (x_m - x_n)(A_mn - A_nm) of real entries; A_mn and A_nm nearly cancel: subtracted first."""
        return self._over_pairs(lambda lift, forward, backward: lift * (forward - backward), values)

    def gross_over_pairs(self, values: RealVector) -> Array:
        """Σ_{m>n} |x_m - x_n|(A_mn + A_nm) of real entries >= 0, of which `sum_over_pairs` is a difference."""
        return self._over_pairs(lambda lift, forward, backward: jnp.abs(lift) * (forward + backward), values)

    def _over_pairs(self, term: Callable, values: RealVector) -> Array:
        if self.rows is None:
            lift = values[:, None] - values[None, :]
            return 0.5 * jnp.sum(term(lift, self.whole, self.whole.T))
        x, each = unstack(values), range(len(self.rows))
        pairs = [(m, n) for m in each for n in each if n < m]
        terms = [term(x[m] - x[n], self.rows[m][n].re, self.rows[n][m].re) for m, n in pairs]
        return sum(terms[1:], terms[0]) if terms else jnp.zeros((), values.dtype)

    def inverse(self) -> "LayoutMatrix":
        """A⁻¹, of every sample."""
        if self.rows is not None:
            return LayoutMatrix(inverse(self.rows))
        leading = jnp.moveaxis(self.whole, (0, 1), (-2, -1))
        return LayoutMatrix(None, jnp.moveaxis(jnp.linalg.inv(leading), (-2, -1), (0, 1)))


def is_sparse(matrix: AnyArray) -> bool:
    """Whether a matrix above d = 3 is known while tracing, with up to `SPARSE` entries a row, as that of a site."""
    known = isinstance(matrix, np.ndarray) and matrix.shape[0] > UNROLL
    return known and bool(np.count_nonzero(matrix, axis=1).max() <= SPARSE)


def sparse_matmul(matrix: np.ndarray, other: Array) -> Array:
    """A @ B for such a matrix A: rows of B are copied, not multiplied with zeros (half of V†AV, at d = 256)."""
    columns = np.argsort(matrix == 0, axis=1, kind="stable")[:, :SPARSE]  # entries first
    used = columns[:, np.take_along_axis(matrix, columns, 1).any(axis=0)]
    if not used.size:
        return jnp.zeros(other.shape, np.result_type(matrix, other))
    factors = np.take_along_axis(matrix, used, 1)
    terms = [factors[:, [n]] * jnp.asarray(other)[used[:, n]] for n in range(used.shape[1])]
    return jnp.asarray(ft.reduce(jnp.add, terms))


def map_leading(function: Callable, operands: Any) -> Any:
    """A function mapped over the first axis, whose length is the dimension d: by vmap up to d = 3, by a loop above.

    vmap needs d times the memory for intermediate results, and is no faster once these exceed the caches.
    """
    size = jax.tree.leaves(operands)[0].shape[0]
    return jax.vmap(function)(operands) if size <= UNROLL else jax.lax.map(function, operands)


def _unit(d: int, like: Array) -> Array:
    return jnp.asarray(np.eye(d).reshape(d, d, *[1] * (like.ndim - 1)), like.dtype)


def squared(z: Known) -> Known:
    """|z|² elementwise; of NumPy what is known while tracing."""
    x: Any = z  # of either library
    return x.real**2 + x.imag**2 if jnp.iscomplexobj(x) else x * x


def matmul(a: AnyArray, b: AnyArray) -> Array:
    """a @ b for square matrices of one size; written out for d <= 3."""
    dtype = np.promote_types(a.dtype, b.dtype)
    if a.shape[0] > UNROLL:
        return dot(jnp.asarray(a, dtype), jnp.asarray(b, dtype))
    return join(product(split(a), split(b)), dtype)


def batched_matmul(a: AnyArray, b: AnyArray) -> Array:
    """a @ b for stacks of matrices (..., d, d) that broadcast; sums of products up to d = 8.

    For every matrix of a batch XLA makes one small `dot` on a CPU, slower than the fused loop of the sum.
    """
    dtype = np.promote_types(a.dtype, b.dtype)
    a, b = a.astype(dtype), b.astype(dtype)
    if a.shape[-1] > DIRECT:
        return dot(a, b)
    rank = max(a.ndim, b.ndim)
    left, right = (jnp.expand_dims(x, tuple(range(rank - x.ndim))) for x in (a, b))
    return jnp.sum(left[..., :, :, None] * right[..., None, :, :], axis=-2)


def dagger(a: AnyArray) -> Array:
    """Hermitian conjugate of a matrix, or of each in a stack (..., d, d)."""
    return jnp.swapaxes(a.conj(), -1, -2)


def in_frame(basis: AnyArray, operator: AnyArray) -> Array:
    """V† A V, the operator (or each of a stack) in the basis whose vectors are the columns of V."""
    if operator.ndim > 2:
        basis = jnp.asarray(basis)
        return batched_matmul(dagger(basis), batched_matmul(operator, basis))
    return matmul(dagger(basis), matmul(operator, basis))


def diagonal_matrix(vector: Array) -> Array:
    """A (d, d) matrix with the given diagonal."""
    if vector.shape[0] > UNROLL:
        return jnp.diag(vector)
    values = unstack(vector)
    d = len(values)
    return stack_real([[values[i] if i == j else 0.0 for j in range(d)] for i in range(d)], vector.dtype)


def largest(array: Array) -> Array:
    """The largest entry; NaN if any is.

    XLA's library for reductions on a CPU passes over NaN (jaxlib 0.10, some 64 entries or more). Reducing over a small
    axis would make XLA assemble the whole batch of small arrays in memory first; a chain of elementwise operations does
    not (measured for the three-dot ring: 0.4 against 0.1 µs a cell).
    """
    if array.size > ENTRIES:
        return jnp.where(jnp.any(jnp.isnan(array)), jnp.nan, jnp.max(array))
    return ft.reduce(jnp.maximum, flat_entries(array))


def total(array: Array) -> Array:
    """The sum of all entries, as a chain of operations for small arrays (see `largest`)."""
    return jnp.sum(array) if array.size > ENTRIES else ft.reduce(jnp.add, flat_entries(array))


def every(condition: Callable, array: Array) -> Array:
    """Whether an elementwise condition holds in every entry."""
    array = jax.lax.stop_gradient(array)  # a condition has no derivative, and the program of one would unstack it too
    if array.size > ENTRIES:
        return jnp.all(condition(array))
    return ft.reduce(jnp.logical_and, [condition(entry) for entry in flat_entries(array)])


def entrywise(function: Callable, *arrays: Array) -> Array:
    """An elementwise function of arrays of one shape."""
    shape = arrays[0].shape
    if not 0 < arrays[0].size <= ENTRIES:
        return function(*arrays)
    return stack_entries([function(*entry) for entry in zip(*map(flat_entries, arrays), strict=True)], shape)
