"""More than 32 levels: degenerate ones, given jump operators, and coherences of one frequency."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from reference import lindblad as reference
from reference.many_digits import relative_errors, stationary_block
from reference.random_matrices import random_hermitian
from scipy.sparse.linalg import expm_multiply, spsolve

import qdbjax as qdb
from qdbjax import Status

BATHS = ((0.01, 10.0, 0.9), (0.02, 8.0, 0.35))  # strength, cutoff, temperature
DIGITS = 30


def levels(rng, d):
    """A pair, a triple, and single levels; and couplings that tell neighbours from others."""
    energies = np.sort(rng.uniform(0, 3, d))
    energies[5], energies[20], energies[21] = energies[4], energies[19], energies[19]
    return energies, [random_hermitian(rng, d) for _ in BATHS]


def davies(hamiltonian, couplings, **more):
    baths = [
        qdb.Bath(s, qdb.Ohmic(strength, cutoff), temperature=temperature, name=str(n))
        for n, (s, (strength, cutoff, temperature)) in enumerate(zip(couplings, BATHS, strict=True))
    ]
    return qdb.davies(hamiltonian, baths, **more)


def given_levels(energies):
    return qdb.System(jnp.diag(energies), eigenbasis=np.eye(len(energies)), energies=energies)


@pytest.mark.slow
def test_degenerate_levels(rng):
    """ρ of 36 levels, right to 1e-11 of each level's own; its Hamiltonian known before tracing, and not."""
    energies, couplings = levels(rng, 36)
    exact = stationary_block(energies, [(s, *bath) for s, bath in zip(couplings, BATHS, strict=True)], DIGITS)
    known = qdb.steady_state(davies(given_levels(energies), couplings))
    traced = jax.jit(lambda e: qdb.steady_state(davies(given_levels(e), couplings)))(energies)
    assert known.spectrum.known_block_size == 36 + 2 + 6
    for state in (known, traced):
        assert int(state.status) & ~int(Status.NEAR_DEGENERATE) == 0
        assert relative_errors(np.asarray(state.energy_density_matrix), exact, energies).max() < 1e-11


@pytest.mark.slow
def test_too_many_equal_levels_for_a_traced_hamiltonian(rng):
    """Where a block has more entries than a program has room for, a flag and no numbers."""
    energies = np.r_[np.zeros(34), 1.0, 1.7]
    couplings = [random_hermitian(rng, 36) for _ in BATHS]
    state = jax.jit(lambda e: qdb.steady_state(davies(given_levels(e), couplings)))(energies)
    assert int(state.status) & int(Status.BLOCK_TOO_LARGE) and np.all(np.isnan(state.populations))
    known = qdb.steady_state(davies(given_levels(energies), couplings))
    assert int(known.status) & int(Status.BLOCK_TOO_LARGE) == 0 and np.all(known.populations > 0)


@pytest.mark.slow
@pytest.mark.parametrize(("field", "anisotropy", "dephasing"), [(0.7, 0.5, False), (0.0, 1.0, True)])
def test_chains_of_six_spins(field, anisotropy, dephasing):
    """XXZ chains with accidental pairs, and with multiplets, against least squares in NumPy."""
    count = 6
    ends = [(0, 0.002, 2.0, qdb.sigma_x()), (count - 1, 0.002, 0.5, qdb.sigma_x())]
    sites = ends + [(k, 0.001, 1.0, qdb.sigma_z()) for k in range(count)] * dephasing
    couplings = [np.asarray(qdb.embed(operator, k, [2] * count)) for k, _, _, operator in sites]
    system = qdb.models.xxz_chain(np.full(count, field), 1.0, anisotropy)
    baths = [
        qdb.Bath(s, qdb.Ohmic(strength, 10.0), temperature=temperature, name=str(n))
        for n, (s, (_, strength, temperature, _)) in enumerate(zip(couplings, sites, strict=True))
    ]
    generator = qdb.davies(system, baths)
    steady = qdb.steady_state(generator)
    terms = [(s, strength, 10.0, heat) for s, (_, strength, heat, _) in zip(couplings, sites, strict=True)]
    rho, currents = reference.block_state(np.asarray(generator.system.hamiltonian), terms)
    assert int(steady.status) & ~int(Status.NEAR_DEGENERATE) == 0
    np.testing.assert_allclose(steady.density_matrix, rho, rtol=0, atol=1e-12)
    np.testing.assert_allclose(qdb.heat_currents(generator, steady), currents, rtol=1e-8, atol=1e-14)


def oscillator_and_qubit(levels, coupling):
    """H and jumps of a damped oscillator of so many levels and a decaying qubit; with counter-rotating terms."""
    a = np.kron(np.diag(np.sqrt(np.arange(1.0, levels)), 1), np.eye(2))
    s = np.kron(np.eye(levels), np.array([[0.0, 1.0], [0.0, 0.0]]))
    hamiltonian = a.T @ a + 1.1 * s.T @ s + coupling * (a + a.T) @ (s + s.T)
    return hamiltonian, np.stack([np.sqrt(0.12) * a, np.sqrt(0.02) * a.T, np.sqrt(0.02) * s])


def sparse_liouvillian(hamiltonian, jumps):
    unit = sp.identity(len(hamiltonian))
    h = sp.csr_matrix(hamiltonian)
    total = -1j * (sp.kron(h, unit) - sp.kron(unit, h.T))
    for k in map(sp.csr_matrix, jumps):
        loss = (k.conj().T @ k) / 2
        total = total + sp.kron(k, k.conj()) - sp.kron(loss, unit) - sp.kron(unit, loss.T)
    return total.tocsr()


@pytest.mark.slow
def test_given_jumps():
    """d = 48: no matrix of 2304 rows is formed; against a sparse solution, and both derivatives."""
    hamiltonian, jumps = oscillator_and_qubit(24, 0.1)
    d = len(hamiltonian)

    @jax.jit
    def solved(factor):
        rates = jnp.array([1.0, 1.0, 0.0]) * factor + jnp.array([0.0, 0.0, 1.0])
        return qdb.steady_state(qdb.lindblad(hamiltonian, jumps * rates[:, None, None]))

    state = solved(1.0)
    rows = sparse_liouvillian(hamiltonian, jumps).tolil()
    rows[0] = np.eye(d).reshape(-1)
    exact = spsolve(rows.tocsc(), np.eye(d * d)[0]).reshape(d, d)
    assert int(state.status) == 0
    np.testing.assert_allclose(state.density_matrix, exact, rtol=0, atol=1e-13)
    number = np.diag(np.repeat(np.arange(24.0), 2))
    mean = lambda factor: qdb.expect(solved(factor).state, number)  # noqa: E731
    step = 1e-4
    slope = (mean(1 + step) - mean(1 - step)) / (2 * step)
    for found in (jax.grad(mean)(1.0), jax.jvp(mean, (1.0,), (1.0,))[1]):
        np.testing.assert_allclose(found, slope, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [17, 24])
def test_given_jumps_and_a_traced_hamiltonian(levels):
    """d = 34, equations formed, and d = 48, not: all entries of ρ have room however little is known while tracing."""
    hamiltonian, jumps = oscillator_and_qubit(levels, 0.1)
    shift = np.diag(np.tile([0.0, 1.0], levels))

    @jax.jit
    def excited(detuning):
        state = qdb.steady_state(qdb.lindblad(hamiltonian + detuning * shift, jumps))
        return jnp.sum(jnp.real(state.density_matrix) * shift), state.status

    def exact(detuning):
        rows = sparse_liouvillian(hamiltonian + detuning * shift, jumps).tolil()
        rows[0] = np.eye(2 * levels).reshape(-1)
        source = np.eye(4 * levels**2)[0]
        return np.real(spsolve(rows.tocsc(), source) @ shift.reshape(-1))

    (value, status), slope = jax.value_and_grad(excited, has_aux=True)(0.05)
    assert int(status) == 0
    np.testing.assert_allclose(value, exact(0.05), rtol=1e-11)
    np.testing.assert_allclose(slope, (exact(0.051) - exact(0.049)) / 0.002, rtol=1e-5)


@pytest.mark.slow
def test_given_jumps_of_a_thermal_oscillator():
    """Populations n̄ⁿ/(n̄ + 1)ⁿ⁺¹, the rarest of 1e-37 as right as the first."""
    hamiltonian, jumps = oscillator_and_qubit(48, 0.0)
    state = qdb.steady_state(qdb.lindblad(hamiltonian, jumps))
    exact = 6.0 ** -np.arange(48.0)
    found = np.real(np.diagonal(state.density_matrix)).reshape(48, 2)[:, 0]
    np.testing.assert_allclose(found, exact / exact.sum(), rtol=1e-11)


@pytest.mark.slow
def test_given_jumps_with_many_stationary_states():
    """Two starts end in two states: flagged, as below 33 levels."""
    hamiltonian, _ = oscillator_and_qubit(24, 0.1)
    state = qdb.steady_state(qdb.lindblad(hamiltonian, np.diag(np.repeat(np.arange(24.0), 2))))
    assert int(state.status) & int(Status.NONUNIQUE) and np.all(np.isnan(state.populations))


@pytest.mark.slow
def test_evolution_with_given_jumps():
    """d = 34: integrated with products of matrices, against the exponential of a sparse Liouvillian."""
    hamiltonian, jumps = oscillator_and_qubit(17, 0.1)
    start = np.eye(34)[7].astype(complex) + 1j * np.eye(34)[4]
    start /= np.linalg.norm(start)
    run = qdb.evolve(qdb.lindblad(hamiltonian, jumps), start, [0.0, 3.0])
    exact = expm_multiply(3.0 * sparse_liouvillian(hamiltonian, jumps), np.outer(start, start.conj()).reshape(-1))
    assert int(run.status) == 0
    np.testing.assert_allclose(run.density_matrix[1], exact.reshape(34, 34), rtol=0, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("degenerate", [False, True])
def test_coherences_of_one_frequency(rng, degenerate):
    """36 levels with some equal gaps: the coherences that exchange are integrated together, all others are not."""
    energies = np.sort(rng.uniform(0, 3, 36))
    energies[7:9] = energies[3:5] + 0.61  # two pairs of equal gaps
    if degenerate:
        energies[20] = energies[19]
    _, couplings = levels(rng, 36)
    start = rng.normal(size=36) + 1j * rng.normal(size=36)
    start /= np.linalg.norm(start)
    found = qdb.evolve(davies(np.diag(energies), couplings), start, [0.0, 0.4, 2.0])
    exact = reference.Davies(
        np.diag(energies), [(s, *bath) for s, bath in zip(couplings, BATHS, strict=True)], tolerance=1e-7
    ).liouvillian
    rho = np.outer(start, start.conj()).reshape(-1)
    assert int(found.status) & ~int(Status.NEAR_DEGENERATE) == 0
    for n, time in ((1, 0.4), (2, 2.0)):
        wanted = expm_multiply(time * exact, rho).reshape(36, 36)
        np.testing.assert_allclose(found.density_matrix[n], wanted, rtol=0, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("d", [60, 100, 200])
def test_accidental_coincidences_refuse_nothing(d):
    """A random Hamiltonian: at d = 100 two unrelated Bohr frequencies agree to 1e-8 of the width."""
    rng = np.random.default_rng(1)
    hamiltonian, coupling = (random_hermitian(rng, d).real for _ in range(2))
    generator = qdb.davies(hamiltonian, qdb.Bath(coupling / np.sqrt(d), qdb.Ohmic(1e-4, 10.0), temperature=1.0))
    run = qdb.evolve(generator, np.eye(d)[0], [0.0, 1.0])
    assert int(run.status) & int(Status.BLOCK_TOO_LARGE) == 0
    np.testing.assert_allclose(np.trace(run.density_matrix[1]), 1, atol=1e-9)
    assert np.linalg.eigvalsh(run.density_matrix[1]).min() > -1e-9


def test_derivative_of_a_state(rng):
    """L(ρ) of given jumps for any matrix, without the dense Liouvillian."""
    hamiltonian, jumps = oscillator_and_qubit(17, 0.1)
    rho = rng.normal(size=(34, 34)) + 1j * rng.normal(size=(34, 34))
    exact = sparse_liouvillian(hamiltonian, jumps) @ rho.reshape(-1)
    found = qdb.lindblad(hamiltonian, jumps).apply(rho)
    np.testing.assert_allclose(found, exact.reshape(34, 34), rtol=0, atol=1e-11)


@pytest.mark.parametrize("link", [1e-8, 1e-17, 1e-100])
def test_two_halves_with_a_weak_link(link):
    """Twelve levels, one temperature: the Gibbs state, however weak the one link between the halves is."""
    coupling = np.zeros((12, 12))
    for n in range(11):
        coupling[n, n + 1] = coupling[n + 1, n] = link if n == 5 else 1.0
    energies = np.linspace(0.0, 2.0, 12) ** 1.3
    bath = qdb.Bath(jnp.asarray(coupling), qdb.Ohmic(0.01, cutoff=10.0), temperature=0.5)
    steady = qdb.steady_state(qdb.davies(np.diag(energies), bath))
    assert int(steady.status) == 0
    weights = np.exp(-energies / 0.5)
    np.testing.assert_allclose(steady.populations, weights / weights.sum(), rtol=1e-12)


def test_two_halves_that_a_symmetry_keeps_apart():
    """A coupling that is forbidden between the halves of a rotated basis comes out as rounding: no link, flagged."""
    rng = np.random.default_rng(5)
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    blocks = np.kron(np.eye(2), np.ones((6, 6)))
    coupling = rotation @ (blocks * rng.normal(size=(12, 12))) @ rotation.T
    hamiltonian = rotation @ np.diag(np.linspace(0.0, 2.0, 12) ** 1.3) @ rotation.T
    bath = qdb.Bath(coupling + coupling.T, qdb.Ohmic(0.01, cutoff=10.0), temperature=0.5)
    steady = qdb.steady_state(qdb.davies(0.5 * (hamiltonian + hamiltonian.T), bath))
    assert float(steady.kernel_dimension) == 2
    assert int(steady.status) & Status.NONUNIQUE


def test_many_stationary_states_are_counted_by_asymptotic_state():
    """Two levels in exchange, one that decays into another, eight alone: ten states; a block says at least two."""
    exchange, decay = np.zeros((2, 12, 12))
    exchange[0, 1] = exchange[1, 0] = decay[2, 3] = 1.0
    generator = qdb.lindblad(np.diag(np.arange(12.0)), [exchange, decay])
    steady = qdb.steady_state(generator)
    assert int(steady.status) & Status.NONUNIQUE and 2 <= float(steady.kernel_dimension) <= 10
    assert "kernel dimension=>= 2" in repr(steady)
    rho = np.diag(np.arange(1.0, 13.0) / 78)
    reached = qdb.asymptotic_state(generator, rho)
    assert float(reached.kernel_dimension) == 10
    wanted = [1.5, 1.5, 7.0, 0.0, *range(5, 13)]
    np.testing.assert_allclose(reached.populations, np.array(wanted) / 78, rtol=0, atol=1e-12)
