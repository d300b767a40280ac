"""Von Neumann and relative entropy against matrix logarithms."""

import jax
import numpy as np
import pytest
from reference.machines import KET
from reference.thermal import entropy, relative_entropy

import qdbjax as qdb


def test_entropies():
    """Against matrix logarithms; pure states, orthogonal supports."""
    rng = np.random.default_rng(2)
    first, second = (x @ x.conj().T for x in rng.normal(size=(2, 4, 4)) + 1j * rng.normal(size=(2, 4, 4)))
    first, second = first / np.trace(first), second / np.trace(second)
    np.testing.assert_allclose(qdb.relative_entropy(first, second), relative_entropy(first, second), rtol=1e-12)
    np.testing.assert_allclose(qdb.von_neumann_entropy(first), entropy(first), rtol=1e-12)
    assert abs(float(qdb.relative_entropy(first, first))) < 1e-14
    assert abs(float(qdb.von_neumann_entropy(np.outer(KET, KET.conj())))) < 1e-14
    np.testing.assert_allclose(qdb.von_neumann_entropy(np.eye(3) / 3), np.log(3), rtol=1e-14)
    assert np.isinf(qdb.relative_entropy(np.diag([0.0, 1.0]), np.diag([1.0, 0.0])))
    with pytest.raises(ValueError, match="must have one shape"):
        qdb.relative_entropy(np.eye(2) / 2, np.eye(3) / 3)


OF_STATES = {
    "von_neumann_entropy": lambda nan, good: qdb.von_neumann_entropy(nan),
    "relative_entropy": lambda nan, good: qdb.relative_entropy(nan, good),
    "relative_entropy to": lambda nan, good: qdb.relative_entropy(good, nan),
    "trace_distance": lambda nan, good: qdb.trace_distance(nan, good),
    "fidelity": lambda nan, good: qdb.fidelity(nan, good),
    "fidelity to": lambda nan, good: qdb.fidelity(good, nan),
}


@pytest.mark.parametrize("name", OF_STATES)
def test_a_traced_state_that_is_nan(name):
    """Is refused where it is known; where it is traced the answer is NaN, not the 0 of a pure state."""
    good = np.diag([0.7, 0.3])
    of_state = jax.jit(lambda nan: OF_STATES[name](nan, good))
    assert np.isfinite(of_state(np.diag([0.2, 0.8])))
    assert np.isnan(of_state(np.diag([np.nan, 0.8])))
    assert np.isnan(of_state(np.array([[0.5, np.nan], [np.nan, 0.5]])))
