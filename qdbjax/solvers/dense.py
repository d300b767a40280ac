"""Stationary state from the dense Liouvillian."""

import jax.numpy as jnp

from qdbjax.generators.generator import Generator
from qdbjax.numerics.hermitian import negativity, pack, real_matrix, unpack
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.matrix import largest
from qdbjax.numerics.nullspace import kernel_tolerance, nullspace_projector
from qdbjax.numerics.products import dot
from qdbjax.solvers.abstract import AbstractSolver, Solution


class Dense(AbstractSolver):
    """Kernel of the full d² x d² Liouvillian by singular values: small systems, tests, non-secular generators.

    ρ = P(1/d), the kernel projector applied to the maximally mixed state: normalised, because L preserves the trace.
    """

    def solve(self, generator: Generator) -> Solution:
        d = generator.dimension
        matrix = generator.liouvillian()
        projector = nullspace_projector(real_matrix(matrix), kernel_tolerance(generator.rates.dtype))
        rho = unpack(dot(projector, pack(jnp.eye(d, dtype=matrix.dtype) / d).reshape(-1)).reshape(d, d))
        residual = largest(jnp.abs(dot(matrix, rho.reshape(-1)))) / jnp.where(
            generator.fastest_rate > 0, generator.fastest_rate, 1.0
        )
        state = pack(generator.spectrum.to_eigenbasis(rho))
        populations, kernel = jnp.diagonal(state), jnp.round(jnp.trace(projector))
        known = jnp.ones_like(residual), negativity(state), jnp.zeros_like(residual)
        return Solution(populations, off_diagonal(state), kernel, residual, *known)
