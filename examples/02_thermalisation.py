"""Thermalisation of a qubit
=========================

Populations, coherence with its Lamb shift, and entropy production on the way to the Gibbs state.

Run `python examples/02_thermalisation.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)


def main(folder: pathlib.Path) -> None:
    """Evolve, print the two relaxation times, and draw what happens on the way."""
    import matplotlib.pyplot as plt

    bath = qdb.Bath(qdb.sigma_x() + 0.3 * qdb.sigma_z(), qdb.Ohmic(0.01, cutoff=10.0), temperature=0.5)
    generator = qdb.davies(qdb.models.qubit(1.0), bath, lamb_shift=True)
    print(qdb.relaxation(generator))

    # 90 % of (|up⟩ + |down⟩)/√2 and 10 % of nothing known: a pure state would produce entropy at an infinite rate.
    rho0 = 0.5 * np.array([[1.0, 0.9], [0.9, 1.0]])
    times = np.linspace(0.0, 60.0, 400)
    run = qdb.evolve(generator, rho0, times, observables={"x": qdb.sigma_x(), "z": qdb.sigma_z()})
    print(run)
    production = jax.vmap(lambda rho: qdb.entropy_production(generator, rho))(run.density_matrix)
    thermal = qdb.gibbs(qdb.models.qubit(1.0), temperature=0.5).density_matrix
    distance = jax.vmap(lambda rho: qdb.relative_entropy(rho, thermal))(run.density_matrix)
    produced = jnp.trapezoid(production, times)
    print(f"entropy produced {produced:.6f} nats, relative entropy to Gibbs lost {distance[0] - distance[-1]:.6f} nats")

    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(6, 6), layout="constrained")
    upper.plot(times, run.expectations["x"], label=r"$\langle\sigma_x\rangle$", lw=0.8)
    upper.plot(times, run.expectations["z"], label=r"$\langle\sigma_z\rangle$")
    upper.axhline(-np.tanh(1.0), color="0.6", ls=":", label=r"$-\tanh(\omega_0/2T)$")
    upper.legend()
    lower.semilogy(times, production, label=r"entropy production $\dot\Sigma$")
    lower.semilogy(times, distance, label=r"$S(\rho\,\|\,\rho_\mathrm{Gibbs})$")
    lower.set_xlabel(r"time ($1/\omega_0$)")
    lower.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "02_thermalisation.png", dpi=150)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
