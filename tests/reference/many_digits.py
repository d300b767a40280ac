"""Stationary states of Davies equations with degenerate levels in as many digits as asked for, by mpmath."""

import mpmath as mp
import numpy as np


def ohmic_noise(frequency, strength, cutoff, temperature):
    """γ(ω) of an Ohmic bath with exponential cutoff, in the working precision."""
    w, eta, heat = mp.mpf(float(frequency)), mp.mpf(float(strength)), mp.mpf(float(temperature))
    if w == 0:
        return 2 * mp.pi * eta * heat
    return 2 * mp.pi * eta * w * mp.exp(-abs(w) / mp.mpf(float(cutoff))) / -mp.expm1(-w / heat)


def stationary_block(energies, baths, digits=60):
    """ρ (d, d) with L(ρ) = 0, Tr ρ = 1 in the energy basis; levels with exactly the same energy keep coherences.

    baths: (coupling (d, d) in the energy basis, strength, cutoff, temperature) of each, Ohmic. Gaps between different
    levels must differ from each other.
    """
    d = len(energies)
    with mp.workdps(digits):
        pairs = [(m, n) for m in range(d) for n in range(d) if energies[m] == energies[n]]
        place = {pair: k for k, pair in enumerate(pairs)}
        matrix = mp.zeros(len(pairs), len(pairs))
        for coupling, *parameters in baths:
            s = [[mp.mpc(complex(x)) for x in row] for row in np.asarray(coupling)]
            gaps = {e - f for e in energies for f in energies}
            noise = {gap: ohmic_noise(gap, *parameters) for gap in gaps}
            for (a, b), row in place.items():
                for (c, e), column in place.items():
                    matrix[row, column] += noise[energies[c] - energies[a]] * s[a][c] * mp.conj(s[b][e])
                for k in range(d):
                    if energies[k] == energies[a]:
                        matrix[row, place[k, b]] -= _leaving(energies, s, noise, a, k) / 2
                    if energies[k] == energies[b]:
                        matrix[row, place[a, k]] -= _leaving(energies, s, noise, k, b) / 2
        source = mp.zeros(len(pairs), 1)
        for (m, n), column in place.items():
            matrix[place[0, 0], column] = 1 if m == n else 0
        source[place[0, 0]] = 1
        found = mp.lu_solve(matrix, source)
        return [[found[place[m, n]] if (m, n) in place else mp.mpf(0) for n in range(d)] for m in range(d)]


def _leaving(energies, s, noise, m, n):
    """Σ_l γ(E_m - E_l) S*_lm S_ln, of two states of one energy."""
    return sum(noise[energies[m] - energies[l]] * mp.conj(s[l][m]) * s[l][n] for l in range(len(energies)))


def relative_errors(rho, exact, energies):
    """‖ρ - exact‖ over ‖exact‖ of each level's block, largest entries."""
    errors = []
    for energy in dict.fromkeys(energies):
        level = [n for n, each in enumerate(energies) if each == energy]
        size = max(abs(exact[m][n]) for m in level for n in level)
        miss = max(abs(mp.mpc(complex(rho[m, n])) - exact[m][n]) for m in level for n in level)
        errors.append(float(miss / size))
    return np.array(errors)


def heat_currents(energies, baths, digits=60):
    """Σ_{m>n} (E_m - E_n)(W^b_mn p_n - W^b_nm p_m) of each bath in the stationary state; levels and gaps differ."""
    d = len(energies)
    rho = stationary_block(energies, baths, digits)
    with mp.workdps(digits):
        found = []
        for coupling, *parameters in baths:
            rate = [
                [
                    ohmic_noise(mp.mpf(energies[l]) - mp.mpf(energies[n]), *parameters)
                    * abs(complex(coupling[n][l])) ** 2
                    for l in range(d)
                ]
                for n in range(d)
            ]
            gain = (
                (mp.mpf(energies[m]) - mp.mpf(energies[n])) * (rate[m][n] * rho[n][n] - rate[n][m] * rho[m][m])
                for m in range(d)
                for n in range(m)
            )
            found.append(mp.re(mp.fsum(gain)))
        return found
