"""Stationary populations against mpmath: every component relative to itself, weak links and huge ratios included."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from reference.rates import stationary_in_many_digits

from qdbjax.numerics import markov

DIMENSIONS = [2, 3, 4, 5, 8]
stationary = jax.jit(jax.vmap(markov.stationary))
jacobians = jax.jit(jax.vmap(lambda w: (jax.jacfwd(markov.stationary)(w), jax.jacrev(markov.stationary)(w))))


def dense(rng, d):
    return rng.uniform(0.1, 1.0, size=(d, d)) * (1 - np.eye(d))


def linked(rng, d, weak):
    """Two halves joined by rates of size `weak`, different there and back."""
    w = dense(rng, d)
    half = d // 2
    w[:half, half:] *= weak
    w[half:, :half] *= weak
    return w


def thermal(rng, d, beta):
    """Chain of levels with neighbours linked, energies 0 … 1, e^{-β·gap} down to e^{-600}."""
    energies = np.linspace(0.0, 1.0, d)
    w = np.zeros((d, d))
    for n in range(d - 1):
        w[n, n + 1] = rng.uniform(0.5, 1.0)
        w[n + 1, n] = w[n, n + 1] * np.exp(-beta * (energies[n + 1] - energies[n]))
    return w


def spread(rng, d, decades):
    """Rates spread over many decades."""
    return 10.0 ** rng.uniform(-decades / 2, decades / 2, size=(d, d)) * (1 - np.eye(d))


@pytest.fixture
def zoo(rng):
    def build(d):
        cases = [dense(rng, d) for _ in range(2)]
        cases += [linked(rng, d, 10.0**-n) for n in (6, 9, 13, 15, 17)]
        cases += [thermal(rng, d, beta) for beta in (1.0, 30.0, 600.0)]
        return np.stack([*cases, spread(rng, d, 20), spread(rng, d, 200)])

    return build


@pytest.mark.parametrize("d", DIMENSIONS)
def test_populations(zoo, d):
    """Each population to 1e-12 of itself."""
    rates = zoo(d)
    found = np.asarray(stationary(jnp.asarray(rates)))
    for n, w in enumerate(rates):
        wanted = np.array([float(p) for p in stationary_in_many_digits(w, 60 if n < len(rates) - 1 else 1800)])
        visible = wanted > 1e-300
        assert np.all(np.abs(found[n] - wanted)[visible] <= 1e-12 * wanted[visible]), n
        assert np.all(found[n] >= 0)
        assert abs(found[n].sum() - 1) <= 1e-14


@pytest.mark.parametrize("d", [3, 5])
def test_gradients(zoo, d):
    """dp/dW, forward and reverse, against differences in 400 digits: 1e-10 of the largest derivative of each p."""
    rates = zoo(d)[:-2]
    forward, reverse = (np.asarray(x) for x in jacobians(jnp.asarray(rates)))
    for n, w in enumerate(rates):
        for i, j in [(0, 1), (1, 0), (d - 1, 0), (0, d - 1), (d - 2, d - 1)]:
            if i == j or w[i, j] == 0:
                continue
            with mpmath.workdps(400):
                ends = []
                for sign in (1, -1):
                    shifted = [[mpmath.mpf(float(x)) for x in row] for row in w]
                    shifted[i][j] *= 1 + sign * mpmath.mpf(10) ** -30
                    ends.append(stationary_in_many_digits(shifted, 400))
                step = 2 * mpmath.mpf(float(w[i, j])) * mpmath.mpf(10) ** -30
                wanted = np.array([float((a - b) / step) for a, b in zip(*ends, strict=True)])
            for found in (forward, reverse):
                assert np.abs(found[n, :, i, j] - wanted).max() <= 1e-10 * np.abs(wanted).max(), (n, i, j)


def test_recurrent_classes():
    """Which states are recurrent and how many classes there are, on graphs small enough to see."""
    classes = jax.jit(markov.recurrent_classes)
    chain = np.zeros((4, 4), bool)
    for origin, to in [(3, 2), (2, 1), (1, 0)]:
        chain[to, origin] = True
    two = chain.copy()
    two[1, 2] = two[0, 1] = False
    two[2, 3] = two[3, 2] = two[0, 1] = two[1, 0] = True
    for graph, recurrent, count in [
        (chain, [True, False, False, False], 1),
        (two, [True] * 4, 2),
        (np.zeros((4, 4), bool), [True] * 4, 4),
        (np.ones((4, 4), bool), [True] * 4, 1),
    ]:
        found, number = classes(jnp.asarray(graph))
        np.testing.assert_array_equal(found, recurrent)
        assert number == count


def test_absorbing_state():
    """Elimination that ends at the state where everything ends."""
    w = np.zeros((4, 4))
    w[2, 0] = w[2, 1] = w[1, 3] = 0.5
    found = jax.jit(markov.stationary_rooted_at)(jnp.asarray(w), jnp.array(2))
    np.testing.assert_array_equal(found, [0, 0, 1, 0])
