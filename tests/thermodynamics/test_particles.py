"""Particle currents against an independent dense master equation, and what they refuse."""

import jax
import numpy as np
import pytest
from reference.lindblad import Davies

import qdbjax as qdb

SITES = [2, 2]
NUMBER = sum(qdb.embed(np.diag([1.0, 0.0]), i, SITES) for i in range(2))
BATHS = ((qdb.embed(qdb.sigma_x(), 0, SITES), 0.02, 8.0, 1.4), (qdb.embed(qdb.sigma_x(), 1, SITES), 0.03, 8.0, 0.5))


def generator(fields):
    """Two spins between two baths, with the number of excitations as charge."""
    chain = qdb.models.xxz_chain(fields, 0.6, 0.4)
    system = qdb.System(chain.hamiltonian, number=NUMBER)
    return qdb.davies(system, [qdb.Bath(s, qdb.Ohmic(eta, wc), temperature=t) for s, eta, wc, t in BATHS])


@jax.jit
def currents(fields):
    """Heat and particle currents."""
    made = generator(fields)
    steady = qdb.steady_state(made)
    return qdb.heat_currents(made, steady), qdb.particle_currents(made, steady), made.system.hamiltonian


# Generic, two equal gaps, and the field 0.42 at which the ground level is twofold.
@pytest.mark.parametrize("fields", [(1.0, 1.3), (1.0, 1.0), (0.42, 0.42)])
def test_particle_currents_equal_the_dense_master_equation(fields):
    heat, particles, hamiltonian = currents(np.array(fields))
    dense = Davies(hamiltonian, BATHS)
    np.testing.assert_allclose(particles, dense.currents(NUMBER), rtol=0, atol=1e-13)
    np.testing.assert_allclose(heat, dense.heat_currents(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.sum(particles), 0, atol=1e-14)


def test_particle_currents_need_a_number():
    made = qdb.davies(qdb.models.qubit(1.0), qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.1, 5.0), temperature=1.0))
    steady = qdb.steady_state(made)
    with pytest.raises(ValueError, match="needs something to count"):
        qdb.particle_currents(made, steady)
    with pytest.raises(ValueError, match=r"number must have shape \(2, 2\)"):
        qdb.particle_currents(made, steady, np.eye(3))


def test_number_must_commute():
    with pytest.raises(ValueError, match="number must commute with hamiltonian"):
        qdb.System(qdb.sigma_x(), number=qdb.sigma_z())
