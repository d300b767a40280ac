"""The space of counting statistics: a stationary state as real numbers, and how each class of jumps acts on them.

Populations alone where levels are not degenerate, the whole ω = 0 block where they are. The jumps are the part
ρ ↦ J(ρ) of L. Weighed with e^{χ(energy gained)} they become

    J_χ(ρ) = e^{½χB} J(e^{-½χB} ρ e^{-½χB}) e^{½χB},   J_χ = e^{χA} J e^{-χA} with A(ρ) = ½(Bρ + ρB),

B the level matrix, because e^{χA}ρ = e^{½χB} ρ e^{½χB}. Hence dJ_χ/dχ = [A, J_χ], and the n-th derivative at χ = 0 is
the commutator with A taken n times, [A, … [A, [A, J]]]. On populations A is the diagonal matrix of the energies, and
the derivative is (E_to - E_from)^n J.
*Source:* M. Esposito, U. Harbola, S. Mukamel, Rev. Mod. Phys. 81, 1665 (2009), for J_χ from two measurements of energy.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Matrix, RealVector, Scalar
from qdbjax.generators.block import Block, blocks, whole_block
from qdbjax.generators.jumps import AbstractJumps, channel_charges, jump_superoperator
from qdbjax.numerics.hermitian import pack, real_matrix
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.products import dot
from qdbjax.solvers.degenerate_block import block_rows
from qdbjax.systems import Spectrum

Square = Float[Array, "n n"]


class CountingSpace(eqx.Module):
    """A stationary state as real numbers x (n,), dx/dt = L x, and the jumps between them.

    bordered: L plus a term that makes it invertible and is zero on x without trace (of the block), (n, n).
    jumps: derivatives of J_χ at χ = 0, (class, power, n, n), classes in the order of `jump_classes`.
    trace: covector of the trace, (n,).
    state: the stationary state, (n,).
    """

    bordered: Square
    jumps: Float[Array, "jump_class power n n"]
    trace: RealVector
    state: RealVector


def jump_classes(jumps: AbstractJumps) -> tuple[np.ndarray, np.ndarray]:
    """Bath and charge of each class of jumps: channels of one bath and one charge are one class."""
    pairs = [(bath, charge) for bath, charges in enumerate(jumps.charges) for charge in sorted(set(charges))]
    return np.array([bath for bath, _ in pairs]), np.array([charge for _, charge in pairs])


def channels_of(jumps: AbstractJumps, bath: int, charge: int, count: int) -> np.ndarray:
    """Which of the `count` channels of a bath have a charge."""
    return np.flatnonzero(channel_charges(jumps, bath, count) == charge)


def jump_class_rates(spectrum: Spectrum, jumps: AbstractJumps, rates: Array) -> Float[Array, "jump_class to from"]:
    """Probability per time of the jumps of each class.

    A jump that changes neither the level nor the particle number brings nothing and is left out.
    """
    if not jumps.exchanges_particles:
        return rates
    channels, found = jumps.channels(spectrum), []
    for bath, charge in zip(*jump_classes(jumps), strict=True):
        chosen = channels_of(jumps, bath, charge, channels[bath][0].shape[0])
        s, r = (table[chosen] for table in channels[bath])
        rate = jnp.sum(jnp.real(s.conj() * r), axis=0)
        found.append(off_diagonal(rate) if charge == 0 else rate)
    return jnp.stack(found)


def rate_scale(matrix: Square) -> Scalar:
    """A unit for rates: the largest column sum of absolute values, 1 where all rates vanish."""
    largest = jnp.max(jnp.sum(jnp.abs(matrix), axis=0))
    return jnp.where(largest > 0, largest, 1.0)


def population_space(
    spectrum: Spectrum, jumps: AbstractJumps, rates: Array, populations: RealVector, powers: int
) -> CountingSpace:
    """The space of populations alone, L the rate matrix."""
    energy_gain = -spectrum.frequencies
    class_rates = jump_class_rates(spectrum, jumps, rates)
    tables = jnp.stack([class_rates * (energy_gain**n)[None] for n in range(powers + 1)], axis=1)
    total = off_diagonal(jnp.sum(rates, axis=0))
    rate_matrix = total - jnp.diag(jnp.sum(total, axis=0))
    ones = jnp.ones_like(populations)
    border = rate_scale(total) / ones.shape[0] * ones[:, None] * ones[None, :]
    return CountingSpace(rate_matrix + border, tables, ones, populations)


def jump_tensor(block: Block, jumps: AbstractJumps, bath: int, charge: int) -> Array:
    """The jumps of one class within the block of their bath, as a (d, d, d, d) tensor."""
    chosen = channels_of(jumps, bath, charge, block.operators.shape[0])
    return block.inside(jump_superoperator(block.operators[chosen], block.dressed[chosen]))


def block_space(spectrum: Spectrum, jumps: AbstractJumps, rho: Matrix, powers: int) -> CountingSpace:
    """The space of populations and coherences between equal levels, L the ω = 0 block."""
    d = rho.shape[0]
    parts, whole = blocks(spectrum, jumps), whole_block(spectrum, jumps)
    tensors = [jump_tensor(parts[bath], jumps, bath, charge) for bath, charge in zip(*jump_classes(jumps), strict=True)]
    tables = [jnp.stack([real_matrix(tensor.reshape(d * d, d * d)) for tensor in tensors])]
    unit, levels = jnp.eye(d, dtype=whole.levels.dtype), spectrum.levels.astype(whole.levels.dtype)
    mean = 0.5 * (jnp.kron(levels, unit) + jnp.kron(unit, levels.T)).reshape(d, d, d, d)  # A(ρ) = ½(Bρ + ρB)
    mean = real_matrix(whole.inside(mean).reshape(d * d, d * d))[None]
    for _ in range(powers):
        last = tables[-1]
        tables.append(dot(mean, last) - dot(last, mean))
    state = pack(rho).reshape(-1)
    trace = jnp.eye(d, dtype=state.dtype).reshape(-1)
    scale = rate_scale(whole.matrix())
    bordered = block_rows(whole, scale) + scale / d * trace[:, None] * trace[None, :]
    return CountingSpace(bordered, jnp.stack(tables, axis=1), trace, state)
