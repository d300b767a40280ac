"""Two-qubit heat diode
====================

Two qubits coupled by σ_zσ_z, each with its own bath. Heat goes round the four states; the current is that of one cycle,
J = 4g (Πa₊ - Πa₋)/Σ trees, by Schnakenberg's formula. Where the cold bath cannot flip the stiff qubit no heat flows:
rectification tends to one.

*Source:* T. Werlang, M. A. Marchiori, M. F. Cornelio, D. Valente, Phys. Rev. E 89, 062109 (2014): optimal
rectification.
"""

import itertools
import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

LEFT, RIGHT, COUPLING, STRENGTH, CUTOFF = 3.0, 0.5, 1.0, 0.01, 20.0
HOT, COLD = 2.0, 0.1
TOLERANCE = 1e-10


def by_trees(left, right):
    """Heat from the left bath: energy of a turn times its current, from the spanning trees of the cycle of four."""
    state: list[tuple[int, ...]] = list(itertools.product((1, -1), repeat=2))
    energy = {s: 0.5 * (LEFT * s[0] + RIGHT * s[1]) + COUPLING * s[0] * s[1] for s in state}
    turn: list[tuple[int, ...]] = [(1, 1), (1, -1), (-1, -1), (-1, 1)]

    def rate(a, b):
        w, temperature = energy[a] - energy[b], left if a[0] != b[0] else right
        return 2 * np.pi * STRENGTH * w * np.exp(-abs(w) / CUTOFF) / -np.expm1(-w / temperature)

    ahead = [rate(turn[n], turn[(n + 1) % 4]) for n in range(4)]
    back = [rate(turn[(n + 1) % 4], turn[n]) for n in range(4)]
    trees = 0.0
    for root, cut in itertools.product(range(4), repeat=2):  # all edges but one, each towards the root
        steps = [ahead[n] if (n - cut) % 4 <= (root - 1 - cut) % 4 else back[n] for n in range(4) if n != cut]
        trees += np.prod(steps)
    current = (np.prod(ahead) - np.prod(back)) / trees
    taken = sum(energy[turn[(n + 1) % 4]] - energy[turn[n]] for n in range(4) if turn[n][0] != turn[(n + 1) % 4][0])
    return current * taken


def heat(left, right):
    """Heat from the left bath."""
    machine = qdb.models.heat_rectifier([LEFT, RIGHT], COUPLING, [left, right], strengths=STRENGTH, cutoff=CUTOFF)
    generator = qdb.davies(*machine)
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def main(folder: pathlib.Path) -> dict:
    """Forward and backward current, and rectification over the temperature of the cold bath."""
    cold = np.concatenate([[COLD], np.linspace(0.05, 1.9, 80)])
    data = qdb.sweep(lambda cold: {"forward": heat(HOT, cold), "backward": heat(cold, HOT)}, cold=cold)
    forward, backward = data["forward"].values, data["backward"].values
    rectification = np.abs(forward + backward) / np.maximum(np.abs(forward), np.abs(backward))
    print(f"T_c = {COLD}: forward {forward[0]:.6e}, backward {backward[0]:.6e}, rectification {rectification[0]:.6f}")
    assert rectification[0] > 0.999
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(cold[1:], rectification[1:])
    ax.set(xlabel="temperature of the cold bath", ylabel="rectification", title="Two-qubit heat diode", ylim=(0, 1.05))
    figure.savefig(folder / "heat_diode.png", dpi=150)
    plt.close(figure)
    return {
        "forward": (float(forward[0]), by_trees(HOT, COLD)),
        "backward": (float(backward[0]), by_trees(COLD, HOT)),
    }


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
