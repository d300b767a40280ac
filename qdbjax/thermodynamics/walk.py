"""The stationary state's own space, and how single jumps move in it: what counting statistics is made of.

Populations alone where levels are not degenerate, the whole ω = 0 block where they are. A jump that brings energy into
the system is ρ ↦ J(ρ) in L; weighing jumps with e^{χ·energy} makes it e^{χA} J e^{-χA}, A(ρ) = ½(Bρ + ρB) with the
level matrix B; its derivatives at χ = 0 are nested commutators [A, [A, … J]], for populations (E_to - E_from)^n J.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, RealVector, Scalar
from qdbjax.generators.flows import exchanging
from qdbjax.generators.generator import AbstractJumps, Block, blocks, jumps_matrix, whole_block
from qdbjax.numerics.gth import off_diagonal
from qdbjax.solvers.hermitian import Packed
from qdbjax.solvers.zero_block import block_matrix, bordered_matrix, real_tensor
from qdbjax.systems import Spectrum

Square = Float[Array, "n n"]


class Walk(eqx.Module):
    """Reals x (n,) that describe a state, dx/dt = L x.

    bordered: L plus what makes it invertible without touching its action on what has no trace. jumps: the nested
    commutators (kind, power, n, n) of each kind of jump, in the order of `kinds`. trace (n,): the covector of the
    trace. state (n,): the stationary one.
    """

    bordered: Square
    jumps: Float[Array, "kind power n n"]
    trace: RealVector
    state: RealVector


def kinds(jumps: AbstractJumps) -> tuple[np.ndarray, np.ndarray]:
    """Bath and charge of each kind of jump: channels of one bath and one charge are of a kind."""
    pairs = [(bath, charge) for bath, charges in enumerate(jumps.charges) for charge in sorted(set(charges))]
    return np.array([bath for bath, _ in pairs]), np.array([charge for _, charge in pairs])


def channels_of(jumps: AbstractJumps, bath: int, charge: int) -> np.ndarray:
    """Which channels of a bath have a charge."""
    return np.flatnonzero(np.asarray(jumps.charges[bath]) == charge)


def kind_rates(spectrum: Spectrum, jumps: AbstractJumps, rates: Array) -> Float[Array, "kind to from"]:
    """Probability per time of the jumps of each kind; jumps of no consequence left out."""
    if not exchanging(jumps):
        return rates
    channels, found = jumps.channels(spectrum), []
    for bath, charge in zip(*kinds(jumps), strict=True):
        chosen = channels_of(jumps, bath, charge)
        s, r = (table[chosen] for table in channels[bath])
        rate = jnp.sum(jnp.real(s.conj() * r), axis=0)
        found.append(off_diagonal(rate) if charge == 0 else rate)
    return jnp.stack(found)


def rate_scale(matrix: Square) -> Scalar:
    """A unit for rates."""
    largest = jnp.max(jnp.sum(jnp.abs(matrix), axis=0))
    return jnp.where(largest > 0, largest, 1.0)


def population_walk(
    spectrum: Spectrum, jumps: AbstractJumps, rates: Array, populations: RealVector, powers: int
) -> Walk:
    """Populations only."""
    lift = -spectrum.frequencies
    of_kinds = kind_rates(spectrum, jumps, rates)
    tables = jnp.stack([of_kinds * (lift**n)[None] for n in range(powers + 1)], axis=1)
    total = off_diagonal(jnp.sum(rates, axis=0))
    still = total - jnp.diag(jnp.sum(total, axis=0))
    ones = jnp.ones_like(populations)
    border = rate_scale(total) / ones.shape[0] * ones[:, None] * ones[None, :]
    return Walk(still + border, tables, ones, populations)


def jump_tensor(block: Block, chosen: np.ndarray) -> Array:
    """The jumps of some channels within the block, as a (d, d, d, d) tensor."""
    whole = jumps_matrix(block.operators[chosen], block.dressed[chosen])
    return whole * block.same[:, :, None, None] * block.same[None, None, :, :]


def block_walk(
    spectrum: Spectrum, jumps: AbstractJumps, populations: RealVector, coherences: Packed, powers: int
) -> Walk:
    """Populations and the coherences between equal levels."""
    d = populations.shape[0]
    parts, whole = blocks(spectrum, jumps), whole_block(spectrum, jumps)
    tensors = [
        jump_tensor(parts[bath], channels_of(jumps, bath, charge)) for bath, charge in zip(*kinds(jumps), strict=True)
    ]
    tables = [jnp.stack([real_tensor(tensor).reshape(d * d, d * d) for tensor in tensors])]
    unit, levels = jnp.eye(d, dtype=whole.levels.dtype), spectrum.levels.astype(whole.levels.dtype)
    half = 0.5 * (jnp.kron(levels, unit) + jnp.kron(unit, levels.T)).reshape(d, d, d, d)
    half = real_tensor(half * whole.same[:, :, None, None] * whole.same[None, None, :, :]).reshape(1, d * d, d * d)
    for _ in range(powers):
        last = tables[-1]
        tables.append(jnp.matmul(half, last, precision="highest") - jnp.matmul(last, half, precision="highest"))
    trace = jnp.eye(d, dtype=populations.dtype).reshape(-1)
    state = (coherences + jnp.diag(populations)).reshape(-1)
    return Walk(bordered_matrix(whole, rate_scale(block_matrix(whole))), jnp.stack(tables, axis=1), trace, state)
