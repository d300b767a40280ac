"""Stationary state from the ω = 0 block: populations, and coherences between degenerate levels.

The unknown is ρ as d² reals. With K the block of L, zero on coherences outside the block, the bordered operator

    A(ρ) = K(ρ) + s/d Tr ρ - s ρ_outside,      A(ρ) = s/d,      s a rate,

has the normalised stationary state as its only solution exactly when it is unique: the trace of the equation gives
Tr ρ = 1, because Tr K(ρ) = 0, and then K(ρ) = 0. A is formed and factored for the value; derivatives, by the implicit
function theorem, apply it without forming it (`lax.custom_linear_solve`, every order and mode).
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Float, Scalar
from qdbjax.generators.block import Block, check_dense, whole_block
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.hermitian import Packed, pack, unpack
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.nullspace import solve_with_rank
from qdbjax.solvers.abstract import AbstractSolver, Solution
from qdbjax.systems import Spectrum


def bordered_action(block: Block, scale: Scalar, packed: Packed) -> Packed:
    """A(ρ) of the module docstring."""
    same = jnp.real(block.same)
    unit = jnp.eye(packed.shape[0], dtype=packed.dtype)
    inside = pack(block.action(unpack(packed * same)))
    return inside + scale * (jnp.trace(packed) / packed.shape[0] * unit - packed * (1 - same))


def _scale(block: Block) -> Scalar:
    """The rate s: the largest diagonal entry K_ll = Σ_a Σ_n S*_nl R_nl, the decay of level l; 1 if all are 0."""
    largest = jnp.max(jnp.abs(jnp.sum(jnp.conj(block.operators) * block.dressed, axis=(0, 1))))
    return jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1.0))


def bordered_matrix(block: Block, scale: Scalar) -> Float[Array, "n n"]:
    """A of the module docstring as a (d², d²) real matrix on packed reals."""
    d = block.levels.shape[0]
    trace = jnp.eye(d, dtype=scale.dtype).reshape(-1)
    outside = 1 - jnp.real(block.same).reshape(-1)
    return block.matrix() + scale * (trace[:, None] * trace[None, :] / d - jnp.diag(outside))


def solve_block(spectrum: Spectrum, jumps: AbstractJumps) -> Solution:
    """Stationary state from the ω = 0 block.

    Where the kernel is larger than one the state is one of many; the caller flags it. Raises ValueError above d = 32.
    """
    check_dense(spectrum.energies.shape[0], "the ω = 0 block")
    block = whole_block(spectrum, jumps)
    fixed = jax.lax.stop_gradient(block)
    scale = _scale(fixed)
    matrix = bordered_matrix(fixed, scale)
    d = block.levels.shape[0]

    def eliminate(transposed):
        def run(_, source):
            solution, missing = solve_with_rank(matrix.T if transposed else matrix, source.reshape(-1))
            return solution.reshape(d, d), missing

        return run

    state, missing = jax.lax.custom_linear_solve(
        lambda packed: bordered_action(block, scale, packed),
        scale / d * jnp.eye(d, dtype=scale.dtype),
        eliminate(False),
        eliminate(True),
        has_aux=True,
    )
    # K(ρ) = A(ρ) - s/d for a state of trace 1 within the block.
    balance = jnp.sum(matrix * jax.lax.stop_gradient(state).reshape(1, d * d), axis=1).reshape(d, d)
    residual = jnp.max(jnp.abs(balance / scale - jnp.eye(d, dtype=scale.dtype) / d))
    return Solution(jnp.diagonal(state), off_diagonal(state), jax.lax.stop_gradient(1 + missing), residual)


class DegenerateBlock(AbstractSolver):
    """The ω = 0 block for every cell: populations and coherences between equal levels; cost d⁶ a cell, d <= 32."""

    def solve(self, generator: Generator) -> Solution:
        return solve_block(generator.spectrum, generator.jumps)
