"""Master equations as dense matrices on row-major vec(ρ): Lindblad's sum, the Davies equation, and what makes them one.

vec(AρB) = (A ⊗ Bᵀ) vec(ρ).
"""

import math
from collections.abc import Iterator

import numpy as np

from reference.thermal import ohmic_noise


def commutator(hamiltonian) -> np.ndarray:
    """-i[H, ·]."""
    unit = np.eye(len(hamiltonian))
    return -1j * (np.kron(hamiltonian, unit) - np.kron(unit, np.transpose(hamiltonian)))


def dissipator(left, right=None) -> np.ndarray:
    """LρR† - ½{R†L, ρ}; R = L unless given."""
    right = left if right is None else right
    product, unit = right.conj().T @ left, np.eye(len(left))
    return np.kron(left, right.conj()) - 0.5 * np.kron(product, unit) - 0.5 * np.kron(unit, product.T)


def lindbladian(hamiltonian, jumps) -> np.ndarray:
    """-i[H, ·] + Σ_j LρL† - ½{L†L, ρ}."""
    return sum((dissipator(jump) for jump in jumps), commutator(hamiltonian))


def choi(superoperator: np.ndarray) -> np.ndarray:
    """Choi matrix of a map, positive where the map is completely positive."""
    d = math.isqrt(len(superoperator))
    return superoperator.reshape(d, d, d, d).transpose(0, 2, 1, 3).reshape(d * d, d * d)


def assert_gksl(liouvillian, positivity: float = 1e-12) -> None:
    """Trace and Hermiticity are kept, and the Choi matrix is positive off the maximally entangled state."""
    liouvillian = np.asarray(liouvillian)
    d, size = math.isqrt(len(liouvillian)), np.abs(liouvillian).max()
    unit = np.eye(d).reshape(-1)
    assert np.abs(unit @ liouvillian).max() < 1e-13 * size
    matrix, off = choi(liouvillian), np.eye(d * d) - np.outer(unit, unit) / d
    assert np.abs(matrix - matrix.conj().T).max() < 1e-13 * size
    assert np.linalg.eigvalsh(off @ matrix @ off).min() > -positivity * d * size


def bohr_parts(hamiltonian, coupling, tolerance: float = 1e-6) -> Iterator[tuple[float, np.ndarray]]:
    """(ω, S(ω)) of every Bohr frequency, S(ω) = Σ Π_E S Π_{E+ω}; frequencies `tolerance` apart are one, and 0 is 0."""
    energies, basis = np.linalg.eigh(hamiltonian)
    omega = energies[None, :] - energies[:, None]
    framed = basis.conj().T @ coupling @ basis
    ascending = np.sort(omega.reshape(-1))
    for value in ascending[np.r_[True, np.diff(ascending) > tolerance]]:
        part = np.where(np.abs(omega - value) <= 2 * tolerance, framed, 0)
        yield (value if abs(value) > 2 * tolerance else 0.0), basis @ part @ basis.conj().T


class Davies:
    """Dense Davies equation: L, one dissipator per bath, stationary state, currents, counting statistics.

    Transitions whose frequencies agree to `tolerance` keep their cross terms, with the mean of their two noises.
    baths: (coupling, strength, cutoff, temperature), Ohmic.
    """

    def __init__(self, hamiltonian, baths, tolerance=1e-6):
        self.hamiltonian = np.asarray(hamiltonian, complex)
        energies, basis = np.linalg.eigh(self.hamiltonian)
        d = len(energies)
        labels = np.cumsum(np.r_[0, np.diff(energies) > tolerance])
        mean = np.array([energies[labels == label].mean() for label in labels])
        coarse, fine = mean[None, :] - mean[:, None], energies[None, :] - energies[:, None]
        equal = np.abs(coarse[:, None, :, None] - coarse[None, :, None, :]) <= tolerance
        same = labels[:, None] == labels[None, :]
        frame, unit = np.kron(basis, basis.conj()), np.eye(d)
        self.dissipators, self.tilts = [], []
        lift = 0.5 * (energies[:, None, None, None] + energies[None, :, None, None])
        lift = lift - 0.5 * (energies[None, None, :, None] + energies[None, None, None, :])
        lift = lift.reshape(d * d, d * d)
        for coupling, strength, cutoff, temperature in baths:
            s = basis.conj().T @ coupling @ basis
            noise = ohmic_noise(fine, strength, cutoff, temperature)
            pair = 0.5 * (noise[:, None, :, None] + noise[None, :, None, :]) * equal
            gain = np.einsum("nmlk,nl,mk->nmlk", pair, s, s.conj()).reshape(d * d, d * d)
            half = s.conj().T @ (noise * s)
            decay = 0.5 * (half + half.conj().T) * same
            in_levels = gain - 0.5 * np.kron(decay, unit) - 0.5 * np.kron(unit, decay.T)
            self.dissipators.append(frame @ in_levels @ frame.conj().T)
            self.tilts.append(lambda field, gain=gain: frame @ (gain * np.expm1(field * lift)) @ frame.conj().T)
        self.liouvillian = commutator(self.hamiltonian) + sum(self.dissipators)

    def generating_function(self, fields) -> complex:
        """λ(χ), the eigenvalue that starts at 0, of L whose jumps weigh e^{χ_b·(energy from bath b)}."""
        total = self.liouvillian + sum(tilt(field) for tilt, field in zip(self.tilts, fields, strict=True))
        values = np.linalg.eigvals(total)
        return values[np.argmax(values.real)]

    def cumulants(self, bath: int, order: int, radius: float = 0.2, points: int = 32) -> np.ndarray:
        """Cumulants per time of the energy from one bath, n!/2πi ∮ λ(χ)/χ^{n+1} dχ on a circle."""
        circle = radius * np.exp(2j * np.pi * np.arange(points) / points)
        unit = np.eye(len(self.dissipators))[bath]
        values = np.array([self.generating_function(x * unit) for x in circle])
        return np.array([math.factorial(n) * np.mean(values / circle**n).real for n in range(1, order + 1)])

    def steady_state(self) -> np.ndarray:
        """The normalised null vector of L."""
        d = self.hamiltonian.shape[0]
        rows = np.vstack([self.liouvillian, np.eye(d).reshape(1, -1)])
        rho = np.linalg.lstsq(rows, np.r_[np.zeros(d * d), 1.0], rcond=None)[0]
        return rho.reshape(d, d)

    def currents(self, charge) -> np.ndarray:
        """Tr[A D_b(ρ)] of each bath."""
        rho = self.steady_state()
        return np.array(
            [np.trace(charge @ (each @ rho.reshape(-1)).reshape(rho.shape)).real for each in self.dissipators]
        )

    def heat_currents(self) -> np.ndarray:
        """Tr[H D_b(ρ)] of each bath."""
        return self.currents(self.hamiltonian)


def block_state(hamiltonian, baths, tolerance=1e-8) -> tuple[np.ndarray, np.ndarray]:
    """Stationary state and heat currents of a Davies equation, by least squares on the entries between equal levels.

    Right where levels are few and what is rare does not matter. baths as for `Davies`. tolerance: of equal levels.
    Returns ρ (d, d) in the basis of the Hamiltonian and Tr[H D_b(ρ)] (bath,).
    """
    energies, basis = np.linalg.eigh(np.asarray(hamiltonian, complex))
    label = np.cumsum(np.r_[0, np.diff(energies) > tolerance])
    energies = np.array([energies[label == each].mean() for each in label])
    omega = energies[None, :] - energies[:, None]
    m, n = np.nonzero(label[:, None] == label[None, :])
    rows = []
    for coupling, strength, cutoff, temperature in baths:
        s = basis.conj().T @ coupling @ basis
        r = ohmic_noise(omega, strength, cutoff, temperature) * s
        half = s.conj().T @ r
        left = half[np.ix_(m, m)] * (n[:, None] == n[None, :]) * (label[m][:, None] == label[m][None, :])
        right = half.T[np.ix_(n, n)] * (m[:, None] == m[None, :]) * (label[n][:, None] == label[n][None, :])
        rows.append(r[np.ix_(m, m)] * s.conj()[np.ix_(n, n)] - 0.5 * (left + right))
    trace = (m == n).astype(complex)
    source = np.r_[np.zeros(len(m)), 1.0]
    found = np.linalg.lstsq(np.vstack([sum(rows) / np.abs(sum(rows)).max(), trace[None]]), source, rcond=None)[0]
    rho = np.zeros(omega.shape, complex)
    rho[m, n] = found
    return basis @ rho @ basis.conj().T, np.array([np.sum(trace * energies[m] * (each @ found)).real for each in rows])
