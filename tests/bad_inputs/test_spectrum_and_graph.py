"""Spectra with crossings and rate graphs that nearly fall apart: the right number or a flag."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from programs import machine, observed, random_machine
from reference.lindblad import Davies
from reference.thermal import ohmic_noise

import qdbjax as qdb
from qdbjax import Status

ETA, CUTOFF = 0.02, 8.0
LEVELS = np.array([0.0, 1.0, 2.3])


def pairs(*links):
    """A coupling with the given off-diagonal entries (m, n, value)."""
    s = np.zeros((3, 3))
    for m, n, value in links:
        s[m, n] = s[n, m] = value
    return s


def build(hot, cold, temperatures=(1.0, 0.4), energies=LEVELS):
    return machine(np.diag(energies), [hot, cold], ETA, CUTOFF, temperatures)


def exact_populations(system):
    """Stationary populations in mpmath from γ(ω)|S|² of each bath."""
    hamiltonian, couplings, strengths, cutoffs, temperatures = system
    with mpmath.workdps(600):
        e = [mpmath.mpf(float(x)) for x in np.diag(hamiltonian).real]
        w = mpmath.matrix(3, 3)
        for s, eta, cutoff, heat in zip(couplings, strengths, cutoffs, temperatures, strict=True):
            for m in range(3):
                for n in range(3):
                    x = e[n] - e[m]
                    if m != n and s[m, n] != 0:
                        gamma = 2 * mpmath.pi * eta * mpmath.exp(-abs(x) / cutoff) * x / -mpmath.expm1(-x / heat)
                        w[m, n] += gamma * mpmath.mpf(float(s[m, n].real)) ** 2
        for n in range(3):
            w[n, n] = -sum(w[m, n] for m in range(3) if m != n)
            w[2, n] = mpmath.mpf(0)
        for n in range(3):
            w[2, n] = 1
        return np.array([float(p) for p in mpmath.lu_solve(w, mpmath.matrix([0, 0, 1]))])


@pytest.mark.parametrize("link", [1e-3, 1e-6, 1e-8, 10**-8.5])
def test_weak_link(link):
    """Level 2 hangs on rates down to 1e-17 of the others: every population to 1e-12 of itself."""
    system = build(pairs((0, 1, 1.0)), pairs((0, 2, link), (1, 2, 0.5 * link)))
    (seen,) = observed([system])
    assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    assert seen["kernel"] == 1
    np.testing.assert_allclose(seen["populations"], exact_populations(system), rtol=1e-12)


def test_rate_ratio():
    """Couplings of 1e-100 beside 1 (rates 1e-200)."""
    system = build(pairs((0, 1, 1.0)), pairs((0, 2, 1e-100), (1, 2, 3e-100)))
    (seen,) = observed([system])
    np.testing.assert_allclose(seen["populations"], exact_populations(system), rtol=1e-12)


def test_two_components():
    """No link at all: flagged, NaN; asymptotic_state says where each start ends."""
    system = build(pairs((0, 1, 1.0)), pairs((0, 1, 0.5)))
    (seen,) = observed([system])
    assert seen["status"] & Status.NONUNIQUE
    assert seen["kernel"] == 2
    assert np.all(np.isnan(seen["populations"]))
    assert np.all(np.isnan(seen["heat"]))
    generator = qdb.davies(np.diag(LEVELS), qdb.Bath(pairs((0, 1, 1.0)), qdb.Ohmic(ETA, CUTOFF), temperature=0.4))
    end = jax.jit(lambda rho: qdb.asymptotic_state(generator, rho))
    excited = 1 / (1 + np.exp(1 / 0.4))
    wanted = [0.5 * (1 - excited), 0.5 * excited, 0.5]
    np.testing.assert_allclose(end(np.diag([0.2, 0.3, 0.5])).populations, wanted, rtol=1e-10)
    state = end(np.diag([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(state.populations, [0, 0, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.kernel_dimension, 2, rtol=0, atol=1e-9)


def test_dark_state():
    """V-type doublet with one bright and one dark combination: two stationary states."""
    v = pairs((0, 1, 1.0), (0, 2, 1.0))
    doublet = [0.0, 1.0, 1.0]
    dark, bright = observed([build(v, v, energies=doublet), build(v, pairs((0, 1, 1.0)), energies=doublet)])
    assert dark["kernel"] == 2
    assert dark["status"] & Status.NONUNIQUE
    assert np.all(np.isnan(np.diagonal(dark["rho"])))
    assert bright["kernel"] == 1
    assert bright["status"] & ~int(Status.NEAR_DEGENERATE) == 0


def test_conserved_parity():
    """σ_x σ_x conserves parity: two qubits of different splitting keep even and odd apart."""
    xx = np.kron(qdb.sigma_x(), qdb.sigma_x())
    hamiltonian = np.diag([1.6, 0.3, -0.3, -1.6])
    generator = qdb.davies(hamiltonian, qdb.Bath(xx, qdb.Ohmic(ETA, CUTOFF), temperature=0.7))
    state = qdb.steady_state(generator)
    assert int(state.status) & Status.NONUNIQUE
    assert np.all(np.isnan(state.populations))
    assert float(state.kernel_dimension) == 2


def test_absorbing_state():
    """T = 0: everything ends in the ground level, or in several places, which is flagged."""
    ladder = pairs((0, 1, 1.0), (1, 2, 1.0))
    one, two, middle = observed(
        [
            build(ladder, ladder, (0.0, 0.0)),
            build(pairs((0, 2, 1.0)), pairs((0, 2, 1.0)), (0.0, 0.0)),
            build(pairs((1, 2, 1.0)), pairs((0, 1, 1.0)), (0.0, 0.0)),
        ]
    )
    for seen in (one, middle):
        np.testing.assert_array_equal(seen["populations"], [1, 0, 0])
        assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
    assert two["status"] & Status.NONUNIQUE
    assert two["kernel"] == 2


def test_ground_level_last():
    """The model's own order of levels: the absorbing state need not come first."""
    system = qdb.System(np.diag([2.3, 1.0, 0.0]), eigenbasis=np.eye(3), energies=np.array([2.3, 1.0, 0.0]))
    ladder = pairs((0, 1, 1.0), (1, 2, 1.0))
    state = qdb.steady_state(qdb.davies(system, qdb.Bath(ladder, qdb.Ohmic(ETA, CUTOFF), temperature=0.0)))
    np.testing.assert_array_equal(state.populations, [0, 0, 1])
    assert int(state.status) == 0


def test_forbidden_coupling_is_no_link():
    """A matrix element that a symmetry forbids is rounding, 1e-16: it must not link two parts of the graph."""
    rng = np.random.default_rng(12)
    basis = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = [basis @ s @ basis.T for s in (pairs((0, 1, 1.0)), pairs((0, 1, 0.5)))]
    hamiltonian = basis @ np.diag(LEVELS) @ basis.T
    (seen,) = observed([machine((hamiltonian + hamiltonian.T) / 2, turned, ETA, CUTOFF, (1.0, 0.4))])
    assert seen["kernel"] == 2
    assert seen["status"] & Status.NONUNIQUE


def test_nan_cell_in_a_batch():
    """One NaN among degenerate and generic cells leaves all others as they are without it."""
    rng = np.random.default_rng(2)
    spectra = [0.0, 1.0, 1.0], LEVELS, [0.3, 0.3, 0.3], [0.0, 1.0, 2.0]
    cells = [random_machine(rng, 3, 2, energies) for energies in spectra]
    broken = machine(np.full((3, 3), np.nan), *cells[0][1:])
    clean, dirty = observed(cells), observed([*cells[:2], broken, *cells[2:]])
    assert dirty[2]["status"] & Status.NONFINITE_INPUT
    assert np.all(np.isnan(dirty[2]["populations"]))
    for one, other in zip(clean, [*dirty[:2], *dirty[3:]], strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("factor", [1 - 1e-3, 1 + 1e-3])
def test_gap_at_the_tolerance(factor):
    """Levels at tolerance·(1 ± 1e-3): one level or two, and right for what they count as."""
    gap = 1e-8 * factor * 2.3
    couplings = [np.diag([1.0, 0.2, 0.1]) + 0.3, pairs((0, 1, 0.4), (1, 2, 1.0))]
    energies = np.array([0.0, gap, 2.3])
    (seen,) = observed([machine(np.diag(energies), couplings, ETA, CUTOFF, (1.0, 0.4))])
    baths = [(s, ETA, CUTOFF, t) for s, t in zip(couplings, (1.0, 0.4), strict=True)]
    dense = Davies(np.diag(energies), baths, 1e-8 * 2.3)
    np.testing.assert_allclose(seen["rho"], dense.steady_state(), rtol=0, atol=1e-7)
    np.testing.assert_allclose(seen["heat"], dense.heat_currents(), rtol=0, atol=1e-9)
    coherent = np.abs(seen["rho"][0, 1]) > 1e-4
    assert coherent == (factor < 1)
    assert bool(seen["status"] & Status.NEAR_DEGENERATE) == (factor > 1)


def test_near_degeneracy_is_flagged():
    """A spacing smaller than the rates is doubtful: flagged, with the numbers kept."""
    couplings = [pairs((0, 1, 0.4), (0, 2, 1.0)), pairs((0, 1, 0.4), (1, 2, 1.0))]
    wide, narrow = observed([build(*couplings, energies=[0.0, gap, 2.3]) for gap in (0.9, 1e-4)])
    assert wide["status"] == 0
    assert narrow["status"] == Status.NEAR_DEGENERATE
    assert np.all(np.isfinite(narrow["populations"]))


def test_solvers_agree():
    """Auto, the ω = 0 block and the dense kernel on degenerate and generic spectra; populations where they suffice."""
    rng = np.random.default_rng(6)
    s = np.stack([random_machine(rng, 3, 1)[0] for _ in range(2)])

    @jax.jit
    @jax.vmap
    def all_of_them(energies):
        baths = [qdb.Bath(s[n], qdb.Ohmic(ETA, CUTOFF), temperature=(1.0, 0.4)[n]) for n in range(2)]
        generator = qdb.davies(qdb.System(jnp.diag(energies)), baths)
        solvers = qdb.Auto(), qdb.ZeroFrequencyBlock(), qdb.Dense(), qdb.Populations()
        states = [qdb.steady_state(generator, solver) for solver in solvers]
        return [(state.density_matrix, state.kernel_dimension, state.residual) for state in states]

    spectra = np.array([LEVELS, [0.0, 1.0, 1.0], [0.0, 1.0, 2.0], [0.5, 0.5, 0.5]])
    auto, block, dense, populations = jax.tree.map(np.asarray, all_of_them(jnp.asarray(spectra)))
    for other in (block, dense):
        np.testing.assert_allclose(other[0], auto[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(other[1], auto[1], rtol=0, atol=1e-9)
        assert np.all(other[2] < 1e-12)
    np.testing.assert_allclose(populations[0][[0, 2]], auto[0][[0, 2]], rtol=0, atol=1e-13)
    for n, energies in enumerate(spectra):
        dense = Davies(np.diag(energies), [(s[m], ETA, CUTOFF, (1.0, 0.4)[m]) for m in range(2)])
        np.testing.assert_allclose(auto[0][n], dense.steady_state(), rtol=0, atol=1e-11)


def test_noise_of_the_reference():
    """The γ(ω) used here as a reference obeys KMS."""
    w = np.array([0.3, 1.0, 4.0])
    up, down = ohmic_noise(-w, 0.1, 5.0, 0.7), ohmic_noise(w, 0.1, 5.0, 0.7)
    np.testing.assert_allclose(up, np.exp(-w / 0.7) * down, rtol=1e-14)
