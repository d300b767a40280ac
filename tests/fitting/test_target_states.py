"""Targets that are pure or lack a rank: gradients in closed form, and fits that come to them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import fitting

DISTANCES = ["fidelity", *(pytest.param(x, marks=pytest.mark.slow) for x in ("trace_distance", "relative_entropy"))]


def drawn(seed, d, rank):
    """A random density matrix of some rank."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, rank)) + 1j * rng.normal(size=(d, rank))
    rho = root @ root.conj().T
    return rho / np.trace(rho).real


def loss_along(x, term, rho, change):
    return term.loss(rho + x.astype(complex) * change)


@eqx.filter_jit
def loss_and_slope(x, term, rho, change):
    """Loss and its derivative along a change of the state; one program for all targets."""
    return jax.value_and_grad(loss_along)(jnp.asarray(x), term, rho, change)


@pytest.mark.parametrize("rank", [1, 3], ids=["pure", "mixed"])
@pytest.mark.parametrize("seed", range(6))
def test_fidelity_with_a_pure_target(seed, rank):
    """1 - F = 1 - ⟨ψ|ρ|ψ⟩ is linear: its slope is -⟨ψ|δ|ψ⟩, also at a pure ρ, and at the target itself."""
    target, rho, change = drawn(seed, 3, 1), drawn(seed + 10, 3, rank), drawn(seed + 20, 3, 3) - drawn(seed + 30, 3, 3)
    term = fitting.to_state(target)
    for state in (rho, target):
        loss, slope = loss_and_slope(0.0, term, state, change)
        np.testing.assert_allclose(loss, 1 - np.trace(target @ state).real, atol=1e-14)
        np.testing.assert_allclose(slope, -np.trace(target @ change).real, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_slopes_against_differences(distance, rank):
    """Of every distance, for targets of every rank."""
    target, rho, change = drawn(1, 3, rank), drawn(2, 3, 3), drawn(3, 3, 3) - drawn(4, 3, 3)
    term, h = fitting.to_state(target, distance=distance), 1e-5
    loss = lambda x: loss_and_slope(x, term, rho, change)[0]  # noqa: E731
    slope = loss_and_slope(0.0, term, rho, change)[1]
    np.testing.assert_allclose(slope, (loss(h) - loss(-h)) / (2 * h), rtol=1e-6)


def thermal(T):
    """A qubit of splitting 1 in equilibrium."""
    p = jnp.stack([jnp.ones_like(T), jnp.exp(-1 / T)])
    return jnp.diag(p / jnp.sum(p)).astype(complex)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("start", [0.3, 1.0, 5.0])
def test_the_ground_state_is_attained(distance, start):
    """By cooling: 1 - F = e^{-1/T}/(1 + e^{-1/T}) falls from any start."""
    target = fitting.to_state(np.diag([1.0, 0.0]), distance=distance)
    found = qdb.fit(thermal, target, {"T": fitting.positive(start)})
    assert found.verdict == "converged" and found.values["T"] < 0.1


@pytest.mark.slow
def test_a_pure_state_held_by_a_bath():
    """The same by a generator: the slope at T = 1 is that of the closed form, and the fit comes to rest at T → 0."""

    def state(T):
        bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.1, cutoff=10.0), temperature=T)
        return qdb.steady_state(qdb.davies(np.diag([0.0, 1.0]), bath)).density_matrix

    target = fitting.to_state(np.diag([1.0, 0.0]))
    np.testing.assert_allclose(jax.grad(lambda T: target.loss(state(T)))(1.0), np.exp(-1) / (1 + np.exp(-1)) ** 2)
    found = qdb.fit(state, target, {"T": fitting.positive(1.0)})
    assert found.verdict == "converged" and found.outputs["value"][0, 0].real > 1 - 1e-8
