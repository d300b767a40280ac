"""Cooling window of the absorption refrigerator
=============================================

Three levels cool by heat alone while ω_c/ω_h stays below Carnot's coefficient of performance,
(1 - T_r/T_h) T_c/(T_r - T_c): there, and not before, the cooling current vanishes, and the machine works reversibly.

*Source:* J. P. Palao, R. Kosloff, J. M. Gordon, Phys. Rev. E 64, 056130 (2001): the cooling window. The edge is found
in ever finer grids.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

COLD, HOT, ROOM, HOT_GAP = 0.8, 3.0, 1.0, 2.0
PUBLISHED = HOT_GAP * (1 - ROOM / HOT) * COLD / (ROOM - COLD)
TOLERANCE = 1e-10


def cooling(cold_gap):
    """Heat per time from the cold bath."""
    energies = jnp.stack([jnp.zeros_like(cold_gap), cold_gap, cold_gap + HOT_GAP])
    generator = qdb.davies(*qdb.models.absorption_refrigerator(energies, [COLD, HOT, ROOM]))
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def main(folder: pathlib.Path) -> dict:
    """The cooling power, and the edge of the window in ever finer grids of the same size: one compiled program."""
    low, high, maps = 0.1, 7.0, []
    for _ in range(5):
        data = qdb.sweep(cooling, cold_gap=np.linspace(low, high, 200))
        gaps, power = data["cold_gap"].values, data["cooling"].values
        maps.append((gaps, power))
        last = int(np.flatnonzero(power > 0)[-1])
        low, high = gaps[last], gaps[last + 1]
    edge = float(low + (high - low) * power[last] / (power[last] - power[last + 1]))
    gaps, power = maps[0]
    print(f"cooling ends at a cold gap of {edge:.12f}; published {PUBLISHED:.12f}")
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(gaps, 1e3 * power)
    ax.axhline(0, color="0.6", lw=0.8)
    ax.axvline(PUBLISHED, color="#d55e00", ls="--", label="Carnot's bound is reached")
    ax.set(xlabel="cold gap", ylabel="cooling power × 10³", title="Absorption refrigerator: cooling window")
    ax.legend(frameon=False)
    figure.savefig(folder / "absorption_refrigerator_window.png", dpi=150)
    plt.close(figure)
    return {"edge": (edge, PUBLISHED)}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
