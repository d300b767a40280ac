"""Machines as models: their Hamiltonians written out, and shapes they refuse."""

import numpy as np
import pytest
from reference.machines import ising_hamiltonian, three_qubit_hamiltonian

import qdbjax as qdb

HAMILTONIANS = {
    "three-qubit refrigerator": (
        qdb.models.three_qubit_refrigerator(1.0, 4.0, 0.2, [1.0, 1.1, 5.0]),
        three_qubit_hamiltonian(1.0, 4.0, 0.2),
    ),
    "heat rectifier": (
        qdb.models.heat_rectifier([1.0, 0.2], 0.5, [1.0, 0.2]),
        ising_hamiltonian([1.0, 0.2], {(0, 1): 0.5}),
    ),
    "heat transistor": (
        qdb.models.heat_transistor([0.1, 0.05, 0.12], [0.5, 0.45, 0.05], [0.2, 0.1, 0.02]),
        ising_hamiltonian([0.1, 0.05, 0.12], {(0, 1): 0.5, (1, 2): 0.45, (2, 0): 0.05}),
    ),
}


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_hamiltonian(name):
    """Against Pauli matrices of each qubit."""
    machine, wanted = HAMILTONIANS[name]
    np.testing.assert_allclose(machine.system.hamiltonian, wanted, rtol=0, atol=1e-15)


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
