"""Mean-force state at ultrastrong coupling
========================================

A qubit coupled at an angle θ to its bath. At weak coupling its equilibrium is Gibbs; as the coupling grows beyond every
other energy it goes to the state that is diagonal in the basis of the coupling, of polarisation
-tanh(½ω₀ cos θ/T) along it and none across it. On the way: one mode, exactly.

*Source:* J. D. Cresser, J. Anders, Phys. Rev. Lett. 127, 250601 (2021).
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

ANGLE, SPLITTING, TEMPERATURE, MODE, LEVELS = np.pi / 3, 1.0, 0.4, 1.5, 60
ALONG = np.cos(ANGLE) * qdb.sigma_z() + np.sin(ANGLE) * qdb.sigma_x()
PUBLISHED = -np.tanh(0.5 * SPLITTING * np.cos(ANGLE) / TEMPERATURE)
TOLERANCE = 1e-12


def with_mode(strength):
    """Polarisation (along the coupling, across it) of the qubit with one mode, H = ½ω₀σ_z + Ωa†a + λ σ_θ(a + a†)."""
    ladder = qdb.destroy(LEVELS)
    mode = MODE * ladder.T @ ladder
    whole = jnp.kron(0.5 * SPLITTING * qdb.sigma_z(), np.eye(LEVELS)) + jnp.kron(np.eye(2), mode)
    whole = whole + strength * jnp.kron(ALONG, ladder + ladder.T)
    rho = jnp.real(qdb.mean_force(whole, mode, temperature=TEMPERATURE).density_matrix)
    across = np.cos(ANGLE) * qdb.sigma_x() - np.sin(ANGLE) * qdb.sigma_z()
    return {"along": jnp.trace(rho @ ALONG), "across": jnp.trace(rho @ across)}


def main(folder: pathlib.Path) -> dict:
    """The limit, and the way there."""
    limit = qdb.states.ultrastrong_mean_force(0.5 * SPLITTING * qdb.sigma_z(), ALONG, temperature=TEMPERATURE)
    ours = float(np.real(np.trace(np.asarray(limit.density_matrix) @ ALONG)))
    strengths = np.linspace(0.0, 6.0, 25)
    way = [with_mode(strength) for strength in strengths]
    along, across = (np.array([float(each[name]) for each in way]) for name in ("along", "across"))
    print(f"polarisation {ours:.12f}, published {PUBLISHED:.12f}; at λ = {strengths[-1]}: {along[-1]:.6f}")
    gibbs = -np.tanh(0.5 * SPLITTING / TEMPERATURE)
    assert abs(along[0] - gibbs * np.cos(ANGLE)) < 1e-12  # Gibbs where they are not coupled
    assert abs(along[-1] - PUBLISHED) < 0.02 and abs(across[-1]) < 0.02
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(strengths, along, color="#0072b2", label="along the coupling")
    ax.plot(strengths, across, color="#009e73", label="across it")
    ax.axhline(PUBLISHED, color="#d55e00", ls="--", label="ultrastrong limit")
    ax.axhline(0, color="0.6", lw=0.8)
    ax.set(xlabel="coupling to the mode", ylabel="polarisation", title="From the Gibbs state to the ultrastrong limit")
    ax.legend(frameon=False)
    figure.savefig(folder / "ultrastrong_mean_force.png", dpi=150)
    plt.close(figure)
    return {"polarisation": (ours, PUBLISHED)}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
