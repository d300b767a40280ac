"""A dark state
============

A V-type three-level system of which one combination never decays: where it ends depends on where it starts.

Run `python examples/04_dark_state.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

SYSTEM = np.diag([0.0, 1.0, 1.0])
COUPLING = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
STARTS = {"bright": [0.0, 1.0, 1.0], "dark": [0.0, 1.0, -1.0], "one level": [0.0, 1.0, 0.0]}


def main(folder: pathlib.Path) -> None:
    """Both upper levels couple in phase; their difference never decays."""
    import matplotlib.pyplot as plt

    bath = qdb.Bath(COUPLING, qdb.Ohmic(0.02, cutoff=5.0), temperature=0.3)
    generator = qdb.davies(SYSTEM, bath)
    print(qdb.explain(qdb.steady_state(generator).status))  # nonunique: there is no one answer
    times = np.linspace(0.0, 40.0, 200)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, ket in STARTS.items():
        ket = np.array(ket) / np.linalg.norm(ket)
        run = qdb.evolve(generator, ket, times, observables={"excited": np.diag([0.0, 1.0, 1.0])})
        end = qdb.asymptotic_state(generator, ket)
        rest = float(np.real(np.trace(np.diag([0.0, 1.0, 1.0]) @ np.asarray(end.density_matrix))))
        print(f"{name:9s} excited at t = 40: {float(run.expectations['excited'][-1]):.6f}, for ever: {rest:.6f}")
        (line,) = axes.plot(times, run.expectations["excited"], label=name)
        axes.axhline(rest, color=line.get_color(), ls=":")
    axes.set_xlabel("time (1/level spacing)")
    axes.set_ylabel("population of the upper levels")
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "04_dark_state.png", dpi=150)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
