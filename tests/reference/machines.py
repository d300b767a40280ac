"""Systems between reservoirs that many tests look at: numbers, and how they are made with the package."""

import numpy as np

import qdbjax as qdb

# Three levels, coupled to one bath by a matrix and to the next by its powers.
ENERGIES = np.array([0.0, 1.0, 2.3])
COUPLING = np.array([[0.2, 0.8, 0.5], [0.8, -0.1, 0.6], [0.5, 0.6, 0.4]])
SPECTRA = {"generic": [0.0, 1.0, 2.3], "equal gaps": [0.0, 1.0, 2.0], "equal levels": [0.0, 1.0, 1.0]}
KET = np.array([0.6, 0.48j, 0.64])
SITES = np.stack([np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 1.0, 0.0])])  # where a ring meets its baths
SPINS = np.stack([qdb.fermion_destroy(0, 2), qdb.fermion_destroy(1, 2)])  # what a lead removes from a dot with spin


def three_level_machine(temperatures, energies=ENERGIES, couplings=None, strengths=0.02, cutoff=6.0):
    """Davies equation of three levels and Ohmic baths called hot and cold; bath n couples by the (n+1)-th power."""
    strengths = np.broadcast_to(strengths, len(temperatures))
    couplings = [COUPLING, COUPLING @ COUPLING] if couplings is None else couplings
    baths = [
        qdb.Bath(couplings[n], qdb.Ohmic(strengths[n], cutoff), temperature=temperature, name=("hot", "cold")[n])
        for n, temperature in enumerate(temperatures)
    ]
    return qdb.davies(qdb.models.three_level(energies), baths)


def links(*entries, d=3):
    """A real coupling with the given entries (m, n, value) off the diagonal, value 1 where none is given."""
    matrix = np.zeros((d, d))
    for m, n, *value in entries:
        matrix[m, n] = matrix[n, m] = value[0] if value else 1.0
    return matrix


def ring_hamiltonian(flux, tunneling=0.5):
    """Three sites in a ring around a flux, in the site basis."""
    hop = tunneling * np.exp(-2j * np.pi * flux / 3) * np.roll(np.eye(3), 1, axis=1)
    return hop + hop.conj().T


def level_between_leads(level, strengths, temperatures, potentials):
    """Davies equation of one orbital between leads without structure."""
    leads = [
        qdb.Lead(
            qdb.fermion_destroy(0, 1), qdb.Flat(strength), temperature=temperature, chemical_potential=mu, name=str(n)
        )
        for n, (strength, temperature, mu) in enumerate(zip(strengths, temperatures, potentials, strict=True))
    ]
    return qdb.davies(qdb.models.quantum_dot(level), leads)


def spin(n, count):
    """σ_z of one of several qubits."""
    return qdb.embed(np.diag([1.0, -1.0]), n, [2] * count)


def ising_hamiltonian(splittings, couplings):
    """½Σ ω_n σ_z^n + Σ g_mn σ_z^m σ_z^n of qubits, couplings {(m, n): g}."""
    count = len(splittings)
    free = sum(0.5 * splitting * spin(n, count) for n, splitting in enumerate(splittings))
    return free + sum(g * spin(m, count) @ spin(n, count) for (m, n), g in couplings.items())


def three_qubit_hamiltonian(cold, hot, coupling):
    """Qubits of splittings E₁, E₁ + E₃, E₃, and g(|101⟩⟨010| + h.c.)."""
    exchange = np.kron(np.kron([[0, 0], [1, 0]], [[0, 1], [0, 0]]), [[0, 0], [1, 0]])
    return ising_hamiltonian([cold, cold + hot, hot], {}) + coupling * (exchange + exchange.T)
