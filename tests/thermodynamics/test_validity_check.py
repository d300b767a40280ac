"""The report on Born, Markov and secular steps: its numbers, and that it says the right thing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.differences import two_point_slope
from reference.thermal import ohmic_noise

import qdbjax as qdb

X = np.array([[0.0, 1.0], [1.0, 0.0]])


def qubit_in_two_baths(strength, splitting=1.0, maker=qdb.davies, **options):
    baths = [
        qdb.Bath(X, qdb.Ohmic(strength, 10.0), temperature=0.5, name="strong"),
        qdb.Bath(X, qdb.Ohmic(0.1 * strength, 10.0), temperature=0.5, name="weak"),
    ]
    return maker(qdb.models.qubit(splitting), baths, **options)


def gamma(omega, strength):
    return ohmic_noise(omega, strength, 10.0, 0.5)


def test_numbers_of_a_qubit():
    found, strength = qdb.validity(qubit_in_two_baths(0.01)), 0.01
    fastest = gamma(1.0, 1.1 * strength)
    assert abs(float(found.relaxation_time) * fastest - 1) < 1e-12
    memory = float(qdb.baths.memory_time(qdb.Bath(X, qdb.Ohmic(strength, 10.0), temperature=0.5)))
    assert np.abs(np.asarray(found.memory_times) - memory).max() < 1e-14
    assert np.abs(np.asarray(found.born) - fastest * memory).max() < 1e-12
    slope = two_point_slope(lambda omega: gamma(omega, strength), 1.0, 1e-5)
    assert np.abs(np.asarray(found.markov) - slope * fastest / gamma(1.0, strength)).max() < 1e-9
    assert float(found.secular) < fastest**2 and bool(found.holds)


def test_words():
    good, bad = repr(qdb.validity(qubit_in_two_baths(0.001))), repr(qdb.validity(qubit_in_two_baths(1.0)))
    assert "Born holds" in good and "Markov holds" in good and "secular holds" in good
    assert "Markov fails: rates of" in bad and "secular holds" in bad and "in transients" in bad
    assert "no such step" in repr(qdb.validity(qubit_in_two_baths(0.01, maker=qdb.universal_lindblad)))


def test_batch_and_derivative():
    found = jax.jit(jax.vmap(lambda s: qdb.validity(qubit_in_two_baths(s))))(jnp.asarray([0.01, 0.02]))
    assert np.abs(np.asarray(found.born[1] / found.born[0]) - 2).max() < 1e-12
    assert "batch" in repr(found)
    slope = jax.jit(jax.grad(lambda s: qdb.validity(qubit_in_two_baths(s)).relaxation_time))(0.01)
    assert abs(float(slope) * 0.01**2 * gamma(1.0, 1.1) + 1) < 1e-11


def test_given_rates_and_jump_operators():
    """No bath is known and no secular step was made: that is what is said."""
    jumps = np.array([[0.0, 0.5], [0.0, 0.0]])
    for given in (qdb.pauli([0.0, 1.0], [[0.0, 1.0], [0.2, 0.0]]), qdb.lindblad(np.diag([0.0, 1.0]), jumps)):
        found = qdb.validity(given)
        assert "Born and Markov: not known" in repr(found) and "no such step was made" in repr(found)
        assert np.all(np.isnan(found.born)) and float(found.secular) == 0 and not bool(found.holds)


def test_a_dilute_gas():
    gas = qdb.low_density(qdb.models.qubit(1.0), qdb.Gas(np.eye(2), temperature=1.0))
    with pytest.raises(ValueError, match="made by low_density"):
        qdb.validity(gas)
