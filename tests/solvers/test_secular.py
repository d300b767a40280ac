"""What the secular approximation drops: the estimate beside equations that drop nothing."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import Status

ON, TWO = [2, 2], (qdb.sigma_minus(), qdb.sigma_minus().T)


def two_qubits(g, hot=1.0, cold=0.2, strength=0.005):
    """Two resonant qubits, one bath each, which a coupling g splits by 2g."""
    lower, lift = (qdb.embed(each, 0, ON) for each in TWO), (qdb.embed(each, 1, ON) for each in TWO)
    (a, ad), (b, bd) = lower, lift
    z = qdb.embed(qdb.sigma_z(), 0, ON) + qdb.embed(qdb.sigma_z(), 1, ON)
    baths = [
        qdb.Bath(qdb.embed(qdb.sigma_x(), n, ON), qdb.Ohmic(strength, 10.0), temperature=t, name=name)
        for n, t, name in ((0, hot, "hot"), (1, cold, "cold"))
    ]
    return 0.5 * z + g * (a @ bd + b @ ad), baths


@jax.jit
@jax.vmap
def seen(g, hot, cold):
    generator = qdb.davies(*two_qubits(g, hot, cold))
    steady = qdb.steady_state(generator)
    return steady.secular_error, steady.status, qdb.heat_currents(generator, steady)[0]


def test_two_qubits_beside_redfield():
    """Davies over Redfield, solved in NumPy: 2.37, 2.11, 1.49, 1.18 at g = 0.018 ... 0.05; far apart it is clear."""
    g, ratio = np.array([0.018, 0.02, 0.03, 0.05, 0.3]), np.array([2.3674, 2.1076, 1.4923, 1.1773, 1.0049])
    error, status, _ = map(np.asarray, seen(g, np.full(5, 1.0), np.full(5, 0.2)))
    wanted = 1 - 1 / ratio
    assert np.abs(error / wanted - 1)[:4].max() < 0.1 and error[4] < 0.01
    assert np.array_equal(status, [Status.NEAR_DEGENERATE] * 4 + [0])


def three_levels(gap, temperatures):
    """Two close levels that two baths of different strength excite with different phases, and pure dephasing."""
    s = np.zeros((2, 3, 3), complex)
    s[0, 0, 2], s[0, 1, 2], s[1, 0, 2], s[1, 1, 2] = 1.0, 0.6j, 0.4, 0.9
    s = s + s.conj().transpose(0, 2, 1)
    s[0] += np.diag([0.5, -0.2, 0.0])
    s[1] += np.diag([0.0, 0.7, 0.1])
    baths = [
        qdb.Bath(each, qdb.Ohmic(eta, 10.0), temperature=t)
        for each, eta, t in zip(s, (0.004, 0.002), temperatures, strict=True)
    ]
    return qdb.steady_state(qdb.davies(np.diag([0.0, gap, 1.1]), baths))


@pytest.mark.parametrize(("gap", "wanted"), [(0.05, 0.03077), (0.02, 0.09777), (0.01, 0.17582), (0.005, 0.22482)])
def test_three_levels_beside_redfield(gap, wanted):
    """Largest change of a current, Redfield solved in NumPy; complex couplings."""
    steady = three_levels(gap, (1.0, 0.4))
    assert abs(float(steady.secular_error) / wanted - 1) < 0.2 and (steady.status != 0) == (gap < 0.03)


def test_coherences_within_a_level_are_not_dropped():
    assert float(three_levels(1e-10, (1.0, 0.4)).secular_error) < 0.01


def test_three_levels_at_one_temperature():
    assert float(three_levels(0.01, (0.7, 0.7)).secular_error) < 1e-5


@pytest.mark.parametrize("cold", [0.9, 0.99, 0.999, 1 - 1e-5])
def test_small_bias(cold):
    """Near equilibrium both currents are linear in the bias, and so is what is missing (Redfield, solved in NumPy)."""
    wanted = {0.9: 0.68394, 0.99: 0.70086, 0.999: 0.70247, 1 - 1e-5: 0.70265}[cold]
    error, _, _ = seen(*(np.array([x]) for x in (0.02, 1.0, cold)))
    assert abs(float(error[0]) / wanted - 1) < 2e-3


def test_equilibrium_is_never_flagged():
    """At one temperature all terms together leave Gibbs stationary: nothing is missing, however close the levels."""
    g, T = np.array([1e-4, 1e-3, 1e-2]), np.array([0.05, 1.0, 30.0])
    error, status, _ = map(np.asarray, seen(g, T, T))
    assert np.all(error < 1e-6) and np.all(status == 0)


@pytest.mark.parametrize(("share", "flagged"), [(0.0, False), (0.3, True)])
def test_only_levels_that_share_a_transition(share, flagged):
    """Levels 1e-4 apart that one bath excites each: nothing is dropped until the same bath excites both."""
    links = np.zeros((2, 3, 3))
    links[:, 0, 1] = 0.4
    links[0, 0, 2], links[0, 1, 2], links[1, 1, 2], links[1, 0, 2] = 1.0, share, 1.0, -share
    baths = [qdb.Bath(s + s.T, qdb.Ohmic(0.02, 8.0), temperature=t) for s, t in zip(links, (1.0, 0.4), strict=True)]
    generator, universal = (f(np.diag([0.0, 1e-4, 2.3]), baths) for f in (qdb.davies, qdb.universal_lindblad))
    true = abs(1 - float(qdb.heat_currents(universal)[0] / qdb.heat_currents(generator)[0]))
    error = float(qdb.steady_state(generator).secular_error)
    assert (error > 0.05) == flagged == (true > 0.1)


def test_one_number_everywhere():
    generator = qdb.davies(*two_qubits(0.03))
    error, found = float(qdb.steady_state(generator).secular_error), qdb.validity(generator)
    assert float(found.secular) == error and "secular is doubtful" in repr(found)
    assert f"by about {error:.2g} of the largest" in repr(qdb.balance_report(generator))


def test_no_secular_step_no_error():
    hamiltonian, baths = two_qubits(0.02)
    assert float(qdb.steady_state(qdb.universal_lindblad(hamiltonian, baths)).secular_error) == 0
    wide = qdb.steady_state(qdb.davies(hamiltonian, baths, window=0.1))
    assert float(wide.secular_error) < 0.05 and not int(wide.status) & Status.NEAR_DEGENERATE


@pytest.mark.slow
def test_flags_have_no_derivative():
    """Gradients go through a flagged state as through any other."""
    current = lambda T: seen.__wrapped__(jnp.array([0.02]), T[None], jnp.array([0.2]))[2][0]  # noqa: E731
    step = 1e-5
    slope = (current(jnp.array(1 + step)) - current(jnp.array(1 - step))) / (2 * step)
    assert abs(float(jax.grad(current)(jnp.array(1.0)) / slope) - 1) < 1e-8


@pytest.mark.slow
def test_false_alarms_and_misses():
    """120 random systems with a pair of close levels, against the universal Lindblad equation, which drops nothing."""
    rng, d = np.random.default_rng(3), 4

    @jax.jit
    @jax.vmap
    def both(energies, first, second, T, strength):
        baths = [qdb.Bath(s, qdb.Ohmic(strength, 10.0), temperature=t) for s, t in zip((first, second), T, strict=True)]
        found = []
        for maker in (qdb.davies, qdb.universal_lindblad):
            generator = maker(jnp.diag(energies), baths)
            steady = qdb.steady_state(generator)
            found.append(qdb.heat_currents(generator, steady)[0])
        steady = qdb.steady_state(qdb.davies(jnp.diag(energies), baths))
        return jnp.stack(found), steady.secular_error, steady.status

    count = 120
    strength = 10 ** rng.uniform(-4, -1.5, count)
    energies = np.cumsum(rng.uniform(0.3, 1.2, (count, d)), axis=1)
    energies[:, 2] = energies[:, 1] + strength * 10 ** rng.uniform(-0.5, 2.5, count)
    energies[:, 3] = energies[:, 2] + rng.uniform(0.3, 1.2, count)
    couplings = rng.normal(size=(2, count, d, d)) + 1j * rng.normal(size=(2, count, d, d))
    couplings = 0.5 * (couplings + couplings.conj().transpose(0, 1, 3, 2))
    T = 10 ** rng.uniform(-1, 0.7, (count, 2))
    currents, error, status = both(energies, *couplings, T, strength)
    currents, flagged = np.asarray(currents), np.asarray(status) & int(Status.NEAR_DEGENERATE) != 0
    true = np.abs(1 - currents[:, 1] / currents[:, 0])
    assert np.mean(~flagged & (true > 0.1)) < 0.08 and np.mean(flagged & (true < 0.02)) < 0.08
    assert 0.2 < np.mean(flagged) < 0.8 and np.corrcoef(np.log(true), np.log(np.asarray(error)))[0, 1] > 0.7


def test_a_network_as_density():
    """Its activation function is a leaf that is no array; here it computes an Ohmic density."""

    class Network(eqx.Module):
        activation: Callable
        strength: jax.Array

        def __call__(self, frequency):
            return self.strength * self.activation(frequency)

    def error(gap, density):
        couplings = [jnp.array([[0.0, 1.0, x], [1.0, 0.0, 0.0], [x, 0.0, 0.0]]) for x in (0.7, -0.4)]
        baths = [qdb.Bath(c, density, temperature=t) for c, t in zip(couplings, (1.0, 0.3), strict=True)]
        return qdb.steady_state(qdb.davies(jnp.diag(jnp.stack([0.0, 1.0, 1.0 + gap])), baths)).secular_error

    gaps, ohmic = jnp.array([0.01, 0.05]), qdb.Ohmic(0.01, cutoff=10.0)
    network = Network(jax.jit(lambda w: w * jnp.exp(-w / 10.0)), jnp.asarray(0.01))
    of_gaps = lambda density: jax.jit(jax.vmap(lambda gap: error(gap, density)))(gaps)  # noqa: E731
    wanted = of_gaps(ohmic)
    assert wanted[0] > 0.05
    np.testing.assert_allclose(of_gaps(network), wanted, rtol=1e-10)
