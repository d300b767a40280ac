"""Cooling by heat alone, and where the second law ends it
=======================================================

Without leak all currents of a three-level refrigerator are one, J_cold/J_hot = ω_cold/ω_hot: it cools until this
ratio reaches Carnot's COP, and stands still there. With a leak it stops before.

Run `python examples/09_refrigerator_map.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb
from qdbjax import thermodynamics

jax.config.update("jax_enable_x64", True)

COLD, ROOM, HOT_GAP, LEAK = 1.0, 1.5, 2.0, 0.08


def refrigerator(leak, cold_gap, hot_temperature):
    """Heat per time out of the cold bath (on 0-1), and its ratio to that out of the hot one (on 1-2)."""
    energies = jnp.stack([jnp.zeros_like(cold_gap), cold_gap, cold_gap + HOT_GAP])
    temperatures = jnp.stack([jnp.full_like(cold_gap, COLD), hot_temperature, jnp.full_like(cold_gap, ROOM)])
    machine = qdb.models.absorption_refrigerator(energies, temperatures, strengths=1e-3, leak=leak)
    generator = qdb.davies(*machine)
    found = thermodynamics.performance(generator, qdb.steady_state(generator), cold="cold", hot="hot")
    return {"cooling": found.heat_currents[0], "coefficient": found.coefficient, "bound": found.carnot_coefficient}


def main(folder: pathlib.Path, points: int = 200) -> None:
    """Maps over level spacing and hot temperature, with the line on which ω_cold/ω_hot is Carnot's COP."""
    import matplotlib.pyplot as plt

    temperatures, gaps = np.linspace(1.6, 8.0, points), np.linspace(0.1, 4.0, points)
    data = qdb.sweep(refrigerator, leak=[0.0, LEAK], cold_gap=gaps, hot_temperature=temperatures)
    data["cooling"].attrs["long_name"] = "heat per time out of the cold bath"
    data["hot_temperature"].attrs["long_name"] = "temperature of the hot bath"
    data["cold_gap"].attrs["long_name"] = "level spacing at the cold bath"
    used = (data["coefficient"] / data["bound"]).where(data["cooling"] > 0).max(["cold_gap", "hot_temperature"])
    for n, leak in enumerate((0.0, LEAK)):
        largest = float(data["cooling"][n].max())
        print(f"leak {leak}: largest cooling {largest:.3e}, COP up to {float(used[n]):.3f} of Carnot's")
    print(qdb.explain(data["status"]))

    carnot = HOT_GAP * (1 - ROOM / temperatures) * COLD / (ROOM - COLD)
    figure, panels = plt.subplots(2, 1, figsize=(4.6, 7.2), sharex=True, layout="constrained")
    for panel, leak in zip(panels, (0.0, LEAK), strict=True):
        title = f"leak {leak}" if leak else "no leak"
        qdb.plot_map(data, "cooling", select={"leak": leak}, title=title, ax=panel)
        panel.plot(temperatures, carnot, "k--", lw=1.3, label=r"$\omega_c/\omega_h$ = Carnot's COP")
        if leak:
            panel.contour(temperatures, gaps, data["cooling"].sel(leak=leak), levels=[0.0], colors="k", linewidths=1.3)
            panel.plot([], [], "k-", lw=1.3, label="cooling ends")
        panel.legend(loc="upper left", framealpha=0.9)
        panel.set_ylim(gaps[0], gaps[-1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "09_refrigerator_map.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
