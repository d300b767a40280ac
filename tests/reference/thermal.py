"""Thermal states, entropies, occupations and noise."""

import numpy as np
import scipy.linalg


def gibbs(hamiltonian, temperature: float) -> np.ndarray:
    """e^{-H/T}/Z."""
    energies, basis = np.linalg.eigh(hamiltonian)
    weights = np.exp(-(energies - energies[0]) / temperature)
    return (basis * (weights / weights.sum())) @ basis.conj().T


def entropy(rho):
    """-Tr ρ ln ρ."""
    values = np.linalg.eigvalsh(rho)
    return -np.sum(values * np.log(values), axis=-1)


def relative_entropy(rho, sigma) -> float:
    """Tr ρ(ln ρ - ln σ)."""
    return np.trace(rho @ (scipy.linalg.logm(rho) - scipy.linalg.logm(sigma))).real


def fermi(energy, temperature):
    """1/(e^{E/T} + 1), E above the chemical potential."""
    return 1 / (np.exp(energy / temperature) + 1)


def ohmic_noise(frequency, strength, cutoff, temperature):
    """γ(ω) = 2πη e^{-|ω|/ω_c} ω/(1 - e^{-ω/T}) and its limit at ω = 0."""
    frequency = np.asarray(frequency, float)
    zero = np.abs(frequency) < 1e-13
    safe = np.where(zero, 1.0, frequency)
    value = 2 * np.pi * strength * np.exp(-np.abs(safe) / cutoff) * safe / -np.expm1(-safe / temperature)
    return np.where(zero, 2 * np.pi * strength * temperature, value)
