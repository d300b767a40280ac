"""Three-level maser as a heat engine
==================================

Each quantum ε₂ - ε₀ from the hot bath gives ε₁ - ε₀ of work: η = 2/3 here, whatever the temperatures. Inversion, and
with it power, sets in at T_h/T_c = (ε₂ - ε₀)/(ε₂ - ε₁), where that efficiency is Carnot's.

*Source:* H. E. D. Scovil, E. O. Schulz-DuBois, Phys. Rev. Lett. 2, 262 (1959): efficiency and threshold. The work
reservoir is a bath of temperature 10⁹ cold ones, whose energy brings no entropy.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

ENERGIES, COLD, WORK = [0.0, 2.0, 3.0], 1.0, 1e9
PUBLISHED = {"efficiency": 2 / 3, "threshold": 3.0}
TOLERANCE = 1e-8


def engine(hot):
    """Power and efficiency at a temperature of the hot bath."""
    generator = qdb.davies(
        *qdb.models.three_level_maser(ENERGIES, jnp.stack([hot, COLD, WORK]), strengths=[1, 1, 1e-8])
    )
    heat = qdb.heat_currents(generator, qdb.steady_state(generator))
    return {"power": -heat[2], "efficiency": -heat[2] / heat[0]}


def main(folder: pathlib.Path) -> dict:
    """Efficiency at one temperature; the threshold by bisection."""
    efficiency = float(engine(5.0)["efficiency"])
    low, high = 2.0, 5.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if engine(middle)["power"] > 0 else (middle, high)
    print(f"efficiency {efficiency:.12f}, published {PUBLISHED['efficiency']:.12f}")
    print(f"power from T_h/T_c = {low:.9f} on, published {PUBLISHED['threshold']}")
    hot = jnp.linspace(1.0, 10.0, 120)
    power = qdb.sweep(engine, hot=hot)["power"].values
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(hot, power / abs(power).max(), label="power / largest")
    ax.plot(hot, 1 - COLD / hot, label="Carnot's efficiency", color="0.4", ls=":")
    ax.axhline(PUBLISHED["efficiency"], color="#009e73", label="efficiency 2/3", lw=1)
    ax.axvline(PUBLISHED["threshold"], color="#d55e00", ls="--", label="threshold")
    ax.set(xlabel="$T_h/T_c$", ylabel="power or efficiency", title="Three-level maser", ylim=(-1.1, 1.1))
    ax.legend(frameon=False)
    figure.savefig(folder / "three_level_maser.png", dpi=150)
    plt.close(figure)
    return {"efficiency": (efficiency, PUBLISHED["efficiency"]), "threshold": (low, PUBLISHED["threshold"])}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
