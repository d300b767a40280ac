"""Balance reports
===============

What a referee asks: a qubit in one bath and three levels between two, each with its balance report.

Run `python examples/10_balance_reports.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

COUPLING = np.array([[0.2, 0.8, 0.5], [0.8, -0.1, 0.6], [0.5, 0.6, 0.4]])


def thermal_qubit():
    """One bath: equilibrium."""
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=0.7, name="bath")
    return qdb.davies(qdb.models.qubit(1.0), bath)


def driven_three_levels():
    """Two baths: each in detailed balance, both together not."""
    hot = qdb.Bath(COUPLING, qdb.Ohmic(0.02, cutoff=6.0), temperature=1.5, name="hot")
    cold = qdb.Bath(COUPLING @ COUPLING, qdb.Ohmic(0.02, cutoff=6.0), temperature=0.4, name="cold")
    return qdb.davies(qdb.models.three_level([0.0, 1.0, 2.3]), [hot, cold])


def main(folder: pathlib.Path) -> None:
    """Both reports, and what circulates."""
    figure, axes = plt.subplots(2, 1, figsize=(4.4, 7.2), layout="constrained", height_ratios=(1, 2))
    for ax, generator in zip(axes, (thermal_qubit(), driven_three_levels()), strict=True):
        print(qdb.balance_report(generator), end="\n\n")
        qdb.plot_levels(generator, ax=ax)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "10_balance_reports.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
