"""Stationary populations against mpmath: every component relative to itself, weak links and huge ratios included."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.sparse.csgraph
from reference.rates import stationary_in_many_digits

from qdbjax.numerics import markov

DIMENSIONS = [2, 3, 4, 5, 8, 13, 43]
# Panels one after the other, of 8 and 4 states and 1 left over; a loop over five of 8, and 3 left over.
panels = pytest.mark.parametrize("d", [13, 43])
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


def trap(rng, d):
    """The last level of a chain is 1e200 times as populated as the others, which reach it through a link of 1e-200."""
    w = thermal(rng, d, 1.0)
    w[d - 3, d - 2] = w[d - 2, d - 3] = w[d - 2, d - 1] = 1e-200
    return w


def relabelled(rng, rates):
    """The same chain, its states in random order."""
    order = rng.permutation(len(rates))
    return rates[np.ix_(order, order)]


def exact_derivatives(rates, direction):
    """First and second derivative of p along a direction of relative changes, from differences in 400 digits."""
    with mpmath.workdps(400):
        step = mpmath.mpf(10) ** -60
        below, here, above = (
            stationary_in_many_digits(
                [
                    [
                        mpmath.mpf(float(w)) * (1 + sign * step * mpmath.mpf(float(v)))
                        for w, v in zip(*rows, strict=True)
                    ]
                    for rows in zip(rates, direction, strict=True)
                ],
                400,
            )
            for sign in (-1, 0, 1)
        )
        points = list(zip(below, here, above, strict=True))
        first = [float((c - a) / (2 * step)) for a, _, c in points]
        return np.array(first), np.array([float((a - 2 * b + c) / step**2) for a, b, c in points])


def along(rates, direction):
    """p along a direction of relative changes, a function of one number."""
    return lambda t: markov.stationary(rates * (1 + t * direction))


def first_and_second(rates, direction):
    """dp/dt and d²p/dt² at t = 0, forward mode alone."""
    slope = lambda t: jax.jvp(along(rates, direction), (t,), (1.0,))[1]  # noqa: E731
    return jax.jvp(slope, (0.0,), (1.0,))


def first_and_second_in_reverse(rates, direction, weights):
    """The same for Σ weights·p, forward mode over reverse mode."""
    slope = jax.grad(lambda t: jnp.sum(weights * along(rates, direction)(t)))
    return jax.jvp(slope, (0.0,), (1.0,))


@pytest.fixture
def zoo(rng):
    def build(d):
        cases = [dense(rng, d) for _ in range(2)]
        cases += [linked(rng, d, 10.0**-n) for n in (6, 9, 13, 15, 17)]
        cases += [thermal(rng, d, beta) for beta in (1.0, 30.0, 600.0)]
        return np.stack([*cases, trap(rng, max(d, 3))[-d:, -d:], spread(rng, d, 20), spread(rng, d, 200)])

    return build


@pytest.mark.parametrize("d", DIMENSIONS)
def test_populations(zoo, d):
    """Each population to 1e-12 of itself."""
    rates = zoo(d)
    found = np.asarray(stationary(jnp.asarray(rates)))
    for n, w in enumerate(rates):
        wanted = np.array([float(p) for p in stationary_in_many_digits(w, 400 if n < len(rates) - 1 else 1800)])
        visible = wanted > 1e-300
        assert np.all(np.abs(found[n] - wanted)[visible] <= 1e-12 * wanted[visible]), n
        assert np.all(found[n] >= 0)
        assert abs(found[n].sum() - 1) <= 1e-14


@pytest.mark.parametrize("d", [3, 5])
def test_gradients(zoo, d):
    """dp/dW, forward and reverse, against differences in 400 digits: 1e-10 of the largest derivative of each p."""
    rates = zoo(d)[:-3]
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


@pytest.mark.slow
@panels
def test_derivatives_of_panels(rng, d):
    """First and second derivative of each population, the smallest ones included, to 1e-10 of itself."""
    weak, wide = relabelled(rng, linked(rng, d, 1e-13)), relabelled(rng, spread(rng, d, 20))
    rates = np.stack([weak, thermal(rng, d, 600.0), wide])
    direction = rng.normal(size=rates.shape)
    forward = [np.asarray(x) for x in jax.jit(jax.vmap(first_and_second))(rates, direction)]
    wanted = [np.stack(x) for x in zip(*map(exact_derivatives, rates, direction), strict=True)]
    for found, exact in zip(forward, wanted, strict=True):
        visible = np.abs(exact) > 1e-290
        assert np.all(np.abs(found - exact)[visible] <= 1e-10 * np.abs(exact)[visible])
    weights = np.eye(d)[[0, d // 2, d - 1]]
    reverse = jax.jit(jax.vmap(first_and_second_in_reverse))(rates, direction, weights)
    for found, exact in zip(reverse, wanted, strict=True):
        np.testing.assert_allclose(found, np.sum(weights * exact, axis=1), rtol=1e-10)


@panels
def test_derivatives_with_tiny_rates(rng, d):
    """Rates of 1e-250, whose squares are 0: derivatives are those of rates of size 1, times 1e250."""
    small = 2.0**-830
    rates, direction, weights = dense(rng, d), rng.normal(size=(d, d)), rng.normal(size=d)

    @jax.jit
    @jax.vmap
    def forward_and_reverse(w, dw):
        _, back = jax.vjp(markov.stationary, w)
        return jax.jvp(markov.stationary, (w,), (dw,))[1], back(jnp.asarray(weights))[0]

    forward, reverse = forward_and_reverse(np.stack([rates, small * rates]), np.stack([direction, small * direction]))
    np.testing.assert_allclose(forward[1], forward[0], rtol=1e-11)
    np.testing.assert_allclose(small * reverse[1], reverse[0], rtol=1e-11, atol=1e-13)


@panels
def test_pivots_of_panels(rng, d):
    """Outflow of each state from the chain in which all later ones are censored; 0 where none leads to state 0."""
    rates = dense(rng, d)
    apart = linked(rng, d, 0.0)
    found, stuck = np.asarray(jax.jit(jax.vmap(lambda w: markov.eliminate(w)[1]))(np.stack([rates, apart])))
    balanced = rates - np.diag(rates.sum(axis=0))
    wanted = [1.0]
    for k in range(1, d):
        later = slice(k + 1, d)
        through = np.linalg.solve(balanced[later, later], balanced[later, k])
        wanted.append(np.sum(balanced[:k, k] - balanced[:k, later] @ through))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_array_equal(np.flatnonzero(stuck == 0), [d // 2])


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


@pytest.mark.parametrize("d", [5, 8, 24])
def test_recurrent_classes_of_any_graph(rng, d):
    """Graphs in one batch against strongly connected components of SciPy.

    All linked, few links, a ring longer than what is asked first, one without its last link, two rings, a state 0 that
    is left for good, one that is never left, none.
    """
    shift = np.roll(np.eye(d, dtype=bool), 1, axis=0)
    open_ring, two_rings, left, absorbing = shift.copy(), shift.copy(), np.ones((d, d), bool), np.ones((d, d), bool)
    open_ring[0, -1] = False
    two_rings[[0, d // 2], [-1, d // 2 - 1]] = False
    two_rings[[d // 2, 0], [-1, d // 2 - 1]] = True
    left[0, 1:] = absorbing[1:, 0] = False
    few = [rng.uniform(size=(d, d)) < share for share in (0.03, 0.06, 0.1, 0.2)]
    whole, none = np.ones((d, d), bool), np.zeros((d, d), bool)
    graphs = np.stack([whole, *few, shift, open_ring, two_rings, left, absorbing, none])
    found, numbers = jax.jit(jax.vmap(markov.recurrent_classes))(graphs)
    alone = jax.jit(markov.recurrent_classes)
    for graph, recurrent, number in zip(graphs, found, numbers, strict=True):
        count, component = scipy.sparse.csgraph.connected_components(graph.T, connection="strong")
        closed = [not graph[np.ix_(component != n, component == n)].any() for n in range(count)]
        np.testing.assert_array_equal(recurrent, np.asarray(closed)[component])
        assert number == sum(closed)
        np.testing.assert_array_equal(alone(graph)[0], recurrent)
        assert alone(graph)[1] == number


def test_absorbing_state():
    """Elimination that ends at the state where everything ends."""
    w = np.zeros((4, 4))
    w[2, 0] = w[2, 1] = w[1, 3] = 0.5
    found = jax.jit(markov.stationary_rooted_at)(jnp.asarray(w), jnp.array(2))
    np.testing.assert_array_equal(found, [0, 0, 1, 0])


@pytest.mark.parametrize("d", [2, 3, 8])
def test_flow(rng, d):
    """W x is what flows in less what flows out."""
    w, x = dense(rng, d), rng.uniform(size=d)
    wanted = w @ x - np.sum(w, axis=0) * x
    np.testing.assert_allclose(markov.rate_matrix_vector(jnp.asarray(w), jnp.asarray(x)), wanted, rtol=0, atol=1e-14)
