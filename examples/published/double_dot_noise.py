"""Noise of a double dot
=====================

Two dots in series that hold one electron, at large bias, tunnelling t_c much faster than the rates of the leads: the
electron goes through a bonding and an antibonding state, and the noise over twice the current is, over the detuning ε,

F = 1 - 8Γ_L t_c² [4ε²(Γ_R - Γ_L) + 8Γ_R t_c²]/[4Γ_L ε² + 4t_c²(Γ_R + 2Γ_L)]², 5/9 at ε = 0 for equal rates.

*Source:* R. Aguado, T. Brandes, Phys. Rev. Lett. 92, 206601 (2004), the Fano factor without dissipation, for Γ ≪ t_c;
B. Elattari, S. A. Gurvitz, Phys. Lett. A 292, 289 (2002).
"""

import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TUNNELLING, LEFT, RIGHT, TEMPERATURE, BIAS = 1.0, 1e-5, 1e-5, 0.2, 40.0
TOLERANCE = 1e-8


def published(detuning):
    """Fano factor at infinite bias."""
    whole = 4 * LEFT * detuning**2 + 4 * TUNNELLING**2 * (RIGHT + 2 * LEFT)
    share = 4 * detuning**2 * (RIGHT - LEFT) + 8 * RIGHT * TUNNELLING**2
    return 1 - 8 * LEFT * TUNNELLING**2 * share / whole**2


def fano(detuning):
    """Noise over current of the right lead; two electrons would cost more than the bias gives."""
    removals = np.zeros((2, 3, 3))
    removals[0, 0, 1] = removals[1, 0, 2] = 1.0
    hamiltonian = detuning * np.diag([0.0, 0.5, -0.5]) + TUNNELLING * np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]])
    dots = qdb.System(hamiltonian, number=np.diag([0.0, 1.0, 1.0]))
    leads = [
        qdb.Lead(
            removal,
            qdb.Flat(rate / (2 * np.pi)),
            temperature=TEMPERATURE,
            chemical_potential=potential,
            name=name,
        )
        for removal, rate, potential, name in zip(
            removals, (LEFT, RIGHT), (BIAS / 2, -BIAS / 2), ("left", "right"), strict=True
        )
    ]
    generator = qdb.davies(dots, leads)
    current, noise = qdb.cumulants(generator, None, "right", of="particles", order=2)
    return -noise / current


def main(folder: pathlib.Path) -> dict:
    """The Fano factor over the detuning."""
    detuning = np.linspace(0.0, 5.0, 51)
    ours = qdb.sweep(fano, detuning=detuning)["fano"].values
    print(f"F(0) = {ours[0]:.10f}, published {published(0.0):.10f}; F(2) = {ours[20]:.10f}, {published(2.0):.10f}")
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(detuning, ours, label="counting")
    ax.plot(detuning[::5], published(detuning[::5]), "o", color="#d55e00", label="closed form")
    ax.set(xlabel="detuning / tunnelling", ylabel="Fano factor", title="Double dot at large bias")
    ax.legend(frameon=False)
    figure.savefig(folder / "double_dot_noise.png", dpi=150)
    plt.close(figure)
    return {"resonance": (ours[0], published(0.0)), "detuned": (ours[20], published(2.0))}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
