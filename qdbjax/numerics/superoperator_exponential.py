"""The exponential e^{Mt} of a superoperator over any time."""

import jax
import jax.numpy as jnp

from qdbjax._types import Matrix, Scalar
from qdbjax.numerics.products import dot

SQUARINGS = 60  # e^{Mt} by scaling and squaring up to ‖M‖t = 1e18


def expm_superoperator(matrix: Matrix, time: Scalar) -> Matrix:
    """e^{Mt} of a trace-preserving superoperator (d², d²) on row-major vec, t up to 1e18/‖M‖.

    e^{Mt} = (e^{Mt/2^k})^{2^k}, and each of k squarings doubles the error of the trace: 1e-8 after the 27 of
    ‖M‖t = 1e8. So after each squaring a column gets what its trace lacks, as a multiple of the unit matrix; the
    squarings that follow relax it like any other part of a state.
    """
    n = matrix.shape[0]
    d = round(n**0.5)
    trace = jnp.eye(d, dtype=matrix.dtype).reshape(-1)
    norm = jax.lax.stop_gradient(jnp.max(jnp.sum(jnp.abs(matrix), axis=0)) * time)
    halvings = jnp.clip(jnp.ceil(jnp.log2(jnp.maximum(norm, 1.0))), 0, SQUARINGS)
    start = jax.scipy.linalg.expm(matrix * (time * jnp.exp2(-halvings)).astype(matrix.dtype), max_squarings=2)

    def step(power, n):
        def square(x):
            product = dot(x, x)
            return product + trace[:, None] * (trace - dot(trace, product))[None, :] / d

        return jax.lax.cond(n < halvings, square, lambda x: x, power), None

    return jax.lax.scan(step, start, jnp.arange(SQUARINGS, dtype=norm.dtype))[0]
