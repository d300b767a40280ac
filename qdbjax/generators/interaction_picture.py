"""The interaction picture of a secular generator: the frame that rotates at its own Bohr frequencies.

Secular dissipators connect ρ_mn only to coherences of equal Bohr frequency. With ω̄_mn the mean of such a cluster,
ρ_mn(t) = e^{-iω̄_mn t} ρ̃_mn(t) leaves dρ̃/dt = M ρ̃ with a constant M of dissipation, Lamb shift and the small
differences inside clusters: no fast oscillation is left to integrate. Where no two coherences have one frequency M is
the rate matrix for populations and a number for each coherence.
"""

import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Inexact
from qdbjax.generators.generator import AbstractJumps, dressed_hamiltonian, energy_liouvillian
from qdbjax.systems import Spectrum

Table = Inexact[Array, "d d"]


def coherence_exponents(spectrum: Spectrum, jumps: AbstractJumps) -> Table:
    """λ_mn of ρ_mn(t) = e^{λ_mn t}ρ_mn(0) where no other coherence has the frequency of ρ_mn; diagonal 0.

    λ_mn = -i(E_m - E_n) - ½(K_mm + K_nn) + ½ Σ_a (R_mm S*_nn + S_mm R*_nn), the (m, n) entry of L (`jumps`) with ρ_mn
    alone: half the outflows of both levels, and dephasing where S_mm and S_nn differ. Energies include the Lamb shift.
    """
    hamiltonian = dressed_hamiltonian(spectrum, jumps)
    energies = jnp.real(jnp.diagonal(hamiltonian))
    dtype = np.promote_types(hamiltonian.dtype, jnp.complex64)
    exponents = (energies[None, :] - energies[:, None]).astype(dtype) * 1j
    for operators, dressed in jumps.channels(spectrum):
        s, r = (jnp.diagonal(x, axis1=1, axis2=2).astype(dtype) for x in (operators, dressed))
        gain = jnp.sum(r[:, :, None] * s.conj()[:, None, :] + s[:, :, None] * r.conj()[:, None, :], axis=0)
        decay = jnp.sum(jnp.real(operators.conj() * dressed), axis=(0, 1)).astype(dtype)
        exponents = exponents + 0.5 * (gain - decay[:, None] - decay[None, :])
    return exponents * (1 - jnp.eye(hamiltonian.shape[0], dtype=dtype))


def rotating_matrix(spectrum: Spectrum, jumps: AbstractJumps) -> Inexact[Array, "n n"]:
    """M as a (d², d²) matrix on row-major vec(ρ̃) in the energy eigenbasis: L plus iω̄ on the diagonal."""
    frequencies = spectrum.rotating_frame_frequencies.reshape(-1)
    total = energy_liouvillian(spectrum, jumps)
    return total + 1j * jnp.diag(frequencies.astype(total.dtype))
