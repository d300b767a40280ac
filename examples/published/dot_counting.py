"""Full counting statistics of a dot
=================================

At large bias electrons enter at Γ_L and leave at Γ_R, and the cumulant generating function per time is
S(χ) = -½(Γ_L + Γ_R) + ½√((Γ_L + Γ_R)² + 4Γ_LΓ_R(e^χ - 1)); its derivatives are the cumulants, the second one over the
first the Fano factor (Γ_L² + Γ_R²)/(Γ_L + Γ_R)².

*Source:* D. A. Bagrets, Yu. V. Nazarov, Phys. Rev. B 67, 085316 (2003): a single resonant level in sequential
tunnelling.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TEMPERATURE, BIAS, ORDER = 0.1, 20.0, 4
TOLERANCE = 1e-9


def published(left, right):
    """The first four cumulants, derivatives of S at χ = 0."""
    derivative = lambda x: jnp.sqrt((left + right) ** 2 + 4 * left * right * jnp.expm1(x)) / 2  # noqa: E731
    found = []
    for _ in range(ORDER):
        derivative = jax.jacfwd(derivative)
        found.append(derivative(0.0))
    return jnp.stack(found)


def counted(left, right):
    """The same by recursion, without a derivative, from the generator."""
    leads = [
        qdb.Lead(
            qdb.fermion_destroy(0, 1),
            qdb.Flat(rate / (2 * np.pi)),
            temperature=TEMPERATURE,
            chemical_potential=potential,
            name=name,
        )
        for rate, potential, name in ((left, BIAS / 2, "left"), (right, -BIAS / 2, "right"))
    ]
    generator = qdb.davies(qdb.models.quantum_dot(0.0), leads)
    return qdb.cumulants(generator, None, "left", of="particles", order=ORDER)


def main(folder: pathlib.Path) -> dict:
    """Four cumulants over the asymmetry Γ_L/Γ_R."""
    ratio = np.linspace(0.05, 4.0, 60)
    ours = qdb.sweep(lambda ratio: {"cumulants": counted(ratio, 1.0)}, ratio=ratio)["cumulants"].values
    theirs = np.asarray(jax.vmap(lambda x: published(x, 1.0))(jnp.asarray(ratio)))
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for n, colour in zip(range(1, ORDER), ("#0072b2", "#d55e00", "#009e73"), strict=True):
        ax.plot(ratio, ours[:, n] / ours[:, 0], color=colour, label=f"$c_{n + 1}/c_1$")
        ax.plot(ratio[::6], (theirs[:, n] / theirs[:, 0])[::6], "o", color=colour, ms=4)
    ax.set(
        xlabel="$\\Gamma_L/\\Gamma_R$",
        ylabel="cumulant / current",
        title="Counting electrons through a dot (dots: closed form)",
    )
    ax.legend(frameon=False)
    figure.savefig(folder / "dot_counting.png", dpi=150)
    plt.close(figure)
    found = {f"c{n + 1}": (ours[10, n], theirs[10, n]) for n in range(ORDER)}
    for name, (a, b) in found.items():
        print(f"{name} = {a:.10f}, published {b:.10f}")
    return found


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
