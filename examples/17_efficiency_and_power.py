"""Efficiency against power of a heat engine
=========================================

The best compromises, with Carnot's bound. A three-level maser whose hot bath leaks into the cold transition: as
efficiency nears what can be had the power falls. Level spacings are fitted for weights of the two aims.

Run `python examples/17_efficiency_and_power.py [FOLDER]`.
"""

import pathlib
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb
from qdbjax import fitting, thermodynamics

jax.config.update("jax_enable_x64", True)

HOT, COLD, WORK = 2.0, 0.5, 1e6  # a work reservoir so hot that its energy brings no entropy
STRENGTHS, LEAK = (0.01, 0.01, 1e-8), 0.1
UNIT = 0.01  # power that counts as much as an efficiency of 1


def engine(hot_gap, share):
    """Efficiency and power with level 2 at `hot_gap`, of which `share` is the gap that does work."""
    energies = jnp.stack([jnp.zeros_like(hot_gap), share * hot_gap, hot_gap])
    system, (hot, cold, work) = qdb.models.three_level_maser(energies, [HOT, COLD, WORK], strengths=STRENGTHS)
    leaking = eqx.tree_at(lambda bath: bath.coupling, hot, hot.coupling + LEAK * cold.coupling)
    generator = qdb.davies(system, [leaking, cold, work])
    steady = qdb.steady_state(generator, qdb.solvers.Populations())
    found = thermodynamics.performance(generator, steady, cold="cold", hot="hot", work="work")
    return {"efficiency": found.efficiency, "power": found.power}


def draw(folder, cloud, front):
    """Every engine of a grid, the front, and the two efficiencies of theory."""
    figure, ax = plt.subplots(figsize=(6.8, 4.6), layout="constrained")
    running = cloud["power"].values > 0
    ax.plot(cloud["efficiency"].values[running], 1e3 * cloud["power"].values[running], ".", ms=1.5, color="0.8")
    ax.plot([], [], "o", color="0.8", ms=4, label="engines of other spacings")
    order = np.argsort(front.outcomes[:, 0])
    ax.plot(front.outcomes[order, 0], 1e3 * front.outcomes[order, 1], "o-", color="#c0392b", label="front")
    ax.axvline(1 - COLD / HOT, color="k", lw=1.2, label="Carnot")
    ax.axvline(1 - np.sqrt(COLD / HOT), color="k", lw=1.2, ls="--", label="Curzon and Ahlborn")
    ax.set(xlabel="efficiency", ylabel="power × 10³", xlim=(0, 0.8), ylim=0)
    ax.legend(frameon=False, loc="upper left")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "17_efficiency_and_power.png", dpi=150)
    plt.close(figure)


def main(folder: pathlib.Path) -> fitting.ParetoFront:
    """The front and its ends."""
    front = fitting.pareto(
        engine,
        {"efficiency": fitting.maximize(), "power": fitting.maximize(1 / UNIT)},
        {"hot_gap": fitting.positive(3.0), "share": fitting.bounded(0.5, low=0.0, high=1.0)},
    )
    print(front)
    carnot, best = 1 - COLD / HOT, 1 - np.sqrt(COLD / HOT)
    (most, at_least), (least, at_most) = front.outcomes[0], front.outcomes[-1]
    print(f"most efficient: {most:.6f} of Carnot's {carnot:.4f}, at power {at_least:.4e}")
    print(f"strongest: power {at_most:.6e}, at efficiency {least:.4f} (Curzon and Ahlborn: {best:.4f})")
    gaps, shares = np.geomspace(0.3, 15.0, 120), np.linspace(0.01, 0.8, 120)
    draw(folder, qdb.sweep(engine, hot_gap=gaps, share=shares), front)
    return front


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
