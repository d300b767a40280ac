"""Operators out to QuTiP and back."""

import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.interop import to_qutip


def test_entries_and_dimensions_survive_both_ways():
    hamiltonian = qdb.embed(qdb.sigma_y(), 1, [2, 2])
    out = to_qutip(hamiltonian, [2, 2])
    assert out.dims == [[2, 2], [2, 2]] and out.isherm
    np.testing.assert_array_equal(out.full(), hamiltonian)
    np.testing.assert_array_equal(np.asarray(qdb.System(out).hamiltonian), hamiltonian)


def test_wrong_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"dimensions must multiply to 2; got \[3\]"):
        to_qutip(qdb.sigma_x(), [3])
