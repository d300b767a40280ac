"""Filtered light inverts a population
===================================

A reservoir that is hot at some frequencies and cold at others. Hot light falls on three cold levels through a filter:
n(ω) is a mixture of two Planck distributions, hence one inverse temperature β(ω) for each frequency. Centre and width
of the filter are fitted to wanted populations, level 1 fuller than the ground state. Without the transition 0-1 each
ratio would be e^{-β(ω)ω} exactly and nothing would flow; with it heat goes round, driven by this one reservoir, and
the ratio is smaller.

Run `python examples/15_population_inversion.py [FOLDER]`.
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

ENERGIES, WANTED = np.array([0.0, 1.0, 2.5]), [0.25, 0.60, 0.15]
COLD, HOT, WEAK = 0.3, 6.0, 0.3  # temperatures of surroundings and light; coupling of the transition 0-1


class FilteredLight(eqx.Module):
    """β(ω) of cold surroundings into which a Lorentzian filter lets hot light."""

    centre: jax.Array
    width: jax.Array

    def __call__(self, frequency):
        frequency = jnp.maximum(frequency, 1e-6)
        passed = 1 / (1 + ((frequency - self.centre) / self.width) ** 2)
        quanta = (1 - passed) / jnp.expm1(frequency / COLD) + passed / jnp.expm1(frequency / HOT)
        return jnp.log1p(1 / quanta) / frequency


def flip(m, n):
    """|m⟩⟨n| + h.c."""
    return qdb.transition(m, n, 3) + qdb.transition(n, m, 3)


def lit(light, weak):
    """Three levels in the light: transitions 0-2 and 1-2, and 0-1 as strongly as given."""
    coupling = flip(0, 2) + flip(1, 2) + weak * flip(0, 1)
    bath = qdb.Bath(coupling, qdb.Ohmic(0.01, cutoff=10.0), inverse_temperature=light, name="light")
    return qdb.davies(qdb.models.three_level(ENERGIES), bath)


def populations(light, weak=WEAK):
    """Of the stationary state."""
    return qdb.steady_state(lit(light, weak), qdb.solvers.Populations()).populations


def without_loop(light):
    """p₁/p₀ = e^{-β(ω)ω} of 0-2 over that of 1-2, exact where 0-1 is not driven."""
    pump, decay = ENERGIES[2] - ENERGIES[0], ENERGIES[2] - ENERGIES[1]
    return float(jnp.exp(light(decay) * decay - light(pump) * pump))


def draw(folder, lights, weak, ratios):
    """Local temperatures before and after, populations, and what the transition 0-1 takes away."""
    figure, axes = plt.subplots(3, 1, figsize=(5.4, 9.0), layout="constrained")
    frequencies = np.linspace(0.5, 4.0, 400)
    for light, label, colour in zip(lights, ("before", "after"), ("0.6", "#c0392b"), strict=True):
        axes[0].plot(frequencies, 1 / jax.vmap(light)(jnp.asarray(frequencies)), color=colour, label=label)
        shift = -0.2 if label == "before" else 0.2
        axes[1].bar(np.arange(3) + shift, populations(light), 0.38, color=colour, label=label)
    for m, n in ((0, 1), (1, 2), (0, 2)):
        gap = ENERGIES[n] - ENERGIES[m]
        axes[0].axvline(gap, color="0.8", lw=1, zorder=0)
        axes[0].annotate(f"{m}-{n}", (gap, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom")
    axes[0].set(xlabel="frequency", ylabel="local temperature 1/β(ω)")
    axes[1].plot(range(3), WANTED, "k_", ms=34, label="wanted")
    axes[1].set(xticks=range(3), xlabel="level", ylabel="population")
    axes[2].plot(weak, ratios, color="#c0392b", label="stationary state")
    axes[2].axhline(without_loop(lights[1]), color="0.3", ls="--", label="local temperatures, no loop")
    axes[2].axhline(1.0, color="0.8", lw=1)
    axes[2].plot(WEAK, WANTED[1] / WANTED[0], "ko", label="fitted")
    axes[2].set(xlabel="coupling of the transition 0-1", ylabel="$p_1/p_0$", ylim=0)
    for ax in axes:
        ax.legend(frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "15_population_inversion.png", dpi=150)
    plt.close(figure)


def main(folder: pathlib.Path) -> fitting.Fit:
    """Fit the filter, compare with closed forms, report what keeps the inversion up."""
    start = FilteredLight(jnp.asarray(2.2), jnp.asarray(0.5))
    free = fitting.leaves(start, (lambda x: x.centre, fitting.positive), (lambda x: x.width, fitting.positive))
    fit = qdb.fit(populations, fitting.match(WANTED), {"light": free})
    light = fit.parameters["light"]
    print(f"filter: {fit}\n")
    weak = np.linspace(0.0, 1.0, 41)
    levels = np.asarray(jax.jit(jax.vmap(lambda x: populations(light, x)))(weak))
    ratios = levels[:, 1] / levels[:, 0]
    print(f"p1/p0 without 0-1: {ratios[0]:.9f}; by local temperatures: {without_loop(light):.9f}\n")
    print(qdb.balance_report(lit(light, WEAK)))
    draw(folder, (start, light), weak, ratios)
    return fit


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
