"""Distances between two states: trace distance and fidelity, with gradients that stay finite where they have cusps."""

import jax
import jax.numpy as jnp

from qdbjax._types import ArrayLike, Matrix, RealVector, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.matrix import dagger, in_frame
from qdbjax.numerics.matrix_functions import apply_spectral, inverse_hermitian, sqrt_hermitian
from qdbjax.numerics.products import dot
from qdbjax.states.entropy import as_two_states


def _floor(matrix: Matrix) -> float:
    """What counts as 0 beside 1, the trace of a state."""
    return 4 * matrix.shape[-1] * float(jnp.finfo(matrix.dtype).eps)


def _trace(a: Matrix, b: Matrix) -> Scalar:
    """Re Tr[AB]."""
    return jnp.real(jnp.sum(a * b.T))


def trace_distance(rho: ArrayLike, sigma: ArrayLike) -> Scalar:
    """Trace distance of two density matrices, from 0 (equal) to 1 (orthogonal).

    D = ½ Tr|ρ - σ|, half the sum of the absolute eigenvalues.

    rho: (d, d), Hermitian, in any basis; or a state that holds one (`SteadyState`).
    sigma: (d, d), Hermitian, in the same basis.
    Returns D, a number; vmap for many. Its derivative is dD = ½ Tr[sgn(ρ - σ)(dρ - dσ)] with sgn 0 = 0 (below 4d eps):
    where an eigenvalue vanishes D has a cusp, and the mean of both sides is taken; so 0 for equal states. Second
    derivatives where ρ - σ has full rank. Raises ValueError for matrices that are not Hermitian or of different size.
    *Source:* C. W. Helstrom, Quantum Detection and Estimation Theory (1976), chapter IV.

    >>> round(float(qdb.trace_distance(np.diag([1.0, 0.0]), np.diag([0.5, 0.5]))), 6)
    0.5
    """
    rho, sigma = as_two_states(rho, sigma)
    return _trace_distance(rho - sigma)


@jax.custom_jvp
def _half_trace_norm(difference: Matrix) -> Scalar:
    return 0.5 * _trace(_sign(difference), difference)


@_half_trace_norm.defjvp
def _half_trace_norm_jvp(primals, tangents):
    sign = _sign(primals[0])
    return 0.5 * _trace(sign, primals[0]), 0.5 * _trace(sign, tangents[0])


_trace_distance = jit_if_eager(_half_trace_norm)


@jax.custom_jvp
def _sign(matrix: Matrix) -> Matrix:
    floor = _floor(matrix)
    return apply_spectral(lambda values: jnp.where(jnp.abs(values) <= floor, 0.0, jnp.sign(values)), matrix)


@_sign.defjvp
def _sign_jvp(primals, tangents):
    polar = lambda a: dot(a, inverse_hermitian(sqrt_hermitian(dot(a, a))))  # noqa: E731
    return _sign(primals[0]), jax.jvp(polar, primals, tangents)[1]


def fidelity(rho: ArrayLike, sigma: ArrayLike) -> Scalar:
    """Fidelity of two density matrices, from 0 (orthogonal) to 1 (equal).

    F = (Tr √(√σ ρ √σ))², the overlap |⟨ψ|φ⟩|² of pure states (not its root).

    rho: (d, d), Hermitian, positive, in any basis; or a state that holds one (`SteadyState`).
    sigma: (d, d), Hermitian, positive, in the same basis.
    Returns F, a number; vmap for many. Eigenvalues below 4d eps count as 0. Its derivative is

        dF = √F Tr[X_σρ dρ + X_ρσ dσ],      X_σρ = √σ (√σ ρ √σ)^{-½} √σ,

    with the inverse taken on the support only. It is exact for states of full rank and along every path on which the
    ranks stay what they are, pure states included. Where a state gains an eigenvalue, √F rises as the root of it,
    without a finite derivative: such terms are left out, as in the mean of both sides of a path through the state. So
    dF = 0 for orthogonal states, and dF = 0 for equal ones as Tr dρ = 0. Second derivatives where both have full rank.
    Raises ValueError for matrices that are not Hermitian or of different size.
    *Source:* A. Uhlmann, Rep. Math. Phys. 9, 273 (1976); R. Jozsa, J. Mod. Opt. 41, 2315 (1994).

    >>> round(float(qdb.fidelity(np.diag([1.0, 0.0]), np.diag([0.5, 0.5]))), 6)
    0.5
    """
    return _fidelity(*as_two_states(rho, sigma))


@jax.custom_jvp
def _squared_trace_norm(rho: Matrix, sigma: Matrix) -> Scalar:
    root = jnp.sum(_singular_values(rho, sigma)[0])
    return root * root


@_squared_trace_norm.defjvp
def _squared_trace_norm_jvp(primals, tangents):
    root, toward_rho, toward_sigma = _root_and_slopes(*primals)
    return root * root, root * (_trace(toward_rho, tangents[0]) + _trace(toward_sigma, tangents[1]))


_fidelity = jit_if_eager(_squared_trace_norm)


@jax.custom_jvp
def _root_and_slopes(rho: Matrix, sigma: Matrix) -> tuple[Scalar, Matrix, Matrix]:
    """√F, X_σρ and X_ρσ of the docstring of `fidelity`."""
    values, left, right = _singular_values(rho, sigma)
    weights = jnp.where(values <= 0, 0.0, 1 / jnp.where(values <= 0, 1.0, values)).astype(left.dtype)
    roots = dot(_root(sigma), right), dot(_root(rho), left)
    toward_rho, toward_sigma = (dot(x * weights[None, :], dagger(x)) for x in roots)
    return jnp.sum(values), toward_rho, toward_sigma


@_root_and_slopes.defjvp
def _root_and_slopes_jvp(primals, tangents):
    def full_rank(rho, sigma):
        roots = (sqrt_hermitian(sigma), rho), (sqrt_hermitian(rho), sigma)
        middle = [sqrt_hermitian(in_frame(root, other)) for root, other in roots]
        slopes = [in_frame(root, inverse_hermitian(x)) for (root, _), x in zip(roots, middle, strict=True)]
        return jnp.real(jnp.trace(middle[0])), *slopes

    return _root_and_slopes(*primals), jax.jvp(full_rank, primals, tangents)[1]


def _root(rho: Matrix) -> Matrix:
    floor = _floor(rho)
    return apply_spectral(lambda values: jnp.sqrt(jnp.where(values <= floor, 0.0, values)), rho)


def _singular_values(rho: Matrix, sigma: Matrix) -> tuple[RealVector, Matrix, Matrix]:
    """Singular values of √ρ√σ, 0 where they are rounding, with their left and right vectors as columns.

    They are the positive eigenvalues of [[0, C], [C†, 0]], C = √ρ√σ, whose vectors are (u, v)/√2: all digits, where the
    roots of the eigenvalues of C†C = √σρ√σ have half of them; and no second kind of LAPACK call, which can deadlock a
    two-core machine in a batched program.
    """
    product = dot(_root(rho), _root(sigma))
    nothing = jnp.zeros_like(product)
    values, vectors = jnp.linalg.eigh(jnp.block([[nothing, product], [dagger(product), nothing]]))
    d = rho.shape[0]
    values, vectors = values[d:], jnp.sqrt(jnp.asarray(2.0, values.dtype)).astype(vectors.dtype) * vectors[:, d:]
    return jnp.where(values <= _floor(rho), 0.0, values), vectors[:d], vectors[d:]
