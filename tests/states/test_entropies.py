"""Von Neumann and relative entropy against matrix logarithms."""

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
