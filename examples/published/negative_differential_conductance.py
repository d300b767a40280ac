"""Negative differential conductance of a molecule
===============================================

Two orbitals that repel each other, the upper one hardly coupled to the drain: once the bias reaches it, electrons sit
in it and block the other one. Between the steps the current is that of a three-state chain,
I = (Γ_La + Γ_Lb)/(1 + Γ_La/Γ_Ra + Γ_Lb/Γ_Rb), and falls although the bias rises.

*Source:* M. H. Hettler, H. Schoeller, W. Wenzel, Europhys. Lett. 57, 571 (2002): strong negative differential
conductance.
"""

import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

LEVELS, TEMPERATURE = (1.0, 2.0), 0.02
LEFT, RIGHT = (1e-3, 1e-3), (1e-3, 2e-5)  # rates of the orbitals a and b
TOLERANCE = 1e-8


def published(orbitals):
    """Current of the plateau on which the first orbitals take part."""
    blocked = 1 + sum(into / out for into, out in zip(LEFT[:orbitals], RIGHT[:orbitals], strict=True))
    return sum(LEFT[:orbitals]) / blocked


def lead(rates, potential, name):
    """A lead that fills and empties both orbitals of an empty molecule; at most one electron fits."""
    removal = np.zeros((3, 3))
    removal[0, 1:] = np.sqrt(rates)
    density = qdb.Flat(1 / (2 * np.pi))
    return qdb.Lead(removal, density, temperature=TEMPERATURE, chemical_potential=potential, name=name)


def current(bias):
    """Electrons per time from the left lead."""
    molecule = qdb.System(np.diag([0.0, *LEVELS]), number=np.diag([0.0, 1.0, 1.0]))
    generator = qdb.davies(molecule, [lead(LEFT, 0.5 * bias, "left"), lead(RIGHT, -0.5 * bias, "right")])
    return qdb.particle_currents(generator, qdb.steady_state(generator))[0]


def main(folder: pathlib.Path) -> dict:
    """Both plateaus, and the current over the bias."""
    bias = np.concatenate([[3.0, 6.0], np.linspace(0.0, 6.0, 240)])
    found = qdb.sweep(current, bias=bias)["current"].values
    for orbitals in (1, 2):
        print(f"plateau {orbitals}: {found[orbitals - 1]:.6e}, published {published(orbitals):.6e}")
    assert found[1] < 0.1 * found[0]
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(bias[2:], 1e4 * found[2:])
    for orbitals in (1, 2):
        ax.axhline(1e4 * published(orbitals), color="#d55e00", ls="--", lw=1)
    ax.set(xlabel="bias", ylabel="current × 10⁴", title="A blocking orbital: negative differential conductance")
    figure.savefig(folder / "negative_differential_conductance.png", dpi=150)
    plt.close(figure)
    return {"first plateau": (found[0], published(1)), "second plateau": (found[1], published(2))}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
