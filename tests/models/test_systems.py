"""Models: Hamiltonians written out, the eigenbasis that a ring brings along, and shapes that are refused."""

import numpy as np
import pytest
from reference.machines import ring_hamiltonian

import qdbjax as qdb

X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1.0, -1.0])


def differs(system, hamiltonian, number=None):
    """The largest difference from a Hamiltonian written out, and from its particle numbers."""
    found = np.abs(np.asarray(system.hamiltonian) - hamiltonian).max()
    return found if number is None else max(found, np.abs(np.asarray(system.number) - np.diag(number)).max())


@pytest.mark.parametrize("flux", [0.3, 0.5])
def test_ring(flux):
    """Its plane waves solve H, also where two levels cross."""
    system = qdb.models.three_dot_ring(0.4, flux)
    assert differs(system, ring_hamiltonian(flux, 0.4)) < 1e-14
    levels = np.asarray(system.eigenbasis) * np.asarray(system.energies)
    np.testing.assert_allclose(np.asarray(system.hamiltonian) @ np.asarray(system.eigenbasis), levels, atol=1e-14)


def test_spins():
    """A qubit, three levels, and two exchanging spins."""
    assert differs(qdb.models.qubit(1.7), 0.85 * Z) < 1e-14
    assert differs(qdb.models.three_level([0.0, 1.0, 2.3]), np.diag([0.0, 1.0, 2.3])) < 1e-14
    exchange = np.real(np.kron(X, X) + np.kron(Y, Y)) + 0.4 * np.kron(Z, Z)
    fields = 0.5 * np.kron(Z, np.eye(2)) + 0.65 * np.kron(np.eye(2), Z)
    assert differs(qdb.models.xxz_chain([1.0, 1.3], 0.6, 0.4), fields + 0.15 * exchange) < 1e-14


def test_dots():
    """Dots in the basis of occupations, with their particles."""
    assert differs(qdb.models.quantum_dot(0.3), np.diag([0.0, 0.3]), [0, 1]) < 1e-14
    spinful = qdb.models.spinful_dot(-0.3, 1.1, 0.4)
    assert sorted(np.diag(np.asarray(spinful.hamiltonian)).round(12)) == sorted([0.0, -0.1, -0.5, 0.5])
    double = qdb.models.double_dot([0.1, 0.35], 0.2, 0.7)
    wanted = np.linalg.eigvalsh([[0.1, 0.2], [0.2, 0.35]])
    found = np.linalg.eigvalsh(np.asarray(double.hamiltonian))
    np.testing.assert_allclose(found, np.sort([0.0, *wanted, 0.1 + 0.35 + 0.7]), atol=1e-14)


def test_refused():
    """Every wrong shape says which."""
    for build, error in (
        (lambda: qdb.models.three_level([0.0, 1.0]), r"energies must have shape \(3,\); got \(2,\)"),
        (lambda: qdb.models.xxz_chain(1.0, 0.6, 0.4), r"fields must have shape \(N,\)"),
        (lambda: qdb.models.double_dot([0.1], 0.2), r"levels must have shape \(2,\); got \(1,\)"),
    ):
        with pytest.raises(ValueError, match=error):
            build()
