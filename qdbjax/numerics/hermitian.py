"""A Hermitian matrix as d² reals in a (d, d) array: real parts on and above the diagonal, imaginary parts below.

With m < n, entry [m, n] is Re ρ_mn and entry [n, m] is Im ρ_mn. These are the unknowns of real linear systems, in half
the memory of the complex matrix.
"""

import functools as ft
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool, Float, Int, Matrix, RealVector, Scalar
from qdbjax.numerics.entries import complex_array, matrix_entries, real_and_imaginary, stack_real, unstack
from qdbjax.numerics.matrix import ENTRIES, largest

Packed = Float[Array, "d d"]


def pack(rho: Matrix, diagonal: RealVector | None = None) -> Packed:
    """The d² reals of a Hermitian matrix; diagonal: replaces its own (populations kept apart from coherences)."""
    each = range(rho.shape[0])
    re, im = real_and_imaginary(rho) if jnp.iscomplexobj(rho) else (rho, jnp.zeros_like(rho))
    if rho.size > ENTRIES:
        own = jnp.triu(re) + jnp.triu(im, 1).T
        return own if diagonal is None else jnp.where(np.eye(len(each), dtype=bool), diagonal[None, :], own)
    re, im, dtype = matrix_entries(re), matrix_entries(im), re.dtype
    values = [re[m][m] for m in each] if diagonal is None else unstack(diagonal)
    return stack_real([[values[m] if m == n else re[m][n] if m < n else im[n][m] for n in each] for m in each], dtype)


def unpack(packed: Packed) -> Matrix:
    """The Hermitian matrix (d, d) of its d² reals, the inverse of `pack`."""
    if packed.size > ENTRIES:
        above, below = jnp.triu(packed, 1), jnp.tril(packed, -1)
        diagonal = jnp.diag(jnp.diagonal(packed))
        return jax.lax.complex(above + above.T + diagonal, below.T - below)
    x, each = matrix_entries(packed), range(packed.shape[0])
    re = [[x[min(m, n)][max(m, n)] for n in each] for m in each]
    im = [[0.0 if m == n else x[n][m] if m < n else -x[m][n] for n in each] for m in each]
    return complex_array(stack_real(re, packed.dtype), stack_real(im, packed.dtype))


def is_hermitian(matrix: Matrix, rounding: float) -> Bool[Array, ""]:
    """Whether a finite matrix differs from its conjugate transpose by no more than this part of its largest entry."""
    re, im = jnp.real(matrix), jnp.imag(matrix)
    if matrix.size > ENTRIES:
        parts = [(re, re - re.T)] + ([(im, im + im.T)] if jnp.iscomplexobj(matrix) else [])
        size = ft.reduce(jnp.maximum, [jnp.max(jnp.abs(part)) for part, _ in parts])
        # No largest excess: that is NaN, or not, where an entry is (`matrix.largest`).
        return ft.reduce(jnp.logical_and, [jnp.all(jnp.abs(x) <= rounding * size) for _, x in parts], size < jnp.inf)
    re, im, each = matrix_entries(re), matrix_entries(im), range(matrix.shape[0])
    pairs = [(m, n) for m in each for n in each]
    largest = lambda values: ft.reduce(jnp.maximum, map(jnp.abs, values))  # noqa: E731
    excess = [re[m][n] - re[n][m] for m, n in pairs if m < n] + [im[m][n] + im[n][m] for m, n in pairs if m <= n]
    size = largest([re[m][n] for m, n in pairs] + [im[m][n] for m, n in pairs if m < n])
    return (largest(excess) <= rounding * size) & (size < jnp.inf)


def is_positive(matrix: Matrix, slack: Scalar | float) -> Bool[Array, ""]:
    """Whether a Hermitian matrix has no eigenvalue far below zero, by an elimination that takes the largest pivot.

    What is left when no pivot exceeds the slack has an eigenvalue at least as negative as the matrix has, and entries
    no larger than its diagonal if it has none: pure states are not too close to the edge.

    slack: below which an entry counts as rounding; eigenvalues below -2d times that are found.
    *Source:* N. J. Higham, Accuracy and Stability of Numerical Algorithms (2nd edition, 2002), section 10.3.
    """
    place = jnp.arange(matrix.shape[0])

    def step(_, rest):
        diagonal = jnp.real(jnp.diagonal(rest))
        at = jnp.argmax(diagonal)
        pivot, column, done = diagonal[at], rest[:, at], diagonal[at] <= slack
        reduced = rest - column[:, None] * column.conj()[None, :] / jnp.where(done, 1.0, pivot).astype(rest.dtype)
        eliminated = (place == at)[:, None] | (place == at)[None, :]
        return jnp.where(done, rest, jnp.where(eliminated, 0.0, reduced))

    rest = jax.lax.fori_loop(0, matrix.shape[0], step, matrix)
    return jnp.all(jnp.abs(rest) <= 2 * slack)


def negativity(state: Packed) -> Scalar:
    """By how much a state misses positivity, by its diagonal and its 2 x 2 minors: ρ_mm >= 0, |ρ_mn|² <= ρ_mm ρ_nn."""
    populations = jnp.diagonal(state)
    square = state * state
    size = jnp.abs(populations[:, None] * populations[None, :])
    excess = jnp.where(jnp.eye(state.shape[0], dtype=bool), 0.0, square + square.T - (1 + 1e-6) * size)
    return jnp.maximum(largest(-populations), jnp.sqrt(jnp.maximum(largest(excess), 0.0)))


def real_tensor(real: Array, imag: Array) -> Array:
    """A superoperator C that preserves Hermiticity, as a real tensor on the d² packed reals of ρ.

    real, imag: its parts, (d, d, d, d) [n, m, l, k], ρ_lk to ρ_nm, with C_mnkl the conjugate of C_nmlk.

    ρ_lk = x_lk + i x_kl for l < k, so that columns combine as C_lk + C_kl and, at x_kl, i(C_lk - C_kl). Rows n <= m are
    the real parts of these, and rows n > m the imaginary parts of row (m, n), minus those of row (n, m).
    """
    d = real.shape[0]
    below, unit = np.tri(d, k=-1, dtype=bool), np.eye(d, dtype=bool)
    other_real, other_imag = jnp.swapaxes(real, 2, 3), jnp.swapaxes(imag, 2, 3)
    above = jnp.where(below, imag - other_imag, real + jnp.where(unit, 0.0, other_real))
    conjugate = jnp.where(below, real - other_real, -imag - jnp.where(unit, 0.0, other_imag))
    return jnp.where(below[:, :, None, None], conjugate, above)


def real_matrix(superoperator: Matrix) -> Float[Array, "n n"]:
    """`real_tensor` for a superoperator given as a (d², d²) matrix on row-major vec(ρ)."""
    d = round(superoperator.shape[0] ** 0.5)
    tensor = superoperator.reshape(d, d, d, d)
    return real_tensor(tensor.real, tensor.imag).reshape(d * d, d * d)


def real_table(table: Callable, row: Int[Array, " n"], column: Int[Array, " n"]) -> Float[Array, "n n"]:
    """A superoperator that preserves Hermiticity, as a real matrix on a list of packed reals.

    table: (m, n, l, k) ↦ its entries ρ_lk to ρ_mn, for arrays of indices that broadcast.
    row, column: place of each real in the packed matrix.
    """
    upper, lower, imaginary = jnp.minimum(row, column), jnp.maximum(row, column), row > column
    m, n, l, k = upper[:, None], lower[:, None], upper[None, :], lower[None, :]
    first, second = table(m, n, l, k), table(m, n, k, l)
    real = jnp.where((row == column)[None, :], first, first + second)
    columns = jnp.where(imaginary[None, :], 1j * (first - second), real)
    return jnp.where(imaginary[:, None], columns.imag, columns.real)
