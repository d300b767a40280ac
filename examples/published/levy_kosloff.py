"""The local equation against the second law
=========================================

Two qubits that exchange excitations, each with a bath of its own. If each bath acts as though its qubit were alone,
heat flows from the fuller to the emptier one: from cold to hot as soon as ω_c/T_c < ω_h/T_h. It turns round at
ω_c = ω_h T_c/T_h exactly. The global equation sends heat from hot to cold everywhere.

*Source:* A. Levy, R. Kosloff, EPL 107, 20004 (2014): the sign of the local current.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

HOT_GAP, HOT, COLD, EXCHANGE, STRENGTH = 1.0, 1.0, 0.6, 0.05, 1e-3
PUBLISHED = HOT_GAP * COLD / HOT
TOLERANCE = 1e-8
LOWER = [np.asarray(qdb.embed(qdb.sigma_minus(), n, [2, 2])) for n in (0, 1)]


def hamiltonian(cold_gap):
    """Both qubits and their exchange."""
    number = [lower.T @ lower for lower in LOWER]
    swap = LOWER[0].T @ LOWER[1]
    return HOT_GAP * number[0] + cold_gap * number[1] + EXCHANGE * (swap + swap.T)


def local(cold_gap):
    """Energy per time from the hot bath, jump operators of each qubit by itself."""
    jumps = {}
    for name, lower, gap, temperature in (("hot", LOWER[0], HOT_GAP, HOT), ("cold", LOWER[1], cold_gap, COLD)):
        rate, quanta = 2 * np.pi * STRENGTH * gap, 1 / jnp.expm1(gap / temperature)
        jumps[name] = jnp.stack([jnp.sqrt(rate * (quanta + 1)) * lower, jnp.sqrt(rate * quanta) * lower.T])
    generator = qdb.lindblad(hamiltonian(cold_gap), jumps)
    return qdb.energy_currents(generator, qdb.steady_state(generator))[0]


def both(cold_gap):
    """The same from the local and from the global equation."""
    baths = [
        qdb.Bath(lower + lower.T, qdb.Ohmic(STRENGTH, cutoff=1e3), temperature=temperature, name=name)
        for lower, temperature, name in zip(LOWER, (HOT, COLD), ("hot", "cold"), strict=True)
    ]
    generator = qdb.davies(hamiltonian(cold_gap), baths)
    heat = qdb.heat_currents(generator, qdb.steady_state(generator))[0]
    return {"local_current": local(cold_gap), "global_current": heat}


def main(folder: pathlib.Path) -> dict:
    """Both currents over the gap of the cold qubit; where the local one turns round, in ever finer grids."""
    low, high, maps = 0.3, 0.95, []
    for _ in range(5):
        data = qdb.sweep(both, cold_gap=np.linspace(low, high, 60))
        maps.append(data)
        gaps, heat = data["cold_gap"].values, data["local_current"].values
        last = int(np.flatnonzero(heat < 0)[-1])
        low, high = gaps[last], gaps[last + 1]
    turn = float(low - (high - low) * heat[last] / (heat[last + 1] - heat[last]))
    data = maps[0]
    print(f"the local current turns round at {turn:.10f}, published {PUBLISHED:.10f}")
    assert float(data["global_current"].min()) > 0 > float(data["local_current"].min())
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(data["cold_gap"], data["local_current"] / STRENGTH, color="#d55e00", label="local equation")
    ax.plot(data["cold_gap"], data["global_current"] / STRENGTH, color="#0072b2", label="global equation")
    ax.axhline(0, color="0.6", lw=0.8)
    ax.axvline(PUBLISHED, color="0.4", ls="--", label="$\\omega_h T_c/T_h$")
    ax.set(yscale="symlog", xlabel="gap of the cold qubit", ylabel="heat from the hot bath / strength")
    ax.set_yscale("symlog", linthresh=1e-3)
    ax.set_title("Left of the dashed line the local equation heats the hot bath")
    ax.legend(frameon=False)
    figure.savefig(folder / "levy_kosloff.png", dpi=150)
    plt.close(figure)
    return {"turning point": (turn, PUBLISHED)}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
