"""Functions f(A) = V f(a) V† of a Hermitian matrix A = V a V†, with derivatives exact at every gap of its eigenvalues.

In the frame of A, with the divided difference f[a, b] = (f(a) - f(b))/(a - b), f[a, a] = f'(a), and X = V†dA V,

    (V†df V)_ij = f[a_i, a_j] X_ij      (Ju. L. Daleckii and S. G. Krein, AMS Transl. 47, 1 (1965)).

Divided differences are written so that nothing cancels and nothing is lost at a crossing or near one;
`jnp.linalg.eigh`'s own rule gives NaN there, or a finite wrong number. A logarithm and a root are the inverse functions
of the exponential and the square: dividing by the differences of those, at f(A), gives their derivatives.

Second derivatives: V is held fixed while A enters as B = V†AV, diagonal in value but not in its tangent. What B has off
its diagonal, R, vanishes in value and carries the rotation of the frame,

    (V†df V)_ij = f[b_i, b_j] X_ij + Σ_k f[b_i, b_k, b_j] (R_ik X_kj + X_ik R_kj) + O(R²).

A rule of its own for the derivative would be lost: reverse mode transposes the body of a linear function and
differentiates that.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Matrix, RealVector
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.matrix import dagger, in_frame, matmul
from qdbjax.numerics.occupation import magnitude
from qdbjax.numerics.products import contract

SECOND_ORDER = 64  # above, the d³ table of second differences is left out and second derivatives miss its terms


class DividedDifferences(NamedTuple):
    """Divided differences of a scalar function.

    first: f[a, b]. second_order: of eigenvalues b, R and X, the sum Σ_k f[b_i, b_k, b_j] (R_ik X_kj + X_ik R_kj).
    """

    first: Callable[[Array, Array], Array]
    second_order: Callable[[RealVector, Matrix, Matrix], Matrix | float]


def exp_difference(a: Array, b: Array) -> Array:
    """exp[a, b] = (eᵃ - eᵇ)/(a - b) = e^{max} (1 - e^{-|a-b|})/|a-b|."""
    gap = magnitude(a - b)
    near = gap < 1e-5
    safe = jnp.where(near, 1.0, gap)
    ratio = jnp.where(near, 1 - gap / 2 + gap * gap / 6, -jnp.expm1(-safe) / safe)
    return jnp.exp(jnp.maximum(a, b)) * ratio


def exp_second_difference(a: Array, b: Array, c: Array) -> Array:
    """exp[a, b, c]; the outer two are taken as the pair farthest apart."""
    high = jnp.maximum(jnp.maximum(a, b), c)
    low = jnp.minimum(jnp.minimum(a, b), c)
    middle = a + b + c - high - low
    gap = high - low
    near = gap < 0.02
    safe = jnp.where(near, 1.0, gap)
    far = (exp_difference(high, middle) - exp_difference(middle, low)) / safe
    # Hermite and Genocchi: exp[a, b, c] = ∫e^{sa + tb + (1-s-t)c} over the simplex = e^{mean} Σ_n h_n/(n + 2)!, h_n the
    # complete homogeneous polynomials of the deviations x, y, z from the mean. As x + y + z = 0, h_1 = 0, h_2 = p/2,
    # h_3 = xyz and h_4 = p²/4, p = x² + y² + z². Left out from order 5 on: below 6e-14 of it for gaps below 0.02.
    mean = (a + b + c) / 3
    x, y, z = a - mean, b - mean, c - mean
    second = x * x + y * y + z * z
    third = x * y * z
    series = 0.5 + second / 48 + third / 120 + second * second / 2880
    return jnp.where(near, jnp.exp(mean) * series, far)


def _exp_second_order(values: RealVector, rest: Matrix, change: Matrix) -> Matrix | float:
    if values.shape[0] > SECOND_ORDER:
        return 0.0
    table = exp_second_difference(values[:, None, None], values[None, :, None], values[None, None, :])
    paths = "ikj,ik,kj->ij"
    table = table.astype(change.dtype)
    return contract(paths, table, rest, change) + contract(paths, table, change, rest)


EXPONENTIAL = DividedDifferences(exp_difference, _exp_second_order)
# Of f(r) = r²: f[a, b] = a + b, a sum of positive numbers where the root is taken, and f[a, b, c] = 1.
SQUARE = DividedDifferences(jnp.add, lambda _, rest, change: matmul(rest, change) + matmul(change, rest))


def _diagonal_and_rest(matrix: Matrix) -> tuple[RealVector, Matrix]:
    return jnp.real(jnp.diagonal(matrix)), matrix * (1 - jnp.eye(matrix.shape[0], dtype=matrix.dtype))


def frechet(function: DividedDifferences, matrix: Matrix, change: Matrix) -> Matrix:
    """df at B in the direction X, for a B that is diagonal in value."""
    values, rest = _diagonal_and_rest(matrix)
    slope = function.first(values[:, None], values[None, :]).astype(change.dtype)
    return slope * change + function.second_order(values, rest, change)


def inverse_frechet(function: DividedDifferences, matrix: Matrix, change: Matrix) -> Matrix:
    """Y with df_B(Y) = X, for a B that is diagonal in value; its off-diagonal part is solved for to first order."""
    values, rest = _diagonal_and_rest(matrix)
    slope = function.first(values[:, None], values[None, :]).astype(change.dtype)
    solution = change / slope
    return solution - function.second_order(values, rest, solution) / slope


def apply_spectral(function: Callable[[RealVector], RealVector], matrix: Matrix) -> Matrix:
    """f(A) of a Hermitian A, from f of its eigenvalues. No derivative rule of its own."""
    values, basis = eigh(matrix)
    return matmul(basis * function(values).astype(basis.dtype)[None, :], dagger(basis))


def _in_fixed_frame(derivative: Callable, function: DividedDifferences, matrix: Matrix, change: Matrix) -> Matrix:
    """A derivative at a matrix in the direction X, taken in the matrix' eigenbasis, which is held fixed."""
    basis = jax.lax.stop_gradient(eigh(matrix)[1])
    tangent = derivative(function, in_frame(basis, matrix), in_frame(basis, change))
    return matmul(matmul(basis, tangent), dagger(basis))


def _hermitian_part(matrix: Matrix) -> Matrix:
    return 0.5 * (matrix + dagger(matrix))


@jax.custom_jvp
def expm_hermitian(matrix: Matrix) -> Matrix:
    """exp(A) of a Hermitian A. Second derivatives up to d = 64."""
    return apply_spectral(jnp.exp, matrix)


@expm_hermitian.defjvp
def _expm_jvp(primals, tangents):
    (matrix,), (change,) = primals, tangents
    return expm_hermitian(matrix), _in_fixed_frame(frechet, EXPONENTIAL, matrix, _hermitian_part(change))


@jax.custom_jvp
def logm_hermitian(matrix: Matrix) -> Matrix:
    """ln A of a positive Hermitian A; NaN where an eigenvalue is not positive. Second derivatives up to d = 64."""
    return apply_spectral(jnp.log, matrix)


@logm_hermitian.defjvp
def _logm_jvp(primals, tangents):
    logarithm = logm_hermitian(primals[0])
    return logarithm, _in_fixed_frame(inverse_frechet, EXPONENTIAL, logarithm, _hermitian_part(tangents[0]))


@jax.custom_jvp
def sqrt_hermitian(matrix: Matrix) -> Matrix:
    """A^½ of a positive semidefinite A; what is negative by rounding counts as 0."""
    return apply_spectral(lambda values: jnp.sqrt(jnp.maximum(values, 0.0)), matrix)


@sqrt_hermitian.defjvp
def _sqrt_jvp(primals, tangents):
    root = sqrt_hermitian(primals[0])
    return root, _in_fixed_frame(inverse_frechet, SQUARE, root, tangents[0])


@jax.custom_jvp
def inverse_hermitian(matrix: Matrix) -> Matrix:
    """A⁻¹ of a positive A; eigenvalue by eigenvalue, so that a diagonal A of any range keeps its digits."""
    return apply_spectral(jnp.reciprocal, matrix)


@inverse_hermitian.defjvp
def _inverse_jvp(primals, tangents):
    value = inverse_hermitian(primals[0])
    return value, -matmul(value, matmul(tangents[0], value))
