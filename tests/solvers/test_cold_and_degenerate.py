"""Stationary states where levels are degenerate and something is small: temperature, rates, links, angles."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from reference.many_digits import relative_errors, stationary_block
from reference.random_matrices import random_hermitian

import qdbjax as qdb
from qdbjax import Status

STRENGTH, CUTOFF = 0.01, 10.0
SPECTRA = (
    (0.0, 1.0, 1.0),
    (0.0, 0.0, 1.0),
    (0.0, 0.7, 0.7, 2.0),
    (0.0, 1.0, 1.0, 1.0),
    (0.0, 0.0, 0.6, 0.6),
    (0.3, 0.3, 0.3, 1.7),
    (0.0, 0.0, 0.0, 0.0, 1.1),
    (0.0, 0.4, 0.4, 1.5, 1.5),
)
COLD = (2.0, 20.0, 33.0, 60.0, 200.0, 600.0)


@jax.jit
def solved(energies, couplings, temperatures):
    baths = [
        qdb.Bath(coupling, qdb.Ohmic(STRENGTH, CUTOFF), temperature=temperature, name=str(n))
        for n, (coupling, temperature) in enumerate(zip(couplings, temperatures, strict=True))
    ]
    # With its eigenbasis given a System keeps it, also between equal levels.
    system = qdb.System(jnp.diag(energies), eigenbasis=np.eye(energies.shape[0]), energies=energies)
    steady = qdb.steady_state(qdb.davies(system, baths))
    return steady.energy_density_matrix, steady.status, steady.condition_number


def cold_system(rng, energies, beta, count, real):
    """Couplings of so many baths, temperatures about 1/β of the width, and what is right."""
    couplings = np.stack([random_hermitian(rng, len(energies)) for _ in range(count)])
    couplings = couplings.real.astype(complex) if real else couplings
    temperatures = np.ptp(energies) / beta * rng.uniform(0.8, 1.25, count)
    baths = [(s, STRENGTH, CUTOFF, t) for s, t in zip(couplings, temperatures, strict=True)]
    return couplings, temperatures, stationary_block(energies, baths)


def worst_error(rng, energies, beta, count, real):
    couplings, temperatures, exact = cold_system(rng, energies, beta, count, real)
    rho, status, _ = solved(np.array(energies), couplings, temperatures)
    assert int(status) & ~int(Status.NEAR_DEGENERATE) == 0, (energies, beta, int(status))
    return relative_errors(np.asarray(rho), exact, energies).max()


@pytest.mark.parametrize("energies", SPECTRA[:4], ids=str)
@pytest.mark.parametrize("beta", COLD)
def test_cold_levels_against_sixty_digits(rng, energies, beta):
    """Each level's block of ρ right to 1e-11 of its own size, however rare the level is."""
    assert worst_error(rng, energies, beta, 2, real=False) < 1e-11


@pytest.mark.slow
def test_five_hundred_cold_systems(rng, capsys):
    """Two to four baths, real and complex couplings, one to four levels of one energy."""
    worst = 0.0
    for number in range(500):
        energies, beta = SPECTRA[number % len(SPECTRA)], COLD[number % len(COLD)]
        worst = max(worst, worst_error(rng, energies, beta, 2 + number % 3, real=bool(number % 2)))
    with capsys.disabled():
        print(f"\n500 cold degenerate systems: worst relative error of a level {worst:.1e}")
    assert worst < 1e-11


def pair(temperature):
    """A ground level and a pair at E = 1: a hot bath on one of the two, a cold one on both; ρ in closed form."""
    hot, cold = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0.0]]), np.array([[0, 0.9, 0.4], [0.9, 0, 0], [0.4, 0, 0]])
    baths = [
        qdb.Bath(hot, qdb.Ohmic(STRENGTH, CUTOFF), temperature=temperature, name="hot"),
        qdb.Bath(cold, qdb.Ohmic(STRENGTH, CUTOFF), temperature=0.9 * temperature, name="cold"),
    ]
    energies = np.array([0.0, 1.0, 1.0])
    return qdb.davies(qdb.System(np.diag(energies), eigenbasis=np.eye(3), energies=energies), baths)


@pytest.mark.parametrize("beta", [2.0, 10.0, 20.0, 33.0, 40.0, 80.0, 200.0])
def test_currents_of_a_cold_pair(beta):
    """Heat through a pair of equal levels, cold: the laws hold and the currents are right."""
    generator = pair(1 / beta)
    steady = qdb.steady_state(generator)
    with mp.workdps(400):
        heats = mp.mpf(1) / mp.mpf(beta), mp.mpf("0.9") / mp.mpf(beta)
        quanta = [1 / mp.expm1(1 / heat) for heat in heats]
        rate = 2 * mp.pi * mp.mpf(STRENGTH) * mp.exp(-mp.mpf(1) / 10)
        links = (mp.mpf(1), mp.mpf(0)), (mp.mpf("0.9"), mp.mpf("0.4"))
        down, up = (
            [
                [sum(rate * (n + k) * v[i] * v[j] for n, v in zip(quanta, links, strict=True)) for j in (0, 1)]
                for i in (0, 1)
            ]
            for k in (1, 0)
        )
        rows = mp.matrix(
            [
                [-down[0][0], 0, -down[0][1], up[0][0]],
                [0, -down[1][1], -down[0][1], up[1][1]],
                [-down[0][1] / 2, -down[0][1] / 2, -(down[0][0] + down[1][1]) / 2, up[0][1]],
                [1, 1, 0, 1],
            ]
        )
        first, second, coherence, ground = mp.lu_solve(rows, mp.matrix([0, 0, 0, 1]))
        currents = [
            float(
                rate * n * (v[0] ** 2 + v[1] ** 2) * ground
                - rate * (n + 1) * (v[0] ** 2 * first + v[1] ** 2 * second + 2 * v[0] * v[1] * coherence)
            )
            for n, v in zip(quanta, links, strict=True)
        ]
        populations = [float(first), float(second)]
    np.testing.assert_allclose(steady.populations[1:], populations, rtol=1e-11)
    np.testing.assert_allclose(qdb.heat_currents(generator, steady), currents, rtol=1e-10)
    assert float(qdb.entropy_production(generator, steady)) > 0


@pytest.mark.parametrize(("level", "temperature"), [(-0.4, 0.05), (-0.4, 0.0125), (-0.4, 0.01), (-0.5, 0.004)])
def test_coulomb_valley(level, temperature):
    """A dot that is filled by one spin, of whichever kind: one stationary state, however rarely it is left."""
    removal = np.array([qdb.fermion_destroy(0, 2), qdb.fermion_destroy(1, 2)])
    leads = [
        qdb.Lead(removal, qdb.Flat(0.01 / 2 / np.pi), temperature=temperature, chemical_potential=mu, name=name)
        for mu, name in ((0.05, "left"), (-0.05, "right"))
    ]
    generator = qdb.davies(qdb.models.spinful_dot(level, 1.0), leads)
    steady = qdb.steady_state(generator)
    with mp.workdps(60):
        filled = lambda e, mu: 1 / (mp.exp((mp.mpf(e) - mp.mpf(mu)) / mp.mpf(temperature)) + 1)  # noqa: E731
        rate, mus = mp.mpf("0.01"), (mp.mpf("0.05"), -mp.mpf("0.05"))
        one, two = mp.mpf(level), mp.mpf(level) + 1
        enter, leave = 2 * sum(rate * filled(one, m) for m in mus), sum(rate * (1 - filled(one, m)) for m in mus)
        second, back = sum(rate * filled(two, m) for m in mus), 2 * sum(rate * (1 - filled(two, m)) for m in mus)
        empty = 1 / (1 + enter / leave + enter / leave * second / back)
        single = enter / leave * empty
        double = single * second / back
    assert int(steady.status) & ~int(Status.NEAR_DEGENERATE) == 0
    singles = np.sort(np.asarray(steady.populations))
    np.testing.assert_allclose(singles[2:], float(single) / 2, rtol=1e-11)
    np.testing.assert_allclose(singles[:2], np.sort([float(empty), float(double)]), rtol=1e-11)


@pytest.mark.parametrize(("spins", "time"), [(1, 1e4), (2, 10.0), (2, 100.0), (2, 1e6)])
def test_rates_far_below_the_hamiltonian(spins, time):
    """Spins at 600 MHz that relax in seconds, in the laboratory frame: the product of their thermal states."""
    frequency, quanta = 2 * np.pi * 600e6, 1e4
    shape, rate = [2] * spins, 1 / time / (2 * quanta + 1)
    hamiltonian = sum(0.5 * frequency * (1 + 1e-6 * k) * qdb.embed(qdb.sigma_z(), k, shape) for k in range(spins))
    jumps = [
        np.sqrt(rate * x) * qdb.embed(operator, k, shape)
        for k in range(spins)
        for x, operator in ((quanta + 1, qdb.sigma_minus()), (quanta, qdb.sigma_plus()))
    ]
    steady = qdb.steady_state(qdb.lindblad(hamiltonian, np.array(jumps)))
    up = quanta / (2 * quanta + 1)
    one = np.array([up, 1 - up])
    right = one if spins == 1 else np.kron(one, one)
    assert int(steady.status) == 0
    np.testing.assert_allclose(np.diag(steady.density_matrix).real, right, rtol=1e-11)


@pytest.mark.parametrize("ratio", [1.0, 40.0, 300.0, 600.0])
def test_cold_given_jumps(ratio):
    """A qubit at ω/T = 600, written down as jump operators."""
    jumps = np.array([qdb.transition(0, 1, 2), np.exp(-ratio / 2) * qdb.transition(1, 0, 2)])
    steady = qdb.steady_state(qdb.lindblad(np.diag([0.0, 1.0]), jumps))
    np.testing.assert_allclose(steady.populations, np.array([1.0, np.exp(-ratio)]) / (1 + np.exp(-ratio)), rtol=1e-12)


@pytest.mark.parametrize(("amplitude", "decay"), [(0.3, 0.1), (1e-3, 0.1), (1e-7, 0.1), (1e-9, 0.01), (2.0, 1e-3)])
def test_driven_atom_at_zero_temperature(amplitude, decay):
    """Coherent drive against spontaneous emission: p = |Ω|²/(Δ² + Γ²/4 + 2Ω²) (optical Bloch equations)."""
    detuning = 1.0
    hamiltonian = np.array([[0.0, amplitude], [amplitude, detuning]])
    steady = qdb.steady_state(qdb.lindblad(hamiltonian, np.sqrt(decay) * qdb.transition(0, 1, 2)))
    excited = amplitude**2 / (detuning**2 + decay**2 / 4 + 2 * amplitude**2)
    assert int(steady.status) == 0
    np.testing.assert_allclose(np.asarray(steady.density_matrix)[1, 1].real, excited, rtol=1e-9, atol=1e-17)


def tilted(angle):
    """Two baths of one temperature on a pair of equal levels, their couplings turned by an angle against each other."""
    straight, turned = (np.array([[0, 1, x], [1, 0, 0], [x, 0, 0]]) for x in (1.0, 1.0 + angle))
    baths = [qdb.Bath(s, qdb.Ohmic(0.01, 10.0), temperature=1.0, name=n) for s, n in ((straight, "a"), (turned, "b"))]
    return qdb.steady_state(qdb.davies(np.diag([0, 1, 1.0]), baths))


@pytest.mark.parametrize("angle", [0.1, 1e-2, 1e-3, 1e-4, 1e-5, 3e-6, 1e-7, 1e-9, 0.0])
def test_nearly_dark(angle):
    """Gibbs for every angle but 0; digits that are lost are flagged, and the condition number says how many."""
    steady = tilted(angle)
    gibbs = np.exp(-np.array([0, 1, 1.0]))
    status, condition = int(steady.status), float(steady.condition_number)
    if status & int(Status.NONUNIQUE):
        assert angle <= 1e-6 and np.all(np.isnan(steady.populations))
        return
    error = np.abs(np.asarray(steady.populations) / (gibbs / gibbs.sum()) - 1).max()
    assert error < 9 * 2.3e-16 * condition
    assert bool(status & int(Status.ILL_CONDITIONED)) == (condition * 9 * np.finfo(float).eps > 1e-9)
    assert error < 1e-9 or status & int(Status.ILL_CONDITIONED)


def test_a_markov_chain_needs_no_block():
    """`pauli` with equal energies: any number of states, cold, and no secular approximation to be warned of."""
    for temperature in (0.05, 0.03, 0.02, 0.002):
        x = np.exp(-1 / temperature)
        chain = qdb.pauli([0.0, 1.0, 1.0], np.array([[0, 1, 2.0], [x, 0, 0.5], [2 * x, 0.5, 0]]))
        steady = qdb.steady_state(chain)
        np.testing.assert_allclose(steady.populations, np.array([1.0, x, x]) / (1 + 2 * x), rtol=1e-13)
        assert int(steady.status) == 0
    ring = np.roll(np.eye(40), 1, 0) + 0.5 * np.roll(np.eye(40), -1, 0)
    steady = qdb.steady_state(qdb.pauli(np.zeros(40), ring))
    assert int(steady.status) == 0
    np.testing.assert_allclose(steady.populations, np.full(40, 1 / 40), rtol=1e-13)


@pytest.mark.parametrize("product", [1e-8, 1e-6, 1e-4, 0.01, 0.5, 3.0, 10.0])
def test_levels_that_temperature_resolves(product):
    """Levels 5e-9 apart count as one; at a temperature that tells them apart this is flagged, never a number."""
    gap, coupling = 5e-9, np.array([[0.3, 1, 0.5], [1, -0.2, 0.7], [0.5, 0.7, 0.1]])
    bath = qdb.Bath(coupling, qdb.Ohmic(0.01, cutoff=10.0), temperature=gap / product)
    steady = qdb.steady_state(qdb.davies(np.diag([0, gap, 1.0]), bath))
    weights = np.exp(-np.array([0.0, product, product / gap]))
    status = int(steady.status) & ~int(Status.NEAR_DEGENERATE)
    if product > 1e-3:
        assert status & int(Status.UNRESOLVED_LEVELS)
        return
    # E/T of the third level may be 200 and more: what is left of the coupling, one matrix on the pair, has two
    # stationary states, and only the distance of the levels chooses between them, by 1.3e-5 of what it should.
    assert status == int(Status.ILL_CONDITIONED) or (status == 0 and product != 1e-6)
    if status == 0:
        np.testing.assert_allclose(steady.populations, weights / weights.sum(), rtol=product)


@pytest.mark.parametrize("link", [1e-3, 1e-9, 1e-11, 1e-12, 1e-15, 1e-17])
def test_weak_links_of_asymptotic_states(link):
    """Where the stationary state is unique every initial state ends in it, however weak the link."""
    chain = qdb.pauli([0.0, 1.0, 2.5], np.array([[0, 1.0, 0], [1.0, 0, link], [0, 2 * link, 0]]))
    for start in np.eye(3):
        reached = qdb.asymptotic_state(chain, start)
        assert int(reached.status) == 0 and float(reached.kernel_dimension) == 1
        np.testing.assert_allclose(reached.populations, [0.25, 0.25, 0.5], rtol=1e-13)
