"""The interaction picture of a secular generator: the frame that rotates at its own Bohr frequencies.

Secular dissipators connect ρ_mn only to coherences of equal Bohr frequency. With ω̄_mn the mean of such a cluster,
ρ_mn(t) = e^{-iω̄_mn t} ρ̃_mn(t) leaves dρ̃/dt = M ρ̃ with a constant M of dissipation, Lamb shift and the small
differences inside clusters: no fast oscillation is left to integrate. Where no two coherences have one frequency M is
the rate matrix for populations and a number for each coherence.
"""

import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool, Float, Inexact, Rates
from qdbjax.generators.block import whole_block
from qdbjax.generators.block_entries import SomeEntries
from qdbjax.generators.generator import energy_liouvillian
from qdbjax.generators.jumps import AbstractJumps, dressed_hamiltonian
from qdbjax.numerics.hermitian import real_table
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


def coupled_coherences(
    spectrum: Spectrum, jumps: AbstractJumps, rates: Rates, room: int
) -> tuple[SomeEntries, Bool[Array, ""]]:
    """The entries of ρ that the generator couples to other entries, apart from populations to populations.

    ρ_lk goes to ρ_mn by the transitions l→m and k→n where their Bohr frequencies are one and both are driven: of pairs
    of different transitions with one frequency all entries (m, n) and (l, k) are listed, and where levels are equal
    the populations, which then depend on coherences.

    rates: (bath, to, from); a transition is driven where one of them is not 0.
    room: largest number of such transitions, and of entries.

    Returns the entries, and whether there are more than there is room for.
    """
    d, label = spectrum.energies.shape[0], spectrum.frequency_labels.reshape(-1)
    diagonal = jnp.eye(d, dtype=bool)
    driven = (jnp.any(rates > 0, axis=0) | jnp.any(rates > 0, axis=0).T | diagonal).reshape(-1)
    count = jnp.zeros((d * d,), jnp.int32).at[label].add(driven.astype(jnp.int32))
    degenerate = spectrum.degenerate
    # Transitions n→n have frequency 0; by themselves they couple each coherence to itself.
    shared = driven & (count[label] > 1) & ((label != label[0]) | degenerate)
    transitions = SomeEntries.of(shared.reshape(d, d), min(room, d * d))
    to, origin = transitions.indices
    at = jnp.where(transitions.filled, label[to * d + origin], -1 - jnp.arange(to.shape[0], dtype=label.dtype))
    still = to == origin
    pairs = (at[:, None] == at[None, :]) & ~jnp.eye(to.shape[0], dtype=bool) & ~(still[:, None] & still[None, :])
    mask = diagonal & degenerate
    for index in (to, origin):
        mask = mask.at[index[:, None], index[None, :]].max(pairs)
    overflows = (jnp.sum(shared) > to.shape[0]) | (jnp.sum(mask) > room)
    return SomeEntries.of(mask, min(room, d * d)), overflows


def rotating_matrix_on(spectrum: Spectrum, jumps: AbstractJumps, entries: SomeEntries) -> Float[Array, "n n"]:
    """M as a real matrix on packed reals of some entries, which are coupled to no others."""
    block, label = whole_block(spectrum, jumps), spectrum.frequency_labels
    phases = 1j * spectrum.rotating_frame_frequencies.astype(block.levels.dtype)

    def table(m, n, l, k):
        gain = jnp.where(label[m, l] == label[n, k], block.gain_at(m, n, l, k), 0.0)
        return gain + block.rest_at(m, n, l, k) + jnp.where((m == l) & (n == k), phases[m, n], 0.0)

    used = entries.filled
    return jnp.where(used[:, None] & used[None, :], real_table(table, *entries.indices), 0.0)


def rotating_matrix(spectrum: Spectrum, jumps: AbstractJumps) -> Inexact[Array, "n n"]:
    """M as a (d², d²) matrix on row-major vec(ρ̃) in the energy eigenbasis: L plus iω̄ on the diagonal."""
    frequencies = spectrum.rotating_frame_frequencies.reshape(-1)
    total = energy_liouvillian(spectrum, jumps)
    return total + 1j * jnp.diag(frequencies.astype(total.dtype))
