"""The low-density generator and its derivative where levels are degenerate, against operators written out in NumPy.

There the whole generator is a sum over frequency classes of clusters, A(e) = K^{-½}VWK^{½}e^{-β(E - H)/2} with matrix
functions of the perturbed H by its own eigensystem, E = e + the mean energy of the cluster it comes from.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import differences
from reference.lindblad import commutator, dissipator
from reference.random_matrices import random_hermitian
from scipy import integrate

import qdbjax as qdb

RNG = np.random.default_rng(8)
BASIS = np.linalg.eigh(random_hermitian(RNG, 3))[1]
POTENTIAL = random_hermitian(RNG, 3) + 2.5 * np.eye(3)
BETA, MASS, DENSITY = 1.4, 0.8, 1.3
CLUSTERS = ([0], [1, 2])


def direction(*entries):
    """A Hermitian matrix in the eigenbasis with the given (row, column, value), in the basis of the Hamiltonian."""
    matrix = np.zeros((3, 3), complex)
    for row, column, value in entries:
        matrix[row, column] += value
        matrix[column, row] += np.conj(value)
    return BASIS @ matrix @ BASIS.conj().T


PUSHES = {
    "rotation": direction((0, 1, 0.3 + 0.2j), (0, 2, -0.4j)),
    "shift": direction((1, 1, 0.5), (2, 2, 0.5)),
    "splitting": direction((1, 1, 0.5), (2, 2, -0.5)),
    "mixing": direction((1, 2, 1.0)),
    "complex mixing": direction((1, 2, 1.0j)),
}


def pushed(x, push):
    levels = jnp.asarray([0.0, 1.0, 1.0], complex)
    hamiltonian = (BASIS * levels[None, :]) @ BASIS.conj().T + jnp.asarray(x).astype(complex) * push
    return 0.5 * (hamiltonian + hamiltonian.conj().T)


def nodes(ends):
    """Double-exponential nodes and weights on panels between the ends and beyond, as in the literature."""
    t = np.arange(-90, 91) / 24
    x, w = 1 / (1 + np.exp(-np.pi * np.sinh(t))), np.pi * np.cosh(t) / 24
    found = [(a + (b - a) * x, (b - a) * w * x * x[::-1]) for a, b in itertools.pairwise(ends)]
    t = np.arange(-110, 40) / 24
    tail = np.exp(0.5 * np.pi * np.sinh(t)) / BETA
    found.append((ends[-1] + tail, tail * 0.5 * np.pi * np.cosh(t) / 24))
    return (np.concatenate(part) for part in zip(*found, strict=True))


def written_out(x, push):
    """Row-major L without the forward scattering, the clusters kept whatever x does to them."""
    hamiltonian = np.asarray(pushed(x, push))
    energies, basis = np.linalg.eigh(hamiltonian)
    means = [energies[cluster].mean() for cluster in CLUSTERS]
    potential = basis.conj().T @ POTENTIAL @ basis
    # From where all of a cluster is open: below, A → 1/im, which as a jump does nothing.
    first = max(energies[cluster].max() - mean for cluster, mean in zip(CLUSTERS, means, strict=True))
    thresholds = np.unique(np.maximum([[e - mean for e in energies] for mean in means], first))
    total = commutator(hamiltonian)
    for e, weight in zip(*nodes(thresholds), strict=True):
        amplitudes = []
        for mean in means:
            above = e + mean - energies
            above = np.where(np.abs(above) < 1e-15, 1e-15, above)  # nodes at a threshold, to rounding
            k = np.sqrt(2 * MASS * above + 0j)
            w = np.linalg.inv(np.diag(k) + 1j * MASS * potential)
            gauss = np.sqrt(BETA / (2 * np.pi * MASS)) * np.exp(-BETA * above)[None, :]
            right = np.sqrt(2 * np.pi * DENSITY * gauss * weight) * MASS / np.pi * np.sqrt(k)[None, :]
            amplitudes.append(np.where(above[:, None] > 0, (potential @ w) / np.sqrt(k)[:, None], 0) * right)
        for classes in ([(0, 0), (1, 1)], [(0, 1)], [(1, 0)]):  # (to, from): ω = 0, +, -
            jump = np.zeros((3, 3), complex)
            for to, origin in classes:
                place = np.ix_(CLUSTERS[to], CLUSTERS[origin])
                jump[place] = amplitudes[origin][place]
            total = total + dissipator(basis @ jump @ basis.conj().T)
    return total


@jax.jit
def liouvillian(x, push):
    gas = qdb.Gas(POTENTIAL, temperature=1 / BETA, mass=MASS, density=DENSITY)
    return qdb.low_density(pushed(x, push), gas, forward_scattering=False).liouvillian()


slope_of = jax.jit(jax.jacfwd(liouvillian))


def test_generator():
    found, expected = liouvillian(0.0, PUSHES["shift"]), written_out(0.0, PUSHES["shift"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUSHES)
def test_derivative(name):
    """What splits the pair makes square roots of the step at its thresholds: differences close in as slowly."""
    push = PUSHES[name]
    slope = np.asarray(slope_of(0.0, push))
    splits = name not in ("rotation", "shift")
    steps = (1e-3, 1e-5) if splits else (1e-3,)
    dense = lambda x: written_out(x, push)  # noqa: E731
    misses = [np.abs(differences.two_point_slope(dense, 0.0, h) - slope).max() for h in steps]
    assert np.abs(slope).max() > 0.3
    assert misses[-1] < (2e-3 if splits else 1e-6)
    assert not splits or 8 < misses[0] / misses[1] < 12


@pytest.mark.parametrize("sign", [1, -1])
def test_rates_of_four_levels(sign):
    """By adaptive quadrature of the formula as printed, t = V(k + imV)^{-1}k."""
    hamiltonian, v = random_hermitian(np.random.default_rng(4), 4), random_hermitian(np.random.default_rng(6), 4)
    potential = sign * 0.3 * v @ v + 0.1 * np.eye(4)
    energies, basis = np.linalg.eigh(hamiltonian)
    framed = basis.conj().T @ potential @ basis
    gas = qdb.Gas(potential, temperature=1 / BETA, mass=MASS, density=DENSITY)
    rates = np.asarray(qdb.low_density(hamiltonian, gas).rates[0])

    def integrand(energy, k, l):
        wave = np.sqrt(2 * MASS * (energy - energies) + 0j)
        t = framed @ np.linalg.inv(np.diag(wave) + 1j * MASS * framed) @ np.diag(wave)
        return np.exp(-BETA * (energy - energies[l])) * abs(t[k, l]) ** 2 / (wave[k] * wave[l]).real

    def integral(k, l):
        ends = [e for e in energies if e >= max(energies[k], energies[l])]
        parts = [
            integrate.quad(
                lambda s, a=a, b=b: integrand(a + (b - a) * np.sin(s) ** 2, k, l) * (b - a) * np.sin(2 * s),
                0, np.pi / 2, epsabs=1e-14, epsrel=1e-11, limit=400,
            )[0]
            for a, b in itertools.pairwise(ends)
        ]  # fmt: skip
        tail = integrate.quad(lambda u: integrand(ends[-1] + u * u, k, l) * 2 * u, 0, 6, epsrel=1e-11, limit=400)[0]
        return 2 * np.pi * DENSITY * np.sqrt(BETA / (2 * np.pi * MASS)) * MASS**2 / np.pi**2 * (sum(parts) + tail)

    for k, l in ((0, 1), (1, 0), (3, 1), (1, 3), (2, 3)):
        assert abs(rates[k, l] / integral(k, l) - 1) < 1e-9
