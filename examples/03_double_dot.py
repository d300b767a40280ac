"""Stability diagram of a double dot
=================================

Current between two leads against both levels; the two bias triangles are a repulsion apart.

Run `python examples/03_double_dot.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TUNNELLING, REPULSION, BIAS, TEMPERATURE = 0.05, 1.0, 0.4, 0.02
LEFT, RIGHT = qdb.fermion_destroy(0, 2), qdb.fermion_destroy(1, 2)


def current(left_level, right_level):
    """Particles per time from the left lead through both dots into the right one."""
    system = qdb.models.double_dot([left_level, right_level], TUNNELLING, REPULSION)
    leads = [
        qdb.Lead(LEFT, qdb.Flat(1e-3), temperature=TEMPERATURE, chemical_potential=0.5 * BIAS, name="left"),
        qdb.Lead(RIGHT, qdb.Flat(1e-3), temperature=TEMPERATURE, chemical_potential=-0.5 * BIAS, name="right"),
    ]
    generator = qdb.davies(system, leads)
    return qdb.particle_currents(generator, qdb.steady_state(generator))[0]


def main(folder: pathlib.Path, points: int = 160) -> None:
    """Sweep both levels; the two bias triangles are a repulsion apart."""
    levels = jnp.linspace(-1.5, 0.6, points)
    data = qdb.sweep(current, left_level=levels, right_level=levels)
    largest = data["current"].max()
    print(f"largest current {float(largest):.3e}; {qdb.explain(data['status'])}")
    data["current"].attrs["long_name"] = "current through both dots"
    data["left_level"].attrs["long_name"] = "level of the left dot"
    data["right_level"].attrs["long_name"] = "level of the right dot"
    axes = qdb.plot_map(data, "current")
    folder.mkdir(parents=True, exist_ok=True)
    axes.figure.savefig(folder / "03_double_dot.png", dpi=150)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
