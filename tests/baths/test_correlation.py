"""Bath correlation functions against closed forms, and memory times."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import special

import qdbjax as qdb

X = np.array([[0.0, 1.0], [1.0, 0.0]])
REMOVAL = np.array([[0.0, 1.0], [0.0, 0.0]])
TIMES = np.array([-1.0, 0.0, 1e-3, 0.1, 1.0, 3.3, 10.0, 100.0, 1e4])
ETA, CUTOFF = 0.01, 10.0

correlation = jax.jit(qdb.baths.bath_correlation)
memory = jax.jit(qdb.baths.memory_time)


def ohmic(temperature, time):
    if temperature == 0:
        return complex(ETA * CUTOFF**2 / (1 + 1j * CUTOFF * time) ** 2)
    return sum(emitted_and_absorbed(temperature, time))


def emitted_and_absorbed(temperature, time):
    """∫dω J(n + 1)e^{-iωt} and ∫dω J n e^{iωt} over ω > 0."""
    first = mpmath.psi(1, temperature * mpmath.mpc(1 / CUTOFF, time))
    second = mpmath.psi(1, 1 + temperature * mpmath.mpc(1 / CUTOFF, -time))
    return tuple(complex(ETA * temperature**2 * each) for each in (first, second))


def drude(temperature, time):
    """Poles of the cutoff and of the Bose function, by hand; t > 0."""
    total = np.pi * ETA * CUTOFF**2 / 2 * (1 / np.tan(CUTOFF / 2 / temperature) - 1j) * np.exp(-CUTOFF * time)
    nu = 2 * np.pi * temperature * np.arange(1, 200_000)
    terms = nu / (nu**2 - CUTOFF**2) * np.exp(-nu * time)
    return total + 2 * np.pi * ETA * CUTOFF**2 * temperature * np.sum(terms[::-1])


@pytest.mark.parametrize("temperature", [0.0, 1e-3, 0.01, 1.0, 5.0])
def test_ohmic(temperature):
    found = np.asarray(correlation(qdb.Bath(X, qdb.Ohmic(ETA, CUTOFF), temperature=temperature), TIMES))[0, 0]
    expected = np.array([ohmic(temperature, time) for time in TIMES])
    assert np.abs(found - expected).max() < 1e-14 * abs(expected[1])


def test_drude_lorentz_at_every_time_but_zero():
    found = np.asarray(correlation(qdb.Bath(X, qdb.DrudeLorentz(ETA, CUTOFF), temperature=2.0), TIMES))[0, 0]
    expected = np.array([drude(2.0, time) for time in TIMES[2:]])
    assert np.abs(found[2:] - expected).max() < 1e-11 * abs(expected[0])
    assert np.isposinf(found[1].real) and found[1].imag == 0
    assert found[0] == found[4].conjugate()


def test_a_narrow_mode_rings():
    strength, frequency, width = 0.3, 5.0, 0.02
    density = qdb.UnderdampedLorentzian(strength, frequency, width)
    found = np.asarray(correlation(qdb.Bath(X, density, temperature=0.7), TIMES))[0, 0]
    turning = np.sqrt(frequency**2 - width**2 / 4)
    size = np.pi * strength**2 / (2 * turning)
    expected = -size * np.exp(-width / 2 * np.abs(TIMES)) * np.sin(turning * TIMES)
    assert np.abs(found.imag - expected).max() < 1e-12 * size


def test_a_hot_lead_of_lorentzian_band():
    kappa, width, center = 0.4, 3.0, 0.7
    band = qdb.baths.LorentzianBand(kappa, center, width)
    found = np.asarray(correlation(qdb.Lead(REMOVAL, band, temperature=1e13, chemical_potential=0.2), TIMES))
    size = np.pi * kappa * width / 2 * np.exp(-width * np.abs(TIMES))
    assert np.abs(found[0, 0] - size * np.exp(-1j * center * TIMES)).max() < 1e-12
    assert np.abs(found[1, 1] - size * np.exp(1j * center * TIMES)).max() < 1e-12
    assert np.abs(found[0, 1]).max() == 0


def test_correlated_couplings_and_the_past():
    matrix = np.array([[1.0, 0.3 + 0.4j], [0.3 - 0.4j, 0.8]])
    bath = qdb.Bath(np.stack([X, np.diag([1.0, -1.0])]), qdb.Ohmic(ETA, CUTOFF), temperature=1.0, correlation=matrix)
    future, past = (np.asarray(correlation(bath, sign * np.abs(TIMES[[2, 3, 4, 5]]))) for sign in (1, -1))
    assert np.abs(past - np.swapaxes(future, 0, 1).conj()).max() < 1e-15
    alone = np.array([ohmic(1.0, time) for time in np.abs(TIMES[[2, 3, 4, 5]])])
    assert np.abs(future[1, 1] - 0.8 * alone).max() < 1e-13
    # ⟨B_0 B_1⟩: the real part of M multiplies C, its imaginary part the transform of sign(ω)γ(ω).
    odd = np.array([np.subtract(*emitted_and_absorbed(1.0, time)) for time in np.abs(TIMES[[2, 3, 4, 5]])])
    assert np.abs(future[0, 1] - 0.3 * alone - 0.4j * odd).max() < 1e-13
    assert np.abs(future[1, 0] - 0.3 * alone + 0.4j * odd).max() < 1e-13
    assert np.abs(odd.imag).max() > 0.1 and np.abs(odd.real).max() > 0.1


def test_correlated_couplings_that_diverge_at_once():
    matrix = np.array([[1.0, 0.3 + 0.4j], [0.3 - 0.4j, 0.8]])
    couplings = np.stack([X, np.diag([1.0, -1.0])])
    bath = qdb.Bath(couplings, qdb.DrudeLorentz(ETA, CUTOFF), temperature=1.0, correlation=matrix)
    found = np.asarray(correlation(bath, np.array([0.0, 0.1])))
    assert np.isposinf(found[0, 0, 0].real) and not np.isnan(found).any()


@pytest.mark.parametrize(
    ("bath", "expected"),
    [
        (qdb.Bath(X, qdb.Ohmic(0.3, 4.0), temperature=0.0), 0.25),
        (qdb.Bath(X, qdb.DrudeLorentz(0.3, 4.0), temperature=1e9), 0.25 / np.sqrt(2)),
        (qdb.Bath(X, qdb.UnderdampedLorentzian(1.0, 5.0, 1e-3), temperature=1.0), np.sqrt(2) / 1e-3),
        (qdb.Lead(REMOVAL, qdb.baths.LorentzianBand(1.0, 0.5, 2.0), temperature=1e9), 0.5 / np.sqrt(2)),
        (qdb.Lead(REMOVAL, qdb.baths.LorentzianBand(1.0, 0.5, 2.0), temperature=0.0), np.inf),
        (qdb.Bath(X, qdb.PowerLaw(0.3, 4.0, 0.5), temperature=1.0), np.inf),
        (qdb.Bath(X, qdb.Flat(0.3), temperature=1.0), 0.0),
    ],
    ids=["ohmic", "drude", "mode", "hot lead", "cold lead", "sub-ohmic", "flat"],
)
def test_memory_times(bath, expected):
    found = float(memory(bath))
    assert found == expected or abs(found / expected - 1) < 2e-7


def test_memory_time_is_the_width_of_the_correlation_function():
    """Against Parseval's other side, from the closed form in time."""
    time, weight = special.roots_legendre(400)
    time = np.exp(8 * time) * 0.05
    weight = weight * 8 * time
    size = np.array([abs(ohmic(1.0, t)) ** 2 for t in time])
    expected = np.sqrt(np.sum(weight * time**2 * size) / np.sum(weight * size))
    assert abs(float(memory(qdb.Bath(X, qdb.Ohmic(ETA, CUTOFF), temperature=1.0))) / expected - 1) < 1e-4


def test_derivative_of_the_memory_time():
    value = jax.jit(lambda t, c: qdb.baths.memory_time(qdb.Bath(X, qdb.Ohmic(ETA, c), temperature=t)))
    slopes = jax.jit(
        jax.grad(lambda t, c: qdb.baths.memory_time(qdb.Bath(X, qdb.Ohmic(ETA, c), temperature=t)), (0, 1))
    )
    found, step = slopes(0.8, 6.0), 1e-4
    assert abs(found[0] - (value(0.8 + step, 6.0) - value(0.8 - step, 6.0)) / (2 * step)) < 1e-9
    assert abs(found[1] - (value(0.8, 6.0 + step) - value(0.8, 6.0 - step)) / (2 * step)) < 1e-9


def test_bad_input():
    with pytest.raises(ValueError, match="density without end"):
        qdb.baths.bath_correlation(qdb.Bath(X, qdb.Flat(0.3), temperature=1.0), [0.0, 1.0])
    with pytest.raises(ValueError, match="times must be a vector"):
        qdb.baths.bath_correlation(qdb.Bath(X, qdb.Ohmic(0.3, 4.0), temperature=1.0), jnp.zeros(()))
