"""Propagators and relaxation spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from reference.differences import two_point_slope
from reference.machines import KET, SPECTRA, three_level_machine

import qdbjax as qdb

TEMPERATURES = 0.7, 1.5


@pytest.mark.slow
@pytest.mark.parametrize("energies", SPECTRA.values(), ids=str)
def test_propagator(energies):
    """e^{tL}: the plain exponential, the evolution, the semigroup, and the stationary state at t = 1e9."""
    generator = three_level_machine(TEMPERATURES, energies)
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
            qdb.propagator(three_level_machine(TEMPERATURES), bad)
    with pytest.raises(ValueError, match="time must be a single number"):
        qdb.propagator(three_level_machine(TEMPERATURES), [1.0, 2.0])


def test_relaxation():
    """T1 and T2 of a qubit; modes are eigenoperators."""
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


def test_stationary_states_are_not_slow():
    """A dark state leaves two of them, which last for ever and do not close the gap."""
    fork = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0.0]])
    dark = qdb.davies(np.diag([0.0, 1.0, 1.0]), qdb.Bath(fork, qdb.Ohmic(0.02, 5.0), temperature=0.5))
    assert np.sum(np.isinf(qdb.relaxation(dark).times)) == 2 and qdb.relaxation(dark).gap > 1e-3
    shown = repr(qdb.relaxation(dark))
    assert f"gap={qdb.relaxation(dark).gap:.6g}, " in shown and "\n" not in shown  # six eigenvalues in one line


def test_relaxation_is_not_traced():
    """Modes of a general matrix have no derivative here."""
    with pytest.raises(TypeError, match="does not run inside jit"):
        jax.jit(lambda t: qdb.relaxation(three_level_machine(TEMPERATURES, jnp.stack([t, t + 1, t + 2.3]))).gap)(0.0)


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
    generator = three_level_machine(TEMPERATURES)
    np.testing.assert_allclose(
        qdb.decay_rates(generator), np.sort(-qdb.relaxation(generator).eigenvalues.real), rtol=1e-9, atol=1e-15
    )
    with pytest.raises(NotImplementedError):
        jax.hessian(
            lambda gap: qdb.decay_rates(three_level_machine(TEMPERATURES, jnp.stack([0.0 * gap, gap, 2.3 * gap])))[1]
        )(1.0)
