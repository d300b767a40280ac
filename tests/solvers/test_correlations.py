"""Propagators, relaxation spectra, correlation functions and their spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from golden_cases import array, cases
from reference.differences import two_point_slope
from reference.machines import ENERGIES, KET, SPECTRA, three_level_machine
from reference.random_matrices import gaussian

import qdbjax as qdb

CASES = cases("qdb_correlations")


def build(case):
    inputs = case["inputs"]
    couplings = [array(s) for s in (inputs["S"] if isinstance(inputs["S"], list) else [inputs["S"]])]
    baths = [
        qdb.Bath(np.real(s), qdb.Ohmic(eta, inputs["wc"]), temperature=temperature, name=str(n))
        for n, (s, eta, temperature) in enumerate(zip(couplings, inputs["eta"], inputs["T"], strict=True))
    ]
    return qdb.davies(np.real(array(inputs["H"])), baths)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden(case):
    """⟨A(t)B⟩ and ⟨B(t)A⟩ at and out of equilibrium (1e-9)."""
    generator = build(case)
    steady = qdb.steady_state(generator)
    a, b, times = array(case["inputs"]["A"]), array(case["inputs"]["B"]), case["inputs"]["t"]
    np.testing.assert_allclose(steady.density_matrix, array(case["outputs"]["rho_ss"]), rtol=0, atol=1e-11)
    for first, second, name in ((a, b, "C_AB"), (b, a, "C_BA")):
        found = qdb.correlation(generator, steady, first, second, times)
        np.testing.assert_allclose(found, array(case["outputs"][name]), rtol=0, atol=1e-9)


def machine(energies):
    return three_level_machine((0.7, 1.5), energies, strengths=(0.02, 0.01))


@pytest.mark.parametrize("energies", SPECTRA.values(), ids=str)
def test_propagator(energies):
    """e^{tL}: the plain exponential, the evolution, the semigroup, and the stationary state at t = 1e9."""
    generator = machine(energies)
    matrix = np.asarray(qdb.propagator(generator, 7.0))
    np.testing.assert_allclose(matrix, scipy.linalg.expm(7 * np.asarray(generator.liouvillian())), rtol=0, atol=1e-12)
    half = np.asarray(qdb.propagator(generator, 3.5))
    np.testing.assert_allclose(half @ half, matrix, rtol=0, atol=1e-13)
    rho = (matrix @ np.outer(KET, KET.conj()).reshape(-1)).reshape(3, 3)
    np.testing.assert_allclose(qdb.evolve(generator, KET, [7.0]).density_matrix[0], rho, rtol=0, atol=1e-8)
    late = (np.asarray(qdb.propagator(generator, 1e9)) @ np.eye(3).reshape(-1) / 3).reshape(3, 3)
    np.testing.assert_allclose(late, qdb.steady_state(generator).density_matrix, rtol=0, atol=1e-9)


def test_propagator_refuses():
    """Times that are none."""
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="time must be >= 0 and finite"):
            qdb.propagator(machine(ENERGIES), bad)
    with pytest.raises(ValueError, match="time must be a single number"):
        qdb.propagator(machine(ENERGIES), [1.0, 2.0])


def test_relaxation():
    """T1 and T2 of a qubit; modes are eigenoperators; two stationary states of a dark state do not count as slow."""
    bath = qdb.Bath(qdb.sigma_x() + 0.5 * qdb.sigma_z(), qdb.Ohmic(0.02, 5.0), temperature=0.8)
    generator = qdb.davies(qdb.models.qubit(1.0), bath)
    found = qdb.relaxation(generator)
    rates = np.asarray(generator.total_rates)
    dephasing = 0.5 * 0.25 * 4 * 2 * np.pi * 0.02 * 0.8  # ½γ(0)(S_uu - S_dd)²
    transverse = 0.5 * rates.sum() + dephasing
    np.testing.assert_allclose(
        np.sort(-found.eigenvalues.real), np.sort([0, rates.sum(), transverse, transverse]), atol=1e-14
    )
    np.testing.assert_allclose(found.gap, min(rates.sum(), transverse), rtol=1e-12)
    assert np.isinf(found.times[0]) and np.all(np.diff(found.times[1:]) <= 1e-9)
    for value, mode in zip(found.eigenvalues, found.modes, strict=True):
        np.testing.assert_allclose(generator.apply(mode), value * mode, rtol=0, atol=1e-14)
    assert repr(found).startswith("Relaxation(gap=")
    fork = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0.0]])
    dark = qdb.davies(np.diag([0.0, 1.0, 1.0]), qdb.Bath(fork, qdb.Ohmic(0.02, 5.0), temperature=0.5))
    assert np.sum(np.isinf(qdb.relaxation(dark).times)) == 2 and qdb.relaxation(dark).gap > 1e-3
    with pytest.raises(TypeError, match="does not run inside jit"):
        jax.jit(lambda t: qdb.relaxation(machine(jnp.stack([t, t + 1, t + 2.3]))).gap)(0.0)


@jax.jit
def decays(strength, tilt, temperature):
    """Rates and their slopes, of a qubit whose bath also dephases it."""

    def rates(strength, tilt, temperature):
        bath = qdb.Bath(qdb.sigma_x() + tilt * qdb.sigma_z(), qdb.Ohmic(strength, 5.0), temperature=temperature)
        return qdb.decay_rates(qdb.davies(qdb.models.qubit(1.0), bath))

    return rates(strength, tilt, temperature), jax.jacfwd(rates, (0, 1, 2))(strength, tilt, temperature)


@pytest.mark.parametrize("tilt", [0.3, 1.1])
def test_decay_rates_and_their_derivatives(tilt):
    """1/T₁ and twice 1/T₂ in closed form, slopes of the closed form by differences; two equal rates share a slope."""

    def closed(strength, tilt, temperature):
        scale = 2 * np.pi * strength * np.exp(-0.2)
        flip = scale / np.tanh(0.5 / temperature)
        turn = 0.5 * flip + 4 * np.pi * strength * temperature * tilt**2
        return np.sort([0.0, flip, turn, turn])

    place = np.array([0.02, tilt, 0.8])
    found, slopes = decays(*place)
    np.testing.assert_allclose(found, closed(*place), rtol=1e-12, atol=1e-16)
    for n, slope in enumerate(slopes):
        expected = two_point_slope(lambda x: closed(*x), place, 1e-4 * place[n], np.eye(3)[n])
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-10)


@pytest.mark.slow
def test_decay_rates_are_those_of_the_relaxation_spectrum():
    generator = machine(ENERGIES)
    np.testing.assert_allclose(
        qdb.decay_rates(generator), np.sort(-qdb.relaxation(generator).eigenvalues.real), rtol=1e-9, atol=1e-15
    )
    with pytest.raises(NotImplementedError):
        jax.hessian(lambda gap: qdb.decay_rates(machine(jnp.stack([0.0 * gap, gap, 2.3 * gap])))[1])(1.0)


def test_spectrum_is_the_transform_of_the_correlation():
    """S_AB(ω) against the Fourier integral; its integral is the equal-time value; S_AA† real and positive."""
    generator = machine(ENERGIES)
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
    generator = machine(ENERGIES)
    steady = qdb.steady_state(generator)
    with pytest.raises(ValueError, match=r"b must have shape \(3, 3\); got \(2, 2\)"):
        qdb.correlation(generator, steady, np.eye(3), np.eye(2), [0.0])
    with pytest.raises(ValueError, match="times must not lie before start"):
        qdb.correlation(generator, steady, np.eye(3), np.eye(3), [-1.0])
    with pytest.raises(ValueError, match="frequencies must be a vector"):
        qdb.correlation_spectrum(generator, steady, np.eye(3), np.eye(3), 1.0)
