"""Temperatures and noise out of range: exact limits, refusals and flags."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import gradients, machine, observed, random_machine
from reference.random_matrices import random_hermitian

import qdbjax as qdb
from qdbjax import Status

X = qdb.sigma_x()
OHMIC = qdb.Ohmic(0.05, 5.0)
BASE = random_machine(np.random.default_rng(32), 3, 2, [0.0, 1.0, 2.3])


def at(*temperatures, scale=1.0):
    return machine(BASE[0] * scale, *BASE[1:4], temperatures)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_temperature_refused(value):
    """Negative, NaN and infinite temperatures of a bosonic bath, with name and value."""
    with pytest.raises(ValueError, match=f"^temperature .*{value}"):
        qdb.Bath(X, OHMIC, temperature=value)


@pytest.mark.parametrize("value", [-1.0, np.nan, 0.0])
def test_inverse_temperature_refused(value):
    """The same for 1/T, where 0 is infinite heat; ∞ is T = 0."""
    with pytest.raises(ValueError, match=f"^inverse_temperature .*{value}"):
        qdb.Bath(X, OHMIC, inverse_temperature=value)
    assert float(qdb.Bath(X, OHMIC, inverse_temperature=np.inf).temperature) == 0


def test_one_temperature_exactly():
    """Both or neither, a vector, and a complex number."""
    for kwargs in ({}, {"temperature": 1.0, "inverse_temperature": 1.0}):
        with pytest.raises(ValueError, match="exactly one"):
            qdb.Bath(X, OHMIC, **kwargs)
        with pytest.raises(ValueError, match="exactly one"):
            qdb.gibbs(X, **kwargs)
    with pytest.raises(ValueError, match=r"temperature must be a single number; got shape \(2,\)"):
        qdb.Bath(X, OHMIC, temperature=[1.0, 2.0])
    with pytest.raises(TypeError, match="temperature must be real"):
        qdb.Bath(X, OHMIC, temperature=1j)
    with pytest.raises(ValueError, match="temperature must be a number; got nan"):
        qdb.gibbs(X, temperature=np.nan)


def test_absolute_zero():
    """T = 0: the ground state, no upward rate, no heat; and the limit of T → 0."""
    frozen, cool = observed([at(0.0, 0.0), at(1e-3, 1e-3)])
    assert frozen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    np.testing.assert_array_equal(np.tril(frozen["rates"].sum(axis=0)), 0.0)
    np.testing.assert_allclose(frozen["populations"], [1, 0, 0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(frozen["heat"], 0.0, rtol=0, atol=1e-15)
    np.testing.assert_allclose(frozen["rho"], cool["rho"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(frozen["rates"], cool["rates"], rtol=1e-13, atol=1e-15)
    ground = np.linalg.eigh(BASE[0])[1][:, 0]
    np.testing.assert_allclose(frozen["rho"], np.outer(ground, ground.conj()), rtol=0, atol=1e-14)


@pytest.mark.slow
def test_gradient_at_absolute_zero():
    """T = 0: the state's derivative with respect to H is that of the ground projector (perturbation theory)."""
    rng = np.random.default_rng(4)
    probe, direction = random_hermitian(rng, 3), random_hermitian(rng, 3)
    value, grads = gradients([at(0.0, 0.0)], [probe])
    energies, basis = np.linalg.eigh(BASE[0])
    ground = basis[:, 0]
    shift = basis[:, 1:] @ ((basis[:, 1:].conj().T @ direction @ ground) / (energies[0] - energies[1:]))
    wanted = 2 * np.real(ground.conj() @ probe @ shift)
    np.testing.assert_allclose(value[0], np.real(ground.conj() @ probe @ ground), rtol=1e-13)
    np.testing.assert_allclose(np.real(np.sum(grads[0][0] * direction)), wanted, rtol=1e-10)
    assert all(np.all(np.isfinite(leaf)) for leaf in grads[:4])


def test_mixed_zero_and_finite():
    """One bath at T = 0: finite currents into it, infinite entropy production."""
    (seen,) = observed([at(1.0, 0.0)])
    assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    assert seen["heat"][0] > 0 > seen["heat"][1]
    assert seen["entropy"] == np.inf


@pytest.mark.parametrize("beta", [89.0, 1e3, 1e6])
def test_cold(beta):
    """βω up to 1e6: finite, positive, and the ground state; derivatives finite."""
    (seen,) = observed([at(1 / beta, 1 / beta)])
    assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    np.testing.assert_allclose(seen["populations"], np.exp(-beta * np.array([0, 1.0, 2.3])), rtol=1e-9, atol=1e-300)
    value, grads = gradients([at(1 / beta, 2 / beta)])
    assert np.isfinite(value[0])
    assert all(np.all(np.isfinite(leaf)) for leaf in grads)


def test_hot():
    """T = 1e8 mixes all levels equally, to the first order in 1/T."""
    (seen,) = observed([at(1e8, 1e8)])
    np.testing.assert_allclose(seen["populations"], 1 / 3, rtol=1e-7)
    np.testing.assert_allclose(np.diff(seen["populations"]) * 3e8, -np.diff([0, 1.0, 2.3]), rtol=1e-6)


DIAGONAL = np.array([[0.3, 1.0], [1.0, -0.3]])  # has a zero-frequency part in the basis of diag(0, 1)
DIVERGENT = {
    "sub-ohmic": qdb.PowerLaw(0.05, 5.0, 0.5),
    "flat": qdb.Flat(0.05),
    "sum": qdb.Ohmic(0.05, 5.0) + qdb.Flat(0.01),
    "custom": qdb.Custom(lambda w: 0.05 * jnp.ones_like(w)),
}


@pytest.mark.parametrize("name", DIVERGENT)
def test_divergent_noise_refused(name):
    """Infinite noise at ω → 0 meets a coupling with a zero-frequency part."""
    bath = qdb.Bath(DIAGONAL, DIVERGENT[name], temperature=0.5)
    with pytest.raises(ValueError, match=r"baths\[0\] has infinite noise.*Ohmic or super-Ohmic"):
        qdb.davies(np.diag([0.0, 1.0]), bath)


@jax.jit
@jax.vmap
def solved(hamiltonian, coupling, temperature):
    """The cells' own state for densities that diverge, end, or break their promise; status and populations each."""
    table = {}
    for name, density in {
        "sub-ohmic": DIVERGENT["sub-ohmic"],
        "custom": DIVERGENT["custom"],
        "table": qdb.Tabulated([0.2, 0.5], [0.01, 0.02]),
        "negative": qdb.Custom(lambda w: -0.1 * w),
        "nan": qdb.Custom(lambda w: jnp.where(w > 0.5, jnp.nan, w)),
    }.items():
        state = qdb.steady_state(qdb.davies(hamiltonian, qdb.Bath(coupling, density, temperature=temperature)))
        table[name] = state.status, state.populations
    return table


def test_unphysical_noise_flagged():
    """Traced: divergence, a table that ends too early, negative and NaN densities are flagged; neighbours are not."""
    near, far = np.diag([0.0, 0.4]), np.diag([0.0, 1.0])
    hamiltonians, couplings = np.stack([near, near, far]), np.stack([X, DIAGONAL, X])
    table = jax.tree.map(np.asarray, solved(*map(jnp.asarray, (hamiltonians, couplings, np.full(3, 0.5)))))
    fatal = int(Status.UNPHYSICAL_BATH) | int(Status.NONFINITE_INPUT)
    bad = {name: [False, True, False] for name in ("sub-ohmic", "custom")}
    bad |= {"table": [False, False, True], "negative": [True] * 3, "nan": [False, False, True]}
    for name, expected in bad.items():
        status, populations = table[name]
        for n, wrong in enumerate(expected):
            assert bool(status[n] & fatal) == wrong, (name, n, qdb.explain(status[n]))
            if wrong:
                assert np.all(np.isnan(populations[n])), (name, n)
            else:
                excited = 1 / (1 + np.exp(hamiltonians[n][1, 1] / 0.5))
                np.testing.assert_allclose(populations[n], [1 - excited, excited], rtol=1e-12)


def test_unphysical_noise_eagerly():
    """Not traced, the same flags; throw=True raises."""
    bath = qdb.Bath(X, qdb.Tabulated([0.2, 0.5], [0.01, 0.02]), temperature=0.5)
    state = qdb.steady_state(qdb.davies(np.diag([0.0, 1.0]), bath))
    assert int(state.status) & int(Status.UNPHYSICAL_BATH | Status.NONFINITE_INPUT)
    assert np.all(np.isnan(state.populations))


def test_gibbs_limits():
    """T = 0±, β = 0 and negative T of a Gibbs state, degenerate ground level included."""
    hamiltonian = np.diag([0.0, 0.0, 1.5])
    gibbs = jax.jit(lambda t: qdb.gibbs(hamiltonian, temperature=t))
    np.testing.assert_allclose(np.diag(gibbs(0.0).density_matrix), [0.5, 0.5, 0.0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(gibbs(0.0).entropy, np.log(2), rtol=1e-15)
    np.testing.assert_allclose(np.diag(gibbs(np.inf).density_matrix), [1 / 3] * 3, rtol=1e-15)
    np.testing.assert_allclose(np.diag(gibbs(-1e-3).density_matrix), [0.0, 0.0, 1.0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(gibbs(1e-6).energy, 0.0, rtol=0, atol=1e-300)
