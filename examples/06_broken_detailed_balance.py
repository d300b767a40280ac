"""Detailed balance broken by a gas in equilibrium
===============================================

Figure 1 of Alicki, Šindelka and Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), with its inset, and a
second view: the same ratios against the magnetic flux, couplings fixed.

Run `python examples/06_broken_detailed_balance.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TUNNELLING, GAP = -0.5 / np.sqrt(3), 0.5  # energies ½, 0, -½ at flux ¾
COUPLINGS = np.diag([1.0, 0.7, 1.5])
PLUS, ZERO, MINUS = 1, 0, 2
PAIRS = {"I(+, -)": (PLUS, MINUS), "I(0, +)": (ZERO, PLUS), "I(0, -)": (ZERO, MINUS)}


def ring_in_gas(flux, scaled):
    """The ring in a gas of inverse temperature βΔE = scaled."""
    gas = qdb.Gas(COUPLINGS, temperature=GAP / scaled, density=1.0, mass=1.0)
    return qdb.low_density(qdb.models.three_dot_ring(TUNNELLING, flux), gas)


def balance(flux, scaled):
    """The three ratios, and both sides of the thermalization conditions (30a) and (30b)."""
    generator = ring_in_gas(flux, scaled)
    ratios = qdb.balance.violation_ratios(generator)[0]
    conditions = qdb.balance.thermalization_conditions(generator)
    sides = [-conditions[ZERO, PLUS], conditions[ZERO, MINUS], -conditions[PLUS, ZERO], conditions[PLUS, MINUS]]
    return {"ratios": jnp.stack([ratios[pair] for pair in PAIRS.values()]), "sides": jnp.stack(sides)}


def main(folder: pathlib.Path) -> None:
    """Two sweeps and one figure of two panels."""
    heated = qdb.sweep(balance, flux=[0.75], scaled=jnp.linspace(0.05, 9.0, 180)).isel(flux=0)
    turned = qdb.sweep(balance, flux=jnp.linspace(0.0, 1.5, 301), scaled=[1.0]).isel(scaled=0)
    at_one = np.asarray(balance(0.75, 1.0)["ratios"])
    print("βΔE = 1, flux 3/4: " + ", ".join(f"{name} = {x:.10f}" for name, x in zip(PAIRS, at_one, strict=True)))
    sides = heated["sides"].values
    miss = np.abs(sides[:, ::2] - sides[:, 1::2]).max() / np.abs(sides).max()
    print(f"thermalization conditions hold to {miss:.0e}; {qdb.explain(heated['status'])}")
    with plt.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        figure, (upper, lower) = plt.subplots(2, 1, figsize=(5.4, 7.2), layout="constrained")
    for n, name in enumerate(PAIRS):
        upper.plot(heated["scaled"], heated["ratios"][:, n], label=name)
        lower.plot(turned["flux"], turned["ratios"][:, n], label=name)
    for axes in (upper, lower):
        axes.axhline(1.0, color="0.6", lw=0.8, zorder=0)
    upper.set(xlabel="βΔE", ylabel="I(k, l)", title="flux 3/4, equal gaps")
    lower.set(xlabel="magnetic flux (flux quanta)", ylabel="I(k, l)", title="βΔE = 1; levels cross at multiples of 1/2")
    upper.legend(frameon=False, loc="lower right")
    inset = upper.inset_axes([0.48, 0.45, 0.48, 0.3])
    for n, name in enumerate(("(30a)", "(30b)")):
        inset.plot(heated["scaled"], 1e4 * sides[:, 2 * n], color=f"C{n + 3}", label=name)
        inset.plot(heated["scaled"], 1e4 * sides[:, 2 * n + 1], ":", color="k")
    inset.legend(frameon=False, fontsize=8, loc="upper right")
    inset.set_title("both sides of (30a), (30b), × 10⁴", fontsize=9)
    inset.tick_params(labelsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "06_broken_detailed_balance.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
