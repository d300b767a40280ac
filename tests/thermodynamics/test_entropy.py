"""Entropy production of any state, bath by bath, its split, and free energy, against matrix logarithms in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from programs import generator_of, random_machine
from reference import differences
from reference.differences import slope_of
from reference.lindblad import Davies
from reference.machines import KET, three_level_machine
from reference.random_matrices import random_hermitian, random_state
from reference.thermal import entropy, relative_entropy

import qdbjax as qdb
from qdbjax import thermodynamics

COUNT = 300
LEVELS = {"generic": None, "equal levels": [0.0, 1.0, 1.0], "equal gaps": [0.0, 1.0, 2.0], "one level": [0.5] * 3}


@jax.jit
@jax.vmap
def rates(machine, rho):
    generator = generator_of(*machine)
    steady = qdb.steady_state(generator)
    return thermodynamics.entropy_rates(generator, rho, steady), thermodynamics.entropy_rates(generator, steady, steady)


@functools.cache
def ensemble(name):
    """Random machines of two baths, random states, their entropy rates and those of the stationary states."""
    rng = np.random.default_rng(11)
    machines = [random_machine(rng, 3, 2, LEVELS[name]) for _ in range(COUNT)]
    if name == "equal gaps":  # half of them in equilibrium
        machines[: COUNT // 2] = [(*machine[:4], np.full(2, machine[4][0])) for machine in machines[: COUNT // 2]]
    states = random_state(rng, 3, COUNT)
    batch = tuple(np.stack(leaf) for leaf in zip(*machines, strict=True))
    return machines, states, *jax.tree.map(np.asarray, rates(batch, states))


@pytest.mark.slow
@pytest.mark.parametrize("name", LEVELS)
def test_every_part_is_positive(name):
    """Σ̇_b, Σ̇_na and Σ̇_a of 300 random machines and states; sums; what vanishes in the stationary state."""
    _, _, found, steady = ensemble(name)
    assert found.by_bath.min() >= -1e-13 and found.nonadiabatic.min() >= -1e-13 and found.adiabatic.min() >= -1e-13
    assert np.median(found.by_bath) > 1e-3 and np.median(found.nonadiabatic) > 1e-3
    np.testing.assert_allclose(found.by_bath.sum(axis=1), found.production, rtol=1e-13)
    np.testing.assert_allclose(found.nonadiabatic + found.adiabatic, found.production, rtol=1e-11)
    np.testing.assert_allclose(found.change, found.production + found.flow.sum(axis=1), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(steady.nonadiabatic, 0, atol=1e-13)
    np.testing.assert_allclose(steady.change, 0, atol=1e-13)
    assert steady.by_bath.min() >= -1e-13
    if name == "equal gaps":
        np.testing.assert_allclose(steady.by_bath[: COUNT // 2], 0, atol=1e-13)
        np.testing.assert_allclose(found.adiabatic[: COUNT // 2], 0, atol=1e-12)
    assert name == "one level" or np.median(steady.production[COUNT // 2 :]) > 1e-3
    assert "batch=(300,), baths=2" in repr(found)


def evolved(liouvillian, rho, time):
    """e^{tL} ρ."""
    return (scipy.linalg.expm(time * liouvillian) @ rho.reshape(-1)).reshape(rho.shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generic", "equal levels"])
def test_against_matrix_logarithms(name):
    """-Tr[D_b(ρ)(ln ρ - ln ρ_b)], the same with ρ_ss, and dS/dt as a difference of S along e^{tL}."""
    machines, states, found, steady = ensemble(name)
    for n in range(0, COUNT, 30):
        hamiltonian, couplings, *rest = machines[n]
        dense = Davies(hamiltonian, list(zip(couplings, *rest, strict=True)))
        rho, logarithm = states[n], scipy.linalg.logm(states[n])
        for b, temperature in enumerate(rest[-1]):
            change = (dense.dissipators[b] @ rho.reshape(-1)).reshape(3, 3)
            part = -np.trace(change @ (logarithm + hamiltonian / temperature)).real
            np.testing.assert_allclose(found.by_bath[n, b], part, rtol=1e-9)
            flow = np.trace(change @ hamiltonian).real / temperature
            np.testing.assert_allclose(found.flow[n, b], flow, rtol=1e-9, atol=1e-13)
        moved = (dense.liouvillian @ rho.reshape(-1)).reshape(3, 3)
        final = dense.steady_state()
        relaxing = -np.trace(moved @ (logarithm - scipy.linalg.logm(final))).real
        np.testing.assert_allclose(found.nonadiabatic[n], relaxing, rtol=1e-7)

        after = lambda time, dense=dense, rho=rho: entropy(evolved(dense.liouvillian, rho, time))  # noqa: E731
        np.testing.assert_allclose(found.change[n], differences.slope(after, 0.0, 1e-3), rtol=1e-5, atol=1e-8)
        kept = -np.sum(dense.heat_currents() / rest[-1])
        np.testing.assert_allclose(steady.production[n], kept, rtol=1e-8)


@pytest.mark.slow
def test_split_with_a_lamb_shift():
    """Equal levels that the Lamb shift splits: Σ̇_na is minus the slope of S(ρ‖ρ_ss) along the dense e^{tL}."""
    rng = np.random.default_rng(5)
    hamiltonian, couplings, *_ = random_machine(rng, 3, 2, LEVELS["equal levels"])
    baths = [
        qdb.Bath(s, qdb.Ohmic(0.05, 5.0), temperature=t, name=str(t))
        for s, t in zip(couplings, (0.4, 2.0), strict=True)
    ]
    generator = qdb.davies(hamiltonian, baths, lamb_shift=True)
    rho = random_state(rng, 3)
    steady = np.asarray(qdb.steady_state(generator).density_matrix)
    liouvillian = np.asarray(generator.liouvillian())

    distance = lambda time: relative_entropy(evolved(liouvillian, rho, time), steady)  # noqa: E731
    found = thermodynamics.spohn_entropy_production(generator, rho)
    np.testing.assert_allclose(found, -differences.two_point_slope(distance, 0.0, 1e-4), rtol=1e-5)


@pytest.fixture(scope="module")
def qubit():
    """A qubit at T = 1/40 of its splitting, between that bath and a hotter one."""
    return qdb.davies(
        qdb.models.qubit(1.0),
        [qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 5.0), temperature=t, name=f"{t}") for t in (0.025, 0.026)],
    )


def test_rare_levels_and_pure_states(qubit):
    """A level of population e^{-40} counts, bath by bath; a pure state that is left produces at an infinite rate, of
    which the adiabatic part stays finite."""
    steady = qdb.steady_state(qubit)
    found = thermodynamics.entropy_rates(qubit, steady)
    down, up = np.asarray(qubit.rates)[:, 0, 1], np.asarray(qubit.rates)[:, 1, 0]
    below = int(np.argmin(qubit.spectrum.energies))
    if below == 1:
        down, up = up, down
    excited = up.sum() / (up.sum() + down.sum())
    assert excited < 1e-16
    parts = (up * (1 - excited) - down * excited) * np.log(up * (1 - excited) / (down * excited))
    np.testing.assert_allclose(found.by_bath, parts, rtol=1e-8)
    pure = thermodynamics.entropy_rates(qubit, np.array([1.0, 0.0]), steady)
    assert np.isinf(pure.production) and np.isinf(pure.nonadiabatic) and np.isfinite(pure.adiabatic)
    mixed = np.diag([0.3, 0.7])
    np.testing.assert_allclose(
        thermodynamics.spohn_entropy_production(qubit, mixed),
        thermodynamics.entropy_rates(qubit, mixed, steady).nonadiabatic,
        rtol=1e-13,
    )
    assert "nonadiabatic=" in repr(found)
    with pytest.raises(ValueError, match="state must have trace 1"):
        thermodynamics.entropy_rates(qubit, np.eye(2))


def test_free_energy(qubit):
    """F = -T ln Z + T S(ρ‖ρ_T), with ln Z and S in closed form; at T = 0 the energy."""
    excited, temperature = 0.3, 0.7
    entropy = -excited * np.log(excited) - (1 - excited) * np.log(1 - excited)
    rho = np.diag([excited, 1 - excited])
    found = thermodynamics.free_energy(qubit, rho, temperature)
    np.testing.assert_allclose(found, excited - 0.5 - temperature * entropy, rtol=1e-13)
    weight = 1 / (1 + np.exp(1 / temperature))
    distance = excited * np.log(excited / weight) + (1 - excited) * np.log((1 - excited) / (1 - weight))
    equilibrium = -temperature * np.log(2 * np.cosh(0.5 / temperature))
    np.testing.assert_allclose(found, equilibrium + temperature * distance, rtol=1e-12)
    np.testing.assert_allclose(thermodynamics.free_energy(qubit, rho, 0.0), excited - 0.5, rtol=1e-14)
    slope = jax.grad(lambda t: thermodynamics.free_energy(qubit, rho, t))(temperature)
    np.testing.assert_allclose(slope, -entropy, rtol=1e-13)
    with pytest.raises(ValueError, match="temperature must be >= 0"):
        thermodynamics.free_energy(qubit, rho, -1.0)


@pytest.mark.slow
def test_derivatives():
    """Of every rate by the temperature of a bath, in the stationary state and in another (central differences)."""

    @jax.jit
    def entropies_of(temperature):
        baths = [
            qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 5.0), temperature=t, name=n)
            for t, n in ((temperature, "moved"), (0.3, "fixed"))
        ]
        generator = qdb.davies(qdb.models.qubit(1.0), baths)
        steady = qdb.steady_state(generator)
        other = thermodynamics.entropy_rates(generator, np.array([[0.3, 0.1], [0.1, 0.7]]), steady)
        kept = thermodynamics.entropy_rates(generator, steady, steady)
        return jnp.concatenate([other.by_bath, jnp.stack([other.nonadiabatic, other.adiabatic]), kept.by_bath])

    slope = differences.two_point_slope(entropies_of, 0.7, 1e-4)
    assert np.abs(slope[np.array([0, 2, 3, 4, 5])]).min() > 1e-4
    for derivative in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(jax.jit(derivative(entropies_of))(0.7), slope, rtol=1e-6, atol=1e-10)


@jax.jit
@jax.vmap
def both_laws(hamiltonian, couplings, strengths, cutoffs, temperatures):
    generator = generator_of(hamiltonian, couplings, strengths, cutoffs, temperatures)
    steady = qdb.steady_state(generator)
    one_way = generator.rates * steady.populations[None, None, :]
    traffic = jnp.sum(jnp.abs(generator.spectrum.frequencies)[None] * one_way, axis=(1, 2))
    return qdb.energy_currents(generator, steady), qdb.entropy_production(generator, steady), traffic, steady.status


@pytest.mark.slow
@pytest.mark.parametrize(("levels", "baths"), [(3, 2), (4, 3)])
def test_two_laws_for_ten_thousand_machines(levels, baths):
    """Energies sum to 0 and no entropy is destroyed, temperatures 0.05 to 20 (1e-12 of the terms; 1e-15 of what
    goes both ways where nearly equal temperatures leave a current of 1e-8 of that)."""
    rng, count = np.random.default_rng(levels), 10_000
    temperatures = np.exp(rng.uniform(np.log(0.05), np.log(20.0), (count, baths)))
    strengths, cutoffs = 10 ** rng.uniform(-4, -1, (count, baths)), rng.uniform(3.0, 10.0, (count, baths))
    matrices = random_hermitian(rng, levels, count), random_hermitian(rng, levels, count, baths)
    found = both_laws(*matrices, strengths, cutoffs, temperatures)
    energy, production, traffic, status = map(np.asarray, found)
    assert np.all(np.isfinite(energy)) and np.all(status & ~int(qdb.Status.NEAR_DEGENERATE) == 0)
    off = np.abs(energy.sum(axis=1))
    assert np.all(off <= 1e-12 * np.abs(energy).max(axis=1) + 1e-15 * traffic.sum(axis=1))
    flows = energy / temperatures
    terms = np.abs(flows).max(axis=1)
    assert np.all(production >= -1e-12 * terms) and np.median(production / terms) > 1e-2
    rounding = 1e-12 * terms + 1e-15 * np.sum(traffic / temperatures, axis=1)
    assert np.all(np.abs(production + flows.sum(axis=1)) <= rounding)


START = 0.9 * np.outer(KET, KET.conj()) + 0.1 * np.eye(3) / 3
TIMES = np.linspace(0.0, 30.0, 61)


@pytest.mark.slow
@pytest.mark.parametrize("energies", [[0.0, 1.0, 2.3], [0.0, 1.0, 1.0]], ids=str)
def test_relative_entropy_never_grows(energies):
    """Towards the stationary state of two baths; its slope for one bath is minus the entropy production."""
    generator = three_level_machine((0.7, 1.5), energies)
    steady = qdb.steady_state(generator).density_matrix
    states = qdb.evolve(generator, START, TIMES).density_matrix
    distances = jax.vmap(lambda rho: qdb.relative_entropy(rho, steady))(states)
    assert np.all(np.diff(distances) < 1e-8) and distances[0] > 0.1
    single = three_level_machine((0.7,), energies)
    thermal = qdb.gibbs(np.diag(energies), temperature=0.7).density_matrix
    fine = np.linspace(2.0, 2.2, 5)
    states = qdb.evolve(single, START, fine, rtol=1e-12, atol=1e-14).density_matrix
    distance = np.asarray(jax.vmap(lambda rho: qdb.relative_entropy(rho, thermal))(states))
    slope = slope_of(distance[[0, 1, 3, 4]], 0.05)
    np.testing.assert_allclose(qdb.entropy_production(single, states[2]), -slope, rtol=1e-6)


def test_heat_into_a_bath_at_zero_temperature():
    """It costs infinitely much; heat that a bath at T = 0 receives from no one costs nothing."""
    baths = [qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.02, 5.0), temperature=t, name=str(t)) for t in (1.0, 0.0)]
    assert qdb.entropy_production(qdb.davies(np.diag([0.0, 1.0]), baths)) == np.inf
    assert qdb.entropy_production(qdb.davies(np.diag([0.0, 1.0]), baths[1])) == 0
