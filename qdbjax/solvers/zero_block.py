"""Stationary state from the ω = 0 block, where degenerate levels keep their coherences, and from the dense Liouvillian.

The unknown is ρ as d² reals. With K the block of L, zero on coherences outside the block, the bordered operator

    A(ρ) = K(ρ) + s 1/d Tr ρ - s ρ_outside,      A(ρ) = s 1/d

has the normalised stationary state as its only solution exactly when it is unique, because Tr K(ρ) = 0. A is applied
without being formed, which is all that the derivative needs (implicit function theorem, every order and mode, by
`lax.custom_linear_solve`); it is formed and eliminated only in the cells that are degenerate.
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, Float, Matrix, Scalar
from qdbjax.generators.generator import Generator, zero_block_action
from qdbjax.numerics.cells import only_where
from qdbjax.numerics.kernel import kernel_projector, solve_with_rank
from qdbjax.numerics.small import in_frame
from qdbjax.solvers.hermitian import Packed, pack, unpack

BLOCK = 256  # cells eliminated at a time


def bordered_action(generator: Generator, packed: Packed) -> Packed:
    """A(ρ) of the module docstring."""
    scale = jax.lax.stop_gradient(generator.scale)
    same = generator.spectrum.same_level.astype(packed.dtype)
    unit = jnp.eye(packed.shape[0], dtype=packed.dtype)
    inside = pack(zero_block_action(generator, unpack(packed)))
    return inside + scale * (jnp.trace(packed) / packed.shape[0] * unit - packed * (1 - same))


def block_matrix(generator: Generator) -> Float[Array, "n n"]:
    """A as a (d², d²) matrix."""
    d = generator.dimension
    columns = jnp.eye(d * d, dtype=generator.rates.dtype).reshape(d * d, d, d)
    return jax.vmap(lambda column: bordered_action(generator, column).reshape(-1))(columns).T


def _eliminate(generator: Generator, source: Packed) -> tuple[Packed, Scalar]:
    d = generator.dimension
    solution, missing = solve_with_rank(block_matrix(generator), source.reshape(-1))
    return solution.reshape(d, d), missing


def _eliminate_transposed(generator: Generator, source: Packed) -> tuple[Packed, Scalar]:
    d = generator.dimension
    solution, missing = solve_with_rank(block_matrix(generator).T, source.reshape(-1))
    return solution.reshape(d, d), missing


def solve(generator: Generator, wanted: Bool[Array, ""]) -> tuple[Packed, Scalar, Scalar]:
    """Stationary state of the ω = 0 block as d² reals, kernel dimension and residual; zeros where not wanted.

    Where the kernel is larger than one the state is one of many; the caller flags it.
    """
    d = generator.dimension
    unit = jnp.eye(d, dtype=generator.rates.dtype)
    fixed = jax.lax.stop_gradient(generator)
    forward, backward = only_where(_eliminate, BLOCK), only_where(_eliminate_transposed, BLOCK)
    state, missing = jax.lax.custom_linear_solve(
        lambda packed: bordered_action(generator, packed),
        jax.lax.stop_gradient(generator.scale) / d * unit,
        solve=lambda _, source: forward(wanted, fixed, source),
        transpose_solve=lambda _, source: backward(wanted, fixed, source),
        has_aux=True,
    )
    scale = jnp.where(fixed.scale > 0, fixed.scale, 1.0)
    balance = zero_block_action(fixed, unpack(jax.lax.stop_gradient(state)))
    return state, 1 + missing, jnp.max(jnp.abs(balance)) / scale


def solve_dense(generator: Generator) -> tuple[Packed, Scalar, Scalar]:
    """The same from the kernel projector of the full Liouvillian, applied to the maximally mixed state."""
    d = generator.dimension
    matrix = generator.liouvillian()
    projector = kernel_projector(real_matrix(matrix), kernel_tolerance(generator.rates.dtype))
    rho = unpack((projector @ pack(jnp.eye(d, dtype=matrix.dtype) / d).reshape(-1)).reshape(d, d))
    residual = jnp.max(jnp.abs(matrix @ rho.reshape(-1))) / jnp.where(generator.scale > 0, generator.scale, 1.0)
    return pack(in_frame(generator.spectrum.basis.astype(rho.dtype), rho)), jnp.trace(projector), residual


def real_matrix(liouvillian: Matrix) -> Float[Array, "n n"]:
    """A (d², d²) superoperator as a real matrix on the d² reals of a Hermitian matrix."""
    d = round(liouvillian.shape[0] ** 0.5)
    columns = jnp.eye(d * d, dtype=jnp.finfo(liouvillian.dtype).dtype).reshape(d * d, d, d)

    def action(column):
        return pack((liouvillian @ unpack(column).reshape(-1)).reshape(d, d)).reshape(-1)

    return jax.vmap(action)(columns).T


def kernel_tolerance(dtype) -> float:
    """Singular values below this fraction of the largest count as zero."""
    return float(jnp.finfo(dtype).eps) ** 0.75
