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
from qdbjax.generators.block_entries import AllEntries, Entries, SomeEntries
from qdbjax.generators.jumps import AbstractJumps, Channels, complex_type, dressed_hamiltonian, jump_tables
from qdbjax.numerics.barrier import LARGE_TENSOR, barrier_where_large, optimization_barrier_cond
from qdbjax.numerics.hermitian import real_table, real_tensor
from qdbjax.numerics.masked import masked_cond
from qdbjax.numerics.masked_primitive import ALL, Blocks
from qdbjax.numerics.matrix import batched_matmul, dagger
from qdbjax.systems import Spectrum

BATCH_MINOR = 16  # largest number of entries of ρ at which the cells of a block stand along the last axis
# The same on a processor where all levels count as one and every cell has a block: six levels take 0.9 of the time, at
# eight the copies for LAPACK cost what is won.
EVERY_MINOR = 36
CACHED = 128  # number of such cells that are worked on together (64: 5 % slower); matrices of 9 x 9 fill 83 kB
CACHED_LARGER = 64  # of matrices above that: of 16 x 16 they take 0.6 of the time of 128, of 36 x 36 0.9 of that of 32
# On an accelerator, where a block of 128 cells keeps few of its units busy: cells of a block if some of a batch are
# asked for, and bytes of its largest array.
ACCELERATED, ACCELERATED_BYTES = 2**15, 2**29
DENSE_LIMIT = 32  # largest dimension whose d² x d² matrices are formed: 16 MB at d = 32, 268 MB at 64
UNKNOWNS = 2048  # largest number of entries of ρ whose equations are formed, 32 MB
CAPACITY = DENSE_LIMIT**2  # entries that a program has room for which is made before its Hamiltonian is known


def check_dense(dimension: int, what: str) -> None:
    """Raise ValueError beyond the largest dimension at which a matrix on all d² entries of ρ is formed."""
    if dimension > DENSE_LIMIT:
        size = 24 * dimension**4 / 2**30
        raise ValueError(
            f"{what} forms a {dimension**2} x {dimension**2} matrix, {size:.3g} GiB at dimension {dimension}; the "
            f"limit is {DENSE_LIMIT}. steady_state, its currents, and evolve need no such matrix."
        )


def block_possible(spectrum: Spectrum, jumps: AbstractJumps) -> bool:
    """Whether a program needs the block: levels may be degenerate, and populations then depend on coherences."""
    return not (spectrum.known_nondegenerate or jumps.populations_alone)


def block_room(spectrum: Spectrum) -> int:
    """Number of entries of ρ that a program has room for: those of the block where it is known, else d² or CAPACITY."""
    d = spectrum.energies.shape[-1]
    return _known_size(spectrum) or min(d * d, CAPACITY)


def _known_size(spectrum: Spectrum) -> int:
    """The size of the block where it is known before tracing, else 0."""
    if spectrum.is_one_level:
        return spectrum.energies.shape[-1] ** 2
    # A transformation of the whole record may have made an array of the number: it is then not known.
    return spectrum.known_block_size if isinstance(spectrum.known_block_size, int) else 0


def block_entries(spectrum: Spectrum) -> Entries:
    """The entries of ρ between levels that count as one."""
    d, room = spectrum.energies.shape[-1], block_room(spectrum)
    return AllEntries(d) if room == d * d else SomeEntries.of(spectrum.same_level, room)


def usual_entries(spectrum: Spectrum) -> tuple[SomeEntries, Bool[Array, ""]] | None:
    """A list of 2d entries where `block_entries` has more, and whether the block fits into it (pairs of levels do).

    A cell with one pair takes 35 µs at d = 8 and 0.28 ms at d = 16, with all entries 154 µs and 2.7 ms
    (`benchmarks/crossings.py`). None where all entries cost little, where their number is known, and for equations in
    which all levels count as one.
    """
    d, room = spectrum.energies.shape[-1], block_room(spectrum)
    if spectrum.is_one_level or _known_size(spectrum) or room <= max(BATCH_MINOR, 2 * d):
        return None
    same = spectrum.same_level
    return SomeEntries.of(same, 2 * d), jnp.sum(same) <= 2 * d


def block_overflows(spectrum: Spectrum) -> Bool[Array, ""] | np.bool_:
    """Where the block has more entries than a program has room for."""
    d, room = spectrum.energies.shape[-1], block_room(spectrum)
    return np.False_ if room == d * d or _known_size(spectrum) else jnp.sum(spectrum.same_level) > room


def in_cells(
    condition: Bool[Array, ""] | np.bool_, function: Callable, operands: tuple, plain: Any, cached: int | None = None
) -> Any:
    """function(*operands) in the cells of a batch where the condition holds, `plain` in all others, which cost nothing.

    operands: the first one a Spectrum. Cells are worked on in blocks of about 64 MB of matrices, up to four levels
    (six, where all count as one) in blocks of `cached` cells (by default as many as stay in the cache of a processor)
    with the cells along the last axis. A block is computed whole, however few cells fill it: a million cells of a ring
    of which a tenth has equal levels take 44 ms in one block on an H100, 4.7 ms in blocks of 2¹⁵. Equations whose
    levels all count as one are asked for in every cell, and have no such limit there.
    """
    spectrum, d = operands[0], operands[0].energies.shape[-1]
    entries = max(d * d, block_room(spectrum))
    minor = entries <= BATCH_MINOR
    few = not spectrum.is_one_level
    if jax.default_backend() != "cpu":
        blocks = Blocks(ACCELERATED if few else ALL, minor, few, ACCELERATED_BYTES)
    elif minor or (not few and entries <= EVERY_MINOR):
        blocks = Blocks(cached or (CACHED if entries <= 9 else CACHED_LARGER), minor=True, entries=few)
    else:  # 2²² entries are 32 MB of reals, 64 MB of complex numbers
        blocks = Blocks(max(1, min(128, 2**22 // entries**2)), minor, few)
    return masked_cond(condition, function, operands, plain, blocks)


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

    @property
    def decay(self) -> Matrix:
        """½K = ¼ Σ(S†R + R†S) within the block: coherences and populations decay by -½{K, ρ}."""
        half = jnp.sum(batched_matmul(dagger(self.operators), self.dressed), axis=0)
        return 0.25 * (half + dagger(half)) * self.same

    @property
    def effective(self) -> Matrix:
        """X = -iB - ½K, L(ρ) without its jumps being Xρ + ρX†."""
        return -1j * self.levels - self.decay

    def action(self, rho: Matrix, effective: Matrix | None = None) -> Matrix:
        """L(ρ) for ρ within the block. effective: X, for callers that apply L many times."""
        effective = self.effective if effective is None else effective
        # ½ Σ (R ρ S† + S ρ R†): its other half is the conjugate transpose of this one, as that of Xρ is.
        jumps = batched_matmul(batched_matmul(self.dressed, rho[None]), dagger(self.operators))
        half = 0.5 * jnp.sum(jumps, axis=0) + batched_matmul(effective, rho)
        return (half + dagger(half)) * self.same

    def inside(self, superoperator: Array) -> Array:
        """A (d, d, d, d) tensor with zeros outside the block."""
        return superoperator * self.same[:, :, None, None] * self.same[None, None, :, :]

    def matrix(self) -> Float[Array, "n n"]:
        """L as a (d², d²) real matrix on the packed reals of ρ (`numerics.hermitian`), zero outside the block."""
        d = self.levels.shape[0]
        return barrier_where_large(_packed_tensor, self.levels, self).reshape(d * d, d * d)

    def matrix_on(self, entries: Entries) -> Float[Array, "n n"]:
        """L as a real matrix on some of the packed reals, entries of the block."""
        if isinstance(entries, AllEntries):
            return self.matrix()
        row, column = entries.indices
        found = real_table(lambda *at: self.gain_at(*at) + self.rest_at(*at), row, column)
        used = entries.filled
        return jnp.where(used[:, None] & used[None, :], found, 0.0)

    def gain_at(self, m: Array, n: Array, l: Array, k: Array) -> Array:
        """½ Σ (R ρ S† + S ρ R†) at entries [m, n, l, k], ρ_lk to ρ_mn; index arrays that broadcast."""

        def add(total, pair):
            s, r = pair
            return total + 0.5 * (r[m, l] * s[n, k].conj() + s[m, l] * r[n, k].conj()), None

        # One channel after the other: for 1200 entries each of these tables takes 23 MB.
        zeros = jnp.zeros(jnp.broadcast_shapes(m.shape, l.shape), self.levels.dtype)
        return jax.lax.scan(add, zeros, (self.operators, self.dressed))[0]

    def rest_at(self, m: Array, n: Array, l: Array, k: Array) -> Array:
        """Xρ + ρX† with X = -iB - ½K at entries [m, n, l, k]."""
        effective = self.effective
        return jnp.where(n == k, effective[m, l], 0.0) + jnp.where(m == l, effective[n, k].conj(), 0.0)


def _packed_tensor(block: Block) -> Float[Array, "d d d d"]:
    """L(ρ) = ½ Σ (R ρ S† + S ρ R†) + Xρ + ρX† with X = -iB - ½K on packed reals, with four indices."""
    unit, inside = np.eye(block.levels.shape[0], dtype=bool), jnp.real(block.same) > 0
    on_left = lambda part: jnp.where(unit[None, :, None, :], part[:, None, :, None], 0.0)  # noqa: E731
    on_right = lambda part: jnp.where(unit[:, None, :, None], part[None, :, None, :], 0.0)  # noqa: E731

    def parts(block: Block) -> tuple[Array, Array]:
        (real, imag), x = jump_tables(block.operators, block.dressed), block.effective
        return real + on_left(x.real) + on_right(x.real), imag + on_left(x.imag) - on_right(x.imag)

    # A packed entry reads four entries of these tables, and would compute them anew (d = 3: 3.5 µs in place of 1.5).
    # Large tables take longer to write and to read (d = 16: 1.4 ms, with the barrier 1.7 and three times the memory).
    is_large = unit.size**2 > LARGE_TENSOR
    packed = real_tensor(*(parts(block) if is_large else optimization_barrier_cond(parts, block.levels, block)))
    return jnp.where(inside[:, :, None, None] & inside[None, None], packed, 0.0)


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
