"""Operators that models are made of."""

import numpy as np
import pytest

import qdbjax as qdb


def test_modes_anticommute():
    """{c_m, c_n†} = δ_mn and {c_m, c_n} = 0."""
    modes = [qdb.fermion_destroy(n, 3) for n in range(3)]
    for m, c in enumerate(modes):
        for n, d in enumerate(modes):
            np.testing.assert_array_equal(c @ d.T + d.T @ c, (m == n) * np.eye(8))
            np.testing.assert_array_equal(c @ d + d @ c, np.zeros((8, 8)))


def test_no_such_mode():
    """Modes are counted from 0."""
    with pytest.raises(ValueError, match="mode must be between 0 and modes - 1 = 1; got 2"):
        qdb.fermion_destroy(2, 2)
