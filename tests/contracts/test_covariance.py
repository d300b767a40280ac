"""Covariance of values and gradients: basis, rotation inside a level, permutation, H + c, units."""

import functools as ft
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from contracts.registry import SPECTRA, machines
from programs import answer, gradients, machine, observe, observed, random_machine, tangents
from reference.differences import STENCIL, slope, slope_of
from reference.random_matrices import gaussian, random_unitary

import qdbjax as qdb

TOLERANCE = 1e-11


def conjugated(system, unitary):
    hamiltonian, couplings, *rest = system
    turned = unitary @ hamiltonian @ unitary.conj().T
    return machine((turned + turned.conj().T) / 2, unitary @ couplings @ unitary.conj().T, *rest)


def transposed(matrix):
    return np.swapaxes(matrix, -1, -2)


# d = 3 is written out entry by entry, d = 4 takes the same rules through matrix products.
dimensions = pytest.mark.parametrize("d", [3, pytest.param(4, marks=pytest.mark.slow)])


@ft.cache
def base(d):
    """Machines with every kind of spectrum, their heat and its gradient."""
    systems = machines(d, 2)
    return systems, gradients(systems)


def sizes(grad):
    """Size of each machine's gradient; where it vanishes (H proportional to 1), that of a rate."""
    return [max(1e-2, *(np.abs(leaf[n]).max() for leaf in grad)) for n in range(len(grad[0]))]


def unitary(kind, system, rng):
    """A unitary of one kind."""
    d = len(system[0])
    if kind == "permutation":
        return np.eye(d)[[2, 0, 1, 3][:d]]
    if kind == "random":
        return random_unitary(rng, d)
    energies, basis = np.linalg.eigh(system[0])
    generator = gaussian(rng, d, d)
    same = np.abs(energies[:, None] - energies[None, :]) < 1e-13
    return basis @ scipy.linalg.expm(1j * (generator + generator.conj().T) * same) @ basis.conj().T


@pytest.mark.slow
@dimensions
@pytest.mark.parametrize("kind", ["random", "permutation", "inside a level"])
def test_change_of_basis(kind, d):
    """Heat and its derivatives with respect to η, ω_c, T stay; that with respect to H and S turns along."""
    rng = np.random.default_rng(17)
    systems, (value, grad) = base(d)
    turns = [unitary(kind, system, rng) for system in systems]
    new_value, new_grad = gradients([conjugated(s, u) for s, u in zip(systems, turns, strict=True)])
    for n, u in enumerate(turns):
        size = sizes(grad)[n]
        assert np.isfinite(size)
        assert abs(new_value[n] - value[n]) <= TOLERANCE * max(abs(value[n]), 1e-4)
        # df = Re Σ g_ij dH_ij = Re Tr(gᵀ dH): it is gᵀ that turns like H.
        for leaf in (0, 1):
            turned = u @ transposed(grad[leaf][n]) @ u.conj().T
            assert np.abs(transposed(new_grad[leaf][n]) - turned).max() <= TOLERANCE * size
        for leaf in (2, 3, 4):
            assert np.abs(new_grad[leaf][n] - grad[leaf][n]).max() <= TOLERANCE * size


@pytest.mark.slow
@dimensions
def test_energy_shift(d):
    """H + c·1: the same heat and gradient."""
    systems, (value, grad) = base(d)
    new_value, new_grad = gradients([machine(s[0] + 1.7 * np.eye(d), *s[1:]) for s in systems])
    for n in range(len(systems)):
        size = sizes(grad)[n]
        assert abs(new_value[n] - value[n]) <= TOLERANCE * max(abs(value[n]), 1e-4)
        assert max(np.abs(x[n] - y[n]).max() for x, y in zip(new_grad, grad, strict=True)) <= TOLERANCE * size


@dimensions
@pytest.mark.parametrize("unit", [1e-30, 1e-6, 7.3, 1e30])
def test_units(unit, d):
    """Energies in another unit: heat scales with its square, derivatives with respect to energies with the unit."""
    systems, (value, grad) = base(d)
    scaled = [machine(h * unit, s, eta, cutoff * unit, heat * unit) for h, s, eta, cutoff, heat in systems]
    new_value, new_grad = gradients(scaled)
    powers = (1, 2, 2, 1, 1)
    for n in range(len(systems)):
        size = sizes(grad)[n]
        assert abs(new_value[n] / unit**2 - value[n]) <= TOLERANCE * max(abs(value[n]), 1e-4)
        for power, new, old in zip(powers, new_grad, grad, strict=True):
            assert np.abs(new[n] / unit**power - old[n]).max() <= TOLERANCE * size


def random_direction(rng, system):
    """A direction in the space of machines: Hermitian for H and S."""
    return random_machine(rng, len(system[0]), len(system[2]))


@ft.cache
def directions(d):
    rng = np.random.default_rng(23)
    return [random_direction(rng, system) for system in base(d)[0]]


@pytest.mark.slow
@dimensions
def test_forward_is_reverse(d):
    """jvp = gradient · direction (1e-12), at degenerate spectra too."""
    systems, (value, grad) = base(d)
    found, slope = tangents(systems, directions(d))
    for n, direction in enumerate(directions(d)):
        wanted = sum(np.real(np.sum(leaf[n] * part)) for leaf, part in zip(grad, direction, strict=True))
        size = max(1e-2, sum(np.sum(np.abs(leaf[n] * part)) for leaf, part in zip(grad, direction, strict=True)))
        assert abs(slope[n] - wanted) <= 1e-12 * size
        assert abs(found[n] - value[n]) <= 1e-14 + 1e-13 * abs(value[n])


@dimensions
def test_finite_differences(d):
    """Gradient against central differences (1e-6) where levels are apart."""
    systems, (_, grad) = base(d)
    chosen = [n for n, energies in enumerate(SPECTRA[d]) if np.diff(energies).min() > 0.5]
    assert len(chosen) >= 2
    step = 1e-4
    shifted = [
        machine(*(x + sign * step * y for x, y in zip(systems[n], directions(d)[n], strict=True)))
        for n in chosen
        for sign in STENCIL
    ]
    values = gradients(shifted)[0].reshape(-1, 4)
    for n, samples in zip(chosen, values, strict=True):
        by_gradient = sum(np.real(np.sum(leaf[n] * part)) for leaf, part in zip(grad, directions(d)[n], strict=True))
        np.testing.assert_allclose(by_gradient, slope_of(samples, step), rtol=1e-6)


@pytest.mark.slow
def test_jit_vmap_and_eager_agree():
    """Eagerly, compiled alone, and compiled in a batch: one answer (1e-13)."""
    systems = machines(2, 1)[:2]
    together = observed(systems)
    single = jax.jit(lambda *leaves: {k: v for k, v in observe(*leaves).items() if k != "liouvillian"})
    for system, seen in zip(systems, together, strict=True):
        leaves = [jnp.asarray(leaf) for leaf in system]
        apart = jax.tree.map(np.asarray, single(*leaves))
        hamiltonian, couplings, strengths, cutoffs, temperatures = system
        bath = qdb.Bath(couplings[0], qdb.Ohmic(strengths[0], cutoffs[0]), temperature=temperatures[0])
        generator = qdb.davies(hamiltonian, bath)
        state = qdb.steady_state(generator)
        eager = {
            "rates": generator.rates,
            "energies": generator.spectrum.energies,
            "populations": state.populations,
            "rho": state.density_matrix,
            "status": state.status,
        }
        for name in eager:
            np.testing.assert_allclose(eager[name], apart[name], rtol=1e-13, atol=1e-16, err_msg=name)
            np.testing.assert_allclose(eager[name], seen[name], rtol=1e-13, atol=1e-16, err_msg=name)
        np.testing.assert_allclose(qdb.heat_currents(generator, state), seen["heat"], rtol=0, atol=1e-15)


def test_batch_order():
    """The cells of a batch do not know each other: reversed order, reversed answers, bit by bit."""
    systems = machines(3, 2)
    there, back = observed(systems), observed(systems[::-1])[::-1]
    for one, other in zip(there, back, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def one_number(point):
    """Heat and state of a generic qubit between two baths as a function of a field, a strength and a temperature."""
    hamiltonian, couplings, strengths, cutoffs, temperatures = random_machine(np.random.default_rng(40), 2, 2)
    turned = jnp.asarray(hamiltonian) + jnp.diag(jnp.stack([point[0], -point[0]])).astype(complex)
    strengths = jnp.asarray(strengths).at[0].set(point[1])
    temperatures = jnp.asarray(temperatures).at[1].set(point[2])
    probe = jnp.asarray(random_machine(np.random.default_rng(41), 2, 1)[0])
    return answer(turned, jnp.asarray(couplings), strengths, jnp.asarray(cutoffs), temperatures, jnp.array(10.0), probe)


@pytest.mark.slow
def test_second_order():
    """Hessian in all four orders of modes, against differences of the gradient (1e-6)."""
    point, step = jnp.array([0.3, 0.04, 0.8]), 1e-4
    gradient = jax.jit(jax.jacrev(one_number))
    wanted = np.array([slope(gradient, point, step, unit) for unit in np.eye(3)])
    size = np.abs(wanted).max()
    for outer, inner in itertools.product((jax.jacfwd, jax.jacrev), repeat=2):
        hessian = np.asarray(jax.jit(outer(inner(one_number)))(point))
        np.testing.assert_allclose(hessian, wanted, rtol=1e-6, atol=1e-8 * size)
        np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-12 * size)
