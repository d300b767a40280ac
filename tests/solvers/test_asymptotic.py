"""Where a given state ends, and which states are none."""

import jax
import numpy as np
import pytest
from reference.machines import ENERGIES, links

import qdbjax as qdb

GOOD = np.array([[1.0, 0.3], [0.3, -1.0]])


def test_arguments_of_states():
    """Initial states: trace, positivity, Hermiticity, size."""
    generator = qdb.davies(GOOD, qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.05, 5.0), temperature=1.0))
    for rho, text in [
        (np.eye(2), "trace 1.*2"),
        (np.diag([1.5, -0.5]), "positive.*-0.5"),
        (np.array([[0.5, 0.5], [0.0, 0.5]]), "Hermitian"),
        (np.eye(3) / 3, r"dimension 2.*\(3, 3\)"),
    ]:
        with pytest.raises(ValueError, match=f"(?s)rho0.*{text}"):
            qdb.asymptotic_state(generator, rho)


def test_two_components_keep_their_weight():
    """Levels that nothing links: each start ends in its own Gibbs states, with the weights that it had."""
    generator = qdb.davies(np.diag(ENERGIES), qdb.Bath(links((0, 1)), qdb.Ohmic(0.02, 8.0), temperature=0.4))
    end = jax.jit(lambda rho: qdb.asymptotic_state(generator, rho))
    excited = 1 / (1 + np.exp(1 / 0.4))
    wanted = [0.5 * (1 - excited), 0.5 * excited, 0.5]
    np.testing.assert_allclose(end(np.diag([0.2, 0.3, 0.5])).populations, wanted, rtol=1e-10)
    state = end(np.diag([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(state.populations, [0, 0, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.kernel_dimension, 2, rtol=0, atol=1e-9)
