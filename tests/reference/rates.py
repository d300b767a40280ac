"""Populations that hop at given rates[to, from]."""

import mpmath
import numpy as np


def golden_rule(energies, coupling, density, inverse_temperature) -> np.ndarray:
    """2πJ(ω)|S|²(n(ω) + 1) down and 2πJ(ω)|S|² n(ω) up; J and β are functions of ω > 0."""
    omega = energies[None, :] - energies[:, None]
    size = np.where(omega == 0, 1.0, np.abs(omega))
    quanta = 1 / np.expm1(inverse_temperature(size) * size) + (omega > 0)
    return np.where(omega == 0, 0.0, 2 * np.pi * density(size) * quanta * np.abs(coupling) ** 2)


def stationary(rates) -> np.ndarray:
    """The populations that stay."""
    matrix = rates - np.diag(rates.sum(axis=0))
    d = len(matrix)
    return np.linalg.solve(np.vstack([matrix[:-1], np.ones(d)]), np.eye(d)[-1])


def heat(energies, rates, populations):
    """What the bath of these rates brings per time."""
    return np.sum((energies[:, None] - energies[None, :]) * rates * populations[None, :])


def stationary_in_many_digits(rates, digits):
    """The populations that stay, in mpmath: W p = 0 with the last row replaced by Σp = 1. rates: rows of numbers."""
    d = len(rates)
    with mpmath.workdps(digits):
        w = mpmath.matrix(d, d)
        for m in range(d):
            for n in range(d):
                if m != n:
                    w[m, n] = rates[m][n] if isinstance(rates[m][n], mpmath.mpf) else mpmath.mpf(float(rates[m][n]))
        for n in range(d):
            w[n, n] = -sum(w[m, n] for m in range(d) if m != n)
        for n in range(d):
            w[d - 1, n] = 1
        return list(mpmath.lu_solve(w, mpmath.matrix([0] * (d - 1) + [1])))
