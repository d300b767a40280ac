"""Flows of energy, charges and probability from each bath into the system, for a given state.

All three follow from D(ρ) = ½ Σ_a (R_a ρ S_a† + S_a ρ R_a†) - ½{K, ρ}, K = ½ Σ_a (S_a†R_a + R_a†S_a) (`jumps`).
"""

import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Matrix
from qdbjax.generators.block import whole_block
from qdbjax.generators.jumps import AbstractJumps, PerBath, channel_charges
from qdbjax.numerics.matrix import batched_matmul
from qdbjax.systems import Spectrum


def charge_flows(spectrum: Spectrum, jumps: AbstractJumps, rho: Matrix, charge: Matrix) -> PerBath:
    """Tr[A D_bath(ρ)] of each bath, positive into the system, (bath,), unit of A times inverse time.

    rho, charge: ρ and A (d, d) in the energy eigenbasis; A Hermitian with [A, H] = 0.
    Cyclic order under the trace and Tr X† = (Tr X)* give Re Σ_a Tr[S_a†(A R_a ρ - ½ R_a (Aρ + ρA))], with ρ and A
    between equal levels only: all channels at once, no operator formed.
    """
    block = whole_block(spectrum, jumps)
    within, charge = (rho * block.same)[None], (charge.astype(rho.dtype) * block.same)[None]
    both = batched_matmul(charge, within) + batched_matmul(within, charge)
    change = batched_matmul(charge, batched_matmul(block.dressed, within)) - 0.5 * batched_matmul(block.dressed, both)
    return block.by_bath(jnp.sum(jnp.real(change * block.operators.conj()), axis=(1, 2)))


def quanta_flows(spectrum: Spectrum, jumps: AbstractJumps, rho: Matrix) -> PerBath:
    """Particles from each bath, Σ_a q_a Re Tr[R_a ρ S_a†], (bath,), inverse time, positive into the system.

    rho: (d, d) in the energy eigenbasis. A jump of channel a brings q_a particles, at the rate Re Tr[R_a ρ S_a†].
    """
    block = whole_block(spectrum, jumps)
    taken = batched_matmul(block.dressed, (rho * block.same)[None])
    charges = np.concatenate([channel_charges(jumps, bath, count) for bath, count in enumerate(block.channels)])
    per_channel = jnp.sum(jnp.real(taken * block.operators.conj()), axis=(1, 2))
    return block.by_bath(per_channel * jnp.asarray(charges, per_channel.dtype))


def pair_flows(spectrum: Spectrum, jumps: AbstractJumps, rho: Matrix) -> Float[Array, "bath to from"]:
    """Probability per time of the jumps l→n by each bath, ½ Σ_a Re[R_nl (ρ S†)_ln + S_nl (ρ R†)_ln], zero diagonal.

    rho: (d, d) in the energy eigenbasis. The gain term of dρ_nn/dt, by its term l; for a diagonal ρ it is W_nl p_l.
    """
    block = whole_block(spectrum, jumps)
    s, r, within = block.operators, block.dressed, (rho * block.same)[None]
    left, right = (jnp.swapaxes(batched_matmul(within, jnp.swapaxes(x.conj(), -1, -2)), -1, -2) for x in (s, r))
    flows = 0.5 * jnp.real(r * left + s * right)
    return block.by_bath(flows * (1 - jnp.eye(rho.shape[0], dtype=flows.dtype))[None])
