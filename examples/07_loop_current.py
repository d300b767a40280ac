"""Persistent current in equilibrium
=================================

Probability that goes round three dots in one gas at one temperature, over flux and temperature.

Run `python examples/07_loop_current.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

GAS = {"potential": np.diag([1.0, 0.7, 1.5]), "density": 1.0, "mass": 1.0}


def loop_current(flux, temperature):
    """Probability per time that goes round the three levels of a ring of quantum dots, K₁₂ = K₂₀ = K₀₁."""
    system = qdb.models.three_dot_ring(tunneling=-0.5 / np.sqrt(3), flux=flux)
    generator = qdb.low_density(system, qdb.Gas(**GAS, temperature=temperature))
    return qdb.balance.probability_currents(generator)[1, 2]


def main(folder: pathlib.Path, points: int = 400) -> None:
    """A map of points × points."""
    axes = {"temperature": jnp.linspace(0.05, 4.0, points), "flux": jnp.linspace(0.0, 3.0, points)}
    data = qdb.sweep(loop_current, axes=axes)
    data["loop_current"].attrs["long_name"] = "loop current in equilibrium"
    peak = data["loop_current"].argmax(["temperature", "flux"])
    place = ", ".join(f"{name} {float(data[name][index]):.2f}" for name, index in peak.items())
    rate = data.attrs["points_per_second"]
    print(f"largest loop current {float(data['loop_current'].max()):.3e} at {place}; {qdb.explain(data['status'])}")
    print(f"{rate:,.0f} points/s after {data.attrs['compile_seconds']:.1f} s of compilation")
    plot = qdb.plot_map(data, "loop_current", crossings={"flux": [0.5, 1.0, 1.5, 2.0, 2.5]})
    folder.mkdir(parents=True, exist_ok=True)
    plot.figure.savefig(folder / "07_loop_current.png", dpi=150)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
