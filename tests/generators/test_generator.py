"""What every generator does."""

import jax
import numpy as np
import pytest
from reference.lindblad import commutator, dissipator
from reference.random_matrices import random_hermitian, with_spectrum

import qdbjax as qdb

OHMIC = qdb.Ohmic(0.05, 5.0)


def test_too_large_for_dense():
    """At d = 64 the Liouvillian is refused with its size and the alternative, and so is what needs it."""
    generator = qdb.davies(np.diag(np.arange(64.0) ** 1.5), qdb.Bath(np.ones((64, 64)), OHMIC, temperature=1.0))
    with pytest.raises(ValueError, match=r"at dimension 64; the limit is 32\..*steady_state"):
        generator.liouvillian()
    with pytest.raises(ValueError, match="dimension 64; the limit is"):
        qdb.asymptotic_state(generator, np.eye(64) / 64)


def test_state_of_another_shape():
    """What a generator is applied to."""
    generator = qdb.davies(np.diag([1.0, -1.0]), qdb.Bath(qdb.sigma_x(), OHMIC, temperature=1.0))
    with pytest.raises(ValueError, match=r"rho must have shape \(2, 2\)"):
        generator.apply(np.eye(3))


def two_baths(rng, d):
    return [qdb.Bath(random_hermitian(rng, d), OHMIC, temperature=t, name=str(t)) for t in (0.7, 1.9)]


def made(kind, rng):
    """(H, generator) of every maker; spectra with equal levels and equal gaps among them."""
    hamiltonian = with_spectrum(rng, {"equal gaps": [0.0, 1.0, 2.0]}.get(kind, [0.0, 1.0, 1.0]))
    if kind == "lindblad":
        return hamiltonian, qdb.lindblad(hamiltonian, {"a": rng.normal(size=(2, 3, 3)), "b": rng.normal(size=(3, 3))})
    if kind == "pauli":
        return np.diag([0.0, 1.0, 1.0]), qdb.pauli([0.0, 1.0, 1.0], rng.uniform(0.1, 1.0, size=(2, 3, 3)))
    if kind == "universal":
        return hamiltonian, qdb.universal_lindblad(hamiltonian, two_baths(rng, 3))
    if kind == "lead":
        level = qdb.models.quantum_dot(0.3)
        lead = qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=0.5, chemical_potential=0.1)
        return np.asarray(level.hamiltonian), qdb.davies(level, lead)
    if kind == "gas":
        gas = qdb.Gas(random_hermitian(rng, 3), temperature=0.8)
        return hamiltonian, qdb.low_density(hamiltonian, gas, forward_scattering=False)
    return hamiltonian, qdb.davies(hamiltonian, two_baths(rng, 3))


slow = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("equal gaps", "pauli", "universal", "gas", "lead")]


@pytest.mark.parametrize("kind", ["equal levels", "lindblad", *slow])
def test_jump_operators(rng, kind):
    """L = -i[H, ·] + Σ_b D_b with D_b Lindblad's sum over the jump operators of bath b, each of one Bohr frequency."""
    hamiltonian, generator = made(kind, rng)
    dissipators, jumps = np.asarray(generator.dissipators()), generator.jump_operators()
    size = np.abs(dissipators).max()
    assert len(jumps) == len(dissipators) == len(generator.names)
    for found, operators in zip(dissipators, jumps, strict=True):
        np.testing.assert_allclose(found, sum(map(dissipator, operators)), rtol=0, atol=1e-12 * size)
        overlaps = np.einsum("aij,bij->ab", operators.conj(), operators)
        assert np.abs(overlaps - np.diag(np.diag(overlaps))).max() < 1e-12 * size
        if kind in ("equal levels", "equal gaps", "lead", "gas"):
            for jump in operators:
                change = jump @ hamiltonian - hamiltonian @ jump
                frequency = np.vdot(jump, change) / np.vdot(jump, jump)
                np.testing.assert_allclose(change, frequency * jump, rtol=0, atol=1e-7 * np.abs(jump).max())
    whole = commutator(hamiltonian) + dissipators.sum(axis=0)
    np.testing.assert_allclose(generator.liouvillian(), whole, rtol=0, atol=1e-12 * max(size, np.abs(whole).max()))


def test_jump_operators_of_a_qubit():
    """√γ(ω) σ₋ and √γ(-ω) σ₊."""
    generator = qdb.davies(qdb.models.qubit(1.3), qdb.Bath(qdb.sigma_x(), OHMIC, temperature=0.9))
    noise = 2 * np.pi * 0.05 * 1.3 * np.exp(-1.3 / 5.0)
    occupation = 1 / np.expm1(1.3 / 0.9)
    up, down = generator.jump_operators()[0]
    np.testing.assert_allclose(np.abs(down), np.sqrt(noise * (occupation + 1)) * qdb.sigma_minus(), rtol=1e-12)
    np.testing.assert_allclose(np.abs(up), np.sqrt(noise * occupation) * qdb.sigma_plus(), rtol=1e-12)


def test_jump_operators_are_for_concrete_numbers():
    """Inside jit there are dissipators; beyond the limit neither."""
    bath = qdb.Bath(qdb.sigma_x(), OHMIC, temperature=0.9)
    with pytest.raises(TypeError, match="jump_operators needs concrete numbers"):
        jax.jit(lambda x: qdb.davies(qdb.models.qubit(x), bath).jump_operators())(1.0)
    traced = jax.jit(lambda x: qdb.davies(qdb.models.qubit(x), bath).dissipators())(1.0)
    np.testing.assert_allclose(traced, qdb.davies(qdb.models.qubit(1.0), bath).dissipators(), rtol=1e-13, atol=1e-17)
    large = qdb.pauli(np.arange(33.0), np.ones((33, 33)))
    for read in (large.dissipators, large.jump_operators):
        with pytest.raises(ValueError, match="at dimension 33; the limit is 32"):
            read()


@pytest.mark.slow
def test_two_gases_beside_equal_levels():
    """Channels of a gas are counted as they are: currents of two gases add up, and counting finds the same current."""
    hamiltonian = np.diag([0.0, 1.0, 1.0])
    potential = np.array([[0.3, 0.5, 0.2], [0.5, 0.1, 0.4], [0.2, 0.4, 0.6]])
    gases = [qdb.Gas(potential, temperature=t, name=str(t)) for t in (0.7, 1.4)]
    generator = qdb.low_density(hamiltonian, gases)
    steady = qdb.steady_state(generator)
    rho = np.asarray(steady.density_matrix).reshape(-1)
    dense = [np.trace(hamiltonian @ (part @ rho).reshape(3, 3)).real for part in np.asarray(generator.dissipators())]
    np.testing.assert_allclose(qdb.energy_currents(generator, steady), dense, rtol=0, atol=1e-14)
    counted = [qdb.cumulants(generator, steady, bath, order=1)[0] for bath in range(2)]
    np.testing.assert_allclose(counted, dense, rtol=0, atol=1e-14)
