"""Efficiency at maximum power of a dot
====================================

A level between a hot and a cold lead turns heat into electric power, each electron the same heat: tight coupling. At
the largest power over level and voltage the efficiency is
η = η_C/2 + η_C²/8 + [7 + csch²(a/2)] η_C³/96 + … with a tanh(a/2) = 2, a = 2.39936.

*Source:* M. Esposito, K. Lindenberg, C. Van den Broeck, EPL 85, 60010 (2009). The maximum is found by Newton's method
on the exact second derivatives of the stationary current.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

RATE, OPTIMUM = 1e-2, 2.399357280515
TOLERANCE = 3e-4  # the next order at η_C = 0.1, the first at η_C = 0.001


def published(carnot):
    """Efficiency at maximum power to third order."""
    return carnot / 2 + carnot**2 / 8 + (7 + 1 / np.sinh(OPTIMUM / 2) ** 2) / 96 * carnot**3


def power(where, carnot):
    """Power per rate; where = (level - μ_hot)/T_hot and (level - μ_cold)/T_cold, T_hot = 1."""
    cold = 1 - carnot
    voltage = where[0] - cold * where[1]
    leads = [
        qdb.Lead(
            qdb.fermion_destroy(0, 1),
            qdb.Flat(RATE / (2 * np.pi)),
            temperature=temperature,
            chemical_potential=potential,
            name=name,
        )
        for temperature, potential, name in ((1.0, 0.0, "hot"), (cold, voltage, "cold"))
    ]
    generator = qdb.davies(qdb.models.quantum_dot(where[0]), leads)
    return voltage * qdb.particle_currents(generator, qdb.steady_state(generator))[0] / RATE


def optimal(carnot):
    """Newton from the linear regime, six steps, for one Carnot efficiency."""

    def slope_twice(where):
        slope = jax.jacfwd(power)(where, carnot)
        return slope, slope

    def step(where, _):
        curvature, slope = jax.jacfwd(slope_twice, has_aux=True)(where)
        a, b, c = curvature[0, 0], curvature[0, 1], curvature[1, 1]
        move = jnp.stack([c * slope[0] - b * slope[1], a * slope[1] - b * slope[0]]) / (a * c - b * b)
        return where - move, None

    start = OPTIMUM + 0.5 * carnot * jnp.array([-1.0, 1.0])
    where, _ = jax.lax.scan(step, start, None, length=6)
    return {"efficiency": 1 - (1 - carnot) * where[1] / where[0], "level": where[0]}


def main(folder: pathlib.Path) -> dict:
    """Efficiency at maximum power over Carnot's."""
    carnot = np.concatenate([[1e-3], np.linspace(0.02, 0.6, 30)])
    data = qdb.sweep(optimal, carnot=carnot)
    ours, theirs = data["efficiency"].values, published(carnot)
    level = float(data["level"][0])
    print(f"level at maximum power {level:.6f}, published {OPTIMUM:.6f} as Carnot's efficiency vanishes")
    print(f"η_C = {carnot[5]:.2f}: efficiency {ours[5]:.8f}, published {theirs[5]:.8f}")
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(carnot, ours, color="#0072b2", label="at maximum power")
    ax.plot(carnot, theirs, "--", color="#d55e00", label="to third order")
    ax.plot(carnot, 1 - np.sqrt(1 - carnot), ":", color="0.4", label="Curzon and Ahlborn")
    ax.plot(carnot, carnot, color="0.7", lw=0.8, label="Carnot")
    ax.set(xlabel="Carnot's efficiency", ylabel="efficiency", title="A dot as a heat engine at its largest power")
    ax.legend(frameon=False)
    figure.savefig(folder / "efficiency_at_maximum_power.png", dpi=150)
    plt.close(figure)
    return {"efficiency": (ours[5], theirs[5]), "level": (level, OPTIMUM)}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
