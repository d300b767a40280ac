"""Every wrong gas has one outcome: a clear error, or a flag."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import Status

RING = qdb.models.three_dot_ring(-0.3, 0.3)
V = np.diag([1.0, 0.7, 1.5])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"potential": V + np.triu(np.ones((3, 3)), 1)}, "potential must be Hermitian"),
        ({"potential": np.diag([1.0, np.inf, 1.0])}, "potential must be finite"),
        ({"potential": V * np.nan}, "potential must be finite"),
        ({"potential": V[:2]}, "potential must have shape"),
        ({"mass": 0.0}, "mass must be > 0 and finite; got 0.0"),
        ({"mass": -1.0}, "mass must be > 0 and finite; got -1.0"),
        ({"mass": [1.0, 2.0]}, "mass must be a single number"),
        ({"density": -0.1}, "density must be >= 0 and finite; got -0.1"),
        ({"density": np.nan}, "density must be >= 0 and finite; got nan"),
        ({"temperature": 0.0}, "temperature must be > 0 and finite; got 0.0"),
        ({"temperature": -2.0}, "temperature must be > 0 and finite; got -2.0"),
        ({"temperature": np.inf}, "temperature must be > 0 and finite; got inf"),
        ({"inverse_temperature": 1.0}, "give exactly one of temperature and inverse_temperature"),
        ({"temperature": None}, "give exactly one of temperature and inverse_temperature"),
        ({"temperature": None, "inverse_temperature": 0.0}, "inverse_temperature must be > 0 and finite; got 0.0"),
        ({"temperature": None, "inverse_temperature": np.inf}, "inverse_temperature must be > 0 and finite; got inf"),
    ],
)
def test_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        qdb.Gas(**{"potential": V, "temperature": 1.0} | arguments)


def test_inverse_temperature():
    assert qdb.Gas(V, inverse_temperature=4.0).temperature == 0.25


def test_what_does_not_fit_together():
    gas = qdb.Gas(V, temperature=1.0, name="a")
    with pytest.raises(ValueError, match="gases must hold at least one Gas; got none"):
        qdb.low_density(RING, [])
    with pytest.raises(TypeError, match=r"gases\[0\] must be a Gas; got Bath"):
        qdb.low_density(RING, [qdb.Bath(V, qdb.Ohmic(0.1, 5.0), temperature=1.0)])
    with pytest.raises(ValueError, match="couples to dimension 3 but the system has 2"):
        qdb.low_density(np.diag([0.0, 1.0]), gas)
    with pytest.raises(ValueError, match="gas names must differ"):
        qdb.low_density(RING, [gas, gas])
    with pytest.raises(ValueError, match="scatters off 3 levels but the system has 2"):
        qdb.scattering(np.diag([0.0, 1.0]), gas, [1.0])
    with pytest.raises(ValueError, match="energies must be a vector"):
        qdb.scattering(RING, gas, 1.0)
    with pytest.raises(ValueError, match="made by davies or universal_lindblad"):
        qdb.validity(qdb.low_density(RING, gas))


@pytest.mark.parametrize("changed", [{"potential": 0 * V}, {"density": 0.0}], ids=["no potential", "no gas"])
def test_nothing_to_scatter_off(changed):
    """Zero rates, every eigenstate stationary: flagged."""
    generator = qdb.low_density(RING, qdb.Gas(**{"potential": V, "temperature": 1.0} | changed))
    assert not np.any(generator.rates)
    assert int(qdb.steady_state(generator).status) & int(Status.NONUNIQUE)


@jax.jit
def traced(temperature, mass, density, scale):
    gas = qdb.Gas(scale * jnp.asarray(V), temperature=temperature, mass=mass, density=density)
    steady = qdb.steady_state(qdb.low_density(RING, gas))
    return steady.populations, steady.status


@pytest.mark.parametrize(
    ("numbers", "flag"),
    [
        ((-1.0, 1.0, 1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((0.0, 1.0, 1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((1.0, -1.0, 1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((1.0, 1.0, -1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((np.nan, 1.0, 1.0, 1.0), Status.NONFINITE_INPUT),
        ((1.0, 1.0, 1.0, np.nan), Status.NONFINITE_INPUT),
        ((1.0, 1.0, 1.0, 0.0), Status.NONUNIQUE),
    ],
)
def test_traced_numbers_are_flagged(numbers, flag):
    populations, status = traced(*numbers)
    assert int(status) & int(flag) and np.isnan(populations).all()


def test_a_hard_core():
    """V → ∞ is right: t → k/im, every particle is reflected, and changes no level."""
    hard = qdb.Gas(1e9 * V, temperature=1.0)
    found = qdb.scattering(RING, hard, [5.0])
    np.testing.assert_allclose(found.t[0], np.diag(np.asarray(found.wave_numbers[0])) / 1j, rtol=0, atol=3e-8)
    np.testing.assert_allclose(found.s_matrix[0], -np.eye(3), rtol=0, atol=1e-8)
    assert np.abs(qdb.low_density(RING, hard).rates).max() < 1e-15
