"""The Lamb shift: golden values, closed forms, independent integrals, gradients, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from golden_cases import array, cases
from programs import golden_degenerate as degenerate, golden_qubit as qubit
from reference import differences
from reference.machines import COUPLING
from test_davies import DEGENERATE, QUBIT

import qdbjax as qdb
from qdbjax.baths import lamb_matrix

shift = eqx.filter_jit(lamb_matrix)
FREQUENCIES = np.array([1.0, -1.0, 0.0, 0.03, -4.0])


@eqx.filter_jit
def with_and_without(hamiltonian, bath):
    shifted, bare = (qdb.davies(hamiltonian, bath, lamb_shift=flag) for flag in (True, False))
    return shifted.liouvillian(), shifted.lamb_shift, bare.lamb_shift, qdb.steady_state(shifted).density_matrix


@pytest.mark.parametrize("case", QUBIT, ids=lambda case: case["name"])
def test_qubit(case):
    """s(±ω), s(0), H_LS and L of the whole golden case, the shifted splitting included (1e-10)."""
    inputs, expected = case["inputs"], case["outputs"]
    hamiltonian, bath = qubit(inputs)
    found = shift(bath, jnp.array([inputs["w0"], -inputs["w0"], 0.0]))[0, 0]
    np.testing.assert_allclose(found, [expected["s_plus"], expected["s_minus"], expected["s_zero"]], rtol=1e-10)
    liouvillian, added, none, rho = with_and_without(hamiltonian, bath)
    np.testing.assert_allclose(
        added, array(expected["H_LS"]), rtol=0, atol=1e-10 * np.abs(array(expected["H_LS"])).max()
    )
    scale = np.abs(array(expected["L"])).max()
    np.testing.assert_allclose(liouvillian, array(expected["L"]), rtol=0, atol=1e-10 * scale)
    assert not np.any(none)
    np.testing.assert_allclose(rho, array(expected["rho_ss"]), rtol=0, atol=1e-12)
    split = np.real(added[0, 0] - added[1, 1]) + inputs["w0"]
    np.testing.assert_allclose(split, expected["lamb_shifted_splitting"], rtol=1e-10)


def test_dark_state():
    """Degenerate levels with a dark state, Lamb shift on: the whole golden Liouvillian."""
    (case,) = (case for case in DEGENERATE if case["inputs"]["lamb"])
    expected = case["outputs"]
    liouvillian, added, _, _ = with_and_without(*degenerate(case))
    np.testing.assert_allclose(added, array(expected["H_LS"]), rtol=0, atol=1e-10)
    assert np.abs(array(expected["H_LS"])).max() > 1e-3
    np.testing.assert_allclose(liouvillian, array(expected["L"]), rtol=0, atol=1e-10)


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


def drude(frequency, eta, cutoff, temperature):
    """Im of ∫₀^∞ dt e^{iωt}C(t), C(t) = Σ_k c_k e^{-ν_k t}; the sum over ν_k = 2πkT in digamma functions."""
    mpmath.mp.dps = 30
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
    density = qdb.LorentzianBand(strength, center, width)
    lead = qdb.Lead(qdb.annihilate(0, 1), density, temperature=temperature, chemical_potential=potential)
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
    wide = qdb.Lead(qdb.annihilate(0, 1), qdb.Flat(0.1), temperature=0.5)
    with pytest.raises(ValueError, match="Lamb shift is infinite"):
        qdb.davies(qdb.models.quantum_dot(0.3), wide, lamb_shift=True)
    with pytest.raises(ValueError, match="Lamb shift is infinite"):
        endless = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.1, np.inf), temperature=0.5)
        qdb.davies(qdb.models.qubit(1.0), endless, lamb_shift=True)


def test_cases_found():
    """Four golden qubits, one golden dark state with a Lamb shift."""
    assert len(QUBIT) == len(cases("davies_qubit_ohmic")) == 4
