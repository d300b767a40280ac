"""Low-density limit beyond the golden data: Gibbs, symmetry, the Born limit, derivatives, and wrong gases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import differences
from reference.lindblad import assert_gksl
from reference.random_matrices import random_hermitian, with_spectrum

import qdbjax as qdb
from qdbjax import Status

TAU, LOCAL = -0.5 / np.sqrt(3), np.array([1.0, 0.7, 1.5])
OFF = ~np.eye(3, dtype=bool)
RNG = np.random.default_rng(5)


@jax.jit
def gas_readings(hamiltonian, potential, temperature, mass):
    generator = qdb.low_density(hamiltonian, qdb.Gas(potential, temperature=temperature, mass=mass))
    steady = qdb.steady_state(generator)
    thermal = qdb.gibbs(hamiltonian, temperature=temperature).density_matrix
    return {
        "rates": generator.rates[0],
        "ratios": qdb.balance.violation_ratios(generator)[0],
        "excess": generator.apply(thermal),
        "liouvillian": generator.liouvillian(),
        "rho": steady.density_matrix,
        "thermal": thermal,
        "status": steady.status,
    }


def ring(flux):
    return np.asarray(qdb.models.three_dot_ring(TAU, flux).hamiltonian)


HAMILTONIANS = {
    "ring": ring(0.3),
    "ring, equal gaps": ring(0.75),
    "ring, equal levels": ring(0.5),
    "random": random_hermitian(RNG, 3),
    "one level thrice": 0.3 * np.eye(3) + 0j,  # all of one type: one program
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HAMILTONIANS)
@pytest.mark.parametrize("strength", [1.0, -1.0, 0.1, -0.3])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_gibbs_is_stationary_and_the_map_positive(name, strength, temperature):
    """By unitarity, whatever the sign of V and the quality of the integral."""
    potential = strength * (np.diag(LOCAL) + 0.2 * random_hermitian(np.random.default_rng(1), 3))
    found = gas_readings(HAMILTONIANS[name], potential, temperature, 1.0)
    liouvillian = np.asarray(found["liouvillian"])
    size = np.abs(liouvillian).max()
    assert np.abs(found["excess"]).max() < 1e-13 * size
    if name == "one level thrice":  # scattering commutes with V: what is diagonal with it stays
        assert int(found["status"]) == int(Status.NONUNIQUE)
    else:
        # Collisions are rare in the cold; the ω = 0 block has the forward scattering beside them in one matrix.
        slowest = np.asarray(found["rates"]).sum(axis=1).min()  # way into the highest level
        rounding = 1e-15 * size / slowest if "equal levels" in name else 0.0
        np.testing.assert_allclose(found["rho"], found["thermal"], rtol=0, atol=1e-12 + rounding)
    assert_gksl(liouvillian, 1e-13)


@pytest.mark.slow
def test_five_levels_two_of_them_equal():
    """Beyond what is written out entry by entry: source by source, with matrices."""
    rng = np.random.default_rng(9)
    hamiltonian = with_spectrum(rng, [-0.4, -0.4, 0.1, 0.5, 1.3])
    potential = random_hermitian(rng, 5)
    generator = qdb.low_density(hamiltonian, qdb.Gas(potential @ potential + 0.2 * np.eye(5), temperature=0.7))
    thermal = np.asarray(qdb.gibbs(hamiltonian, temperature=0.7).density_matrix)
    np.testing.assert_allclose(qdb.steady_state(generator).density_matrix, thermal, rtol=0, atol=1e-13)
    size = np.abs(generator.liouvillian()).max()
    assert np.abs(generator.apply(thermal)).max() < 1e-13 * size
    assert np.abs(qdb.balance.probability_currents(generator)).max() > 1e-4 * size


@pytest.mark.slow
@pytest.mark.parametrize("potential", [np.diag([1.0, 1.0, 1.5]), np.diag([0.4, 2.0, 0.4]), np.diag([-0.5, 1.0, -0.5])])
def test_two_equal_couplings_restore_detailed_balance(potential):
    ratios = np.asarray(gas_readings(ring(0.3), potential + 0j, 0.5, 1.0)["ratios"])
    assert np.abs(ratios - 1).max() < 1e-12
    assert np.abs(np.asarray(gas_readings(ring(0.3), np.diag(LOCAL) + 0j, 0.5, 1.0)["ratios"]) - 1).max() > 0.1


def test_two_levels_are_in_detailed_balance():
    potential = random_hermitian(np.random.default_rng(2), 2)
    generator = qdb.low_density(random_hermitian(np.random.default_rng(3), 2), qdb.Gas(potential, temperature=0.7))
    assert np.abs(np.asarray(qdb.balance.violation_ratios(generator)) - 1).max() < 1e-12


@jax.jit
def born(scale):
    gas = qdb.Gas(scale * jnp.diag(jnp.asarray(LOCAL)), temperature=0.5)
    generator = qdb.low_density(qdb.models.three_dot_ring(TAU, 0.75), gas)
    ratios = qdb.balance.violation_ratios(generator)[0]
    return ratios, qdb.balance.probability_currents(generator)[1, 2], generator.rates[0, 0, 1]


def test_powers_of_the_potential():
    """I - 1 = O(V), K = O(V³), rates O(V²): the Born limit is in detailed balance."""
    small, smaller = born(2e-3), born(1e-3)
    for power, (x, y) in enumerate(zip(small, smaller, strict=True)):
        x, y = (np.asarray(z) - 1 for z in (x, y)) if power == 0 else (x, y)
        rate = {0: 2, 1: 8, 2: 4}[power]
        ratio = (x[OFF] / y[OFF]) if power == 0 else x / y
        assert np.abs(ratio / rate - 1).max() < 0.02


def numbers(x):
    flux, beta, mass, couplings = x[0], x[1], x[2], x[3:]
    gas = qdb.Gas(jnp.diag(couplings), temperature=1 / beta, mass=mass, density=1.7)
    system = qdb.models.three_dot_ring(TAU, flux)
    generator = qdb.low_density(system, gas)
    ratios = qdb.balance.violation_ratios(generator)[0]
    # In the Gibbs state, which is smooth at a crossing; the stationary state turns there on the scale of the rates.
    gibbs = qdb.gibbs(system, temperature=1 / beta).density_matrix
    currents = 1e3 * qdb.balance.probability_currents(generator, gibbs)
    return jnp.stack([ratios[0, 1], ratios[1, 2], ratios[2, 0], currents[1, 2], currents[0, 1]])


values, slopes = jax.jit(numbers), jax.jit(jax.jacfwd(numbers))


@pytest.mark.slow
@pytest.mark.parametrize("flux", [0.75, 0.3, 0.5, 1.5])
def test_derivatives(flux):
    """I and K in φ, β, m, V against differences, where levels cross too."""
    x, step = np.array([flux, 1.3, 0.9, *LOCAL]), 1e-3
    found = np.asarray(slopes(x))
    for n in range(6):
        expected = differences.slope(values, x, step, np.eye(6)[n])
        # Across a crossing δ² ln|δ| limits the differences in φ, not the derivative.
        np.testing.assert_allclose(found[:, n], expected, rtol=1e-7, atol=1e-7 if n else 2e-7)


@pytest.mark.slow
def test_derivative_at_a_crossing_of_upper_levels():
    """At φ = 0 ratios bend as δ|δ|: differences approach the derivative in proportion to their step."""
    x = np.array([0.0, 1.3, 0.9, *LOCAL])
    found = np.asarray(slopes(x))[:, 0]
    misses = []
    for step in (1e-3, 1e-4):
        misses.append(np.abs(differences.two_point_slope(values, x, step, np.eye(6)[0]) - found).max())
    assert misses[1] < 2e-5 and misses[1] < 0.2 * misses[0]


RING = qdb.models.three_dot_ring(-0.3, 0.3)
V = np.diag([1.0, 0.7, 1.5])


def test_what_does_not_fit_together():
    gas = qdb.Gas(V, temperature=1.0, name="a")
    with pytest.raises(ValueError, match="gases must hold at least one Gas; got none"):
        qdb.low_density(RING, [])
    with pytest.raises(TypeError, match=r"gases\[0\] must be a Gas; got Bath"):
        qdb.low_density(RING, [qdb.Bath(V, qdb.Ohmic(0.1, 5.0), temperature=1.0)])
    with pytest.raises(ValueError, match="couples to dimension 3 but the system has 2"):
        qdb.low_density(np.diag([0.0, 1.0]), gas)
    with pytest.raises(ValueError, match="gas names must differ"):
        qdb.low_density(RING, [gas, gas])


@pytest.mark.parametrize("changed", [{"potential": 0 * V}, {"density": 0.0}], ids=["no potential", "no gas"])
def test_nothing_to_scatter_off(changed):
    """Zero rates, every eigenstate stationary: flagged."""
    generator = qdb.low_density(RING, qdb.Gas(**{"potential": V, "temperature": 1.0} | changed))
    assert not np.any(generator.rates)
    assert int(qdb.steady_state(generator).status) & int(Status.NONUNIQUE)


@jax.jit
def traced(temperature, mass, density, scale):
    gas = qdb.Gas(scale * jnp.asarray(V), temperature=temperature, mass=mass, density=density)
    steady = qdb.steady_state(qdb.low_density(RING, gas))
    return steady.populations, steady.status


@pytest.mark.parametrize(
    ("numbers", "flag"),
    [
        ((-1.0, 1.0, 1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((0.0, 1.0, 1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((1.0, -1.0, 1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((1.0, 1.0, -1.0, 1.0), Status.UNPHYSICAL_BATH),
        ((np.nan, 1.0, 1.0, 1.0), Status.NONFINITE_INPUT),
        ((1.0, 1.0, 1.0, np.nan), Status.NONFINITE_INPUT),
        ((1.0, 1.0, 1.0, 0.0), Status.NONUNIQUE),
    ],
)
def test_traced_numbers_are_flagged(numbers, flag):
    populations, status = traced(*numbers)
    assert int(status) & int(flag) and np.isnan(populations).all()
