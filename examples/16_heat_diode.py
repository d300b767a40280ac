"""A filter that makes a heat diode
================================

Between two Ohmic baths two qubits that differ by a tenth rectify little, and the wrong way. A damped mode in front of
the left one lets it flip mostly while its neighbour is up: its frequency and width are fitted to the largest
rectification that still carries a given forward current.

Run `python examples/16_heat_diode.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb
from qdbjax import fitting

jax.config.update("jax_enable_x64", True)

SPLITTINGS, COUPLING = (1.0, 1.1), 0.2
HOT, COLD = 2.0, 0.3
HEIGHT, LEAST = 0.02, 4e-4  # J at the middle of the filter; forward heat current that must remain
OPEN = qdb.Ohmic(0.01, cutoff=20.0)


def mode(frequency, width):
    """A damped mode whose J is HEIGHT at its frequency, whatever its width."""
    return qdb.UnderdampedLorentzian(jnp.sqrt(HEIGHT * width * frequency), frequency, width)


def device(density, left, right):
    """Two qubits between baths of two temperatures, the left one behind a given J(ω)."""
    temperatures = jnp.stack([left, right])
    system, baths = qdb.models.heat_rectifier(SPLITTINGS, COUPLING, temperatures, strengths=0.01)
    filtered = qdb.Bath(baths[0].coupling, density, temperature=left, name="left")
    return qdb.davies(system, [filtered, baths[1]])


def heat(density, left, right):
    """Heat per time from the left bath in the stationary state."""
    generator = device(density, left, right)
    return qdb.heat_currents(generator, qdb.steady_state(generator, qdb.solvers.Populations()))[0]


def diode(density):
    """Heat with the hot bath on the left, with it on the right, and the rectification |J_f + J_b|/max(|J_f|, |J_b|)."""
    temperatures = jnp.array([[HOT, COLD], [COLD, HOT]])
    forward, backward = jax.vmap(lambda pair: heat(density, *pair))(temperatures)
    return forward, backward, jnp.abs(forward + backward) / jnp.maximum(jnp.abs(forward), jnp.abs(backward))


def model(frequency, width):
    """What the fit weighs: rectification, and the forward current in units of what must remain."""
    forward, _, coefficient = diode(mode(frequency, width))
    return {"rectification": coefficient, "forward": forward / LEAST}


def draw(folder, filters):
    """Filters over the spectrum, and the heat current over the temperature difference."""
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(5.4, 7.0), layout="constrained")
    frequencies, differences = np.linspace(0.01, 2.5, 400), np.linspace(COLD - HOT, HOT - COLD, 81)
    middle = 0.5 * (HOT + COLD)

    for (label, density), colour in zip(filters.items(), ("0.6", "#d68910", "#c0392b"), strict=True):
        upper.plot(frequencies, density(jnp.asarray(frequencies)), color=colour, label=label)
        carried = jax.jit(jax.vmap(heat, (None, 0, 0)))(density, middle + differences / 2, middle - differences / 2)
        lower.plot(differences, 1e3 * carried, color=colour, label=label)
    for sign in (-1, 1):
        flips = SPLITTINGS[0] + sign * 2 * COUPLING
        upper.axvline(flips, color="0.8", lw=1, zorder=0)
        neighbour = "up" if sign > 0 else "down"
        place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
        upper.annotate(f"right qubit {neighbour}", (flips, 1), **place)
    upper.set(xlabel="frequency (lines: flips of the left qubit)", ylabel="J of the left bath")
    lower.axhline(0, color="0.8", lw=1, zorder=0)
    lower.axhline(1e3 * LEAST, color="0.5", ls=":", label="must remain")
    lower.set(xlabel="temperature difference, left - right", ylabel="heat current × 10³")
    upper.legend(frameon=False)
    lower.legend(frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "16_heat_diode.png", dpi=150)
    plt.close(figure)


def main(folder: pathlib.Path) -> fitting.Fit:
    """Fit the filter and compare it with none, and with the one it began as."""
    start = {"frequency": 1.2, "width": 0.5}
    fit = qdb.fit(
        model,
        {"rectification": fitting.maximize(), "forward": fitting.at_least(1.0)},
        {name: fitting.positive(value) for name, value in start.items()},
    )
    print(f"filter: {fit}")
    filters = {"no filter": OPEN, "filter, before": mode(**start), "filter, after": mode(**fit.parameters)}
    for label, density in filters.items():
        forward, backward, coefficient = jax.jit(diode)(density)
        print(f"{label}: rectification {coefficient:.6f}, heat {forward:.6e} and {backward:.6e}")
    draw(folder, filters)
    return fit


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
