"""A Hermitian matrix as d² reals in a (d, d) array: real parts on and above the diagonal, imaginary parts below.

Unknowns of real linear systems, and half the memory. Entry [m, n] with m < n is Re ρ_mn, entry [n, m] is Im ρ_mn.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Float, Matrix

Packed = Float[Array, "d d"]


def pack(rho: Matrix) -> Packed:
    """d² reals of a Hermitian matrix."""
    return jnp.triu(jnp.real(rho)) + jnp.triu(jnp.imag(rho), 1).T


def unpack(packed: Packed) -> Matrix:
    """The Hermitian matrix of d² reals."""
    above = jnp.triu(packed, 1)
    below = jnp.tril(packed, -1)
    diagonal = jnp.diag(jnp.diagonal(packed))
    return jax.lax.complex(above + above.T + diagonal, below.T - below)
