"""Exponentials: of a Hermitian matrix, with a derivative exact at every gap (Daleckii and Krein 1965), and of a
superoperator over any time.

    d exp(A) = V (f[a_i, a_j] ∘ V†dA V) V†,     f[a, b] = (eᵃ - eᵇ)/(a - b),

and the second derivative from f[a, b, c]. The divided differences are formed without cancellation, so that nothing
is lost at a crossing or near one; `jnp.linalg.eigh`'s own rule gives NaN there, or a finite wrong number.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Matrix, Scalar
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.matrix import dagger, in_frame, matmul
from qdbjax.numerics.statistics import magnitude

SQUARINGS = 60  # e^{Mt} by scaling and squaring up to ‖M‖t = 1e18
SECOND_ORDER = 64  # above, the d³ table of second differences is left out and second derivatives miss its terms


def first_difference(a: Array, b: Array) -> Array:
    """(eᵃ - eᵇ)/(a - b) = e^{max} (1 - e^{-|a-b|})/|a-b|."""
    gap = magnitude(a - b)
    near = gap < 1e-5
    safe = jnp.where(near, 1.0, gap)
    ratio = jnp.where(near, 1 - gap / 2 + gap * gap / 6, -jnp.expm1(-safe) / safe)
    return jnp.exp(jnp.maximum(a, b)) * ratio


def second_difference(a: Array, b: Array, c: Array) -> Array:
    """f[a, b, c] for the exponential; the outer two are taken as the pair farthest apart."""
    high = jnp.maximum(jnp.maximum(a, b), c)
    low = jnp.minimum(jnp.minimum(a, b), c)
    middle = a + b + c - high - low
    gap = high - low
    near = gap < 0.02
    safe = jnp.where(near, 1.0, gap)
    far = (first_difference(high, middle) - first_difference(middle, low)) / safe
    # Hermite-Genocchi series about the mean: the moments of a simplex are symmetric polynomials of the deviations.
    mean = (a + b + c) / 3
    x, y, z = a - mean, b - mean, c - mean
    second = x * x + y * y + z * z
    third = x * y * z
    series = 0.5 + second / 48 + third / 120 + second * second / 5760
    return jnp.where(near, jnp.exp(mean) * series, far)


@jax.custom_jvp
def expm_hermitian(matrix: Matrix) -> Matrix:
    """exp(A) of a Hermitian A."""
    values, basis = eigh(matrix)
    return matmul(basis * jnp.exp(values).astype(basis.dtype)[None, :], dagger(basis))


@expm_hermitian.defjvp
def _expm_jvp(primals, tangents):
    (matrix,), (change,) = primals, tangents
    return expm_hermitian(matrix), _frechet(matrix, 0.5 * (change + dagger(change)))


def _frechet(matrix: Matrix, change: Matrix) -> Matrix:
    """The derivative of exp at A in the direction X, itself differentiable in A.

    The frame V is held fixed and A enters as B = V†AV, diagonal in value but not in its tangent; the terms with
    B - diag(B) vanish in value and carry the rotation of the frame to the second derivative. A rule of its own would
    be lost: reverse mode transposes the body of a linear function and differentiates that.
    """
    basis = jax.lax.stop_gradient(eigh(matrix)[1])
    framed, x = in_frame(basis, matrix), in_frame(basis, change)
    a = jnp.real(jnp.diagonal(framed))
    derivative = first_difference(a[:, None], a[None, :]).astype(x.dtype) * x
    if matrix.shape[0] <= SECOND_ORDER:
        rest = framed * (1 - jnp.eye(matrix.shape[0], dtype=framed.dtype))
        table = second_difference(a[:, None, None], a[None, :, None], a[None, None, :]).astype(x.dtype)
        paths = "ikj,ik,kj->ij"
        derivative = derivative + jnp.einsum(paths, table, rest, x) + jnp.einsum(paths, table, x, rest)
    return matmul(matmul(basis, derivative), dagger(basis))


def expm_superoperator(matrix: Matrix, time: Scalar) -> Matrix:
    """e^{Mt} of a trace-preserving superoperator (d², d²) on row-major vec, t up to 1e18/‖M‖.

    Scaling and squaring multiplies the rounding of the trace by the number of squarings' 2^k (1e-8 at ‖M‖t = 1e8): the
    trace is set right after each squaring, and what is added relaxes with the rest.
    """
    n = matrix.shape[0]
    d = round(n**0.5)
    trace = jnp.eye(d, dtype=matrix.dtype).reshape(-1)
    norm = jax.lax.stop_gradient(jnp.max(jnp.sum(jnp.abs(matrix), axis=0)) * time)
    halvings = jnp.clip(jnp.ceil(jnp.log2(jnp.maximum(norm, 1.0))), 0, SQUARINGS)
    start = jax.scipy.linalg.expm(matrix * (time * jnp.exp2(-halvings)).astype(matrix.dtype), max_squarings=2)

    def step(power, n):
        def square(x):
            product = jnp.matmul(x, x, precision="highest")
            return product + trace[:, None] * (trace - trace @ product)[None, :] / d

        return jax.lax.cond(n < halvings, square, lambda x: x, power), None

    return jax.lax.scan(step, start, jnp.arange(SQUARINGS, dtype=norm.dtype))[0]
