"""Rate equations from given rates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.machines import ENERGIES, three_level_machine

import qdbjax as qdb


def test_given_rates():
    """Rates by name keep their order and their heat."""
    reference = three_level_machine((1.5, 0.4))
    rates = {name: np.asarray(table) for name, table in zip(reference.names, reference.rates, strict=True)}
    given = qdb.pauli(
        ENERGIES[::-1], {name: table[::-1, ::-1] for name, table in rates.items()}, temperatures=[1.5, 0.4]
    )
    one, two = qdb.steady_state(given), qdb.steady_state(reference)
    np.testing.assert_allclose(one.populations[::-1], two.populations, rtol=1e-13)
    np.testing.assert_allclose(qdb.heat_currents(given, one), qdb.heat_currents(reference, two), rtol=1e-12)
    np.testing.assert_allclose(qdb.entropy_production(given, one), qdb.entropy_production(reference, two), rtol=1e-12)
    with pytest.raises(ValueError, match="does not tell how these depend"):
        given.with_reservoirs(temperatures=[1.0, 1.0])


def test_wrong_rates():
    """Below zero, or of another shape."""
    with pytest.raises(ValueError, match="rates must be >= 0"):
        qdb.pauli([0.0, 1.0], [[0.0, -1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="rates must have shape"):
        qdb.pauli([0.0, 1.0], np.zeros((3, 3)))


def test_known_energies_and_rates_that_are_traced():
    """Two equal energies, known while a program is traced in which only rates vary: b from 0 to n, 1 back."""

    def populations(b):
        tables = jnp.zeros((4, 4)).at[0, 1:].set(1.0).at[1:, 0].set(b)
        return qdb.steady_state(qdb.pauli([0.0, 1.0, 1.0, 2.0], tables)).populations

    b = jnp.array([0.3, 2.0])
    wanted = jnp.stack([jnp.ones(2), b, b, b], axis=1) / (1 + 3 * b)[:, None]
    np.testing.assert_allclose(jax.jit(jax.vmap(populations))(b), wanted, rtol=1e-14)
