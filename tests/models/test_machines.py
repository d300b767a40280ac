"""Machines as models: their Hamiltonians written out, and shapes they refuse."""

import pytest

import qdbjax as qdb


@pytest.mark.parametrize(
    ("make", "arguments", "error"),
    [
        ("absorption_refrigerator", ([0.0, 1.0, 3.0], [1.0, 2.0]), r"temperatures must have shape \(3,\); got \(2,\)"),
        ("three_level_maser", ([0.0, 1.0], [1.0, 2.0, 3.0]), r"energies must have shape \(3,\)"),
        ("three_qubit_refrigerator", (1.0, [2.0], 0.1, [1.0] * 3), "hot_splitting must be a single number"),
        ("heat_rectifier", ([1.0], 0.1, [1.0, 2.0]), r"splittings must have shape \(2,\); got \(1,\)"),
        ("heat_transistor", ([1.0] * 3, [0.1] * 2, [1.0] * 3), r"couplings must have shape \(3,\); got \(2,\)"),
    ],
)
def test_refused(make, arguments, error):
    """Every wrong shape says which."""
    with pytest.raises(ValueError, match=error):
        getattr(qdb.models, make)(*arguments)
    with pytest.raises(ValueError, match="strengths must be a single number or have shape"):
        qdb.models.heat_rectifier([1.0, 2.0], 0.1, [1.0, 2.0], strengths=[0.1] * 3)
