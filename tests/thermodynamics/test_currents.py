"""Currents of energy, heat and particles: dots in closed form, spins against a dense equation, states on their way."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
from reference import many_digits
from reference.lindblad import Davies
from reference.machines import ENERGIES, KET, SPINS, three_level_machine
from reference.thermal import fermi, gibbs

import qdbjax as qdb
from qdbjax import Status

POTENTIALS = np.array([[0.6, -0.4], [0.0, 0.0], [3.0, -3.0], [-1.2, 0.3]])  # left, right
TEMPERATURES = 0.3, 0.2
WIDTHS = 0.01, 0.025  # J = Γ/2π of each lead


def leads(removals, potentials, density=qdb.Flat):
    return [
        qdb.Lead(removal, density(width), temperature=temperature, chemical_potential=potential, name=name)
        for removal, width, temperature, potential, name in zip(
            removals, WIDTHS, TEMPERATURES, potentials, ("left", "right"), strict=True
        )
    ]


def readings(system, baths):
    generator = qdb.davies(system, baths)
    steady = qdb.steady_state(generator)
    return {
        "particles": qdb.particle_currents(generator, steady),
        "by number": qdb.particle_currents(generator, steady, system.number),
        "energy": qdb.energy_currents(generator, steady),
        "heat": qdb.heat_currents(generator, steady),
        "production": qdb.entropy_production(generator, steady),
        "status": steady.status,
        "rho": steady.density_matrix,
        "liouvillian": generator.liouvillian(),
    }


def assert_laws(found, potentials):
    """First and second law, particles conserved, both ways of counting, heat from energy and particles."""
    assert found["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    assert abs(np.sum(found["particles"])) < 1e-15 and abs(np.sum(found["energy"])) < 1e-15
    np.testing.assert_allclose(found["by number"], found["particles"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(found["heat"], found["energy"] - potentials * found["particles"], rtol=0, atol=1e-16)
    np.testing.assert_allclose(
        found["production"], -np.sum(found["heat"] / np.array(TEMPERATURES)), rtol=1e-12, atol=1e-15
    )
    assert found["production"] >= -1e-15


@jax.jit
def single(potentials, level):
    return readings(qdb.models.quantum_dot(level), leads([qdb.fermion_destroy(0, 1)] * 2, potentials))


@pytest.mark.parametrize("potentials", POTENTIALS, ids=str)
@pytest.mark.parametrize("level", [0.25, 0.0, -0.7])
def test_resonant_level(potentials, level):
    """I = Γ_L Γ_R/(Γ_L + Γ_R) (f_L - f_R), E = ε I; a level at ω = 0 included."""
    found = jax.tree.map(np.asarray, single(potentials, level))
    left, right = (2 * np.pi * width for width in WIDTHS)
    filled = [fermi(level - mu, t) for mu, t in zip(potentials, TEMPERATURES, strict=True)]
    wanted = left * right / (left + right) * (filled[0] - filled[1])
    np.testing.assert_allclose(found["particles"], [wanted, -wanted], rtol=1e-12)
    np.testing.assert_allclose(found["energy"], [level * wanted, -level * wanted], rtol=1e-12, atol=1e-17)
    assert_laws(found, potentials)


@jax.jit
def blockade(potentials, level, interaction, zeeman):
    return readings(qdb.models.spinful_dot(level, interaction, zeeman), leads([SPINS, SPINS], potentials))


@pytest.mark.parametrize("potentials", POTENTIALS, ids=str)
def test_coulomb_blockade(potentials):
    """Spin-degenerate level with repulsion: the chain empty - one - two in closed form."""
    level, repulsion = -0.3, 1.1
    found = jax.tree.map(np.asarray, blockade(potentials, level, repulsion, 0.0))
    rates = 2 * np.pi * np.array(WIDTHS)
    first, second = (
        np.array([fermi(level + u - mu, t) for mu, t in zip(potentials, TEMPERATURES, strict=True)])
        for u in (0.0, repulsion)
    )
    up_one, down_one = 2 * rates * first, rates * (1 - first)
    up_two, down_two = rates * second, 2 * rates * (1 - second)
    one = up_one.sum() / down_one.sum()
    two = one * up_two.sum() / down_two.sum()
    p0, p1, p2 = np.array([1, one, two]) / (1 + one + two)
    step_one, step_two = up_one * p0 - down_one * p1, up_two * p1 - down_two * p2
    np.testing.assert_allclose(found["particles"], step_one + step_two, rtol=1e-11, atol=1e-17)
    energy = level * step_one + (level + repulsion) * step_two
    np.testing.assert_allclose(found["energy"], energy, rtol=1e-11, atol=1e-17)
    assert_laws(found, potentials)


def test_blockade_in_a_field_goes_over_into_the_degenerate_one():
    """A Zeeman splitting far below the temperature changes nothing, and its derivative at 0 vanishes by symmetry."""
    split = blockade(POTENTIALS[0], -0.3, 1.1, 1e-7)["particles"]
    np.testing.assert_allclose(split, blockade(POTENTIALS[0], -0.3, 1.1, 0.0)["particles"], rtol=1e-12)


@jax.jit
def double(potentials, levels, tunneling):
    system = qdb.models.double_dot(levels, tunneling)
    return readings(system, leads([qdb.fermion_destroy(0, 2), qdb.fermion_destroy(1, 2)], potentials))


@pytest.mark.slow
@pytest.mark.parametrize("potentials", POTENTIALS, ids=str)
def test_double_dot(potentials):
    """Without interaction every molecular orbital conducts by itself: Σ_λ Γ_Lλ Γ_Rλ/(Γ_Lλ + Γ_Rλ)(f_L - f_R)."""
    levels, tunneling = np.array([0.1, 0.35]), 0.2
    found = jax.tree.map(np.asarray, double(potentials, levels, tunneling))
    energies, orbitals = np.linalg.eigh(np.array([[levels[0], tunneling], [tunneling, levels[1]]]))
    left, right = (2 * np.pi * width * orbitals[n] ** 2 for n, width in enumerate(WIDTHS))
    filled = [fermi(energies - mu, t) for mu, t in zip(potentials, TEMPERATURES, strict=True)]
    flows = left * right / (left + right) * (filled[0] - filled[1])
    np.testing.assert_allclose(found["particles"][0], flows.sum(), rtol=1e-11, atol=1e-17)
    np.testing.assert_allclose(found["energy"][0], (energies * flows).sum(), rtol=1e-11, atol=1e-17)
    assert_laws(found, potentials)


def test_grand_canonical_is_stationary():
    """Leads of one temperature and potential: L(e^{-(H-μN)/T}) = 0, with spin and repulsion (1e-13)."""
    system = qdb.models.spinful_dot(-0.3, 1.1, 0.4)
    baths = [
        qdb.Lead(SPINS, qdb.baths.LorentzianBand(width, 0.2, 1.5), temperature=0.3, chemical_potential=0.45, name=name)
        for width, name in zip(WIDTHS, "ab", strict=True)
    ]
    liouvillian = np.asarray(qdb.davies(system, baths).liouvillian())
    thermal = gibbs(np.asarray(system.hamiltonian) - 0.45 * np.asarray(system.number), 0.3)
    assert np.abs(liouvillian @ thermal.reshape(-1)).max() < 1e-13 * np.abs(liouvillian).max()
    assert np.abs(np.eye(4).reshape(-1) @ liouvillian).max() < 1e-14 * np.abs(liouvillian).max()


def test_phonons_beside_leads():
    """A thermal bath and leads in one generator: the phonon bath brings heat and no particles."""
    c = qdb.fermion_destroy(0, 2)
    system = qdb.models.double_dot([0.1, 0.35], 0.2)
    left, right = leads([c, qdb.fermion_destroy(1, 2)], POTENTIALS[0])
    phonons = qdb.Bath(c.T @ c, qdb.Ohmic(0.01, 5.0), temperature=1.0, name="phonons")
    generator = qdb.davies(system, [left, right, phonons])
    steady = qdb.steady_state(generator)
    particles, energy = qdb.particle_currents(generator, steady), qdb.energy_currents(generator, steady)
    assert particles[2] == 0 and abs(float(jnp.sum(particles))) < 1e-15 and abs(float(jnp.sum(energy))) < 1e-15
    assert float(qdb.heat_currents(generator, steady)[2]) == float(energy[2]) > 0


def test_saturated():
    """|ε - μ|/T = 1e6: a full and an empty lead, value and gradient finite."""

    def current(level):
        baths = [
            qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=1e-6, chemical_potential=mu, name=str(mu))
            for mu in (1.0, -1.0)
        ]
        generator = qdb.davies(qdb.models.quantum_dot(level), baths)
        return qdb.particle_currents(generator, qdb.steady_state(generator))[0]

    value, slope = jax.jit(jax.value_and_grad(current))(0.1)
    np.testing.assert_allclose(value, 0.01 * np.pi, rtol=1e-12)
    assert slope == 0


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


START = 0.9 * np.outer(KET, KET.conj()) + 0.1 * np.eye(3) / 3
TIMES = np.linspace(0.0, 30.0, 61)


@pytest.mark.slow
def test_first_and_second_law_along_the_way():
    """Heat is the slope of ⟨H⟩; entropy production is positive and ends at that of the stationary state."""
    generator = three_level_machine((0.7, 1.5))
    run = qdb.evolve(generator, START, TIMES, rtol=1e-11, observables={"energy": np.diag(ENERGIES)})
    heat = jax.vmap(lambda rho: qdb.heat_currents(generator, rho))(run.density_matrix)
    production = jax.vmap(lambda rho: qdb.entropy_production(generator, rho))(run.density_matrix)
    gained = scipy.integrate.simpson(np.sum(heat, axis=1), x=TIMES)
    np.testing.assert_allclose(run.expectations["energy"][-1] - run.expectations["energy"][0], gained, rtol=1e-5)
    assert np.all(production > 0)
    steady = qdb.steady_state(generator)
    np.testing.assert_allclose(
        qdb.heat_currents(generator, steady.density_matrix), qdb.heat_currents(generator, steady), rtol=1e-9
    )
    np.testing.assert_allclose(
        qdb.entropy_production(generator, steady.density_matrix),
        qdb.entropy_production(generator, steady),
        rtol=1e-9,
    )


def test_pure_states_and_states_that_are_none():
    """A pure state that is left produces entropy at an infinite rate; a matrix that is no state is refused."""
    generator = three_level_machine((0.7,))
    assert np.isinf(qdb.entropy_production(generator, KET))
    with pytest.raises(ValueError, match="state must have trace 1"):
        qdb.heat_currents(generator, np.eye(3))


def test_leads():
    """With particles heat is energy minus μ times particles, at any time."""
    lead = qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=0.3, chemical_potential=0.5)
    generator = qdb.davies(qdb.models.quantum_dot(0.8), lead)
    rho = jnp.diag(jnp.array([0.9, 0.1]))
    rates = np.asarray(generator.rates[0])
    particles = rates[1, 0] * 0.9 - rates[0, 1] * 0.1
    np.testing.assert_allclose(qdb.heat_currents(generator, rho), [(0.8 - 0.5) * particles], rtol=1e-12)


EXACT = [0.0, 0.75, 1.625]  # differences without rounding
WEAK_THREE = np.array([[0, 0.3, 0.9], [0.3, 0.5, 0.4], [0.9, 0.4, -0.2]])
SPIN_X = np.array([[0.0, 1.0], [1.0, 0.0]])


@jax.jit
def balance_between(energies, couplings, strengths, temperatures):
    baths = [
        qdb.Bath(s, qdb.Ohmic(strength, 10.0), temperature=temperature, name=str(n))
        for n, (s, strength, temperature) in enumerate(zip(couplings, strengths, temperatures, strict=True))
    ]
    system = qdb.System(jnp.diag(energies), eigenbasis=np.eye(len(energies)), energies=energies)
    generator = qdb.davies(system, baths)
    steady = qdb.steady_state(generator)
    return qdb.heat_currents(generator, steady), qdb.entropy_production(generator, steady)


@pytest.mark.parametrize("energies", [EXACT[:2], EXACT], ids=["two levels", "three levels"])
@pytest.mark.parametrize(
    ("strengths", "temperatures"),
    [
        ((0.1, 1e-6), (1.0, 0.2)),
        ((0.1, 1e-9), (1.0, 0.2)),
        ((0.1, 1e-12), (1.0, 0.2)),
        ((1e-16, 0.1), (1.0, 0.2)),
        ((0.1, 1e-12), (0.2, 1.0)),
        ((1e-14, 1e-9), (3.0, 1.0)),
        ((0.1, 1e-16), (0.05, 0.3)),
        ((0.1, 1e-25), (1.0, 0.2)),
        ((0.1, 1e-9, 1e-12), (1.0, 0.5, 0.2)),
        ((1e-12, 0.1, 1e-12), (1.0, 0.5, 0.2)),
    ],
)
def test_a_weak_bath_beside_a_strong_one(energies, strengths, temperatures):
    """Currents of weak baths are theirs and not the rounding of the strong one's; both laws hold."""
    couplings = [(SPIN_X if len(energies) == 2 else WEAK_THREE) for _ in strengths]
    found, production = balance_between(np.array(energies), couplings, strengths, temperatures)
    baths = [(s, strength, 10.0, heat) for s, strength, heat in zip(couplings, strengths, temperatures, strict=True)]
    exact = many_digits.heat_currents(energies, baths)
    np.testing.assert_allclose(found, np.array(exact, float), rtol=1e-10, atol=1e-12 * float(max(map(abs, exact))))
    assert abs(np.sum(found)) <= 1e-12 * np.abs(found).max()
    entropy = -sum(current / mp.mpf(heat) for current, heat in zip(exact, temperatures, strict=True))
    np.testing.assert_allclose(production, float(entropy), rtol=1e-10)


@pytest.mark.parametrize("difference", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
def test_baths_of_nearly_one_temperature(difference):
    """A qubit between baths ΔT apart: J ∝ ΔT and entropy production ∝ ΔT², in closed form."""
    temperatures = 1.0, 1.0 - difference
    currents, production = balance_between(np.array([0.0, 1.0]), [SPIN_X] * 2, (0.1, 0.1), temperatures)
    rate, (hot, cold) = 2 * np.pi * 0.1 * np.exp(-0.1), temperatures
    slope = (hot - cold) / (hot * cold)  # 1/T_c - 1/T_h, without cancellation
    mean = [1 / np.expm1(1 / heat) for heat in temperatures]
    lead = np.sinh(slope / 2) / (2 * np.sinh(0.5 / hot) * np.sinh(0.5 / cold))  # n_h - n_c
    current = rate * lead / (2 * mean[0] + 1 + 2 * mean[1] + 1)
    lost = 4e-16 / difference  # of the rates' own rounding
    np.testing.assert_allclose(currents, [current, -current], rtol=max(lost, 1e-12))
    np.testing.assert_allclose(production, current * slope, rtol=max(2 * lost, 1e-12))
