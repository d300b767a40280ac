"""Antibunching of resonance fluorescence
======================================

A driven atom that has just emitted a photon is in its ground state, and takes its time to emit another one:
g₂(τ) = 1 - e^{-3γτ/4}(cos κτ + (3γ/4κ) sin κτ) with κ² = Ω² - γ²/16 on resonance.

*Source:* H. J. Carmichael, D. F. Walls, J. Phys. B 9, L43 (1976).
"""

import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

DECAY, DRIVE = 1.0, 2.5
TOLERANCE = 1e-6


def published(times):
    """g₂ in closed form."""
    kappa = np.sqrt(DRIVE**2 - DECAY**2 / 16)
    wave = np.cos(kappa * times) + 0.75 * DECAY / kappa * np.sin(kappa * times)
    return 1 - np.exp(-0.75 * DECAY * times) * wave


def main(folder: pathlib.Path) -> dict:
    """Excited population after an emission over the stationary one."""
    atom = qdb.lindblad(0.5 * DRIVE * qdb.sigma_x(), np.sqrt(DECAY) * qdb.sigma_minus())
    times = np.linspace(0.0, 8.0, 161)
    run = qdb.evolve(atom, qdb.basis_state(1, 2), times, observables={"up": qdb.site(0, 2)})
    ours = np.asarray(run.expectations["up"]) / float(qdb.expect(qdb.steady_state(atom), qdb.site(0, 2)))
    theirs = published(times)
    peak = int(np.argmax(theirs))
    print(f"largest g2 {ours[peak]:.9f} at {times[peak]:.2f}, published {theirs[peak]:.9f}; g2(0) = {ours[0]:.1e}")
    assert abs(ours[0]) < 1e-12 and np.abs(ours - theirs).max() < TOLERANCE
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(times, ours, label="evolve")
    ax.plot(times[::5], theirs[::5], "o", ms=4, color="#d55e00", label="closed form")
    ax.axhline(1, color="0.6", lw=0.8)
    ax.set(xlabel="delay γτ", ylabel="$g_2(\\tau)$", title="Photons of a driven atom keep apart")
    ax.legend(frameon=False)
    figure.savefig(folder / "antibunching.png", dpi=150)
    plt.close(figure)
    return {"largest g2": (float(ours[peak]), float(theirs[peak]))}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
