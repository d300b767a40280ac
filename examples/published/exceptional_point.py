"""Exceptional point of a relaxation spectrum
==========================================

A driven atom that decays at γ: two of the eigenvalues of its generator are -3γ/4 ± √(γ²/16 - Ω²). They meet, and their
modes with them, at Ω = γ/4; beyond, relaxation oscillates.

*Source:* F. Minganti, A. Miranowicz, R. W. Chhajlany, F. Nori, Phys. Rev. A 100, 062131 (2019): the Liouvillian
exceptional point of this atom; B. R. Mollow, Phys. Rev. 188, 1969 (1969): the eigenvalues.
"""

import pathlib
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

DECAY, PUBLISHED = 1.0, 0.25
TOLERANCE = 1e-10


def eigenvalues(drive):
    """The spectrum of the generator, by real and then by imaginary part."""
    atom = qdb.lindblad(0.5 * drive * qdb.sigma_x(), np.sqrt(DECAY) * qdb.sigma_minus())
    return np.sort_complex(np.round(np.asarray(qdb.relaxation(atom).eigenvalues), 12))


def published(drive):
    """0, -γ/2, and the pair that meets."""
    root = np.sqrt(complex(DECAY**2 / 16 - drive**2))
    return np.sort_complex(np.round(np.array([0, -DECAY / 2, -0.75 * DECAY + root, -0.75 * DECAY - root]), 12))


def main(folder: pathlib.Path) -> dict:
    """The pair on both sides of the point, and the drive at which it splits."""
    drives = np.linspace(0.01, 0.6, 48)  # the point itself is not among them: eigenvalues are off by √eps there
    ours, theirs = (np.array([f(drive) for drive in drives]) for f in (eigenvalues, published))
    worst = np.abs(ours - theirs).max()
    # The square of half the splitting is γ²/16 - Ω², which goes through zero smoothly.
    low, high = (eigenvalues(drive) for drive in (0.1, 0.4))
    split = [np.real(((x[1] - x[0]) / 2) ** 2) if x[0].imag == 0 else -(np.abs(x[0].imag) ** 2) for x in (low, high)]
    point = np.sqrt(0.1**2 + split[0] * (0.4**2 - 0.1**2) / (split[0] - split[1]))
    print(f"exceptional point at {point:.12f}, published {PUBLISHED}; eigenvalues differ by {worst:.1e}")
    assert worst < 1e-10
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(6, 5), layout="constrained")
    upper.plot(drives, ours.real, ".", color="#0072b2", ms=4)
    upper.plot(drives, theirs.real, color="#d55e00", lw=0.8)
    lower.plot(drives, ours.imag, ".", color="#0072b2", ms=4)
    lower.plot(drives, theirs.imag, color="#d55e00", lw=0.8)
    for ax in (upper, lower):
        ax.axvline(PUBLISHED, color="0.6", ls="--", lw=0.8)
    upper.set(
        ylabel="real part",
        title="Driven, decaying atom: eigenvalues meet at Ω = γ/4\n(dots: relaxation; lines: closed form)",
    )
    lower.set(xlabel="drive Ω/γ", ylabel="imaginary part")
    figure.savefig(folder / "exceptional_point.png", dpi=150)
    plt.close(figure)
    return {"exceptional point": (point, PUBLISHED)}


if __name__ == "__main__":
    found = main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    assert all(abs(ours - theirs) <= TOLERANCE * abs(theirs) for ours, theirs in found.values()), found
