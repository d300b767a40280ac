"""Shared by tests: golden data, random systems, and a NumPy master equation written independently of the package."""

import json
import math
import pathlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"


def golden(family: str) -> dict:
    """A golden family by name."""
    return json.loads((GOLDEN / f"{family}.json").read_text())


def cases(family: str) -> list[dict]:
    """Its cases."""
    return golden(family)["cases"]


def array(value) -> np.ndarray:
    """An array from its JSON form."""
    if isinstance(value, dict):
        return np.array(value["re"]) + 1j * np.array(value["im"])
    return np.array(value)


def random_hermitian(rng: np.random.Generator, d: int) -> np.ndarray:
    """A Hermitian matrix with Gaussian entries."""
    matrix = rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d))
    return (matrix + matrix.conj().T) / 2


def with_spectrum(rng: np.random.Generator, energies) -> np.ndarray:
    """A Hermitian matrix with the given energies and random eigenvectors."""
    d = len(energies)
    basis, _ = np.linalg.qr(rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)))
    matrix = (basis * np.asarray(energies)) @ basis.conj().T
    return (matrix + matrix.conj().T) / 2


def ohmic_noise(frequency, strength, cutoff, temperature):
    """γ(ω) = 2πη e^{-|ω|/ω_c} ω/(1 - e^{-ω/T}) and its limit at ω = 0."""
    frequency = np.asarray(frequency, float)
    zero = np.abs(frequency) < 1e-13
    safe = np.where(zero, 1.0, frequency)
    value = 2 * np.pi * strength * np.exp(-np.abs(safe) / cutoff) * safe / -np.expm1(-safe / temperature)
    return np.where(zero, 2 * np.pi * strength * temperature, value)


class Reference:
    """Dense master equation in NumPy: L, one dissipator per bath, stationary state, currents.

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
            whole = gain - 0.5 * np.kron(decay, unit) - 0.5 * np.kron(unit, decay.T)
            self.dissipators.append(frame @ whole @ frame.conj().T)
            self.tilts.append(lambda field, gain=gain: frame @ (gain * np.expm1(field * lift)) @ frame.conj().T)
        turning = -1j * (np.kron(self.hamiltonian, unit) - np.kron(unit, self.hamiltonian.T))
        self.liouvillian = turning + sum(self.dissipators)

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

    def heat_currents(self) -> np.ndarray:
        """Tr[H D_b(ρ)] of each bath."""
        rho = self.steady_state()
        terms = [(term @ rho.reshape(-1)).reshape(rho.shape) for term in self.dissipators]
        return np.array([np.trace(self.hamiltonian @ term).real for term in terms])
