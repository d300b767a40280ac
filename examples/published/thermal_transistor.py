"""Thermal transistor
==================

Three qubits in a row, emitter, base, collector, coupled by σ_zσ_z: the heat that the base takes steers a much larger
current between the other two. The gain, the size of ∂J_E/∂J_B, computed exactly, is above one over a wide range of
base temperatures.

*Source:* K. Joulain, J. Drevillon, Y. Ezzahri, J. Ordonez-Miranda, Phys. Rev. Lett. 116, 200601 (2016): two equal
couplings, none between emitter and collector, T_E = 0.2 and T_C = 0.02 of 2g in g σ_zσ_z; gain above one. A small
splitting breaks the symmetry of all spins up and down, which would leave two stationary states. Beside it: the rates
in NumPy, differenced.
"""

import itertools
import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

EMITTER, COLLECTOR, SPLITTING, COUPLING, STRENGTH, CUTOFF = 0.2, 0.02, 0.02, 0.5, 0.01, 20.0
TOLERANCE = 1e-4  # of the difference quotient


def currents(base):
    """Heat per time from emitter, base and collector."""
    machine = qdb.models.heat_transistor(
        [SPLITTING] * 3,
        [COUPLING, COUPLING, 0.0],
        jnp.stack([EMITTER, base, COLLECTOR]),
        strengths=STRENGTH,
        cutoff=CUTOFF,
    )
    generator = qdb.davies(*machine)
    return qdb.heat_currents(generator, qdb.steady_state(generator))


def gain(base):
    """|∂J_E/∂J_B|, what `thermodynamics.amplification` gives, and the three currents, in one pass."""
    heat, slopes = jax.jvp(currents, (base,), (jnp.ones_like(base),))
    return {"gain": jnp.abs(slopes[0] / slopes[1]), "heat": heat}


def by_rates(base):
    """The currents from golden-rule rates of eight states in NumPy."""
    states = np.array(list(itertools.product((1, -1), repeat=3)))
    energy = 0.5 * SPLITTING * states.sum(1) + COUPLING * (states[:, 0] + states[:, 2]) * states[:, 1]
    rates = np.zeros((3, 8, 8))
    for (m, a), (n, b) in itertools.permutations(enumerate(states), 2):
        if np.abs(a - b).sum() == 2:  # one spin differs
            qubit, w = int(np.argmax(a != b)), energy[m] - energy[n]
            noise = STRENGTH * w * np.exp(-abs(w) / CUTOFF) / -np.expm1(-w / (EMITTER, base, COLLECTOR)[qubit])
            rates[qubit, n, m] = 2 * np.pi * noise
    each = np.array([table - np.diag(table.sum(0)) for table in rates])
    rows = np.vstack([each.sum(0), np.ones(8)])
    populations = np.linalg.lstsq(rows / rows.max(), np.append(np.zeros(8), 1 / rows.max()), rcond=None)[0]
    return np.array([energy @ table @ populations for table in each])


def main(folder: pathlib.Path) -> dict:
    """Gain and currents over the temperature of the base."""
    base = np.linspace(0.06, 0.19, 40)
    data = qdb.sweep(gain, base=base)
    step, at = 1e-5, base[20]
    slopes = (by_rates(at + step) - by_rates(at - step)) / (2 * step)
    theirs = abs(slopes[0] / slopes[1])
    ours = float(data["gain"][20])
    print(f"gain at T_B = {at:.3f}: {ours:.6f}, by rates {theirs:.6f}; {qdb.explain(data['status'])}")
    assert ours > 1
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(6, 5.5), layout="constrained")
    for n, name in enumerate(("emitter", "base", "collector")):
        upper.plot(base, 1e4 * data["heat"][:, n], label=name)
    upper.set(ylabel="heat into the system × 10⁴", title="Thermal transistor")
    upper.set_ylim(-0.7, 0.95)
    upper.legend(frameon=False, loc="upper center", ncols=3)
    lower.semilogy(base, data["gain"])
    lower.axhline(1, color="0.4", ls="--")
    lower.set(xlabel="temperature of the base", ylabel="gain")
    figure.savefig(folder / "thermal_transistor.png", dpi=150)
    plt.close(figure)
    return {"gain": (ours, theirs), "emitter": (float(data["heat"][20, 0]), by_rates(at)[0])}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
