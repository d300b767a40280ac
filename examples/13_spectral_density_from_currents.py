"""A spectral density from noisy heat currents
===========================================

Found as a neural network that knows nothing of its shape. Heat flows from a known bath through a qubit to an unknown
one; its current is measured, with 1 % noise, for 24 level spacings and two temperatures. J(ω) is an equinox module
like any other callable, positive by its last layer.

Run `python examples/13_spectral_density_from_currents.py [FOLDER]`.
"""

import pathlib
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb
from qdbjax import fitting

jax.config.update("jax_enable_x64", True)

SPACINGS, HOT, COLD, NOISE = np.linspace(0.4, 4.0, 24), 2.0, (0.3, 0.8), 0.01
HIDDEN = qdb.baths.Sum(qdb.Ohmic(0.004, cutoff=2.0), qdb.UnderdampedLorentzian(0.1, frequency=2.2, width=0.5))


class Network(eqx.Module):
    """J(ω) = 0.01 ω softplus(network(ln ω))."""

    layers: eqx.nn.MLP

    def __call__(self, frequency):
        size = jnp.log(jnp.maximum(frequency, 1e-6))
        return 0.01 * frequency * jax.nn.softplus(self.layers(size[None])[0])


def current(spacing, cold, density):
    """Heat per time from the known hot bath, through a qubit, into the unknown cold one."""
    baths = [
        qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=HOT, name="hot"),
        qdb.Bath(qdb.sigma_x(), density, temperature=cold, name="cold"),
    ]
    generator = qdb.davies(qdb.models.qubit(spacing), baths)
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def main(folder: pathlib.Path, steps: int = 300) -> None:
    """Measure, fit, compare."""
    spacing, cold = (x.reshape(-1) for x in np.meshgrid(SPACINGS, COLD, indexing="ij"))
    exact = np.asarray(jax.jit(jax.vmap(lambda w, t: current(w, t, HIDDEN)))(spacing, cold))
    error = NOISE * np.abs(exact)
    data = exact + error * np.random.default_rng(0).normal(size=exact.shape)

    def model(spacing, cold, density):
        return current(spacing, cold, qdb.baths.Custom(density))

    start = Network(eqx.nn.MLP(1, 1, 6, 1, activation=jnp.tanh, key=jax.random.key(1)))
    fit = qdb.fit(
        model,
        fitting.match(data, error=error),
        {"density": fitting.trainable(start)},
        over={"spacing": spacing, "cold": cold},
        steps=steps,
    )
    found = np.asarray(jax.vmap(fit.parameters["density"])(jnp.asarray(SPACINGS)))
    truth = np.asarray(HIDDEN(jnp.asarray(SPACINGS)))
    print(
        f"chi² per point {2 * fit.loss / len(data):.2f}; J off by {np.median(np.abs(found / truth - 1)):.1%} (median)"
    )
    print(f"all positive: {bool(np.all(found > 0))}; free reals {len(fit.identifiability.labels)}")
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(5.4, 6.6), layout="constrained")
    for temperature in COLD:
        one = cold == temperature
        upper.errorbar(spacing[one], data[one], error[one], fmt="o", ms=4, label=f"T = {temperature}")
        upper.plot(spacing[one], fit.outputs["value"][one], color="0.2")
    upper.set(xlabel="level spacing", ylabel="heat current")
    upper.legend(frameon=False)
    lower.plot(SPACINGS, truth, color="0.6", lw=4, label="hidden")
    lower.plot(SPACINGS, found, label="network")
    lower.set(xlabel="frequency", ylabel="J")
    lower.legend(frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "13_spectral_density_from_currents.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
