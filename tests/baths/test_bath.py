"""Bosonic baths: correlated couplings."""

import numpy as np
import pytest

import qdbjax as qdb

GOOD = np.array([[1.0, 0.3], [0.3, -1.0]])
OHMIC = qdb.Ohmic(0.05, 5.0)


def test_correlation():
    """A correlation matrix must be Hermitian, positive, and of the number of couplings."""
    pair = np.stack([GOOD, np.eye(2)])
    for value, text in [
        (np.eye(3), r"\(2, 2\)"),
        (np.diag([1.0, -0.5]), "positive.*-0.5"),
        (np.array([[1.0, 0.2], [0.1, 1.0]]), "Hermitian"),
    ]:
        with pytest.raises(ValueError, match=f"(?s)correlation.*{text}"):
            qdb.Bath(pair, OHMIC, temperature=1.0, correlation=value)
    with pytest.raises(ValueError, match="at least one"):
        qdb.Bath(np.zeros((0, 2, 2)), OHMIC, temperature=1.0)
