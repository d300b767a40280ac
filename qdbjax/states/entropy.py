"""Entropy of a state and relative entropy of two, in nats."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian, matrix_of_state
from qdbjax._types import Array, ArrayLike, Float, Matrix, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.eigensystem import eigensystem
from qdbjax.numerics.matrix import in_frame
from qdbjax.systems.degeneracy import same_level


def _state(value: ArrayLike, name: str) -> Matrix:
    rho = jnp.asarray(as_hermitian(matrix_of_state(value), name, ndim=(2,)))
    return rho.astype(np.promote_types(rho.dtype, jnp.complex64))


def as_two_states(rho: ArrayLike, sigma: ArrayLike) -> tuple[Matrix, Matrix]:
    """Two Hermitian matrices of one shape and dtype, complex; ValueError otherwise."""
    rho, sigma = _state(rho, "rho"), _state(sigma, "sigma")
    if rho.shape != sigma.shape:
        raise ValueError(f"rho and sigma must have one shape; got {rho.shape} and {sigma.shape}.")
    common = np.promote_types(rho.dtype, sigma.dtype)
    return rho.astype(common), sigma.astype(common)


def _spectral(rho: Matrix) -> tuple[Float[Array, " d"], Matrix]:
    values, vectors = jnp.linalg.eigh(rho, symmetrize_input=False)
    floor = 8 * float(jnp.finfo(values.dtype).eps)
    return jnp.where(values <= floor, 0.0, values), vectors


def _log(x: Array) -> Array:
    return jnp.log(jnp.where(x <= 0, 1.0, x))


@jit_if_eager
def _entropy(rho: Matrix) -> Scalar:
    values, _ = _spectral(rho)
    return -jnp.sum(values * _log(values))


def von_neumann_entropy(rho: ArrayLike) -> Scalar:
    """Von Neumann entropy of a density matrix.

    S = -Tr[ρ ln ρ]

    rho: ρ (d, d), Hermitian, or a state that holds one (`SteadyState`).
    Returns S >= 0, nats; 0 for a pure state. Eigenvalues below 8 eps count as 0. vmap for many. Raises ValueError for a
    matrix that is not Hermitian.
    *Source:* J. von Neumann, Mathematische Grundlagen der Quantenmechanik (1932), chapter V.

    >>> round(float(qdb.von_neumann_entropy(np.diag([0.5, 0.5]))), 4)  # ln 2
    0.6931
    """
    return _entropy(_state(rho, "rho"))


@jit_if_eager
def _relative(rho: Matrix, sigma: Matrix) -> Scalar:
    values, vectors = _spectral(sigma)
    weights = jnp.real(jnp.diagonal(in_frame(vectors, rho)))
    outside = jnp.any((values == 0) & (weights > 1e3 * float(jnp.finfo(values.dtype).eps)))
    finite = -_entropy(rho) - jnp.sum(jnp.where(values == 0, 0.0, weights * _log(values)))
    return jnp.where(outside, jnp.inf, finite)


def relative_entropy(rho: ArrayLike, sigma: ArrayLike) -> Scalar:
    """Relative entropy of two density matrices.

    S(ρ‖σ) = Tr[ρ (ln ρ - ln σ)]; under any generator S(ρ(t)‖ρ_stationary) never grows.

    rho: ρ (d, d), Hermitian, or a state that holds one (`SteadyState`).
    sigma: σ (d, d), Hermitian.
    Returns S >= 0, nats; inf where ρ has weight outside the support of σ. vmap for many. Raises ValueError for matrices
    that are not Hermitian or of different size.
    *Source:* G. Lindblad, Commun. Math. Phys. 40, 147 (1975).

    >>> round(float(qdb.relative_entropy(np.diag([0.5, 0.5]), np.diag([0.9, 0.1]))), 4)
    0.5108
    """
    return _relative(*as_two_states(rho, sigma))


class Logarithm(eqx.Module):
    """Logarithm of a state: the state's eigenvalues a (0 where they are rounding), eigenvectors V and mixing M.

    ρ = V (diag(a) + M) V†, M zero in value: it carries the derivative where eigenvalues are equal (`eigensystem`).
    """

    values: Float[Array, " d"]
    vectors: Matrix
    mixing: Matrix

    def expectation(self, change: Matrix) -> Scalar:
        """Tr[dρ ln ρ], without the terms ln 0 times a change that is 0 to rounding."""
        framed = in_frame(self.vectors, change)
        changes, empty = jnp.real(jnp.diagonal(framed)), self.values <= 0
        logs = jnp.where(empty, -jnp.inf, _log(self.values))
        absent = empty & (jnp.abs(changes) <= 1e3 * float(jnp.finfo(logs.dtype).eps))
        slopes = jnp.where(empty, 0.0, 1 / jnp.where(empty, 1.0, self.values))
        rotated = jnp.sum(jnp.real(framed.T * self.mixing), axis=1)
        return jnp.sum(jnp.where(absent, 0.0, changes) * jnp.where(absent, 0.0, logs)) + jnp.sum(slopes * rotated)


def logarithm(rho: Matrix) -> Logarithm:
    """ln ρ of a density matrix."""
    values, mixing, vectors = eigensystem(rho, same_level)
    floor = 8 * float(jnp.finfo(values.dtype).eps)
    return Logarithm(jnp.where(values <= floor, 0.0, values), vectors, mixing)
