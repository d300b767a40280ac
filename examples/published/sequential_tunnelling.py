"""Sequential tunnelling as a limit of Landauer and Büttiker
=========================================================

Through a level without interaction I = ∫dε/2π Γ_LΓ_R/[(ε - ε₀)² + Γ²/4] (f_L - f_R), exactly. For Γ ≪ T the resonance
is sharp against the Fermi functions, and what is left, Γ_LΓ_R/Γ (f_L - f_R), is the Davies equation. The difference
falls as Γ/T.

*Source:* C. W. J. Beenakker, Phys. Rev. B 44, 1646 (1991), for hΓ ≪ kT; Y. Meir, N. S. Wingreen, Phys. Rev. Lett. 68,
2512 (1992).
"""

import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

LEVEL, TEMPERATURE, BIAS, SHARE = 0.3, 1.0, 1.5, 0.4  # SHARE of Γ belongs to the left lead
TOLERANCE = 1e-10
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def fermi(energy, potential):
    """Occupation of a lead."""
    return 0.5 * (1 - np.tanh(0.5 * (energy - potential) / TEMPERATURE))


def exact(width):
    """The integral, on a grid that is dense where the resonance is: ε = ε₀ + ½Γ tan θ makes it that of θ."""
    energy = LEVEL + 0.5 * width * np.tan(0.5 * np.pi * NODES)
    window = fermi(energy, 0.5 * BIAS) - fermi(energy, -0.5 * BIAS)
    return SHARE * (1 - SHARE) * width * np.sum(0.5 * WEIGHTS * window)


def sequential(width):
    """Particles per time from the left lead, by the Davies equation."""
    leads = [
        qdb.Lead(
            qdb.fermion_destroy(0, 1),
            qdb.Flat(part * width / (2 * np.pi)),
            temperature=TEMPERATURE,
            chemical_potential=potential,
            name=name,
        )
        for part, potential, name in ((SHARE, 0.5 * BIAS, "left"), (1 - SHARE, -0.5 * BIAS, "right"))
    ]
    generator = qdb.davies(qdb.models.quantum_dot(LEVEL), leads)
    return qdb.particle_currents(generator, qdb.steady_state(generator))[0]


def main(folder: pathlib.Path) -> dict:
    """Both currents over Γ/T."""
    widths = np.geomspace(1e-4, 3.0, 40)
    ours = qdb.sweep(sequential, width=widths)["sequential"].values
    beyond = np.array([exact(width) for width in widths])
    limit = SHARE * (1 - SHARE) * (fermi(LEVEL, 0.5 * BIAS) - fermi(LEVEL, -0.5 * BIAS))
    miss = ours / beyond - 1
    print(f"Γ/T = {widths[0]:.0e}: off by {miss[0]:.1e}; Γ/T = {widths[20]:.2f}: {miss[20]:.1e}")
    assert abs(miss[0]) < 1e-4 and np.all(np.diff(miss) > 0)  # the broad level carries less than the sharp one
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.loglog(widths, beyond, label="Landauer and Büttiker")
    ax.loglog(widths, ours, "--", label="Davies: sequential")
    ax.set(xlabel="Γ/T", ylabel="current", title="One level between two leads")
    ax.legend(frameon=False)
    figure.savefig(folder / "sequential_tunnelling.png", dpi=150)
    plt.close(figure)
    return {"current / Γ": (ours[0] / widths[0], limit)}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
