"""The thermodynamic uncertainty relation on a ring
================================================

A ring of N states with equal rates forwards and equal ones backwards produces the entropy A in every turn, and
precision is bought with it: with the mean and the variance of a current and σ, all per time, var · σ/mean² = (A/N)
coth(A/2N) ≥ 2. The bound 2 is reached near equilibrium. Chains are classical; coherence goes below
(:doc:`/gallery/published/uncertainty_relation_violated`).

*Source:* A. C. Barato, U. Seifert, Phys. Rev. Lett. 114, 158101 (2015): the bound, and the unicyclic network.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

STATES = 3
TOLERANCE = 1e-9


def published(affinity):
    """Price of precision."""
    return affinity / STATES / np.tanh(affinity / (2 * STATES))


def price(affinity):
    """var · σ/mean² of the energy that the first step takes in, one unit each time."""
    forward, backward = jnp.exp(0.5 * affinity / STATES), jnp.exp(-0.5 * affinity / STATES)
    tables = []
    for n in range(STATES):
        ahead, back = np.zeros((STATES, STATES)), np.zeros((STATES, STATES))
        ahead[(n + 1) % STATES, n] = back[n, (n + 1) % STATES] = 1.0
        tables.append(forward * ahead + backward * back)
    chain = qdb.pauli([0.0, 1.0, 3.0], jnp.stack([tables[0], tables[1] + tables[2]]))
    mean, noise = qdb.cumulants(chain, None, 0, order=2)
    return noise * affinity / mean  # σ = affinity · mean, a turn for each unit


def main(folder: pathlib.Path) -> dict:
    """The price over the affinity of a turn."""
    affinities = np.linspace(0.1, 30.0, 60)
    ours = qdb.sweep(price, affinity=affinities)["price"].values
    theirs = published(affinities)
    print(f"A = {affinities[20]:.3f}: {ours[20]:.10f}, published {theirs[20]:.10f}; smallest {ours.min():.6f} >= 2")
    assert ours.min() >= 2
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(affinities, ours, label="counting")
    ax.plot(affinities[::5], theirs[::5], "o", ms=4, color="#d55e00", label="closed form")
    ax.axhline(2, color="0.4", ls="--", label="bound")
    ax.set(xlabel="affinity of a turn", ylabel="var · σ/mean²", title="What precision costs on a ring", ylim=0)
    ax.legend(frameon=False)
    figure.savefig(folder / "uncertainty_relation.png", dpi=150)
    plt.close(figure)
    return {"price": (ours[20], theirs[20])}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
