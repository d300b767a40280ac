"""The ω = 0 block of a generator, and the one branch of the package for degenerate levels.

The block is L restricted to populations and to coherences between levels of one energy. Where no two levels have the
same energy it is the d x d rate matrix; where some do it is up to d² x d². Its size limit, the number of cells of a
batch that are worked on together, and the NaN of a block that is too large are decided in this file alone.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool, Float, Matrix
from qdbjax.generators.jumps import AbstractJumps, Channels, complex_type, dressed_hamiltonian, jump_superoperator
from qdbjax.numerics.hermitian import real_tensor
from qdbjax.numerics.masked import masked_cond
from qdbjax.numerics.matrix import batched_matmul, dagger
from qdbjax.systems import Spectrum

SIDE_BY_SIDE = 4  # largest dimension at which all cells are worked on together where every one needs the block
DENSE_LIMIT = 32  # largest dimension whose d² x d² matrices are formed: 16 MB at d = 32, 268 MB at 64


def check_dense(dimension: int, what: str) -> None:
    """Raise ValueError beyond the largest dimension at which a matrix on all d² entries of ρ is formed."""
    if dimension > DENSE_LIMIT:
        size = 24 * dimension**4 / 2**30
        raise ValueError(
            f"{what} forms a {dimension**2} x {dimension**2} matrix, {size:.3g} GiB at dimension {dimension}; the "
            f"limit is {DENSE_LIMIT}. For a non-degenerate spectrum use steady_state with the solver Populations(), "
            "which needs d x d."
        )


def block_fits(spectrum: Spectrum, jumps: AbstractJumps) -> bool:
    """Whether a program needs the block and can hold it: levels may be degenerate, and d is within the limit."""
    possible = spectrum.known_nondegenerate is not True and not jumps.populations_alone
    return possible and spectrum.energies.shape[-1] <= DENSE_LIMIT


def block_too_large(condition: Bool[Array, ""] | np.bool_, dimension: int) -> Bool[Array, ""] | np.bool_:
    """Where a matrix on all entries of ρ is needed (the condition) and d is above the limit."""
    return condition if dimension > DENSE_LIMIT else np.False_


def in_cells(condition: Bool[Array, ""] | np.bool_, function: Callable, operands: tuple, plain: Any) -> Any:
    """function(*operands) in the cells of a batch where the condition holds, `plain` in all others, which cost nothing.

    operands: the first one a Spectrum. Cells are worked on in blocks of about 64 MB of d² x d² matrices; all at once
    where every cell needs it and they are small.
    """
    d = operands[0].energies.shape[-1]
    if operands[0].is_one_level and d <= SIDE_BY_SIDE:
        return function(*operands)
    # 2²² entries are 32 MB of reals, 64 MB of complex numbers. An accelerator has room for 64 times as many, and needs
    # them: blocks of 128 cells keep it idle (H100, two levels: 1e6 cells a second instead of 1e8).
    many = jax.default_backend() != "cpu"
    batch = 2**28 // d**4 if many else min(128, 2**22 // d**4)
    return masked_cond(condition, function, operands, plain, max(1, batch))


def where_degenerate(
    spectrum: Spectrum, jumps: AbstractJumps, of_block: Callable, plain: Any, *operands: Any, dense: bool = True
) -> Any:
    """of_block(spectrum, jumps, *operands) in cells with degenerate levels, `plain` elsewhere.

    dense: whether of_block forms a matrix on all entries of ρ; above d = 32 degenerate cells are NaN then.
    """
    if jumps.populations_alone:
        return plain
    if dense and spectrum.energies.shape[-1] > DENSE_LIMIT:
        return jax.tree.map(lambda x: jnp.where(spectrum.degenerate, jnp.nan, x), plain)
    return in_cells(spectrum.degenerate, of_block, (spectrum, jumps, *operands), plain)


class Block(eqx.Module):
    """The ω = 0 block in the energy eigenbasis, L(ρ) for ρ_mn with m and n in one level.

    operators: S (channel, d, d).
    dressed: R (channel, d, d), inverse time.
    levels: the level matrix with the Lamb shift, B + H_LS (d, d), energy.
    same: (d, d), 1 where two states belong to one level, 0 elsewhere.
    channels: number of channels of each bath.
    """

    operators: Channels
    dressed: Channels
    levels: Matrix
    same: Array
    channels: tuple[int, ...] = eqx.field(static=True)

    def by_bath(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Sums over the channels of each bath, (channel, ...) to (bath, ...)."""
        bath = np.repeat(np.arange(len(self.channels)), self.channels)
        belongs = np.arange(len(self.channels))[:, None] == bath[None, :]
        return jnp.sum(jnp.where(belongs.reshape(*belongs.shape, *[1] * (values.ndim - 1)), values[None], 0.0), axis=1)

    def dissipate(self, rho: Matrix) -> Matrix:
        """D(ρ) of the channels, for ρ within the block."""
        s, r = self.operators, self.dressed
        # ½{K, ρ} with K = ½ Σ(S†R + R†S): its other half is the conjugate transpose of this one.
        half = jnp.sum(batched_matmul(batched_matmul(r, rho[None]), dagger(s)), axis=0) - batched_matmul(
            2 * self.decay, rho
        )
        return 0.5 * (half + dagger(half)) * self.same

    @property
    def decay(self) -> Matrix:
        """½K = ¼ Σ(S†R + R†S) within the block: coherences and populations decay by -½{K, ρ}."""
        half = jnp.sum(batched_matmul(dagger(self.operators), self.dressed), axis=0)
        return 0.25 * (half + dagger(half)) * self.same

    def action(self, rho: Matrix) -> Matrix:
        """L(ρ) for ρ within the block."""
        unitary = -1j * batched_matmul(self.levels, rho)
        return (unitary + dagger(unitary)) * self.same + self.dissipate(rho)

    def superoperator(self) -> Array:
        """L as a (d, d, d, d) complex tensor [n, m, l, k], ρ_lk to ρ_nm, zero outside the block.

        L(ρ) = ½ Σ (R ρ S† + S ρ R†) + Xρ + ρX† with X = -iB - ½K.
        """
        d = self.levels.shape[0]
        unit = jnp.eye(d, dtype=self.levels.dtype)
        effective = -1j * self.levels - self.decay
        both = effective[:, None, :, None] * unit[None, :, None, :] + (
            unit[:, None, :, None] * effective.conj()[None, :, None, :]
        )
        return self.inside(jump_superoperator(self.operators, self.dressed) + both)

    def inside(self, superoperator: Array) -> Array:
        """A (d, d, d, d) tensor with zeros outside the block."""
        return superoperator * self.same[:, :, None, None] * self.same[None, None, :, :]

    def matrix(self) -> Float[Array, "n n"]:
        """L as a (d², d²) real matrix on the packed reals of ρ (`numerics.hermitian`)."""
        d = self.levels.shape[0]
        return real_tensor(self.superoperator()).reshape(d * d, d * d)


def blocks(spectrum: Spectrum, jumps: AbstractJumps) -> list[Block]:
    """The ω = 0 block of each bath."""
    dtype = complex_type(spectrum.basis.dtype)
    levels = dressed_hamiltonian(spectrum, jumps).astype(dtype)
    same = spectrum.same_level.astype(dtype)
    pairs = jumps.channels(spectrum)
    return [Block(s.astype(dtype), r.astype(dtype), levels, same, (s.shape[0],)) for s, r in pairs]


def whole_block(spectrum: Spectrum, jumps: AbstractJumps) -> Block:
    """The ω = 0 block of all baths together."""
    parts = blocks(spectrum, jumps)
    operators, dressed = (
        jnp.concatenate(tables) for tables in zip(*((p.operators, p.dressed) for p in parts), strict=True)
    )
    channels = tuple(part.operators.shape[0] for part in parts)
    return Block(operators, dressed, parts[0].levels, parts[0].same, channels)
