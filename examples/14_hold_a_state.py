"""Baths that hold a state, and what that costs
============================================

A hot bath pumps 0-2, a cold one empties 0-1 and, weakly, 1-2: with the right temperatures level 2 is fuller than
level 1. Heat then runs round the loop for ever, and its entropy production is the price. A state with coherence
between levels is out of reach, and the fit says so.

Run `python examples/14_hold_a_state.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb
from qdbjax import fitting

jax.config.update("jax_enable_x64", True)

ENERGIES, LEAK, COHERENCE = [0.0, 1.0, 2.3], 0.4, 0.15
GROUND, UPPER = 0.5, np.linspace(0.21, 0.45, 9)  # populations of level 0, and of level 2: inverted above 1/4
TEMPERATURES = {"hot": fitting.bounded(4.0, low=0.05, high=20.0), "cold": fitting.bounded(1.0, low=0.05, high=20.0)}
DENSITY = qdb.Ohmic(0.01, cutoff=10.0)


def flip(m, n):
    """|m⟩⟨n| + h.c."""
    return qdb.transition(m, n, 3) + qdb.transition(n, m, 3)


def model(hot, cold):
    """Stationary state between baths of two temperatures, and the entropy produced per time."""
    baths = [
        qdb.Bath(flip(0, 2), DENSITY, temperature=hot, name="hot"),
        qdb.Bath(flip(0, 1) + LEAK * flip(1, 2), DENSITY, temperature=cold, name="cold"),
    ]
    generator = qdb.davies(qdb.models.three_level(ENERGIES), baths)
    steady = qdb.steady_state(generator, qdb.solvers.Populations())  # no two levels are degenerate
    return {"state": steady.density_matrix, "entropy_production": qdb.entropy_production(generator, steady)}


def hold(target):
    """Temperatures that bring the stationary state as close to a target as they can."""
    return qdb.fit(model, {"state": fitting.to_state(target)}, TEMPERATURES)


def fullest():
    """What level 2 can hold: at T = 0 the cold bath empties level 1 at most as fast as it fills it."""
    filling, emptying = LEAK**2 * DENSITY(ENERGIES[2] - ENERGIES[1]), DENSITY(ENERGIES[1] - ENERGIES[0])
    return float((1 - GROUND) * emptying / (emptying + filling))


def draw(folder, pairs, price, held):
    """Wanted against held, and the price."""
    figure, axes = plt.subplots(3, 1, figsize=(5.4, 9.0), layout="constrained")
    titles = "held for ever", "out of reach: coherence"
    for ax, (target, found), title in zip(axes, pairs, titles, strict=False):
        state = found.outputs["state"]
        for rho, shift, colour, label in ((target, -0.2, "0.7", "wanted"), (state, 0.2, "#2471a3", "found")):
            heights = [*np.diagonal(rho).real, abs(rho[1, 2])]
            ax.bar(np.arange(4) + shift, heights, 0.38, color=colour, label=label)
        ax.set_xticks(range(4), ["$p_0$", "$p_1$", "$p_2$", r"$|\rho_{12}|$"])
        ax.set_title(f"{title} (1 - F = {abs(found.loss):.2g})")
        ax.legend(frameon=False)
    axes[2].plot(UPPER[held], price[held], "o-", color="#c0392b")
    axes[2].axvspan(fullest(), UPPER.max(), color="0.92")
    axes[2].axvline((1 - GROUND) / 2, color="0.6", ls="--")
    for place, text in (((1 - GROUND) / 2, "$p_2 = p_1$"), (0.5 * (fullest() + UPPER.max()), "out of reach")):
        axes[2].annotate(text, (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom")
    axes[2].set(xlabel="wanted population of level 2", ylabel="entropy production per time")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "14_hold_a_state.png", dpi=150)
    plt.close(figure)


def main(folder: pathlib.Path) -> list[fitting.Fit]:
    """A state that can be held and one that cannot, then the price of more and more inversion."""
    inverted = np.diag([GROUND, 0.2, 0.3])
    targets = [inverted, inverted + COHERENCE * flip(1, 2)]
    fits = [hold(target) for target in targets]
    for name, found in zip(("inverted", "coherent"), fits, strict=True):
        print(f"{name}: {found}")
        print(f"  price: entropy production {float(found.outputs['entropy_production']):.6e} per time\n")
    family = [hold(np.diag([GROUND, 1 - GROUND - upper, upper])) for upper in UPPER]
    price = np.array([float(each.outputs["entropy_production"]) for each in family])
    held = np.array([each.verdict == "converged" for each in family])
    reached = f"level 2 held up to {UPPER[held].max():.2f}, entropy production {price[held].max():.3e}"
    print(f"{reached}; a cold bath at T = 0 would end at {fullest():.4f}")
    draw(folder, list(zip(targets, fits, strict=True)), price, held)
    return [*fits, *family]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
