"""Partial secular (unified) and universal Lindblad generators: positivity, formulas, limits, crossings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.lindblad import assert_gksl, commutator, lindbladian
from reference.random_matrices import random_hermitian
from reference.thermal import ohmic_noise

import qdbjax as qdb
from qdbjax import Status

STRENGTHS, TEMPERATURES, CUTOFF = (0.02, 0.03), (0.6, 1.4), 5.0
SPECTRA = [[0.0, 1.0, 1.05], [0.0, 1.0, 2.02], [0.0, 1.0, 2.3], [0.0, 0.03, 0.06], [0.0, 1.0, 1.0]]
RNG = np.random.default_rng(4)
COUPLINGS = np.stack([random_hermitian(RNG, 3) for _ in range(2)])
BASIS = np.linalg.eigh(random_hermitian(RNG, 3))[1]


def baths(strengths=STRENGTHS, temperatures=TEMPERATURES):
    return [
        qdb.Bath(coupling, qdb.Ohmic(strength, CUTOFF), temperature=temperature, name=str(n))
        for n, (coupling, strength, temperature) in enumerate(zip(COUPLINGS, strengths, temperatures, strict=True))
    ]


def rotated(energies):
    hamiltonian = (BASIS * jnp.asarray(energies)[None, :].astype(complex)) @ BASIS.conj().T
    return 0.5 * (hamiltonian + hamiltonian.conj().T)


def seen(generator):
    steady = qdb.steady_state(generator)
    currents = qdb.heat_currents(generator, steady)
    return generator.liouvillian(), steady.density_matrix, steady.status, currents, generator.rates


unified = jax.jit(lambda energies, window: seen(qdb.davies(rotated(energies), baths(), window=window)))
universal = jax.jit(lambda energies: seen(qdb.universal_lindblad(rotated(energies), baths())))
plain = jax.jit(lambda energies: seen(qdb.davies(rotated(energies), baths())))


def works(found, flows=True):
    """Residual, positivity, first law."""
    liouvillian, rho, status, currents, _ = map(np.asarray, found)
    assert status & ~int(Status.NEAR_DEGENERATE) == 0
    assert np.abs(liouvillian @ rho.reshape(-1)).max() < 1e-13
    assert np.linalg.eigvalsh(rho).min() > 0 and abs(np.trace(rho) - 1) < 1e-13
    assert abs(currents.sum()) < 1e-13 and (currents[1] > 1e-5) == flows


@pytest.mark.parametrize("energies", SPECTRA, ids=str)
@pytest.mark.parametrize("window", [0.0, 0.04, 0.2])
def test_unified(energies, window):
    """Of GKSL form at every window, with a stationary state that obeys the first law."""
    found = unified(np.array(energies), window)
    assert np.abs(np.asarray(found[0]) @ np.asarray(found[1]).reshape(-1)).max() < 1e-13
    assert_gksl(found[0])
    works(found, flows=np.ptp(energies) > 2 * window or window == 0)  # one level alone carries no energy


def test_unified_is_davies_with_merged_levels():
    """L = -i[H, ·] + the Davies dissipator of the Hamiltonian whose levels are merged at their mean."""
    close, merged = np.array([0.0, 1.0, 1.05]), np.array([0.0, 1.025, 1.025])
    found = np.asarray(unified(close, 0.2)[0]) - commutator(np.asarray(rotated(close)))
    wanted = np.asarray(plain(merged)[0]) - commutator(np.asarray(rotated(merged)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


def test_unified_frequencies():
    """Two gaps within the window share γ at their mean and keep their cross terms."""
    energies = np.array([0.0, 1.0, 2.02])
    found = np.asarray(unified(energies, 0.04)[0])
    framed = BASIS.conj().T @ COUPLINGS @ BASIS
    jumps = []
    for s, strength, temperature in zip(framed, STRENGTHS, TEMPERATURES, strict=True):
        omega = energies[None, :] - energies[:, None]
        for value, center in ((0.0, 0.0), (1.01, 1.01), (-1.01, -1.01), (2.02, 2.02), (-2.02, -2.02)):
            part = np.where(np.abs(omega - value) < 0.1, s, 0)
            jumps.append(np.sqrt(ohmic_noise(center, strength, CUTOFF, temperature)) * BASIS @ part @ BASIS.conj().T)
    np.testing.assert_allclose(found, lindbladian(np.asarray(rotated(energies)), jumps), rtol=0, atol=1e-13)


def test_a_window_of_nothing_is_plain():
    """window = 0, and a window below every spacing, change nothing."""
    for energies in SPECTRA:
        for window in (0.0, 1e-3):
            for x, y in zip(unified(np.array(energies), window), plain(np.array(energies)), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


def test_unified_gibbs():
    """One bath: stationary is Gibbs of the merged levels, and not of H."""
    close, merged = np.array([0.0, 1.0, 1.05]), np.array([0.0, 1.025, 1.025])
    generator = qdb.davies(rotated(close), baths()[:1], window=0.2)
    for energies, stationary in ((merged, True), (close, False)):
        rho = np.asarray(qdb.gibbs(rotated(energies), temperature=TEMPERATURES[0]).density_matrix)
        excess = np.abs(np.asarray(generator.apply(rho))).max()
        assert (excess < 1e-14) == stationary


@pytest.mark.parametrize("energies", SPECTRA, ids=str)
def test_universal(energies):
    """One jump operator √γ∘S per bath, degenerate levels included; positive; first law."""
    energies = np.array(energies)
    found = universal(energies)
    assert_gksl(found[0])
    works(found)
    omega = energies[None, :] - energies[:, None]
    framed = BASIS.conj().T @ COUPLINGS @ BASIS
    roots = [np.sqrt(ohmic_noise(omega, eta, CUTOFF, t)) for eta, t in zip(STRENGTHS, TEMPERATURES, strict=True)]
    jumps = [BASIS @ (root * s) @ BASIS.conj().T for root, s in zip(roots, framed, strict=True)]
    np.testing.assert_allclose(found[0], lindbladian(np.asarray(rotated(energies)), jumps), rtol=0, atol=1e-13)


def test_universal_goes_over_into_davies():
    """Weak coupling, fixed spacings: the stationary states agree to first order in γ."""
    distance = []
    for scale in (1e-2, 1e-3):
        weak = [scale * strength for strength in STRENGTHS]
        states = [make(rotated([0.0, 1.0, 2.3]), baths(weak)) for make in (qdb.davies, qdb.universal_lindblad)]
        first, second = (np.asarray(qdb.steady_state(generator).density_matrix) for generator in states)
        distance.append(np.abs(first - second).max())
    assert distance[1] < 1e-4 and 8 < distance[0] / distance[1] < 12


def heat(gap, make):
    generator = make(rotated(jnp.stack([jnp.zeros(()), jnp.ones(()), 1.0 + gap])))
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


@pytest.mark.slow
def test_universal_is_smooth_through_a_crossing():
    """Value and slope at gap 0 are the limits from both sides; Davies with its secular step jumps.

    With a cutoff that is smooth at ω = 0; e^{-|ω|/ω_c} has a kink there, and so has the current.
    """
    densities = [qdb.DrudeLorentz(strength, CUTOFF) for strength in STRENGTHS]
    drude = [
        qdb.Bath(bath.coupling, density, temperature=bath.temperature, name=bath.name)
        for bath, density in zip(baths(), densities, strict=True)
    ]
    smooth = jax.jit(jax.value_and_grad(lambda gap: heat(gap, lambda h: qdb.universal_lindblad(h, drude))))
    jumpy = jax.jit(lambda gap: heat(gap, lambda h: qdb.davies(h, drude)))
    values, slopes = zip(*[smooth(gap) for gap in (-1e-4, -1e-6, 0.0, 1e-6, 1e-4)], strict=True)
    np.testing.assert_allclose(values, values[2], rtol=1e-3)
    np.testing.assert_allclose([values[1], values[3]], values[2], rtol=1e-5)
    np.testing.assert_allclose([slopes[1], slopes[3]], slopes[2], rtol=1e-3)
    np.testing.assert_allclose((values[3] - values[1]) / 2e-6, slopes[2], rtol=1e-5)
    assert abs(jumpy(1e-6) / jumpy(0.0) - 1) > 1e-3


@pytest.mark.slow
def test_universal_evolves():
    """evolve and propagator take it as any other generator."""
    generator = qdb.universal_lindblad(rotated([0.0, 1.0, 1.05]), baths())
    ket = np.array([0.6, 0.48j, 0.64])
    rho = (np.asarray(qdb.propagator(generator, 6.0)) @ np.outer(ket, ket.conj()).reshape(-1)).reshape(3, 3)
    np.testing.assert_allclose(qdb.evolve(generator, ket, [6.0]).density_matrix[0], rho, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "density", [qdb.PowerLaw(0.02, 5.0, 0.5), qdb.Tabulated([0.1, 0.5], [0.01, 0.02])], ids=["divergent", "table ends"]
)
def test_universal_with_noise_that_is_not_finite(density):
    """Infinite at ω = 0 or unknown at a Bohr frequency, and met by a coupling: flagged, never taken as 0."""
    bath = qdb.Bath(COUPLINGS[0], density, temperature=1.0)
    generator = qdb.universal_lindblad(rotated([0.0, 1.0, 2.3]), bath)
    steady = qdb.steady_state(generator)
    assert not np.isfinite(generator.liouvillian()).all() and np.isnan(steady.populations).all()
    assert int(steady.status) & int(Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH)


def test_refused():
    """Windows below zero, correlated couplings."""
    with pytest.raises(ValueError, match="window must be >= 0; got -1"):
        qdb.davies(rotated([0.0, 1.0, 2.0]), baths(), window=-1.0)
    bath = qdb.Bath(COUPLINGS, qdb.Ohmic(0.1, 5.0), temperature=1.0, correlation=np.array([[1.0, 0.5], [0.5, 1.0]]))
    with pytest.raises(ValueError, match="correlated couplings"):
        qdb.universal_lindblad(rotated([0.0, 1.0, 2.0]), bath)
