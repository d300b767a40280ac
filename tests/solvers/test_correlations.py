"""Correlation functions and their spectra."""

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from reference.machines import ENERGIES, three_level_machine
from reference.random_matrices import gaussian

import qdbjax as qdb

TEMPERATURES = 0.7, 1.5


@pytest.fixture(scope="module")
def machine():
    """A generator out of equilibrium with its stationary state."""
    generator = three_level_machine(TEMPERATURES)
    return generator, qdb.steady_state(generator)


RNG = np.random.default_rng(1)
A, B = gaussian(RNG, 3, 3), gaussian(RNG, 3, 3)
FREQUENCIES = np.array([-2.3, -0.4, 0.0, 1.02, 2.0])


def connected(a, b, rho):
    """⟨ab⟩ - ⟨a⟩⟨b⟩."""
    return np.trace(a @ b @ rho) - np.trace(a @ rho) * np.trace(b @ rho)


def test_spectrum_is_the_transform_of_the_correlation(machine):
    """S_AB(ω) against the Fourier integral of correlation functions from the eigensystem of L."""
    generator, rho = machine[0], np.asarray(machine[1].density_matrix)
    times = np.linspace(0.0, 400.0, 40001)
    values, vectors = np.linalg.eig(np.asarray(generator.liouvillian()))
    left = np.linalg.inv(vectors)

    def plain(x, y):
        weights = (x.T.reshape(-1) @ vectors) * (left @ (y @ rho).reshape(-1))
        return np.exp(np.outer(times, values)) @ weights - np.trace(x @ rho) * np.trace(y @ rho)

    forward, backward = plain(A, B), plain(B.conj().T, A.conj().T)
    np.testing.assert_allclose(forward[0], connected(A, B, rho), rtol=0, atol=1e-12)
    found = np.asarray(qdb.correlation_spectrum(*machine, A, B, FREQUENCIES))
    turns = np.exp(1j * np.outer(FREQUENCIES, times))
    ahead, back = (scipy.integrate.simpson(turns * each, x=times) for each in (forward, backward))
    np.testing.assert_allclose(found, ahead + np.conj(back), rtol=0, atol=2e-5 * np.abs(found).max())


def test_integral_of_a_spectrum(machine):
    """∫S_AB dω/2π is the equal-time value, ω = tan of an angle."""
    angle = (np.arange(4000) + 0.5) * np.pi / 4000 - np.pi / 2
    spectrum = np.asarray(qdb.correlation_spectrum(*machine, A, B, np.tan(angle)))
    integral = np.sum(spectrum / np.cos(angle) ** 2) * np.pi / 4000 / (2 * np.pi)
    wanted = connected(A, B, np.asarray(machine[1].density_matrix))
    np.testing.assert_allclose(integral, wanted, rtol=0, atol=1e-8 * np.abs(wanted))


def test_own_spectrum_is_positive(machine):
    """S_AA†(ω) is real and positive."""
    found = np.asarray(qdb.correlation_spectrum(*machine, A, A.conj().T, FREQUENCIES))
    assert np.all(found.real > 0) and np.abs(found.imag).max() < 1e-12 * found.real.max()


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


def test_refused(machine):
    """Shapes and times."""
    with pytest.raises(ValueError, match=r"b must have shape \(3, 3\); got \(2, 2\)"):
        qdb.correlation(*machine, np.eye(3), np.eye(2), [0.0])
    with pytest.raises(ValueError, match="times must not lie before start"):
        qdb.correlation(*machine, np.eye(3), np.eye(3), [-1.0])
    with pytest.raises(ValueError, match="frequencies must be a vector"):
        qdb.correlation_spectrum(*machine, np.eye(3), np.eye(3), 1.0)


def test_correlation_in_time(machine):
    """Tr[A e^{tL}(Bρ)] by SciPy's exponential of the Liouvillian."""
    generator, rho = machine[0], np.asarray(machine[1].density_matrix)
    times, liouvillian = np.array([0.0, 0.3, 2.0, 11.0]), np.asarray(generator.liouvillian())
    moved = [scipy.linalg.expm(t * liouvillian) @ (B @ rho).reshape(-1) for t in times]
    wanted = [np.trace(A @ each.reshape(3, 3)) for each in moved]
    np.testing.assert_allclose(qdb.correlation(*machine, A, B, times), wanted, rtol=0, atol=1e-12)
    assert np.abs(np.imag(wanted)).max() > 0.1
