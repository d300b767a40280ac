"""Equal temperatures are not equilibrium
======================================

A chemical potential of bosonic fields drives three levels around. Two fields with one T and one μ. The quantum E_2 -
E_0 costs μ once, the way over level 1 twice: each turn has the affinity μ/T, whatever the couplings, and Onsager's
symmetry is lost with equilibrium.

Run `python examples/11_equal_temperatures.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TEMPERATURE = 0.8
REMOVALS = np.array([[0, 0.8, 0.5], [0, 0, 0.6], [0, 0, 0]]), np.array([[0, 0.3, 0.9], [0, 0, 0.4], [0, 0, 0]])
TURN = (((-1, 1, 0), (-1, 2, 1), (-1, 0, 2)),)  # 0 → 1 → 2 → 0 by any bath


def observe(mu):
    """Affinity and current of the turn, entropy production, and the asymmetry of the Onsager matrix."""
    fields = [
        qdb.Field(removal, qdb.Ohmic(0.04, cutoff=6.0), temperature=TEMPERATURE, chemical_potential=mu, name=name)
        for removal, name in zip(REMOVALS, ("left", "right"), strict=True)
    ]
    generator = qdb.davies(qdb.models.three_level([0.0, 1.0, 2.3]), fields)
    steady = qdb.steady_state(generator)
    cycle = qdb.balance.cycle_analysis(generator, steady, TURN)
    onsager = qdb.onsager_matrix(generator)
    return {
        "affinity": cycle.affinities[0],
        "turns": cycle.currents[0],
        "entropy_production": qdb.entropy_production(generator, steady),
        "asymmetry": jnp.linalg.norm(onsager - onsager.T) / jnp.linalg.norm(onsager),
    }


def main(folder: pathlib.Path, points: int = 61) -> None:
    """Sweep μ at one temperature."""
    data = qdb.sweep(observe, mu=jnp.linspace(-0.9, 0.0, points))
    at_zero, away = data.isel(mu=-1), data.isel(mu=0)
    print(f"mu = 0: affinity {float(at_zero.affinity):.0e}, Onsager asymmetry {float(at_zero.asymmetry):.0e}")
    print(
        f"mu = {float(away.mu):.1f}: affinity {float(away.affinity):.6f} = mu/T, entropy production "
        f"{float(away.entropy_production):.3e}, Onsager asymmetry {float(away.asymmetry):.3f}"
    )
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(5.4, 7.2), layout="constrained")
    data["mu"].attrs["long_name"] = "chemical potential μ"
    labels = {"turns": "turns per time", "entropy_production": "entropy per time", "asymmetry": "Onsager asymmetry"}
    for ax, (name, label) in zip(axes, labels.items(), strict=True):
        data[name].attrs["long_name"] = label
        qdb.plot_lines(data, name, ax=ax)
        ax.label_outer()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "11_equal_temperatures.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
