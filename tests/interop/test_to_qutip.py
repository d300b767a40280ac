"""Operators out to QuTiP and back."""

import numpy as np
import pytest
import qutip
import scipy.sparse

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


@pytest.mark.parametrize("wrapped", [qutip.Qobj, scipy.sparse.csr_matrix, scipy.sparse.coo_array])
def test_operators_in_the_clothes_of_another_package(wrapped):
    """Hamiltonian, couplings, a list of jump operators, observable and state: numbers of the plain matrices."""
    energy, coupling, start = np.diag([0.0, 1.0]), qdb.sigma_x(), np.diag([0.3, 0.7])
    jumps = [np.array([[0.0, 0.3], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.1, 0.0]])]

    def numbers(worn):
        bath = qdb.Bath(worn(coupling), qdb.Ohmic(0.01, 10.0), temperature=0.8)
        generator = qdb.davies(worn(energy), bath)
        given = qdb.lindblad(worn(energy), [worn(jump) for jump in jumps])
        run = qdb.evolve(generator, worn(start), [0.0, 1.0])
        state = qdb.steady_state(given)
        return generator.rates, state.populations, run.populations, qdb.expect(state, worn(energy))

    for found, wanted in zip(numbers(wrapped), numbers(np.asarray), strict=True):
        np.testing.assert_array_equal(found, wanted)
    several = qdb.Bath([wrapped(coupling), wrapped(energy)], qdb.Ohmic(0.01, 10.0), temperature=0.8)
    np.testing.assert_array_equal(several.coupling, np.stack([coupling, energy]))
