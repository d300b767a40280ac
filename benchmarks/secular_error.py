"""The estimate of what the secular approximation drops, beside the Redfield equation, on 200 random systems.

Two to five levels, one pair of them close; two or three Ohmic baths with real or complex couplings at temperatures
between 0.1 and 5 times the spacing of the others. Redfield: NumPy, no Lamb shift, the dense Liouvillian. Prints the
shares of misses (currents wrong by more than 10 %, no flag) and of false alarms, of this flag and of one for spacings
below the fastest rate, and draws docs/secular_error.png.
"""

import json
import pathlib

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import qdbjax as qdb
from qdbjax.solvers.secular import DROPPED

SYSTEMS, CUTOFF, WRONG = 200, 10.0, 0.1
ROOT = pathlib.Path(__file__).resolve().parent.parent


def random_system(rng):
    """Energies, couplings, strengths and temperatures."""
    d, baths = rng.integers(2, 6), rng.integers(2, 4)
    energies = np.cumsum(rng.uniform(0.3, 1.2, d))
    strength, pair = 10 ** rng.uniform(-4, -1.3), rng.integers(0, d - 1)
    energies[pair + 1 :] += strength * 10 ** rng.uniform(-0.5, 2.5) - (energies[pair + 1] - energies[pair])
    couplings = rng.normal(size=(baths, d, d)) + 1j * (rng.random() < 0.5) * rng.normal(size=(baths, d, d))
    couplings = 0.5 * (couplings + couplings.conj().transpose(0, 2, 1))
    return energies, couplings, strength * 10 ** rng.uniform(-0.5, 0.5, baths), 10 ** rng.uniform(-1, 0.7, baths)


def redfield_currents(energies, couplings, strengths, temperatures):
    """Energy currents of dρ/dt = -i[H, ρ] - Σ [S, Rρ - ρR†], R = ½γ(ω)∘S."""
    d, unit = len(energies), np.eye(len(energies))
    omega, hamiltonian = energies[None, :] - energies[:, None], np.diag(energies)
    total = -1j * (np.kron(hamiltonian, unit) - np.kron(unit, hamiltonian))
    parts = []
    for s, strength, temperature in zip(couplings, strengths, temperatures, strict=True):
        apart = np.where(omega == 0, 1.0, omega)
        noise = 2 * np.pi * strength * np.exp(-np.abs(omega) / CUTOFF) * apart / -np.expm1(-apart / temperature)
        r = 0.5 * np.where(omega == 0, 2 * np.pi * strength * temperature, noise) * s
        back = r.conj().T
        part = np.kron(r, s.T) + np.kron(s, back.T) - np.kron(s @ r, unit) - np.kron(unit, (back @ s).T)
        parts.append(part)
        total = total + part
    rows = np.vstack([total / np.abs(total).max(), unit.reshape(1, -1)])
    rho = np.linalg.lstsq(rows, np.append(np.zeros(d * d), 1.0), rcond=None)[0]
    return np.array([np.trace(hamiltonian @ (part @ rho).reshape(d, d)).real for part in parts])


def main():
    """Compares, prints, draws."""
    rng, rows = np.random.default_rng(1), []
    for _ in range(SYSTEMS):
        energies, couplings, strengths, temperatures = random_system(rng)
        baths = [
            qdb.Bath(s, qdb.Ohmic(eta, CUTOFF), temperature=t)
            for s, eta, t in zip(couplings, strengths, temperatures, strict=True)
        ]
        generator = qdb.davies(np.diag(energies), baths)
        steady = qdb.steady_state(generator)
        currents = np.asarray(qdb.energy_currents(generator, steady))
        wanted = redfield_currents(energies, couplings, strengths, temperatures)
        true = np.abs(currents - wanted).max() / np.abs(currents).max()
        spacing = float(generator.fastest_rate) / np.diff(energies).min()
        rows.append((true, float(steady.secular_error), spacing))
    true, error, spacing = np.array(rows).T
    wrong, summary = true > WRONG, {"systems": SYSTEMS, "wrong": float(np.mean(true > WRONG))}
    for name, flag in (("secular_error", error > DROPPED), ("spacing", spacing > 1)):
        shares = {"missed": float(np.mean(wrong & ~flag)), "false": float(np.mean(flag & ~wrong))}
        summary[name] = shares
        print(f"{name:14s} missed {shares['missed']:.3f}  false {shares['false']:.3f}")
    summary["correlation"] = float(np.corrcoef(np.log10(true), np.log10(error))[0, 1])
    print(f"wrong by more than {WRONG:.0%}: {summary['wrong']:.3f}; correlation {summary['correlation']:.3f}")
    (ROOT / "benchmarks/results/secular_error.json").write_text(json.dumps(summary, indent=1) + "\n")
    draw(true, error)


def draw(true, error):
    """The figure of the documentation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
    axes.loglog(np.clip(true, 1e-4, 10), np.clip(error, 1e-4, 10), ".", ms=4)
    axes.plot([1e-4, 10], [1e-4, 10], lw=0.8, color="0.5")
    axes.axhline(DROPPED, lw=0.8, ls="--", color="0.3")
    axes.axvline(WRONG, lw=0.8, ls="--", color="0.3")
    axes.set(xlabel="change of the currents, Redfield", ylabel="secular_error", title="200 random systems")
    figure.savefig(ROOT / "docs/secular_error.png", dpi=150)


if __name__ == "__main__":
    main()
