"""Generalized, grand-canonical and microcanonical states and susceptibilities against NumPy and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from reference.random_matrices import random_hermitian, with_spectrum

import qdbjax as qdb
from qdbjax import Status, states

RNG = np.random.default_rng(71)
BASIS = np.linalg.qr(RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4)))[0]
VALUES = np.array([[0.0, 0.7, 0.7, 1.5], [1.0, -0.5, -0.5, 2.0]])  # two levels equal in every charge
CHARGES = np.stack([(BASIS * q) @ BASIS.conj().T for q in VALUES])
CHARGES = 0.5 * (CHARGES + np.swapaxes(CHARGES.conj(), 1, 2))
from_averages = jax.jit(jax.vmap(lambda charges, a: qdb.generalized_gibbs(charges, averages=a), (None, 0)))


def exact(multipliers):
    """Weights, averages and covariance of commuting charges."""
    weights = np.exp(-np.asarray(multipliers) @ VALUES)
    weights = weights / weights.sum()
    mean = VALUES @ weights
    return weights, mean, (VALUES * weights) @ VALUES.T - np.outer(mean, mean)


def difference(function, x, step=1e-4):
    """Central difference of fourth order along one number."""
    f = lambda n: np.asarray(function(x + n * step))  # noqa: E731
    return (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * step)


TARGETS = [[0.0, 0.0], [0.9, -0.3], [-3.0, 5.0], [20.0, -4.0], [-12.0, -9.0]]


def test_averages_to_multipliers():
    """λ from the averages of known λ, large ones too; cells out of reach are flagged and spoil no neighbour."""
    wanted = np.array([exact(x)[1] for x in TARGETS] + [[5.0, 0.0], [0.0, 1.0], [np.nan, 0.0]])
    found = from_averages(CHARGES, wanted)
    missed = int(Status.TARGET_NOT_ATTAINED)
    assert found.status.tolist() == [0] * len(TARGETS) + [missed, missed, int(Status.NONFINITE_INPUT)]
    assert np.all(np.isnan(found.multipliers[len(TARGETS) :])) and np.all(np.isnan(found.density_matrix[-3:]))
    for n, multipliers in enumerate(TARGETS):
        weights, mean, covariance = exact(multipliers)
        slack = 1e-13 / np.linalg.eigvalsh(covariance)[0]
        np.testing.assert_allclose(found.multipliers[n], multipliers, rtol=0, atol=slack)
        np.testing.assert_allclose(found.averages[n], mean, rtol=0, atol=1e-13)
        np.testing.assert_allclose(found.covariance[n], covariance, rtol=1e-9, atol=1e-14)
        entropy = -np.sum(weights * np.log(weights))
        np.testing.assert_allclose(found.entropy[n], entropy, rtol=0, atol=2e-12)
        rho = (BASIS * weights) @ BASIS.conj().T
        np.testing.assert_allclose(found.density_matrix[n], rho, rtol=0, atol=1e-12)


DIRECTION = with_spectrum(RNG, [0.3, -1.0, 0.8, 0.2])
TURNS, FRAME = np.linalg.eigh(DIRECTION)


def answers(averages, step):
    """λ and an expectation, both charges moved by a common rotation and a shift of spectrum."""
    turn = FRAME @ jnp.diag(jnp.exp(jax.lax.complex(0 * TURNS, step * TURNS))) @ FRAME.conj().T
    moved = turn @ (CHARGES + step * CHARGES @ CHARGES) @ turn.conj().T
    state = qdb.generalized_gibbs(0.5 * (moved + jnp.swapaxes(moved.conj(), 1, 2)), averages=averages)
    return jnp.append(state.multipliers, jnp.real(jnp.sum(DIRECTION.T * state.density_matrix)))


slopes = jax.jit(lambda a: (answers(a, 0.0), *[mode(answers, (0, 1))(a, 0.0) for mode in (jax.jacfwd, jax.jacrev)]))
values_only = jax.jit(answers)


def test_implicit_derivatives():
    """∂λ/∂a = -C⁻¹, and derivatives in charges and averages by differences; forward = reverse."""
    wanted = np.array(exact([0.9, -0.3])[1])
    _, forward, reverse = slopes(wanted)
    covariance = exact([0.9, -0.3])[2]
    np.testing.assert_allclose(forward[0][:2], -np.linalg.inv(covariance), rtol=1e-11)
    for one, other in zip(forward, reverse, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(forward[1], difference(lambda s: values_only(wanted, s), 0.0), rtol=1e-8, atol=1e-9)
    along = difference(lambda s: values_only(wanted + s * np.array([1.0, 0.0]), 0.0), 0.0)
    np.testing.assert_allclose(forward[0][:, 0], along, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "charges, kwargs, message",
    [
        (CHARGES, {}, "exactly one of averages and multipliers"),
        (CHARGES, {"averages": [0.0, 0.0], "multipliers": [0.0, 0.0]}, "exactly one"),
        (CHARGES, {"multipliers": [1.0]}, r"multipliers must have shape \(2,\), one per charge; got \(1,\)"),
        (CHARGES, {"averages": [0.0, np.nan]}, "averages must be finite; got .*nan"),
        ([qdb.sigma_z(), qdb.sigma_x()], {"multipliers": [1.0, 1.0]}, "charges must commute"),
        ([qdb.sigma_z(), np.eye(3)], {"multipliers": [1.0, 1.0]}, "charges must have one shape"),
        ([np.array([[0.0, 1.0], [0.0, 0.0]])], {"multipliers": [1.0]}, r"charges\[0\] must be Hermitian"),
        (np.full((1, 2, 2), np.nan), {"multipliers": [1.0]}, "charges must be finite"),
        ([], {"multipliers": []}, "charges"),
        ([qdb.sigma_z(), 2 * qdb.sigma_z()], {"averages": [0.1, 0.2]}, "linearly independent"),
        ([np.eye(2)], {"averages": [1.0]}, "linearly independent"),
    ],
)
def test_generalized_gibbs_refuses(charges, kwargs, message):
    """Shapes, NaN, charges that do not commute or do not fix λ."""
    with pytest.raises(ValueError, match=message):
        qdb.generalized_gibbs(charges, **kwargs)


def test_one_charge_is_gibbs():
    """λ_H = β: the Gibbs state, cold without overflow."""
    hamiltonian = with_spectrum(RNG, [-1.0, 0.0, 0.0, 2.0])
    state = qdb.generalized_gibbs([qdb.System(hamiltonian)], multipliers=[900.0])
    peer = qdb.gibbs(hamiltonian, inverse_temperature=900.0)
    np.testing.assert_allclose(state.density_matrix, peer.density_matrix, rtol=0, atol=1e-13)
    np.testing.assert_allclose(state.log_partition_function, 900.0, rtol=1e-13)
    assert "multipliers=[900.]" in repr(state)


DOT = qdb.models.double_dot([0.3, -0.2], 0.4, interaction=0.7)
grand = jax.jit(lambda t, mu: states.grand_canonical(DOT, temperature=t, chemical_potential=mu))
POTENTIALS = ("grand_potential", "energy", "number", "number_variance", "entropy", "heat_capacity")


def counted(temperature, potential):
    """The same by summing over levels, heat capacity by a difference of the entropy."""

    def sums(t):
        energies, basis = np.linalg.eigh(DOT.hamiltonian + 1e-9 * DOT.number)  # particle number sorts equal levels
        number = np.real(np.diagonal(basis.T @ DOT.number @ basis))
        energies = energies - 1e-9 * number
        weights = np.exp(-(energies - potential * number) / t)
        partition, weights = weights.sum(), weights / weights.sum()
        mean = weights @ number
        variance = weights @ (number - mean) ** 2
        return -t * np.log(partition), weights @ energies, mean, variance, -weights @ np.log(weights)

    return *sums(temperature), temperature * difference(lambda t: sums(t)[-1], temperature)


@pytest.mark.parametrize("temperature, potential", [(0.5, 0.1), (0.13, -0.4), (-0.7, 0.2)])
def test_grand_canonical(temperature, potential):
    """Potentials of two dots against sums over levels, and ∂N/∂μ = Var(N)/T, S = -∂Ω/∂T by automatic derivative."""
    state = grand(temperature, potential)
    for name, wanted in zip(POTENTIALS, counted(temperature, potential), strict=True):
        np.testing.assert_allclose(getattr(state, name), wanted, rtol=1e-8 if name == "heat_capacity" else 1e-11)
    shifted = DOT.hamiltonian - potential * DOT.number
    rho = scipy.linalg.expm(-shifted / temperature)
    np.testing.assert_allclose(state.density_matrix, rho / np.trace(rho), rtol=0, atol=1e-13)
    slopes = grand_slopes(temperature, potential)  # each (of T, of μ)
    np.testing.assert_allclose(slopes.number[1], state.number_variance / temperature, rtol=1e-11)
    np.testing.assert_allclose(slopes.grand_potential[0], -state.entropy, rtol=1e-11)
    np.testing.assert_allclose(temperature * slopes.entropy[0], state.heat_capacity, rtol=1e-11)


grand_slopes = jax.jit(jax.jacfwd(grand, (0, 1)))


def test_grand_canonical_at_zero():
    """T = 0: μ decides which level of H - μN is the ground level."""
    for potential, number in ((-2.0, 0.0), (0.0, 1.0), (3.0, 2.0)):
        state = grand(0.0, potential)
        np.testing.assert_allclose(state.number, number, rtol=0, atol=1e-14)
        np.testing.assert_allclose(state.number_variance, 0.0, rtol=0, atol=1e-14)


def test_grand_canonical_refuses():
    """No particle number, NaN potential, no temperature."""
    with pytest.raises(ValueError, match="no particle number; give one"):
        states.grand_canonical(np.eye(2), temperature=1.0, chemical_potential=0.0)
    with pytest.raises(ValueError, match=r"chemical_potential must be finite; got nan"):
        states.grand_canonical(DOT, temperature=1.0, chemical_potential=np.nan)
    with pytest.raises(ValueError, match="exactly one of temperature"):
        states.grand_canonical(DOT, chemical_potential=0.0)


LEVELS = np.array([0.0, 0.5, 0.5, 1.2])
OPERATOR = with_spectrum(RNG, LEVELS)
window = jax.jit(lambda e, w: states.microcanonical(OPERATOR, energy=e, width=w))


@pytest.mark.parametrize("energy, width", [(0.4, 0.3), (0.5, 0.01), (5.0, 3.0)])
def test_microcanonical(energy, width):
    """Gaussian weights of the levels, the energy and the entropy."""
    state = window(energy, width)
    weights = np.exp(-0.5 * ((LEVELS - energy) / width) ** 2)
    weights = weights / weights.sum()
    np.testing.assert_allclose(state.energy, weights @ LEVELS, rtol=1e-12)
    kept = weights[weights > 0]
    np.testing.assert_allclose(state.entropy, -kept @ np.log(kept), rtol=1e-11)
    np.testing.assert_allclose(np.linalg.eigvalsh(state.density_matrix), np.sort(weights), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.trace(state.density_matrix @ OPERATOR).real, weights @ LEVELS, rtol=1e-12)
    assert int(state.status) == 0


def test_microcanonical_empty_window():
    """No level within three widths: flagged, NaN; bad numbers are refused."""
    state = window(5.0, 0.5)
    assert int(state.status) == int(Status.TARGET_NOT_ATTAINED)
    assert np.isnan(state.energy) and np.all(np.isnan(state.density_matrix))
    for energy, width in ((np.nan, 1.0), (0.0, 0.0), (0.0, np.inf)):
        with pytest.raises(ValueError, match="must be"):
            states.microcanonical(OPERATOR, energy=energy, width=width)


def test_microcanonical_derivatives():
    """d⟨H⟩/dE and /dw by differences, at equal levels."""
    slopes = jax.jit(jax.grad(lambda e, w: window(e, w).energy, (0, 1)))(0.4, 0.3)
    np.testing.assert_allclose(slopes[0], difference(lambda e: window(e, 0.3).energy, 0.4), rtol=1e-9)
    np.testing.assert_allclose(slopes[1], difference(lambda w: window(0.4, w).energy, 0.3), rtol=1e-9)


def chain_gap(spins):
    """|σ_z σ_z of the middle bond, microcanonical - canonical|, both at one energy, in an XXZ chain."""
    system = qdb.models.xxz_chain(np.full(spins, 0.6), 1.0, 0.7)
    levels, basis = np.linalg.eigh(system.hamiltonian)
    canonical = lambda beta: np.exp(-beta * (levels - levels[0]))  # noqa: E731
    mean = lambda weights: weights @ levels / weights.sum()  # noqa: E731
    state = states.microcanonical(system, energy=mean(canonical(0.5)), width=0.5)
    beta = scipy.optimize.brentq(lambda b: mean(canonical(b)) - float(state.energy), -2.0, 3.0)
    bond = qdb.embed(qdb.sigma_z(), spins // 2 - 1, [2] * spins) @ qdb.embed(qdb.sigma_z(), spins // 2, [2] * spins)
    weights = canonical(beta) / canonical(beta).sum()
    return abs(np.trace(state.density_matrix @ bond) - weights @ np.einsum("in,ij,jn->n", basis, bond, basis))


def test_ensembles_become_equal():
    """A bond of a chain sees less and less of the ensemble as the chain grows."""
    gaps = [chain_gap(spins) for spins in (3, 5, 7)]
    assert gaps[2] < gaps[1] < gaps[0]
    assert gaps[2] < 0.6 * gaps[0]


@pytest.mark.slow
def test_ensembles_become_equal_at_nine():
    """Up to nine spins, 512 levels."""
    gaps = [chain_gap(spins) for spins in (4, 6, 8, 9)]
    assert gaps[2] < gaps[1] < gaps[0]
    assert gaps[3] < 0.6 * gaps[0]


PROBES = np.stack([random_hermitian(RNG, 4), random_hermitian(RNG, 4)])
static = jax.jit(lambda h, t: states.susceptibility(h, PROBES, temperature=t))
DEGENERATE, PLAIN = with_spectrum(RNG, [0.0, 0.0, 0.4, 0.4]), with_spectrum(RNG, [0.0, 0.3, 0.9, 1.0])


def response(hamiltonian, temperature):
    """∂⟨A_a⟩/∂h_b by differences of scipy's exponential."""

    def seen(field, b):
        rho = scipy.linalg.expm(-(hamiltonian - field * PROBES[b]) / temperature)
        return np.real(np.einsum("aij,ji->a", PROBES, rho)) / np.trace(rho).real

    return np.stack([difference(lambda h, b=b: seen(h, b), 0.0, 1e-3) for b in range(2)], axis=1)


@pytest.mark.parametrize("hamiltonian", [PLAIN, DEGENERATE, 0 * PLAIN], ids=["plain", "degenerate", "zero"])
@pytest.mark.parametrize("temperature", [0.4, -0.6])
def test_susceptibility(hamiltonian, temperature):
    """χ against differences; symmetric and of the sign of T."""
    found = static(hamiltonian, temperature)
    np.testing.assert_allclose(found, response(hamiltonian, temperature), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found, found.T, rtol=1e-14)
    assert np.all(np.sign(temperature) * np.linalg.eigvalsh(found) > 0)


def test_susceptibility_in_the_cold():
    """T → 0 without degeneracy: second-order perturbation theory, 2 Re Σ_n A_0n B_n0/(E_n - E_0)."""
    energies, basis = np.linalg.eigh(PLAIN)
    framed = basis.conj().T @ PROBES @ basis
    wanted = 2 * np.einsum("an,bn,n->ab", framed[:, 0, 1:], framed[:, 0, 1:].conj(), 1 / (energies[1:] - energies[0]))
    np.testing.assert_allclose(static(PLAIN, 1e-3), wanted.real, rtol=1e-11)


def test_susceptibility_derivative():
    """dχ/dH and dχ/dT at equal levels by differences."""
    move, slope = jax.jit(jax.grad(lambda h, t: static(h, t)[0, 1], (0, 1)))(DEGENERATE, 0.4)
    np.testing.assert_allclose(slope, difference(lambda t: static(DEGENERATE, t)[0, 1], 0.4), rtol=1e-9)
    along = difference(lambda s: static(DEGENERATE + s * PROBES[0], 0.4)[0, 1], 0.0)
    np.testing.assert_allclose(np.sum(np.real(move * PROBES[0])), along, rtol=1e-8)


def test_susceptibility_refuses():
    """T = 0, where the part of Curie diverges, and shapes."""
    with pytest.raises(ValueError, match=r"temperature must be finite and not 0; got 0"):
        states.susceptibility(PLAIN, PROBES, temperature=0.0)
    with pytest.raises(ValueError, match=r"observables must have shape \(4, 4\)"):
        states.susceptibility(PLAIN, np.eye(2), temperature=1.0)


def test_printing():
    """Numbers of a single state, words for one that is traced or a batch."""
    hamiltonian, words = np.diag([0.0, 1.0]), []
    state = states.grand_canonical(DOT, temperature=1.0, chemical_potential=0.0)
    assert repr(state).startswith("GrandCanonicalState(dimension=4, energy=")
    assert repr(states.microcanonical(hamiltonian, energy=0.0, width=1.0)).endswith("status=ok)")

    def observe(temperature):
        state = states.gibbs(hamiltonian, temperature=temperature)
        words.append(repr(state))
        return state

    many = jax.vmap(observe)(np.array([1.0, 2.0]))
    assert [*words, repr(many)] == ["GibbsState(dimension=2, traced)", "GibbsState(batch=(2,), dimension=2)"]
