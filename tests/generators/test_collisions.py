"""Low-density limit beyond the golden data: unitarity, Gibbs, symmetry, the Born limit, resonances, derivatives."""

import functools as ft
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import differences
from reference.lindblad import assert_gksl
from reference.random_matrices import random_hermitian, with_spectrum

import qdbjax as qdb
from qdbjax import Status
from qdbjax.generators.low_density import collision_rates
from qdbjax.numerics import quadrature
from qdbjax.systems import spectrum

TAU, LOCAL = -0.5 / np.sqrt(3), np.array([1.0, 0.7, 1.5])
OFF = ~np.eye(3, dtype=bool)
RNG = np.random.default_rng(5)


@jax.jit
def scattered(hamiltonian, potential, mass, energies):
    found = qdb.scattering(hamiltonian, qdb.Gas(potential, temperature=1.0, mass=mass), energies)
    k = jnp.where(found.open, jnp.real(found.wave_numbers), 1.0)
    inside = jnp.where(found.open, 1 / k, 0.0).astype(complex)
    daggered = jnp.swapaxes(found.t.conj(), 1, 2)
    both = found.open[:, :, None] & found.open[:, None, :]
    theorem = found.t - daggered + 2j * mass * daggered @ (inside[:, :, None] * found.t)
    return found.unitarity, jnp.max(jnp.abs(jnp.where(both, theorem, 0.0))) / jnp.max(jnp.abs(found.t))


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("sign", [1, -1, 0])
def test_unitarity_and_optical_theorem(d, sign):
    """Any Hermitian V: repulsive, attractive, indefinite; between, near and far above thresholds."""
    hamiltonian, potential = random_hermitian(RNG, d), random_hermitian(RNG, d)
    potential = sign * potential @ potential if sign else potential
    levels = np.linalg.eigvalsh(hamiltonian)
    near = levels[:, None] + np.array([-1e-9, 1e-9, 1e-3, 0.1])[None]
    energies = np.concatenate([near.reshape(-1), np.linspace(levels[0] + 0.01, levels[-1] + 5, 17), [1e6]])
    unitarity, theorem = scattered(hamiltonian, potential, 0.8, np.resize(energies, 38))
    assert np.abs(unitarity).max() < 1e-13 and theorem < 1e-13


@jax.jit
def looked_at(hamiltonian, potential, temperature, mass):
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


@pytest.mark.parametrize("name", HAMILTONIANS)
@pytest.mark.parametrize("strength", [1.0, -1.0, 0.1, -0.3])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_gibbs_is_stationary_and_the_map_positive(name, strength, temperature):
    """By unitarity, whatever the sign of V and the quality of the integral."""
    potential = strength * (np.diag(LOCAL) + 0.2 * random_hermitian(np.random.default_rng(1), 3))
    found = looked_at(HAMILTONIANS[name], potential, temperature, 1.0)
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


@pytest.mark.parametrize("potential", [np.diag([1.0, 1.0, 1.5]), np.diag([0.4, 2.0, 0.4]), np.diag([-0.5, 1.0, -0.5])])
def test_two_equal_couplings_restore_detailed_balance(potential):
    ratios = np.asarray(looked_at(ring(0.3), potential + 0j, 0.5, 1.0)["ratios"])
    assert np.abs(ratios - 1).max() < 1e-12
    assert np.abs(np.asarray(looked_at(ring(0.3), np.diag(LOCAL) + 0j, 0.5, 1.0)["ratios"]) - 1).max() > 0.1


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


@ft.cache
def rates_by(step=1.0, blind=False):
    """Rates and their error over flux, 1/T and strength of V, with nodes so far apart; blind: not looking for poles."""
    module = sys.modules[collision_rates.__module__]

    @jax.jit
    def rates(flux, beta, strength):
        gas = qdb.Gas(strength * jnp.diag(jnp.asarray(LOCAL)), temperature=1 / beta)
        return collision_rates(spectrum(qdb.models.three_dot_ring(TAU, flux)), gas)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quadrature, "STEP", quadrature.STEP * step)
        if blind:
            patch.setattr(module, "resonances", lambda energies, *_: energies)
        rates(0.3, 1.0, 1.0)  # traced and compiled here
    return rates


@pytest.mark.parametrize("beta", [0.04, 0.4, 2.0, 10.0, 40.0])  # βΔE from 0.02 to 20
@pytest.mark.parametrize("flux", [0.75, 0.5, 0.499, 0.3])
def test_nodes_doubled(beta, flux):
    found, error = rates_by()(flux, beta, 1.0)
    finer, _ = rates_by(step=0.5)(flux, beta, 1.0)
    assert finer.shape == found.shape and not np.array_equal(finer, found)
    np.testing.assert_allclose(np.asarray(found)[OFF], np.asarray(finer)[OFF], rtol=1e-12)
    assert float(error) < 1e-12


@pytest.mark.parametrize(("strength", "accuracy"), [(-1.0, 1e-12), (-0.3, 1e-10), (-0.1, 1e-7)])
def test_resonances(strength, accuracy):
    """A weak attraction binds in closed channels: narrow resonances, at the ends of panels, or flagged."""
    found, error = rates_by()(0.75, 1.0, strength)
    finer, _ = rates_by(step=0.5)(0.75, 1.0, strength)
    np.testing.assert_allclose(np.asarray(found)[OFF], np.asarray(finer)[OFF], rtol=accuracy)
    # Without looking for them the same nodes are far off.
    blind, warned = rates_by(blind=True)(0.75, 1.0, strength)
    if strength == -0.1:
        assert np.abs(np.asarray(blind)[OFF] / np.asarray(finer)[OFF] - 1).max() > 1e-2
        assert float(warned) > 1e-5 and float(error) < 1e-3 * float(warned)


def test_an_unresolved_resonance_is_flagged():
    gas = qdb.Gas(-0.003 * np.diag(LOCAL), temperature=1.0)
    status = int(qdb.low_density(qdb.models.three_dot_ring(TAU, 0.75), gas).status)
    assert status & int(Status.INACCURATE_INTEGRAL) and "resonance" in qdb.explain(status)


def numbers(x):
    flux, beta, mass, couplings = x[0], x[1], x[2], x[3:]
    gas = qdb.Gas(jnp.diag(couplings), temperature=1 / beta, mass=mass, density=1.7)
    generator = qdb.low_density(qdb.models.three_dot_ring(TAU, flux), gas)
    ratios = qdb.balance.violation_ratios(generator)[0]
    currents = 1e3 * qdb.balance.probability_currents(generator)
    return jnp.stack([ratios[0, 1], ratios[1, 2], ratios[2, 0], currents[1, 2], currents[0, 1]])


values, slopes = jax.jit(numbers), jax.jit(jax.jacfwd(numbers))


@pytest.mark.parametrize("flux", [0.75, 0.3, 0.5, 1.5])
def test_derivatives(flux):
    """I and K in φ, β, m, V against differences, where levels cross too."""
    x, step = np.array([flux, 1.3, 0.9, *LOCAL]), 1e-3
    found = np.asarray(slopes(x))
    for n in range(6):
        expected = differences.slope(values, x, step, np.eye(6)[n])
        # Across a crossing δ² ln|δ| limits the differences in φ, not the derivative.
        np.testing.assert_allclose(found[:, n], expected, rtol=1e-7, atol=1e-7 if n else 2e-7)


def test_derivative_at_a_crossing_of_upper_levels():
    """At φ = 0 ratios bend as δ|δ|: differences approach the derivative in proportion to their step."""
    x = np.array([0.0, 1.3, 0.9, *LOCAL])
    found = np.asarray(slopes(x))[:, 0]
    misses = []
    for step in (1e-3, 1e-4):
        misses.append(np.abs(differences.two_point_slope(values, x, step, np.eye(6)[0]) - found).max())
    assert misses[1] < 2e-5 and misses[1] < 0.2 * misses[0]
