"""Noise of a quantum dot, and what precision costs
================================================

At zero bias the noise is 2 T times the conductance; beyond, the Fano factor falls from infinity to that of two
barriers in turn, and the uncertainty ratio, noise times entropy production over twice the current squared, never falls
below 1 (thermodynamic uncertainty relation).

Run `python examples/12_noise_and_precision.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TEMPERATURE, LEVEL, LEFT, RIGHT = 0.05, 0.1, 1e-3, 2e-3


def observe(bias):
    """Current, noise, Fano factor, uncertainty ratio and conductance of a dot between two leads."""
    leads = [
        qdb.Lead(
            qdb.fermion_destroy(0, 1),
            qdb.Flat(rate),
            temperature=TEMPERATURE,
            chemical_potential=sign * bias,
            name=name,
        )
        for rate, sign, name in ((LEFT, 0.5, "left"), (RIGHT, -0.5, "right"))
    ]
    generator = qdb.davies(qdb.models.quantum_dot(LEVEL), leads)
    steady = qdb.steady_state(generator)
    current, noise, third = qdb.cumulants(generator, steady, "left", of="particles", order=3)
    return {
        "current": current,
        "noise": noise,
        "skewness": third,
        "fano_factor": qdb.thermodynamics.fano_factor(generator, steady, "left"),
        "uncertainty_ratio": qdb.thermodynamics.uncertainty_ratio(generator, steady, "left", of="particles"),
        "conductance": qdb.thermodynamics.conductances(generator)[0, 0],
    }


def main(folder: pathlib.Path, points: int = 121) -> None:
    """Sweep the bias; compare its ends with what is known."""
    data = qdb.sweep(observe, bias=jnp.linspace(0.0, 1.2, points))
    rest, far = data.isel(bias=0), data.isel(bias=-1)
    johnson = float(rest.noise / (2 * TEMPERATURE * rest.conductance))
    two_barriers = (LEFT**2 + RIGHT**2) / (LEFT + RIGHT) ** 2
    print(f"zero bias: noise = {johnson:.12f} · 2 T conductance")
    print(f"large bias: Fano factor {float(far.fano_factor):.6f}, two barriers in turn {two_barriers:.6f}")
    print(f"smallest uncertainty ratio {float(data.uncertainty_ratio[1:].min()):.6f} >= 1")
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(5.4, 7.2), layout="constrained")
    labels = {"current": "current", "fano_factor": "Fano factor", "uncertainty_ratio": "uncertainty ratio"}
    for ax, (name, label) in zip(axes, labels.items(), strict=True):
        data[name].attrs["long_name"] = label
        qdb.plot_lines(data.isel(bias=slice(1, None)), name, ax=ax)
        ax.label_outer()
    axes[1].set_yscale("log")
    axes[2].axhline(1.0, color="0.6", ls="--")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "12_noise_and_precision.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
