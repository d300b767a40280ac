"""What each bath brings into the system in a given state."""

import jax.numpy as jnp

from qdbjax._types import Matrix
from qdbjax.generators.generator import AbstractJumps, PerBath, blocks
from qdbjax.numerics.small import compose, stacked
from qdbjax.systems import Spectrum


def charge_flows(spectrum: Spectrum, jumps: AbstractJumps, rho: Matrix, charge: Matrix) -> PerBath:
    """Tr[A D_bath(ρ)] for A and ρ given in the energy eigenbasis, [A, H] = 0."""
    actions = [block.dissipate(rho * block.same) for block in blocks(spectrum, jumps)]
    return stacked([jnp.real(jnp.sum(charge.astype(rho.dtype).T * action)) for action in actions])


def exchanging(jumps: AbstractJumps) -> bool:
    """Whether any bath exchanges particles."""
    return any(charge != 0 for charges in jumps.charges for charge in charges)


def quanta_flows(spectrum: Spectrum, jumps: AbstractJumps, rho: Matrix) -> PerBath:
    """Σ_a q_a Tr[R_a ρ S_a†] of each bath, ρ in the energy eigenbasis: a jump of channel a brings q_a particles."""
    totals = []
    for block, charges in zip(blocks(spectrum, jumps), jumps.charges, strict=True):
        taken = compose(block.dressed, (rho * block.same)[None])
        per_channel = jnp.real(jnp.sum(taken * block.operators.conj(), axis=(1, 2)))
        totals.append(jnp.sum(per_channel * jnp.asarray(charges, per_channel.dtype)))
    return stacked(totals)
