"""The Lamb shift: closed forms, independent integrals, gradients, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from reference import differences
from reference.machines import COUPLING

import qdbjax as qdb
from qdbjax.baths import lamb_error, lamb_matrix, shared_lamb_shift

shift, error = eqx.filter_jit(lamb_matrix), eqx.filter_jit(lamb_error)
FREQUENCIES = np.array([1.0, -1.0, 0.0, 0.03, -4.0])


def test_ohmic_at_absolute_zero():
    """s(ω) = η(-ω_c + ω e^{-ω/ω_c} Ei(ω/ω_c)) at T = 0."""
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.05, 5.0), temperature=0.0)
    x = np.where(FREQUENCIES == 0, 1.0, FREQUENCIES / 5)
    wanted = 0.05 * (-5 + np.where(FREQUENCIES == 0, 0.0, FREQUENCIES * np.exp(-x) * scipy.special.expi(x)))
    np.testing.assert_allclose(shift(bath, FREQUENCIES)[0, 0], wanted, rtol=1e-11)


@pytest.mark.parametrize("temperature", [0.01, 0.3, 20.0])
def test_drude_lorentz(temperature):
    """Closed form with digamma functions, from the Matsubara sum of the correlation function."""
    eta, cutoff = 0.05, 2.0
    bath = qdb.Bath(qdb.sigma_x(), qdb.DrudeLorentz(eta, cutoff), temperature=temperature)
    found = shift(bath, FREQUENCIES)[0, 0]
    for frequency, value in zip(FREQUENCIES, found, strict=True):
        np.testing.assert_allclose(value, float(drude(frequency, eta, cutoff, temperature)), rtol=1e-10)


@pytest.mark.parametrize("ratio", [1e-6, 1e-4, 0.01, 0.7, 1e2, 1e4, 1e6])
def test_drude_lorentz_far_from_its_cutoff(ratio):
    """T/ω_c from 1e-6 to 1e6, |ω|/ω_c likewise: 1e-11, and rounding of the noise T η for ω « T, where it cancels."""
    eta, cutoff = 0.05, 2.0
    frequencies = cutoff * np.array([1e-6, -1e-4, 0.02, 3.1, -1e3, 1e6])
    bath = qdb.Bath(qdb.sigma_x(), qdb.DrudeLorentz(eta, cutoff), temperature=ratio * cutoff)
    with mpmath.workdps(60):
        wanted = [float(drude(frequency, eta, cutoff, ratio * cutoff, digits=60)) for frequency in frequencies]
    np.testing.assert_allclose(shift(bath, frequencies)[0, 0], wanted, rtol=1e-11, atol=3e-16 * eta * ratio * cutoff)
    assert float(error(bath, frequencies)) < 1e-10


@pytest.mark.parametrize("unit", [1.0, 1e9, 1e-24])
@pytest.mark.parametrize("ratio", [0.0, 1e-6, 10.0, 500.0, 1e4, 1e6])
def test_pure_dephasing_at_every_temperature(ratio, unit):
    """s(0) = -η ω_c of an Ohmic bath, whatever T; the even part of γ cancels."""
    bath = qdb.Bath(qdb.sigma_z(), qdb.Ohmic(0.03, 8.0 * unit), temperature=ratio * 8 * unit)
    np.testing.assert_allclose(shift(bath, np.zeros(5))[0, 0], -0.24 * unit, rtol=1e-13)


@pytest.mark.parametrize("width", [1e-2, 1e-3, 1e-6])
def test_hot_narrow_mode(width):
    """The even part of γ, 2πTJ(ω)/ω at T → ∞, has the shift πTλ²ω(ω² - Ω² + Γ²)/(Ω²((ω² - Ω²)² + Γ²ω²)), odd in ω."""
    strength, frequency, temperature = 0.1, 1.5, 1e7
    bath = qdb.Bath(qdb.sigma_x(), qdb.UnderdampedLorentzian(strength, frequency, width), temperature=temperature)
    omega = np.array([0.3, 1.1, 1.6, 40.0, 1e3])
    noise = (omega**2 - frequency**2) ** 2 + width**2 * omega**2
    wanted = np.pi * temperature * strength**2 * omega * (omega**2 - frequency**2 + width**2) / frequency**2 / noise
    np.testing.assert_allclose(0.5 * (shift(bath, omega) - shift(bath, -omega))[0, 0], wanted, rtol=1e-10)


def drude(frequency, eta, cutoff, temperature, digits=30):
    """Im of ∫₀^∞ dt e^{iωt}C(t), C(t) = Σ_k c_k e^{-ν_k t}; the sum over ν_k = 2πkT in digamma functions."""
    mpmath.mp.dps = digits
    w, c, t = mpmath.mpf(float(frequency)), mpmath.mpf(cutoff), mpmath.mpf(temperature)
    area = mpmath.pi * eta * c**2 / 2
    own = area * (mpmath.cot(c / (2 * t)) - 1j) / (c - 1j * w)
    nu = 2 * mpmath.pi * t
    # Σ_k ν_k/((ν_k² - c²)(ν_k - iω)), k >= 1, by partial fractions.
    a, b, z = c, -c, 1j * w
    weights = [(p, p / (mpmath.fprod(p - q for q in (a, b, z) if q is not p))) for p in (a, b, z)]
    thermal = -sum(weight * mpmath.digamma(1 - p / nu) for p, weight in weights) / nu
    return mpmath.im(own + 4 * area * t * thermal)


@pytest.mark.parametrize(("frequency", "channel"), [(0.4, 0), (-0.6, 0), (0.4, 1), (0.0, 1)])
def test_lead(frequency, channel):
    """A lead with a Lorentzian band against an independent integral, on both channels."""
    potential, temperature, strength, center, width = 0.3, 0.05, 0.02, -0.2, 1.5
    density = qdb.baths.LorentzianBand(strength, center, width)
    lead = qdb.Lead(qdb.fermion_destroy(0, 1), density, temperature=temperature, chemical_potential=potential)
    found = shift(lead, jnp.array(frequency))[channel, channel]
    mpmath.mp.dps = 20

    def noise(x):
        energy = x if channel == 0 else -x
        filled = 1 / (mpmath.exp((energy - potential) / temperature) + 1)
        band = strength / (1 + ((energy - center) / width) ** 2)
        return band * (1 - filled if channel == 0 else filled)

    points = sorted({0, *(abs(frequency - sign * mark) for sign in (1, -1) for mark in (potential, center)), 5, 50})
    integrand = lambda u: (noise(frequency - u) - noise(frequency + u)) / u  # noqa: E731
    np.testing.assert_allclose(found, float(mpmath.quad(integrand, [*points, mpmath.inf])), rtol=1e-9)


def test_correlated_channels():
    """s_ab of a complex correlation: Hermitian, Re M times the plain shift, Im M times that of sign(ω)γ(ω)."""
    correlation = np.array([[1.0, 0.3 + 0.4j], [0.3 - 0.4j, 0.8]])
    density = qdb.PowerLaw(0.05, 4.0, 3.0)
    couplings = np.stack([qdb.sigma_x(), qdb.sigma_z()])
    table = np.asarray(
        shift(qdb.Bath(couplings, density, temperature=0.5, correlation=correlation), jnp.array([0.7, -0.7]))
    )
    np.testing.assert_allclose(table, np.conj(np.swapaxes(table, 0, 1)), rtol=0, atol=1e-15)
    plain = np.asarray(shift(qdb.Bath(qdb.sigma_x(), density, temperature=0.5), jnp.array([0.7, -0.7])))[0, 0]
    np.testing.assert_allclose(table.real, correlation.real[:, :, None] * plain, rtol=1e-13)
    mpmath.mp.dps = 20

    def odd(x):
        size = abs(x)
        height = 0.05 * size * (size / 4) ** 2 * mpmath.exp(-size / 4)
        filled = 1 / mpmath.expm1(size / 0.5) if size else 0
        return height * (filled + 1) if x > 0 else -height * filled

    wanted = mpmath.quad(lambda u: (odd(0.7 - u) - odd(0.7 + u)) / u, [0, 0.35, 0.7, 2, 8, 40, 200])
    np.testing.assert_allclose(table[0, 1, 0].imag, 0.4 * float(wanted), rtol=1e-9)


def splitting(parameters):
    """Shifted level distance of a three-level system as a function of the parameters of two baths."""
    strength, cutoff, temperature, potential, gap = parameters
    baths = [
        qdb.Bath(COUPLING, qdb.Ohmic(strength, cutoff), temperature=temperature),
        qdb.Field(
            np.triu(COUPLING, 1), qdb.DrudeLorentz(strength, cutoff), temperature=0.4, chemical_potential=potential
        ),
    ]
    system = qdb.models.three_level(jnp.stack([jnp.zeros(()), gap, jnp.array(2.3)]))
    added = qdb.davies(system, baths, lamb_shift=True).lamb_shift
    return jnp.real(added[1, 1] - added[0, 0])


@pytest.mark.slow
def test_gradients():
    """In strength, cutoff, temperature, chemical potential, spacing: reverse = forward, and differences (1e-7)."""
    point = jnp.array([0.05, 4.0, 0.6, -0.1, 1.1])
    value = jax.jit(splitting)
    gradient = jax.jit(jax.grad(splitting))(point)
    np.testing.assert_allclose(gradient, jax.jit(jax.jacfwd(splitting))(point), rtol=1e-11)
    for n, step in enumerate(np.eye(5) * 2e-3 * np.maximum(np.abs(point), 0.1)):
        wanted = differences.slope(value, point, step[n], np.eye(5)[n])
        np.testing.assert_allclose(gradient[n], wanted, rtol=1e-7)


@pytest.mark.slow
def test_absolute_zero_has_gradients():
    """T = 0 exactly and degenerate levels: finite."""

    def shifted(gap):
        bath = qdb.Bath(np.ones((3, 3)), qdb.Ohmic(0.05, 5.0), temperature=0.0)
        system = qdb.models.three_level(jnp.stack([jnp.zeros(()), gap, gap]))
        return jnp.real(qdb.davies(system, bath, lamb_shift=True).lamb_shift[1, 2])

    value, slope = jax.jit(jax.value_and_grad(shifted))(1.0)
    assert np.isfinite(value) and np.isfinite(slope)
    down = 0.05 * (-5 + 1.0 * np.exp(-1 / 5) * scipy.special.expi(1 / 5))
    np.testing.assert_allclose(value, 2 * 0.05 * -5 + down, rtol=1e-11)


def test_refused():
    """Densities without end have no finite shift."""
    wide = qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.1), temperature=0.5)
    with pytest.raises(ValueError, match="Lamb shift is infinite"):
        qdb.davies(qdb.models.quantum_dot(0.3), wide, lamb_shift=True)
    with pytest.raises(ValueError, match="Lamb shift is infinite"):
        endless = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.1, np.inf), temperature=0.5)
        qdb.davies(qdb.models.qubit(1.0), endless, lamb_shift=True)


OHMIC = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.02, 5.0), temperature=0.7)


def noise(omega):
    """The Ohmic γ(ω) with 30 digits."""
    omega = mpmath.mpf(omega)
    thermal = omega / -mpmath.expm1(-omega / mpmath.mpf("0.7")) if omega != 0 else mpmath.mpf("0.7")
    return 2 * mpmath.pi * mpmath.mpf("0.02") * thermal * mpmath.exp(-abs(omega) / 5)


shared_shift = jax.jit(lambda p, q: shared_lamb_shift(OHMIC, p, q)[0])


@pytest.mark.slow
@pytest.mark.parametrize(("p", "q"), [(0.7, -0.4), (-0.3, 0.9), (0.0, 1.0), (0.5, 0.5)])
def test_two_transitions_in_one_operator(p, q):
    """F(p, q) against adaptive quadrature; F(ω, ω) = s(ω)."""

    def difference(u):
        return mpmath.sqrt(noise(p - u) * noise(q - u)) - mpmath.sqrt(noise(p + u) * noise(q + u))

    edges = sorted({0.0, abs(p), abs(q), 2.0, 10.0, 50.0, 400.0})
    with mpmath.workdps(25):
        expected = mpmath.quad(lambda u: difference(u) / u, edges) / (2 * mpmath.pi)
    found = np.asarray(shared_shift(np.array([p]), np.array([q])))[0]
    assert abs(found - float(expected)) < 1e-13
    if p == q:
        assert abs(found - np.asarray(lamb_matrix(OHMIC, jnp.asarray([p])))[0, 0, 0]) < 1e-15
