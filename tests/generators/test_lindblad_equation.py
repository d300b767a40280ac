"""Master equations from given jump operators."""

import numpy as np
import pytest
from reference.lindblad import lindbladian
from reference.machines import COUPLING, ENERGIES

import qdbjax as qdb


def test_given_jumps():
    """L is that of the master equation."""
    h, jumps = np.diag(ENERGIES) + 0.3 * COUPLING, np.stack([np.triu(COUPLING, 1), 0.5j * COUPLING])
    found = np.asarray(qdb.lindblad(h, jumps).liouvillian())
    np.testing.assert_allclose(found, lindbladian(h, jumps), rtol=0, atol=1e-14)


def test_wrong_jumps():
    """Of another dimension, or with temperatures for baths that there are not."""
    with pytest.raises(ValueError, match="must act on 2 levels"):
        qdb.lindblad(np.eye(2), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="one per bath"):
        qdb.lindblad(np.eye(2), {"a": np.eye(2)}, temperatures=[1.0, 2.0])
