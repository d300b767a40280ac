"""Erasing a bit in finite time
============================

A dot in contact with one lead is a bit; lifting its level empties it. Done slowly that costs T ln 2 of free energy; in
a time τ at least 𝓛²/τ more, 𝓛 the thermodynamic length. The friction of the level is f(1 - f)/TΓ, so that
𝓛² = (T/Γ)θ² with θ = 2 arctan tanh(x/4) for a final level xT, π/2 for a perfect erasure, and the best protocol is
ε = 2T artanh sin(θt/τ).

*Source:* D. A. Sivak, G. E. Crooks, Phys. Rev. Lett. 108, 190602 (2012); P. R. Zulkowski, M. R. DeWeese, Phys. Rev. E
89, 052140 (2014): optimal erasure. The number is extrapolated from the two slowest of six durations.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TEMPERATURE, RATE, FINAL = 1.0, 1.0, 8.0
ANGLE = 2 * np.arctan(np.tanh(FINAL / 4))
PUBLISHED = TEMPERATURE / RATE * ANGLE**2
TOLERANCE = 2e-3


def excess(duration, optimal):
    """Work beyond the free energy, times the duration; level lifted optimally or evenly."""
    lead = qdb.Lead(
        qdb.fermion_destroy(0, 1), qdb.Flat(RATE / (2 * np.pi)), temperature=TEMPERATURE, chemical_potential=0.0
    )

    def protocol(time):
        share = time / duration
        best = 2 * jnp.arctanh(jnp.sin(ANGLE * share))
        return qdb.davies(qdb.models.quantum_dot(TEMPERATURE * jnp.where(optimal > 0, best, FINAL * share)), lead)

    run = qdb.evolve(protocol, np.diag([0.5, 0.5]), jnp.linspace(0.0, duration, 3), save="populations")
    free = TEMPERATURE * (np.log(2) - np.log1p(np.exp(-FINAL)))
    assert run.account is not None  # of a driven evolution
    return float(run.account.work[-1] - free) * duration


def main(folder: pathlib.Path) -> dict:
    """Excess work times duration over the duration, best and even protocol."""
    durations = [10.0, 20.0, 40.0, 80.0, 160.0, 320.0]
    best = np.array([excess(duration, 1.0) for duration in durations])
    even = np.array([excess(duration, 0.0) for duration in durations])
    slow = 2 * best[-1] - best[-2]  # what is left is proportional to 1/τ
    print(f"excess work times duration {slow:.6f}, published {PUBLISHED:.6f}; evenly {2 * even[-1] - even[-2]:.6f}")
    assert np.all(best[1:] < even[1:])
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.semilogx(durations, even, "s-", color="#009e73", label="level lifted evenly")
    ax.semilogx(durations, best, "o-", color="#0072b2", label="along the geodesic")
    ax.axhline(PUBLISHED, color="#d55e00", ls="--", label="square of the thermodynamic length")
    ax.set(xlabel="duration × rate", ylabel="excess work × duration", title="What haste costs in erasing a bit")
    ax.set_ylim(0, 4.5)
    ax.legend(frameon=False, loc="lower left")
    figure.savefig(folder / "erasure_in_finite_time.png", dpi=150)
    plt.close(figure)
    return {"excess work × duration": (slow, PUBLISHED)}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
