"""Stationary state from the ω = 0 block, where degenerate levels keep their coherences, and from the dense Liouvillian.

The unknown is ρ as d² reals. With K the block of L, zero on coherences outside the block, the bordered operator

    A(ρ) = K(ρ) + s/d Tr ρ - s ρ_outside,      A(ρ) = s/d,      s a rate,

has the normalised stationary state as its only solution exactly when it is unique, because Tr K(ρ) = 0. A is applied
without being formed where the implicit function theorem needs it (`lax.custom_linear_solve`, every order and mode).
"""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Matrix, RealVector, Scalar
from qdbjax.generators.generator import AbstractJumps, Block, Generator, whole_block
from qdbjax.numerics import gth
from qdbjax.numerics.nullspace import nullspace_projector, solve_with_rank
from qdbjax.numerics.small import in_frame
from qdbjax.solvers.hermitian import Packed, pack, unpack
from qdbjax.systems import Spectrum

Solution = tuple[RealVector, Packed, Scalar, Scalar]  # populations, coherences, kernel dimension, residual


BLOCK_LIMIT = 32  # largest dimension whose d² x d² block is formed: 8 MB for the matrix, 17 MB for its assembly


def cells_at_a_time(d: int) -> int:
    """How many cells of a batch to eliminate together: about 64 MB worth."""
    return max(1, min(128, 2**22 // d**4))


def check_size(d: int, what: str) -> None:
    """Refuse a matrix on all d² entries of ρ beyond BLOCK_LIMIT."""
    if d > BLOCK_LIMIT:
        size = 24 * d**4 / 2**30
        raise ValueError(
            f"{what} forms a {d * d} x {d * d} matrix, {size:.3g} GiB at dimension {d}; the limit is {BLOCK_LIMIT}. "
            "For a non-degenerate spectrum use steady_state with the solver Populations(), which needs d x d."
        )


def bordered_action(block: Block, scale: Scalar, packed: Packed) -> Packed:
    """A(ρ) of the module docstring."""
    same = jnp.real(block.same)
    unit = jnp.eye(packed.shape[0], dtype=packed.dtype)
    inside = pack(block.action(unpack(packed * same)))
    return inside + scale * (jnp.trace(packed) / packed.shape[0] * unit - packed * (1 - same))


def _scale(block: Block) -> Scalar:
    """A unit for rates: the largest decay, 1 if there is none."""
    largest = jnp.max(jnp.abs(jnp.sum(jnp.conj(block.operators) * block.dressed, axis=(0, 1))))
    return jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1.0))


def real_tensor(superoperator: Array) -> Array:
    """A superoperator (d, d, d, d) that preserves Hermiticity, as a real tensor on the d² packed reals of ρ.

    ρ_mn = x_mn + i x_nm for m < n, so that columns combine as C_mn + C_nm and i(C_mn - C_nm), and of the rows the real
    parts stay above the diagonal and the imaginary parts go below.
    """
    d = superoperator.shape[0]
    below = np.tri(d, k=-1, dtype=bool)
    swapped = jnp.swapaxes(superoperator, 2, 3)
    rest = jnp.where(np.eye(d, dtype=bool), superoperator, superoperator + swapped)
    columns = jnp.where(below, 1j * (swapped - superoperator), rest)
    return jnp.where(below[:, :, None, None], jnp.swapaxes(columns.imag, 0, 1), columns.real)


def real_matrix(superoperator: Matrix) -> Float[Array, "n n"]:
    """The same for a (d², d²) matrix."""
    d = round(superoperator.shape[0] ** 0.5)
    return real_tensor(superoperator.reshape(d, d, d, d)).reshape(d * d, d * d)


def block_matrix(block: Block) -> Float[Array, "n n"]:
    """K as a (d², d²) real matrix."""
    d = block.levels.shape[0]
    return real_tensor(block.matrix()).reshape(d * d, d * d)


def bordered_matrix(block: Block, scale: Scalar) -> Float[Array, "n n"]:
    """A as a (d², d²) matrix."""
    d = block.levels.shape[0]
    trace = jnp.eye(d, dtype=scale.dtype).reshape(-1)
    outside = 1 - jnp.real(block.same).reshape(-1)
    return block_matrix(block) + scale * (trace[:, None] * trace[None, :] / d - jnp.diag(outside))


def solve(spectrum: Spectrum, jumps: AbstractJumps) -> Solution:
    """Populations, coherences, kernel dimension and residual from the ω = 0 block.

    Where the kernel is larger than one the state is one of many; the caller flags it.
    """
    check_size(spectrum.energies.shape[0], "the ω = 0 block")
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
    return jnp.diagonal(state), gth.off_diagonal(state), jax.lax.stop_gradient(1 + missing), residual


def solve_dense(generator: Generator) -> Solution:
    """The same from the kernel projector of the full Liouvillian, applied to the maximally mixed state."""
    d = generator.dimension
    matrix = generator.liouvillian()
    projector = nullspace_projector(real_matrix(matrix), kernel_tolerance(generator.rates.dtype))
    rho = unpack((projector @ pack(jnp.eye(d, dtype=matrix.dtype) / d).reshape(-1)).reshape(d, d))
    residual = jnp.max(jnp.abs(matrix @ rho.reshape(-1))) / jnp.where(generator.scale > 0, generator.scale, 1.0)
    state = pack(in_frame(jnp.asarray(generator.spectrum.basis, rho.dtype), rho))
    return jnp.diagonal(state), gth.off_diagonal(state), jnp.round(jnp.trace(projector)), residual


def kernel_tolerance(dtype) -> float:
    """Singular values below this fraction of the largest count as zero."""
    return float(jnp.finfo(dtype).eps) ** 0.75
