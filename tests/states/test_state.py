"""A state read by a generator that it does not belong to: another Hamiltonian, another temperature, another frame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import logm

import qdbjax as qdb
from qdbjax.states import State, expect
from qdbjax.thermodynamics import entropy_rates, free_energy

STRENGTH, CUTOFF = 0.01, 10.0
COUPLINGS = (
    np.array([[0.2, 1.0, 0.4], [1.0, -0.3, 0.7], [0.4, 0.7, 0.1]]),
    np.array([[0.0, 0.3, 1.1], [0.3, 0.5, -0.6], [1.1, -0.6, 0.0]]),
)
FIRST = np.array([[0.0, 0.3, 0.1], [0.3, 0.9, 0.2], [0.1, 0.2, 2.1]])
SECOND = np.array([[0.4, -0.2, 0.3j], [-0.2, 0.8, 0.1], [-0.3j, 0.1, 1.7]])
TURN = np.linalg.qr(np.array([[1.0, 0.4, -0.3], [0.2, 1.0, 0.5], [0.6, -0.1, 1.0]]))[0]
EQUAL = TURN @ np.diag([0.0, 1.0, 1.0]) @ TURN.T


def noise(frequency, temperature):
    if abs(frequency) < 1e-9:
        return 2 * np.pi * STRENGTH * temperature
    occupation = 1 / np.expm1(frequency / temperature)
    return 2 * np.pi * STRENGTH * frequency * np.exp(-abs(frequency) / CUTOFF) * (1 + occupation)


def dissipated(hamiltonian, temperature, coupling, rho):
    """D(ρ) of one bath, from its jump operators at every Bohr frequency."""
    energies, basis = np.linalg.eigh(hamiltonian)
    framed = basis.conj().T @ coupling @ basis
    gaps = energies[None, :] - energies[:, None]
    total = np.zeros((3, 3), complex)
    for rounded in np.unique(np.round(gaps, 7)):
        equal = np.abs(gaps - rounded) < 1e-6
        gap, jump = gaps[equal].mean(), basis @ (framed * equal) @ basis.conj().T
        both = jump.conj().T @ jump
        total += noise(gap, temperature) * (jump @ rho @ jump.conj().T - 0.5 * (both @ rho + rho @ both))
    return total


def made(hamiltonian, temperatures):
    baths = [
        qdb.Bath(coupling, qdb.Ohmic(STRENGTH, CUTOFF), temperature=temperature, name=name)
        for coupling, temperature, name in zip(COUPLINGS, temperatures, ("left", "right"), strict=True)
    ]
    return qdb.davies(hamiltonian, baths)


def expected(hamiltonian, temperatures, rho):
    """Heat from each bath, entropy production, free energy at T = 0.7."""
    changes = [dissipated(hamiltonian, *pair, rho) for pair in zip(temperatures, COUPLINGS, strict=True)]
    heat = np.array([np.trace(hamiltonian @ change).real for change in changes])
    growth = -np.trace(sum(changes) @ logm(rho)).real
    energy, entropy = np.trace(hamiltonian @ rho).real, -np.trace(rho @ logm(rho)).real
    return heat, growth - np.sum(heat / np.array(temperatures)), energy - 0.7 * entropy


QUENCHES = {
    "temperature": ((FIRST, (1.3, 0.4)), (FIRST, (0.6, 0.9))),
    "hamiltonian": ((FIRST, (1.3, 0.4)), (SECOND, (1.3, 0.4))),
    "both": ((SECOND, (0.5, 2.0)), (FIRST, (0.9, 0.3))),
    "into equal levels": ((FIRST, (1.3, 0.4)), (EQUAL, (0.8, 0.5))),
    "out of equal levels": ((EQUAL, (1.3, 0.4)), (SECOND, (0.8, 0.5))),
    "between equal levels": ((EQUAL, (1.3, 0.4)), (np.diag([1.0, 0.2, 1.0]), (0.8, 0.5))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUENCHES)
def test_state_of_another_generator(name):
    """Currents, entropy production and free energy of what a quench leaves behind, eagerly and in a program."""
    before, after = QUENCHES[name]
    steady, generator = qdb.steady_state(made(*before)), made(*after)
    heat, production, free = expected(*after, np.asarray(steady.density_matrix))

    def read(generator, steady):
        return (
            qdb.heat_currents(generator, steady),
            qdb.entropy_production(generator, steady),
            free_energy(generator, steady, 0.7),
            entropy_rates(generator, steady).production,
        )

    for found in (read(generator, steady), jax.jit(read)(generator, steady)):
        np.testing.assert_allclose(found[0], heat, rtol=0, atol=1e-13)
        for value, right in zip(found[1:], (production, free, production), strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-10)


def test_asymptotic_state_of_another_generator():
    """The same for where an initial state ends."""
    found = qdb.asymptotic_state(made(EQUAL, (0.7, 0.7)), np.diag([0.2, 0.5, 0.3]))
    heat, production, _ = expected(SECOND, (0.8, 0.5), np.asarray(found.density_matrix))
    generator = made(SECOND, (0.8, 0.5))
    np.testing.assert_allclose(qdb.heat_currents(generator, found), heat, rtol=0, atol=1e-13)
    np.testing.assert_allclose(qdb.entropy_production(generator, found), production, rtol=1e-10)


@pytest.mark.slow
def test_derivative_of_the_frame():
    """A constant state read by generators that move away from its own: the frame's derivative counts."""
    temperatures = (0.8, 0.5)
    steady = qdb.steady_state(made(FIRST, temperatures))
    rho = np.asarray(steady.density_matrix)

    def heat(x):
        return qdb.heat_currents(made(jnp.asarray(FIRST) + x * SECOND.real, temperatures), steady)

    step = 1e-3
    around = [expected(FIRST + n * step * SECOND.real, temperatures, rho)[0] for n in (-2, -1, 1, 2)]
    slope = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * step)
    for derivative in (jax.jacfwd(heat)(0.0), jax.jacrev(heat)(0.0)):
        np.testing.assert_allclose(derivative, slope, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_own_state_keeps_its_digits():
    """A cold state that crosses a jit or vmap beside its generator keeps its rarest population."""
    hamiltonian = np.diag([0.0, 1.0, 2.5])
    generators = [made(hamiltonian, (1 / beta, 1 / beta)) for beta in (30.0, 200.0)]
    for generator in generators:
        steady = qdb.steady_state(generator)
        heat = jax.jit(lambda g, s: qdb.micro_currents(g, s))(generator, steady)
        np.testing.assert_allclose(heat, qdb.micro_currents(generator, steady), rtol=1e-12, atol=0)
    batch = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(each) for each in x]), *generators)
    both = jax.vmap(qdb.micro_currents)(batch, jax.vmap(qdb.steady_state)(batch))
    for found, generator in zip(both, generators, strict=True):
        np.testing.assert_allclose(found, qdb.micro_currents(generator, qdb.steady_state(generator)), rtol=1e-9)


def test_expectation_values():
    """⟨A⟩ of a stationary state, a ket, a matrix and an evolution; what is no observable is refused."""
    generator = made(FIRST, (1.3, 0.4))
    steady, observable = qdb.steady_state(generator), SECOND
    rho = np.asarray(steady.density_matrix)
    right = np.trace(observable @ rho).real
    for state in (steady, steady.state, rho):
        np.testing.assert_allclose(expect(state, observable), right, rtol=1e-13)
    ket = np.array([0.6, 0.0, 0.8j])
    np.testing.assert_allclose(expect(ket, observable), (ket.conj() @ observable @ ket).real, rtol=1e-13)
    run = qdb.evolve(generator, rho, [0.0, 3.0])
    np.testing.assert_allclose(expect(run, observable), [right, right], rtol=1e-8)
    for state, operator, error in (
        (steady, qdb.transition(0, 1, 3), "observable must be Hermitian"),
        (steady, np.eye(2), "observable must have shape"),
        (2 * rho, observable, "state must have trace 1"),
        (qdb.evolve(generator, rho, [1.0], save="populations"), observable, "expect needs the states"),
    ):
        with pytest.raises(ValueError, match=error):
            expect(state, operator)


def test_wrong_dimension_and_printing():
    """A state of another dimension is refused; one prints itself."""
    qubit = qdb.davies(qdb.models.qubit(1.0), qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=1.0))
    with pytest.raises(ValueError, match="state must have dimension 3; got one of 2 levels"):
        qdb.heat_currents(made(FIRST, (1.3, 0.4)), qdb.steady_state(qubit))
    text = repr(State(jnp.array([0.25, 0.75]), jnp.zeros((2, 2), complex)))
    assert text == "State(populations=[0.25 0.75])"
