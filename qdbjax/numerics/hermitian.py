"""A Hermitian matrix as d² reals in a (d, d) array: real parts on and above the diagonal, imaginary parts below.

With m < n, entry [m, n] is Re ρ_mn and entry [n, m] is Im ρ_mn. These are the unknowns of real linear systems, in half
the memory of the complex matrix.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Int, Matrix, RealVector
from qdbjax.numerics.entries import matrix_entries, stack_real, unstack
from qdbjax.numerics.matrix import ENTRIES

Packed = Float[Array, "d d"]


def pack(rho: Matrix, diagonal: RealVector | None = None) -> Packed:
    """The d² reals of a Hermitian matrix; diagonal: replaces its own (populations kept apart from coherences)."""
    re, im, each = jnp.real(rho), jnp.imag(rho), range(rho.shape[0])
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
    return jax.lax.complex(stack_real(re, packed.dtype), stack_real(im, packed.dtype))


def real_tensor(superoperator: Array) -> Array:
    """A superoperator (d, d, d, d) that preserves Hermiticity, as a real tensor on the d² packed reals of ρ.

    ρ_mn = x_mn + i x_nm for m < n, so that columns combine as C_mn + C_nm and i(C_mn - C_nm), and of the rows the real
    parts stay above the diagonal and the imaginary parts go below.
    """
    d = superoperator.shape[0]
    below = np.tri(d, k=-1, dtype=bool)
    swapped = jnp.swapaxes(superoperator, 2, 3)
    rest = jnp.where(np.eye(d, dtype=bool), superoperator, superoperator + swapped)
    columns = jnp.where(below, 1j * (swapped - superoperator), rest)
    return jnp.where(below[:, :, None, None], jnp.swapaxes(columns.imag, 0, 1), columns.real)


def real_matrix(superoperator: Matrix) -> Float[Array, "n n"]:
    """`real_tensor` for a superoperator given as a (d², d²) matrix on row-major vec(ρ)."""
    d = round(superoperator.shape[0] ** 0.5)
    return real_tensor(superoperator.reshape(d, d, d, d)).reshape(d * d, d * d)


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
