"""Every spectral density and every kind of generator, to be held to the same contracts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from programs import machine, random_machine

import qdbjax as qdb

TABLE = np.array([0.1, 0.4, 1.0, 2.0, 4.0, 9.0]), np.array([0.01, 0.05, 0.06, 0.05, 0.02, 0.001])


class Trained(eqx.Module):
    """A density with parameters of its own."""

    height: jax.Array
    width: jax.Array

    def __call__(self, frequency):
        return self.height * frequency * jnp.exp(-((frequency / self.width) ** 2))


def _bell(frequency):
    return 0.03 * frequency * jnp.exp(-frequency)


# name: (density, J(ω) written out in NumPy, J(ω)/ω at ω → 0)
DENSITIES = {
    "ohmic": (qdb.Ohmic(0.05, 5.0), lambda w: 0.05 * w * np.exp(-w / 5), 0.05),
    "ohmic without cutoff": (qdb.Ohmic(0.05, np.inf), lambda w: 0.05 * w, 0.05),
    "sub-ohmic": (qdb.PowerLaw(0.05, 5.0, 0.5), lambda w: 0.05 * w * (w / 5) ** -0.5 * np.exp(-w / 5), np.inf),
    "super-ohmic": (qdb.PowerLaw(0.05, 5.0, 3.0), lambda w: 0.05 * w * (w / 5) ** 2 * np.exp(-w / 5), 0.0),
    "drude-lorentz": (qdb.DrudeLorentz(0.05, 2.0), lambda w: 0.05 * w * 4 / (w**2 + 4), 0.05),
    "algebraic": (qdb.baths.Algebraic(0.05, 3.0, 2.5), lambda w: 0.05 * w / (1 + (w / 3) ** 2) ** 2.5, 0.05),
    "underdamped": (
        qdb.UnderdampedLorentzian(0.2, 1.5, 0.3),
        lambda w: 0.04 * 0.3 * w / ((w**2 - 2.25) ** 2 + 0.09 * w**2),
        0.04 * 0.3 / 1.5**4,
    ),
    "flat": (qdb.Flat(0.02), lambda w: 0.02 * np.ones_like(w), np.inf),
    "lorentzian band": (
        qdb.baths.LorentzianBand(0.02, 0.7, 0.5),
        lambda w: 0.02 / (1 + ((w - 0.7) / 0.5) ** 2),
        np.inf,
    ),
    "tabulated": (qdb.Tabulated(*TABLE), lambda w: np.interp(w, np.r_[0, TABLE[0]], np.r_[0, TABLE[1]]), 0.1),
    "function": (qdb.baths.Custom(_bell), lambda w: 0.03 * w * np.exp(-w), 0.03),
    "module": (
        qdb.baths.Custom(Trained(jnp.array(0.04), jnp.array(3.0))),
        lambda w: 0.04 * w * np.exp(-((w / 3) ** 2)),
        0.04,
    ),
    "sum": (
        qdb.baths.Sum(qdb.Ohmic(0.01, 5.0), qdb.DrudeLorentz(0.02, 2.0)),
        lambda w: 0.01 * w * np.exp(-w / 5) + 0.02 * w * 4 / (w**2 + 4),
        0.03,
    ),
}

# Spectra of dimension d: generic, with equal gaps, with equal levels, nearly equal ones, and nothing but one level.
SPECTRA = {
    2: [[0.0, 1.0], [-0.3, 2.0], [0.4, 0.4], [0.0, 1e-12]],
    3: [[0.0, 1.0, 2.3], [0.0, 1.0, 2.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.5], [0.5, 0.5, 0.5], [0.0, 1.0, 1.0 + 1e-11]],
    4: [[0.0, 1.0, 2.3, 3.1], [0.0, 1.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.3, 1.3]],
    6: [[0.0, 0.7, 1.5, 2.6, 3.1, 4.4], [0.0, 1.0, 1.0, 2.0, 2.0, 3.0], [0.0, 0.0, 0.0, 1.0, 1.0, 2.0]],
}
BATHS = {2: 1, 3: 2, 4: 4, 6: 2}
SHAPES = tuple((d, BATHS[d]) for d in SPECTRA)
GAPS = [1e-15, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6]


def machines(d, baths, seed=7):
    """One random machine per spectrum of dimension d."""
    rng = np.random.default_rng(seed)
    return [random_machine(rng, d, baths, energies) for energies in SPECTRA[d]]


def only(system, bath):
    """The machine with all baths but one switched off."""
    hamiltonian, couplings, strengths, cutoffs, temperatures = system
    kept = np.arange(len(strengths)) == bath
    return machine(hamiltonian, couplings, np.where(kept, strengths, 0.0), cutoffs, temperatures)


def correlated(rng, d, energies):
    """Hamiltonian, two couplings, and a complex positive correlation matrix."""
    hamiltonian, couplings, *_ = random_machine(rng, d, 2, energies)
    root = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
    return hamiltonian, couplings, root @ root.conj().T
