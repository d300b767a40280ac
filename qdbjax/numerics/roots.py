"""Functions of a positive Hermitian matrix with derivatives exact at equal eigenvalues: root, inverse, logarithm.

Each derivative solves the linear equation that defines the function, in the eigenbasis of the value and by a rule that
calls itself, so that it holds in every mode; denominators are sums of positive numbers or divided differences of the
exponential and never vanish.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Matrix, RealVector
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.exponential import first_difference, frechet
from qdbjax.numerics.small import dagger, in_frame, matmul


def _function(values: RealVector, basis: Matrix) -> Matrix:
    return matmul(basis * values.astype(basis.dtype)[None, :], dagger(basis))


@jax.custom_jvp
def inverse_hermitian(matrix: Matrix) -> Matrix:
    """A⁻¹ of a positive A; eigenvalue by eigenvalue, so that a diagonal A of any range keeps its digits."""
    values, basis = eigh(matrix)
    return _function(1 / values, basis)


@inverse_hermitian.defjvp
def _inverse_jvp(primals, tangents):
    found = inverse_hermitian(primals[0])
    return found, -matmul(found, matmul(tangents[0], found))


@jax.custom_jvp
def _half_of(root: Matrix, source: Matrix) -> Matrix:
    """Y with R Y + Y R = C for a positive R."""
    values, basis = eigh(root)
    framed = in_frame(basis, source) / (values[:, None] + values[None, :]).astype(source.dtype)
    return in_frame(dagger(basis), framed)


@_half_of.defjvp
def _half_jvp(primals, tangents):
    (root, source), (d_root, d_source) = primals, tangents
    found = _half_of(root, source)
    return found, _half_of(root, d_source - matmul(d_root, found) - matmul(found, d_root))


@jax.custom_jvp
def sqrt_hermitian(matrix: Matrix) -> Matrix:
    """A^½ of a positive semidefinite A; what is negative by rounding counts as 0."""
    values, basis = eigh(matrix)
    return _function(jnp.sqrt(jnp.maximum(values, 0.0)), basis)


@sqrt_hermitian.defjvp
def _sqrt_jvp(primals, tangents):
    found = sqrt_hermitian(primals[0])
    return found, _half_of(found, tangents[0])


@jax.custom_jvp
def _log_change(logarithm: Matrix, change: Matrix) -> Matrix:
    """dK with d exp(K)[dK] = C."""
    values, basis = eigh(logarithm)
    framed = in_frame(basis, change) / first_difference(values[:, None], values[None, :]).astype(change.dtype)
    return in_frame(dagger(basis), framed)


@_log_change.defjvp
def _log_change_jvp(primals, tangents):
    (logarithm, change), (d_logarithm, d_change) = primals, tangents
    found = _log_change(logarithm, change)
    bent = jax.jvp(lambda k: frechet(k, found), (logarithm,), (d_logarithm,))[1]
    return found, _log_change(logarithm, d_change - bent)


@jax.custom_jvp
def log_hermitian(matrix: Matrix) -> Matrix:
    """ln A of a positive A."""
    values, basis = eigh(matrix)
    return _function(jnp.log(values), basis)


@log_hermitian.defjvp
def _log_jvp(primals, tangents):
    found = log_hermitian(primals[0])
    return found, _log_change(found, tangents[0])
