"""Real linear equations for several sources, and how well they are conditioned: by exchange, or by a library's LU.

Up to 16 unknowns the whole inverse costs no more than one solution (`gauss_jordan`); beyond, the matrix is factorised
and its condition number estimated from six solutions, within a factor of 3 of the true one as a rule.
*Source:* of the estimate, W. W. Hager, SIAM J. Sci. Stat. Comput. 5, 311 (1984); N. J. Higham, ACM Trans. Math. Softw.
14, 381 (1988), algorithm 4.1.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax.linalg import lu
from jax.scipy.linalg import solve_triangular

from qdbjax._types import Array, Bool, Float, Int, Scalar
from qdbjax.numerics.gauss_jordan import Inverse, invert

Square = Float[Array, "n n"]
Vector = Float[Array, " n"]
Sources = Float[Array, "n *sources"]
INVERTED = 16  # largest number of unknowns for which the inverse is formed; at 36 LU takes 15 µs, the inverse 40


class Factors(eqx.Module):
    """A = Pᵀ L U of a matrix A.

    lower_upper: L below the diagonal, U on and above it.
    permutation: row k of P A is row permutation[k] of A.
    condition_number: ‖A‖ ‖A⁻¹‖ in the largest row sum, the second factor a lower bound; inf where A is singular.
    """

    lower_upper: Square
    permutation: Int[Array, " n"]
    condition_number: Scalar

    def apply(self, source: Vector) -> Vector:
        """A⁻¹ b; 0 where A is singular."""
        return self._regular(_solved(self.lower_upper, self.permutation, self._regular(source)))

    def apply_transposed(self, source: Vector) -> Vector:
        """A⁻ᵀ b; 0 where A is singular."""
        return self._regular(_solved_transposed(self.lower_upper, self.permutation, self._regular(source)))

    def _regular(self, x: Vector) -> Vector:
        # By the condition number, not by x: what a matrix-free solver calls has to be linear. The source too, so that
        # no solution is sought before the condition number is known: two LAPACK calls at once hang on two cores.
        return jnp.where(jnp.isfinite(self.condition_number), x, 0.0)


def _solved(lower_upper: Square, permutation: Array, source: Vector) -> Vector:
    y = solve_triangular(lower_upper, source[permutation], lower=True, unit_diagonal=True)
    return solve_triangular(lower_upper, y)


def _solved_transposed(lower_upper: Square, permutation: Array, source: Sources) -> Sources:
    y = solve_triangular(lower_upper, source, trans=1)
    y = solve_triangular(lower_upper, y, trans=1, lower=True, unit_diagonal=True)
    return jnp.zeros_like(y).at[permutation].set(y, unique_indices=True)


def _inverse_size(lower_upper: Square, permutation: Array) -> Scalar:
    """A lower bound of ‖A⁻¹‖ in the largest row sum, which is the largest column sum of A⁻ᵀ.

    From a vector of signs that alternate and one of equal entries, and then two that point where the last one had its
    steepest slope, one after the other: two LAPACK calls at once hang on two cores.
    """
    n, dtype = lower_upper.shape[0], lower_upper.dtype
    place = jnp.arange(n)
    steps = jnp.where(place % 2 == 0, 1.0, -1.0) * (1 + place / (n - 1)) * (2 / (3 * n))
    first = jnp.stack([steps, jnp.full((n,), 1 / n)], axis=1).astype(dtype)
    sizes = lambda y: jnp.sum(jnp.abs(y), axis=0)  # noqa: E731

    def look(_, carry):
        found, y = carry
        slope = _solved(lower_upper, permutation, jnp.where(y < 0, -1.0, 1.0).astype(dtype))
        steepest = (place == jnp.argmax(jnp.abs(slope))).astype(dtype)
        y = _solved_transposed(lower_upper, permutation, steepest)
        return jnp.maximum(found, sizes(y)), y

    y = _solved_transposed(lower_upper, permutation, first)
    # NaN of a singular matrix stays: the larger of NaN and a number is NaN.
    return jax.lax.fori_loop(0, 2, look, (jnp.max(sizes(y)), y[:, 1]))[0]


def factorize(matrix: Square, coupled: Bool[Array, " n"] | None = None) -> Inverse | Factors:
    """What gives A⁻¹ b and A⁻ᵀ b, for a matrix whose entries are of one size. coupled: see `invert`."""
    n = matrix.shape[0]
    if n <= INVERTED:
        return invert(matrix, coupled)
    lower_upper, _, permutation = lu(matrix)
    size = _inverse_size(lower_upper, permutation)
    largest = jnp.max(jnp.sum(jnp.abs(matrix), axis=1))
    condition = jnp.where(jnp.isfinite(size), largest * size, jnp.inf)
    return Factors(lower_upper, permutation, condition)
