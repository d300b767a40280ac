"""Correlation functions and their spectra."""

import numpy as np
import pytest
import scipy.integrate
from reference.machines import ENERGIES, three_level_machine
from reference.random_matrices import gaussian

import qdbjax as qdb

TEMPERATURES = 0.7, 1.5


def test_spectrum_is_the_transform_of_the_correlation():
    """S_AB(ω) against the Fourier integral; its integral is the equal-time value; S_AA† real and positive."""
    generator = three_level_machine(TEMPERATURES)
    steady = qdb.steady_state(generator)
    rng = np.random.default_rng(1)
    a, b = (gaussian(rng, 3, 3) for _ in range(2))
    rho = np.asarray(steady.density_matrix)
    product = np.trace(a @ b @ rho) - np.trace(a @ rho) * np.trace(b @ rho)
    times = np.linspace(0.0, 400.0, 40001)
    rotating = np.asarray(generator.liouvillian())
    values, vectors = np.linalg.eig(rotating)
    left = np.linalg.inv(vectors)

    def plain(x, y):
        weights = (x.T.reshape(-1) @ vectors) * (left @ (y @ rho).reshape(-1))
        return np.exp(np.outer(times, values)) @ weights - np.trace(x @ rho) * np.trace(y @ rho)

    forward, backward = plain(a, b), plain(b.conj().T, a.conj().T)
    np.testing.assert_allclose(forward[0], product, rtol=0, atol=1e-12)
    frequencies = np.array([-2.3, -0.4, 0.0, 1.02, 2.0])
    found = np.asarray(qdb.correlation_spectrum(generator, steady, a, b, frequencies))
    for frequency, value in zip(frequencies, found, strict=True):
        phase = np.exp(1j * frequency * times)
        ahead, back = (scipy.integrate.simpson(phase * each, x=times) for each in (forward, backward))
        wanted = ahead + np.conj(back)
        np.testing.assert_allclose(value, wanted, rtol=0, atol=2e-5 * np.abs(found).max())
    angle = (np.arange(4000) + 0.5) * np.pi / 4000 - np.pi / 2
    everywhere = np.tan(angle)
    whole = np.asarray(qdb.correlation_spectrum(generator, steady, a, b, everywhere))
    integral = np.sum(whole / np.cos(angle) ** 2) * np.pi / 4000 / (2 * np.pi)
    np.testing.assert_allclose(integral, product, rtol=0, atol=1e-8 * np.abs(product))
    own = np.asarray(qdb.correlation_spectrum(generator, steady, a, a.conj().T, frequencies))
    assert np.all(own.real > 0) and np.abs(own.imag).max() < 1e-12 * own.real.max()


def test_detailed_balance_of_spectra():
    """At equilibrium lines mirror each other, S_A†A(-ν) = e^{-βω} S_AA†(ν), ω the Bohr frequency of A."""
    temperature, energies = 0.7, ENERGIES
    generator = three_level_machine((temperature,))
    steady = qdb.steady_state(generator)
    for to, origin in ((0, 1), (0, 2), (1, 2)):
        raising = qdb.transition(origin, to, 3)
        frequency = energies[origin] - energies[to]
        near = frequency + np.array([-0.1, 0.0, 0.03])
        # ⟨σ₋(t)σ₊⟩ turns with e^{-iωt}: a line at ω of weight p_to; ⟨σ₊(t)σ₋⟩ one at -ω of weight p_origin.
        absorbed = np.asarray(qdb.correlation_spectrum(generator, steady, raising.T, raising, near)).real
        emitted = np.asarray(qdb.correlation_spectrum(generator, steady, raising, raising.T, -near)).real
        np.testing.assert_allclose(emitted, np.exp(-frequency / temperature) * absorbed, rtol=1e-11)


def test_refused():
    """Shapes and times."""
    generator = three_level_machine(TEMPERATURES)
    steady = qdb.steady_state(generator)
    with pytest.raises(ValueError, match=r"b must have shape \(3, 3\); got \(2, 2\)"):
        qdb.correlation(generator, steady, np.eye(3), np.eye(2), [0.0])
    with pytest.raises(ValueError, match="times must not lie before start"):
        qdb.correlation(generator, steady, np.eye(3), np.eye(3), [-1.0])
    with pytest.raises(ValueError, match="frequencies must be a vector"):
        qdb.correlation_spectrum(generator, steady, np.eye(3), np.eye(3), 1.0)
