"""Contracts of every Davies generator: trace, Hermiticity, positivity, Gibbs, detailed balance, currents."""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from contracts.registry import BATHS, GAPS, SHAPES, SPECTRA, correlated, machines, only
from programs import machine, observed, random_machine
from reference.lindblad import assert_gksl, bohr_parts, choi, commutator, dissipator
from reference.thermal import gibbs, ohmic_noise

import qdbjax as qdb
from qdbjax import Status

SECOND_TIER = {(4, 4), (6, 2)}
shapes = pytest.mark.parametrize(
    "shape", [pytest.param(s, marks=pytest.mark.slow if s in SECOND_TIER else ()) for s in SHAPES], ids=str
)


@ft.cache
def with_all_baths(shape):
    """Machines of a shape, with what was observed."""
    systems = machines(*shape)
    return list(zip(systems, observed(systems), strict=True))


@ft.cache
def with_single_baths(shape):
    """The same machines with one bath at a time."""
    systems = [only(system, bath) for system in machines(*shape) for bath in range(shape[1])]
    baths = [bath for _ in machines(*shape) for bath in range(shape[1])]
    return list(zip(systems, baths, observed(systems), strict=True))


def largest(matrix):
    return np.abs(matrix).max()


def check_channel(liouvillian, d):
    """Trace, Hermiticity and complete positivity."""
    assert_gksl(liouvillian)
    for time in (0.3, 3.0):
        matrix = choi(scipy.linalg.expm(time / largest(liouvillian) * liouvillian))
        assert largest(matrix - matrix.conj().T) <= 1e-13
        assert np.linalg.eigvalsh(matrix)[0] >= -1e-12 * d


def gns_asymmetry(dissipation, sigma):
    """How far D is from self-adjoint in Tr[σA†B]."""
    product = np.kron(np.eye(len(sigma)), sigma.T) @ dissipation.conj().T
    return largest(product - product.conj().T)


@shapes
def test_trace_hermiticity_positivity(shape):
    """1ᵀL = 0, L(ρ†) = L(ρ)†, Choi of e^{tL} positive."""
    for _, seen in with_all_baths(shape):
        check_channel(seen["liouvillian"], shape[0])


@shapes
def test_single_bath_gibbs_and_detailed_balance(shape):
    """One bath: L(ρ_β) = 0; D self-adjoint in Tr[σA†B]; D commutes with [H, ·]."""
    for (hamiltonian, _, _, _, temperatures), bath, seen in with_single_baths(shape):
        liouvillian = seen["liouvillian"]
        thermal = gibbs(hamiltonian, temperatures[bath])
        assert largest(liouvillian @ thermal.reshape(-1)) <= 1e-13 * np.linalg.norm(liouvillian, 2)
        turning = commutator(hamiltonian)
        dissipation = liouvillian - turning
        scale = np.linalg.norm(dissipation, 2)
        assert gns_asymmetry(dissipation, thermal) <= 1e-12 * scale
        spacings = np.diff(np.linalg.eigvalsh(hamiltonian))
        near = (spacings > 1e-14) & (spacings < 1e-9)
        slack = 1e-10 if near.any() else 1e-12  # inside a cluster the levels differ a little, and so must the two
        assert largest(dissipation @ turning - turning @ dissipation) <= slack * scale * max(
            1.0, np.linalg.norm(hamiltonian, 2)
        )


@pytest.mark.parametrize(("d", "baths"), [(3, 2), (2, 1)])
def test_gibbs_near_degeneracy(d, baths):
    """One bath, levels 1e-15 … 1e-6 apart: Gibbs stays stationary (1e-13) and is found."""
    rng = np.random.default_rng(3)
    rest = [1.3] * (d - 2)
    systems = [only(random_machine(rng, d, baths, [0.0, gap, *rest]), 0) for gap in GAPS]
    for (hamiltonian, _, _, _, temperatures), seen in zip(systems, observed(systems), strict=True):
        liouvillian = seen["liouvillian"]
        thermal = gibbs(hamiltonian, temperatures[0])
        assert largest(liouvillian @ thermal.reshape(-1)) <= 1e-13 * np.linalg.norm(liouvillian, 2)
        if seen["kernel"] == 1:
            np.testing.assert_allclose(seen["rho"], thermal, rtol=0, atol=1e-9)
        assert d == 2 or seen["kernel"] == 1


@shapes
def test_dissipators_add(shape):
    """L of all baths is the sum of the single ones."""
    d, baths = shape
    for n, (system, seen) in enumerate(with_all_baths(shape)):
        single = with_single_baths(shape)[n * baths : (n + 1) * baths]
        parts = [entry["liouvillian"] - commutator(system[0]) for _, _, entry in single]
        found = seen["liouvillian"] - commutator(system[0])
        assert largest(found - sum(parts)) <= 1e-13 * largest(seen["liouvillian"])
        assert found.shape == (d * d, d * d)


@shapes
def test_steady_state(shape):
    """Residual, trace, positivity; unique exactly where the singular values of L say so."""
    for system, seen in with_all_baths(shape):
        values = np.linalg.svd(seen["liouvillian"], compute_uv=False)
        kernel = np.sum(values < 1e-11 * values[0])
        slow = np.diff(np.linalg.eigvalsh(system[0]))
        if np.any((slow > 0) & (slow < 1e-9)):
            continue  # kernel not decided by singular values: levels count as one, or decay on their own
        assert seen["kernel"] == kernel
        if kernel > 1:
            assert seen["status"] & Status.NONUNIQUE
            assert np.all(np.isnan(seen["populations"]))
            continue
        assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
        rho = seen["rho"]
        assert largest(seen["liouvillian"] @ rho.reshape(-1)) <= 1e-12 * np.linalg.norm(seen["liouvillian"], 2)
        assert abs(np.trace(rho) - 1) <= 1e-14
        assert largest(rho - rho.conj().T) <= 1e-15
        assert np.linalg.eigvalsh(rho)[0] >= -1e-14
        assert seen["residual"] <= 1e-12


def with_a_unique_state(shape):
    return [(system, seen) for system, seen in with_all_baths(shape) if seen["kernel"] == 1]


@shapes
def test_laws(shape):
    """First law, second law; heat is the sum of ω times micro-currents, which are antisymmetric."""
    for (_, _, _, _, temperatures), seen in with_a_unique_state(shape):
        heat, micro, energies = seen["heat"], seen["micro"], seen["energies"]
        # A single bath carries nothing; its scale is what flows to and fro.
        exchanged = (seen["rates"] * seen["populations"]).max() * np.abs(energies).max()
        flow = largest(heat) if len(heat) > 1 and np.ptp(energies) > 0.1 else exchanged
        assert abs(heat.sum()) <= 1e-12 * flow
        assert seen["entropy"] >= -1e-12
        np.testing.assert_allclose(seen["entropy"], -np.sum(heat / temperatures), rtol=1e-12, atol=1e-15)
        assert largest(micro + np.swapaxes(micro, 1, 2)) <= 1e-15 * max(largest(micro), 1e-3)
        lifted = 0.5 * np.sum((energies[:, None] - energies[None, :]) * micro, axis=(1, 2))
        np.testing.assert_allclose(lifted, heat, rtol=0, atol=1e-12 * max(flow, largest(micro) * np.ptp(energies)))


@pytest.mark.parametrize("shape", [(3, 2), pytest.param((4, 4), marks=pytest.mark.slow)], ids=str)
def test_equal_temperatures(shape):
    """All currents, transition by transition, vanish at one temperature (1e-13), and the state is Gibbs."""
    systems = [machine(*system[:4], 0.7) for system in machines(*shape, seed=11)]
    for (hamiltonian, *_), seen in zip(systems, observed(systems), strict=True):
        scale = (seen["rates"] * seen["populations"]).max() + 1e-300
        assert largest(seen["micro"]) <= 1e-13 * max(scale, 1.0)
        assert largest(seen["heat"]) <= 1e-13 * max(scale * np.ptp(seen["energies"]), 1.0)
        assert abs(seen["entropy"]) <= 1e-12
        np.testing.assert_allclose(seen["rho"], gibbs(hamiltonian, 0.7), rtol=0, atol=1e-11)


def test_laws_see_a_current():
    """The laws above are not vacuous: currents between different temperatures are far from zero and flow downhill."""
    for (_, _, _, _, temperatures), seen in with_a_unique_state((3, 2)):
        if np.ptp(seen["energies"]) > 0.1:
            assert np.abs(seen["heat"]).max() > 1e-4
            assert seen["heat"][np.argmax(temperatures)] > 0


def correlated_reference(hamiltonian, couplings, correlation, strength=0.05, cutoff=5.0, temperature=0.6):
    """-i[H, ·] + Σ_ω Σ_ab γ_ab(ω)[S_b ρ S_a† - ½{S_a†S_b, ρ}] from eigenoperators.

    γ_ab(ω) = γ(ω) M_ab for ω > 0, γ(ω) M_ba for ω < 0, γ(0) Re M_ab.
    """
    total = commutator(hamiltonian)
    for pieces in zip(*(bohr_parts(hamiltonian, coupling) for coupling in couplings), strict=True):
        frequency = pieces[0][0]
        weights = correlation if frequency > 0 else correlation.T if frequency < 0 else correlation.real
        gamma = ohmic_noise(frequency, strength, cutoff, temperature) * weights
        for a, (_, left) in enumerate(pieces):
            for b, (_, right) in enumerate(pieces):
                total = total + gamma[a, b] * dissipator(right, left)
    return total


def test_correlated_formula():
    """L of correlated couplings is the sum over eigenoperators, index order included; its populations are the rates."""
    rng = np.random.default_rng(6)
    systems = [correlated(rng, 3, energies) for energies in SPECTRA[3]]
    table = observe_correlated(*(jnp.asarray(np.stack(leaf)) for leaf in zip(*systems, strict=True)))
    for (hamiltonian, couplings, matrix), liouvillian in zip(systems, np.asarray(table[0]), strict=True):
        wanted = correlated_reference(hamiltonian, couplings, matrix)
        assert largest(liouvillian - wanted) <= 1e-9 * largest(wanted)
    generic = systems[0]
    basis = np.linalg.eigh(generic[0])[1]
    frame = np.kron(basis, basis.conj())
    populations = np.real(frame.conj().T @ np.asarray(table[0][0]) @ frame)[::4, ::4]
    np.testing.assert_allclose(populations * (1 - np.eye(3)), table[1][0][0], rtol=0, atol=1e-13)


@jax.jit
@jax.vmap
def observe_correlated(hamiltonian, couplings, correlation):
    bath = qdb.Bath(couplings, qdb.Ohmic(0.05, 5.0), temperature=0.6, correlation=correlation)
    generator = qdb.davies(hamiltonian, bath)
    state = qdb.steady_state(generator)
    return generator.liouvillian(), generator.rates, state.populations, state.density_matrix, state.kernel_dimension


def test_correlated_couplings():
    """Two couplings with a complex correlation matrix: all single-bath contracts, degenerate spectra included."""
    rng = np.random.default_rng(5)
    systems = [correlated(rng, 3, energies) for energies in SPECTRA[3]]
    table = observe_correlated(*(jnp.asarray(np.stack(leaf)) for leaf in zip(*systems, strict=True)))
    for (hamiltonian, _, correlation), *seen in zip(systems, *map(np.asarray, table), strict=True):
        liouvillian, rates, populations, rho, kernel = seen
        assert np.linalg.eigvalsh(correlation)[0] > 0
        check_channel(liouvillian, 3)
        thermal = gibbs(hamiltonian, 0.6)
        assert largest(liouvillian @ thermal.reshape(-1)) <= 1e-13 * np.linalg.norm(liouvillian, 2)
        dissipation = liouvillian - commutator(hamiltonian)
        assert gns_asymmetry(dissipation, thermal) <= 1e-12 * np.linalg.norm(dissipation, 2)
        assert np.all(rates >= 0)
        assert kernel == 1
        np.testing.assert_allclose(rho, thermal, rtol=0, atol=1e-10)
        assert abs(populations.sum() - 1) <= 1e-14


def test_registry_is_complete():
    """Every shape has its machines and every machine its baths."""
    for d, baths in SHAPES:
        assert [len(system[2]) for system in machines(d, baths)] == [BATHS[d]] * len(SPECTRA[d])
