"""Stationary states where rate graphs nearly fall apart, or do: the right number or a flag."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from programs import observed, random_machine, replaced, three_levels
from reference.machines import ENERGIES, links
from reference.rates import stationary_in_many_digits

import qdbjax as qdb
from qdbjax import Status

OHMIC = qdb.Ohmic(0.02, 8.0)


def exact_populations(system):
    """Stationary populations in mpmath from γ(ω)|S|² of each bath."""
    hamiltonian, couplings, strengths, cutoffs, temperatures = system
    with mpmath.workdps(600):
        e = [mpmath.mpf(float(x)) for x in np.diag(hamiltonian).real]
        rates = [[mpmath.mpf(0)] * 3 for _ in range(3)]
        for s, eta, cutoff, heat in zip(couplings, strengths, cutoffs, temperatures, strict=True):
            for m, n in itertools.permutations(range(3), 2):
                x = e[n] - e[m]
                gamma = 2 * mpmath.pi * eta * mpmath.exp(-abs(x) / cutoff) * x / -mpmath.expm1(-x / heat)
                rates[m][n] += gamma * mpmath.mpf(float(s[m, n].real)) ** 2
    return np.array([float(p) for p in stationary_in_many_digits(rates, 600)])


@pytest.mark.parametrize("link", [1e-3, 1e-6, 1e-8, 10**-8.5])
def test_weak_link(link):
    """Level 2 hangs on rates down to 1e-17 of the others: every population to 1e-12 of itself."""
    system = three_levels(links((0, 1)), links((0, 2, link), (1, 2, 0.5 * link)))
    (seen,) = observed([system])
    assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    assert seen["kernel"] == 1
    np.testing.assert_allclose(seen["populations"], exact_populations(system), rtol=1e-12)


def test_rate_ratio():
    """Couplings of 1e-100 beside 1 (rates 1e-200)."""
    system = three_levels(links((0, 1)), links((0, 2, 1e-100), (1, 2, 3e-100)))
    (seen,) = observed([system])
    np.testing.assert_allclose(seen["populations"], exact_populations(system), rtol=1e-12)


class Failing(qdb.solvers.Auto):
    """A solver that finds no number."""

    def solve(self, generator):
        return jax.tree.map(lambda x: x * jnp.nan, super().solve(generator))


def test_a_solver_that_fails_is_flagged():
    """NaN never comes with status 0."""
    generator = qdb.davies(np.diag(ENERGIES), qdb.Bath(np.ones((3, 3)), OHMIC, temperature=0.5))
    failed = qdb.steady_state(generator, Failing())
    assert np.all(np.isnan(failed.populations)) and int(failed.status) & int(Status.UNPHYSICAL_STATE)


def test_two_components():
    """No link at all: flagged, NaN."""
    system = three_levels(links((0, 1)), links((0, 1, 0.5)))
    (seen,) = observed([system])
    assert seen["status"] & Status.NONUNIQUE
    assert seen["kernel"] == 2
    assert np.all(np.isnan(seen["populations"]))
    assert np.all(np.isnan(seen["heat"]))


def test_dark_state():
    """V-type doublet with one bright and one dark combination: two stationary states."""
    v = links((0, 1), (0, 2))
    doublet = [0.0, 1.0, 1.0]
    dark, bright = observed([three_levels(v, v, energies=doublet), three_levels(v, links((0, 1)), energies=doublet)])
    assert dark["kernel"] == 2
    assert dark["status"] & Status.NONUNIQUE
    assert np.all(np.isnan(np.diagonal(dark["rho"])))
    assert bright["kernel"] == 1
    assert bright["status"] & ~int(Status.NEAR_DEGENERATE) == 0


def test_conserved_parity():
    """σ_x σ_x conserves parity: two qubits of different splitting keep even and odd apart."""
    xx = np.kron(qdb.sigma_x(), qdb.sigma_x())
    hamiltonian = np.diag([1.6, 0.3, -0.3, -1.6])
    generator = qdb.davies(hamiltonian, qdb.Bath(xx, OHMIC, temperature=0.7))
    state = qdb.steady_state(generator)
    assert int(state.status) & Status.NONUNIQUE
    assert np.all(np.isnan(state.populations))
    assert float(state.kernel_dimension) == 2


def test_absorbing_state():
    """T = 0: everything ends in the ground level, or in several places, which is flagged."""
    ladder = links((0, 1), (1, 2))
    one, two, middle = observed(
        [
            three_levels(ladder, ladder, (0.0, 0.0)),
            three_levels(links((0, 2)), links((0, 2)), (0.0, 0.0)),
            three_levels(links((1, 2)), links((0, 1)), (0.0, 0.0)),
        ]
    )
    for seen in (one, middle):
        np.testing.assert_array_equal(seen["populations"], [1, 0, 0])
        assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    assert two["status"] & Status.NONUNIQUE
    assert two["kernel"] == 2


def test_ground_level_last():
    """The model's own order of levels: the absorbing state need not come first."""
    system = qdb.System(np.diag([2.3, 1.0, 0.0]), eigenbasis=np.eye(3), energies=np.array([2.3, 1.0, 0.0]))
    ladder = links((0, 1), (1, 2))
    state = qdb.steady_state(qdb.davies(system, qdb.Bath(ladder, OHMIC, temperature=0.0)))
    np.testing.assert_array_equal(state.populations, [0, 0, 1])
    assert int(state.status) == 0


def test_derivatives_past_a_transient_state():
    """State 0 is left for good: p_2 = b/(b + c) of a chain 0 → 1 ⇄ 2, and Gibbs between two of three levels."""

    def of_chain(b, c):
        rates = jnp.zeros((3, 3)).at[1, 0].set(0.3).at[2, 1].set(b).at[1, 2].set(c)
        return qdb.steady_state(qdb.pauli(np.array([0.0, 1.0, 2.3]), rates)).populations[2]

    b, c = 0.4, 0.1
    value, slopes = jax.value_and_grad(of_chain, argnums=(0, 1))(b, c)
    np.testing.assert_allclose(value, b / (b + c), rtol=1e-14)
    np.testing.assert_allclose(slopes, [c / (b + c) ** 2, -b / (b + c) ** 2], rtol=1e-13)

    def of_levels(temperature):
        system = qdb.System(np.diag([2.3, 1.0, 0.0]), eigenbasis=np.eye(3), energies=np.array([2.3, 1.0, 0.0]))
        cold = qdb.Bath(links((0, 1)), OHMIC, temperature=0.0)
        warm = qdb.Bath(links((1, 2)), OHMIC, temperature=temperature)
        return qdb.steady_state(qdb.davies(system, [cold, warm])).populations[1]

    # Both baths link level 1 to one other; the cold one only empties level 0.
    value, slope = jax.value_and_grad(of_levels)(0.7)
    p = 1 / (1 + np.exp(1 / 0.7))
    np.testing.assert_allclose(value, p, rtol=1e-13)
    np.testing.assert_allclose(slope, p * (1 - p) / 0.7**2, rtol=1e-12)


def test_forbidden_coupling_is_no_link():
    """A matrix element that a symmetry forbids is rounding, 1e-16: it must not link two parts of the graph."""
    rng = np.random.default_rng(12)
    basis = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = [basis @ s @ basis.T for s in (links((0, 1)), links((0, 1, 0.5)))]
    hamiltonian = basis @ np.diag(ENERGIES) @ basis.T
    (seen,) = observed([replaced(three_levels(*turned), hamiltonian=(hamiltonian + hamiltonian.T) / 2)])
    assert seen["kernel"] == 2
    assert seen["status"] & Status.NONUNIQUE


def test_one_level():
    """d = 1: nothing can happen, and nothing fails."""
    generator = qdb.davies([[0.7]], qdb.Bath([[2.0]], OHMIC, temperature=0.5))
    state = qdb.steady_state(generator)
    np.testing.assert_array_equal(state.populations, [1.0])
    assert int(state.status) == 0
    np.testing.assert_array_equal(qdb.heat_currents(generator, state), [0.0])
    np.testing.assert_array_equal(generator.liouvillian(), [[0.0]])


def test_trivial_hamiltonians():
    """H = 0 and H ∝ 1: baths of Hermitian couplings dephase to the mixed state; no energy flows."""
    base = random_machine(np.random.default_rng(31), 3, 2, ENERGIES)
    for seen in observed([replaced(base, hamiltonian=scale * np.eye(3)) for scale in (0.0, 0.7)]):
        assert seen["kernel"] == 1
        np.testing.assert_allclose(seen["rho"], np.eye(3) / 3, rtol=0, atol=1e-12)
        np.testing.assert_allclose(seen["heat"], 0.0, rtol=0, atol=1e-13)


def test_throw():
    """throw=True raises what the flag would say; inside jit it is refused."""
    generator = qdb.davies(np.diag([0.0, 1.0]), qdb.Bath(np.diag([1.0, 2.0]), OHMIC, temperature=1.0))
    assert int(qdb.steady_state(generator).status) & Status.NONUNIQUE
    with pytest.raises(ValueError, match=r"nonunique.*asymptotic_state"):
        qdb.steady_state(generator, throw=True)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda g: qdb.steady_state(g, throw=True).populations)(generator)
