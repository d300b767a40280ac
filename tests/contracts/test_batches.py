"""What jax.vmap returns, handed to functions of one generator or state: refused by name, or read cell by cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import balance

ENERGIES, TEMPERATURES = np.diag([0.0, 1.0, 2.3]), jnp.array([0.7, 1.3])
COUPLING = np.array([[0.2, 1.0, 0.4], [1.0, -0.3, 0.7], [0.4, 0.7, 0.1]])


def made(temperature):
    hot = qdb.Bath(COUPLING, qdb.Ohmic(0.01, 10.0), temperature=temperature, name="hot")
    return qdb.davies(ENERGIES, [hot, qdb.Bath(COUPLING @ COUPLING, qdb.Ohmic(0.02, 10.0), temperature=0.5)])


@pytest.fixture(scope="module")
def solved():
    """A batch of two generators and their states, and the first of them alone."""
    many = jax.vmap(made)(TEMPERATURES)
    one = made(TEMPERATURES[0])
    return many, jax.vmap(qdb.steady_state)(many), one, qdb.steady_state(one)


READERS = {
    "steady_state": lambda many, states, one: qdb.steady_state(many),
    "heat_currents": lambda many, states, one: qdb.heat_currents(many, states),
    "a batch of states": lambda many, states, one: qdb.heat_currents(one, states),
    "evolve": lambda many, states, one: qdb.evolve(many, [1.0, 0.0, 0.0], [0.0, 1.0]),
    "entropy_production": lambda many, states, one: qdb.entropy_production(many, states),
    "cumulants": lambda many, states, one: qdb.cumulants(many, states, "hot", order=2),
    "onsager_matrix": lambda many, states, one: qdb.onsager_matrix(many),
    "violation_ratios": lambda many, states, one: balance.violation_ratios(many),
    "liouvillian": lambda many, states, one: many.liouvillian(),
    "dissipators": lambda many, states, one: many.dissipators(),
    "jump_operators": lambda many, states, one: many.jump_operators(),
    "apply": lambda many, states, one: many.apply(np.eye(3)),
    "validity": lambda many, states, one: qdb.validity(many),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_batch_in_place_of_one_is_refused_by_name(solved, reader):
    many, states, one, _ = solved
    name = "state" if reader == "a batch of states" else "generator"
    with pytest.raises(ValueError, match=rf"^{name} must be one; got a batch of \(2,\)\. Map .* with jax\.vmap\."):
        READERS[reader](many, states, one)


def test_density_matrices_of_a_batch(solved):
    """Each is that of the state alone, in both frames, and `expect` reads them all."""
    _, states, _, steady = solved
    assert states.density_matrix.shape == states.energy_density_matrix.shape == (2, 3, 3)
    np.testing.assert_allclose(states.density_matrix[0], steady.density_matrix, rtol=0, atol=1e-15)
    wanted = [np.dot(p, np.diag(ENERGIES)) for p in np.asarray(states.populations)]
    np.testing.assert_allclose(qdb.expect(states, ENERGIES), wanted, rtol=1e-14)


def test_what_reads_a_density_matrix_reads_a_state(solved):
    """The numbers of its matrix: distances, entropies, partial trace, the start of an evolution."""
    steady, other = solved[3], qdb.gibbs(ENERGIES, temperature=0.9)
    rho, sigma = np.asarray(steady.density_matrix), np.asarray(other.density_matrix)
    for read in (qdb.fidelity, qdb.trace_distance, qdb.relative_entropy):
        assert float(read(steady, other)) == float(read(rho, sigma))
    assert float(qdb.von_neumann_entropy(steady)) == float(qdb.von_neumann_entropy(rho))
    np.testing.assert_array_equal(qdb.partial_trace(steady, 0, [3, 1]), qdb.partial_trace(rho, 0, [3, 1]))
    run = qdb.evolve(solved[2], other, [0.0, 5.0])
    np.testing.assert_allclose(run.populations[0], other.populations, rtol=0, atol=1e-15)
    with pytest.raises(TypeError, match="hamiltonian must be an array of numbers"):
        qdb.davies(steady, qdb.Bath(COUPLING, qdb.Ohmic(0.01, 10.0), temperature=1.0))
