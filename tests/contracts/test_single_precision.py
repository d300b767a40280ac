"""JAX's default precision: said once, and right in every unit that it can hold."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from public_programs import POINT, PROGRAMS

import qdbjax as qdb
from qdbjax._checks import _warn_of_single_precision

UNITS = {"natural": 1.0, "eV": 2e-5, "1e-10": 1e-10, "joule": 6.6e-34 * 5e9, "rad/s": 2 * np.pi * 5e9}
H2 = np.array([[0.0, 0.3], [0.3, 1.0]])
H3 = np.array([[0.0, 0.1, 0.0], [0.1, 1.0, 0.2j], [0.0, -0.2j, 1.9]])
H5 = np.diag(np.arange(5) ** 1.1) + 0.1 * np.ones((5, 5))
DENSITIES = {
    "Ohmic": lambda u: qdb.Ohmic(0.01, 10 * u),
    "DrudeLorentz": lambda u: qdb.DrudeLorentz(0.01, 10 * u),
    "UnderdampedLorentzian": lambda u: qdb.UnderdampedLorentzian(0.05 * u**1.5, 1.3 * u, 0.4 * u),
}


@pytest.fixture
def single():
    with jax.enable_x64(False), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="JAX computes in single precision")
        yield


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("hamiltonian", [H2, H3, H5], ids=["2", "3", "5"])
def test_populations_in_any_unit(single, hamiltonian, unit):
    """Gibbs, in NumPy's double precision."""
    energies, u, d = np.linalg.eigvalsh(hamiltonian), UNITS[unit], len(hamiltonian)
    wanted = np.exp(-energies / 0.4) / np.exp(-energies / 0.4).sum()
    coupling = np.ones((d, d)) + np.diag(np.arange(d))
    steady = qdb.steady_state(
        qdb.davies(hamiltonian * u, qdb.Bath(coupling, qdb.Ohmic(0.01, 10 * u), temperature=0.4 * u))
    )
    assert steady.populations.dtype == np.float32 and not int(steady.status) & ~int(qdb.Status.NEAR_DEGENERATE)
    np.testing.assert_allclose(steady.populations, wanted, rtol=0, atol=5e-6)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("density", DENSITIES)
def test_densities_in_any_unit(single, density, unit):
    u = UNITS[unit]
    bath = qdb.Bath(np.array([[0.0, 1.0], [1.0, 0.0]]), DENSITIES[density](u), temperature=0.4 * u)
    generator = qdb.davies(np.diag([0.0, u]), bath)
    assert abs(float(qdb.steady_state(generator).populations[0]) - 1 / (1 + np.exp(-2.5))) < 5e-6
    rate = {"Ohmic": 0.01 * np.exp(-0.1), "DrudeLorentz": None, "UnderdampedLorentzian": None}[density]
    if density == "UnderdampedLorentzian":
        rate = 0.05**2 * 0.4 / ((1 - 1.69) ** 2 + 0.16)
    if rate is not None:
        wanted = 2 * np.pi * rate / np.expm1(2.5)
        assert abs(float(generator.rates[0, 1, 0] / np.float32(u)) / wanted - 1) < 1e-5


# Relative to the largest entry; currents that add up to zero cancel.
TOLERANCES = {"dynamical_balance": 5e-5, "symmetry_residuals": 5e-5}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_public_programs_agree_with_double_precision(single, name):
    """Every public program at a generic point."""
    with jax.enable_x64(True):
        wanted = np.asarray(PROGRAMS[name](jnp.asarray(POINT), 3))
    found = np.asarray(PROGRAMS[name](jnp.asarray(POINT, jnp.float32), 3))
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < TOLERANCES.get(name, 5e-6) * np.abs(wanted).max()


def test_a_lamb_shift_in_single_precision(single):
    """Its slope was NaN, without a flag."""
    bath = qdb.Bath(np.array([[0.0, 1.0], [1.0, 0.0]]), qdb.Ohmic(0.05, 10.0), temperature=0.5)
    generator = qdb.davies(np.diag([0.0, 1.0]), bath, lamb_shift=True)
    noise = lambda w: 2 * np.pi * 0.05 * np.exp(-abs(w) / 10) * (w / -np.expm1(-w / 0.5) if w else 0.5)  # noqa: E731
    far = {"weight": "cauchy", "limit": 500, "epsabs": 1e-12}
    wanted = [-scipy.integrate.quad(noise, -20, 400, wvar=w, **far)[0] / (2 * np.pi) for w in (-1.0, 1.0)]
    np.testing.assert_allclose(np.diagonal(generator.lamb_shift).real, wanted, rtol=2e-6)


def test_it_is_said_once():
    _warn_of_single_precision.cache_clear()
    with jax.enable_x64(False):
        with pytest.warns(UserWarning, match=r"single precision.*jax_enable_x64"), warnings.catch_warnings():
            warnings.simplefilter("always")
            qdb.System(np.eye(2))
        qdb.System(np.eye(2))


@pytest.mark.parametrize("size", [1e-20, 1e-12, 1.0, 1e12])
def test_a_wrong_eigenbasis_is_refused_in_any_unit(size):
    x = size * np.array([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="eigenbasis and energies must solve"):
        qdb.System(x, eigenbasis=np.eye(2), energies=[size, -size])
