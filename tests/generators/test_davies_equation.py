"""The Davies equation: baths it refuses or flags, levels merged within a window, its Lamb shift inside a level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generators.close_levels import (
    BASIS,
    COUPLINGS,
    CUTOFF,
    SPECTRA,
    STRENGTHS,
    TEMPERATURES,
    assert_stationary,
    baths,
    pushed,
    readings,
    rotated,
)
from programs import observed, random_machine, replaced
from reference import differences
from reference.lindblad import assert_gksl, commutator, lindbladian
from reference.machines import ENERGIES
from reference.random_matrices import random_hermitian
from reference.thermal import ohmic_noise

import qdbjax as qdb
from qdbjax import Status
from qdbjax.baths import lamb_matrix

GOOD = np.array([[1.0, 0.3], [0.3, -1.0]])
OHMIC = qdb.Ohmic(0.05, 5.0)


def bath(value):
    return qdb.Bath(value, OHMIC, temperature=1.0)


def test_baths():
    """None, something else than a bath, one name twice, one of another dimension."""
    with pytest.raises(ValueError, match=r"baths.*got none"):
        qdb.davies(GOOD, [])
    with pytest.raises(TypeError, match=r"baths\[1\].*str"):
        qdb.davies(GOOD, [bath(GOOD), "hot"])
    named = qdb.Bath(GOOD, OHMIC, temperature=1.0, name="hot")
    with pytest.raises(ValueError, match=r"names must differ.*hot"):
        qdb.davies(GOOD, [named, named])
    with pytest.raises(ValueError, match=r"baths\[0\].*2.*3"):
        qdb.davies(np.diag([0.0, 1.0, 2.0]), bath(GOOD))
    with pytest.raises(TypeError, match="must be a Bath"):
        qdb.davies(qdb.models.quantum_dot(0.3), [qdb.Flat(0.1)])


@pytest.mark.slow
def test_duplicate_baths():
    """One bath written twice is one bath of twice the strength."""
    base = random_machine(np.random.default_rng(31), 3, 2, ENERGIES)
    couplings = [base[1][0], base[1][0]]
    twice = replaced(base, couplings=couplings, strengths=0.02, cutoffs=5.0, temperatures=0.8)
    once = replaced(base, couplings=couplings, strengths=[0.04, 0.0], cutoffs=5.0, temperatures=0.8)
    one, two = observed([once, twice])
    np.testing.assert_allclose(one["liouvillian"], two["liouvillian"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(one["rho"], two["rho"], rtol=0, atol=1e-13)


X = qdb.sigma_x()
DIAGONAL = np.array([[0.3, 1.0], [1.0, -0.3]])  # has a zero-frequency part in the basis of diag(0, 1)
DIVERGENT = {
    "sub-ohmic": qdb.PowerLaw(0.05, 5.0, 0.5),
    "flat": qdb.Flat(0.05),
    "sum": qdb.Ohmic(0.05, 5.0) + qdb.Flat(0.01),
    "custom": qdb.baths.Custom(lambda w: 0.05 * jnp.ones_like(w)),
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
        "negative": qdb.baths.Custom(lambda w: -0.1 * w),
        "nan": qdb.baths.Custom(lambda w: jnp.where(w > 0.5, jnp.nan, w)),
    }.items():
        state = qdb.steady_state(qdb.davies(hamiltonian, qdb.Bath(coupling, density, temperature=temperature)))
        table[name] = state.status, state.populations
    return table


@pytest.mark.slow
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


unified = jax.jit(lambda energies, window: readings(qdb.davies(rotated(energies), baths(), window=window)))
plain = jax.jit(lambda energies: readings(qdb.davies(rotated(energies), baths())))


@pytest.mark.slow
@pytest.mark.parametrize("energies", SPECTRA, ids=str)
@pytest.mark.parametrize("window", [0.0, 0.04, 0.2])
def test_unified(energies, window):
    """Of GKSL form at every window, with a stationary state that obeys the first law."""
    found = unified(np.array(energies), window)
    assert np.abs(np.asarray(found[0]) @ np.asarray(found[1]).reshape(-1)).max() < 1e-13
    assert_gksl(found[0])
    assert_stationary(found, flows=np.ptp(energies) > 2 * window or window == 0)  # one level alone carries no energy


def test_unified_is_davies_with_merged_levels():
    """L = -i[H, ·] + the Davies dissipator of the Hamiltonian whose levels are merged at their mean."""
    close, merged = np.array([0.0, 1.0, 1.05]), np.array([0.0, 1.025, 1.025])
    found = np.asarray(unified(close, 0.2)[0]) - commutator(np.asarray(rotated(close)))
    wanted = np.asarray(plain(merged)[0]) - commutator(np.asarray(rotated(merged)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


def test_unified_frequencies():
    """Two gaps within the window share γ at their mean and keep their cross terms."""
    energies = np.array([0.0, 1.0, 2.02])
    found = np.asarray(unified(energies, 0.04)[0])
    framed = BASIS.conj().T @ COUPLINGS @ BASIS
    jumps = []
    for s, strength, temperature in zip(framed, STRENGTHS, TEMPERATURES, strict=True):
        omega = energies[None, :] - energies[:, None]
        for value, center in ((0.0, 0.0), (1.01, 1.01), (-1.01, -1.01), (2.02, 2.02), (-2.02, -2.02)):
            part = np.where(np.abs(omega - value) < 0.1, s, 0)
            jumps.append(np.sqrt(ohmic_noise(center, strength, CUTOFF, temperature)) * BASIS @ part @ BASIS.conj().T)
    np.testing.assert_allclose(found, lindbladian(np.asarray(rotated(energies)), jumps), rtol=0, atol=1e-13)


def test_a_window_of_nothing_is_plain():
    """window = 0, and a window below every spacing, change nothing."""
    for energies in SPECTRA:
        for window in (0.0, 1e-3):
            for x, y in zip(unified(np.array(energies), window), plain(np.array(energies)), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


def test_unified_gibbs():
    """One bath: stationary is Gibbs of the merged levels, and not of H."""
    close, merged = np.array([0.0, 1.0, 1.05]), np.array([0.0, 1.025, 1.025])
    generator = qdb.davies(rotated(close), baths()[:1], window=0.2)
    for energies, stationary in ((merged, True), (close, False)):
        rho = np.asarray(qdb.gibbs(rotated(energies), temperature=TEMPERATURES[0]).density_matrix)
        excess = np.abs(np.asarray(generator.apply(rho))).max()
        assert (excess < 1e-14) == stationary


def test_davies_shift_inside_a_level():
    """dH_LS/dx with the two equal levels kept as one cluster, against differences of the sum written in NumPy."""
    drude = qdb.Bath(COUPLINGS[0], qdb.DrudeLorentz(0.02, 5.0), temperature=0.7)
    cluster = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 1]], bool)

    def written_out(x):
        energies, basis = np.linalg.eigh(np.asarray(pushed(x)))
        framed = basis.conj().T @ COUPLINGS[0] @ basis
        frequencies = jnp.asarray(energies[None, :] - energies[:, None])
        shift = np.asarray(smooth(frequencies))  # [l, m] at E_m - E_l
        dressed = framed.conj().T @ (shift * framed)
        dressed = 0.5 * (dressed + dressed.conj().T) * cluster
        return basis @ dressed @ basis.conj().T

    smooth = jax.jit(lambda x: lamb_matrix(drude, x)[0, 0])
    found = jax.jit(jax.jacfwd(lambda x: qdb.davies(pushed(x), drude, lamb_shift=True).lamb_shift))(0.0)
    np.testing.assert_allclose(found, differences.slope(written_out, 0.0, 1e-3), rtol=0, atol=1e-9)
    assert np.abs(found).max() > 1e-3


def test_window_refused():
    """Windows below zero."""
    with pytest.raises(ValueError, match="window must be >= 0; got -1"):
        qdb.davies(rotated([0.0, 1.0, 2.0]), baths(), window=-1.0)


@pytest.mark.slow
def test_a_window_joins_what_couplings_join():
    """Double dot between leads: ±t and U ± t are further apart than the window, nothing else carries a current."""
    leads = [
        qdb.Lead(qdb.fermion_destroy(k, 2), qdb.Flat(2e-3), temperature=0.1, chemical_potential=mu, name=name)
        for k, mu, name in ((0, 0.1, "left"), (1, -0.1, "right"))
    ]
    system = qdb.models.double_dot([0.0, 0.0], 0.0736, 0.5)
    plain = qdb.davies(system, leads)
    current = qdb.particle_currents(plain)
    for window in (0.02, 0.07, 0.1, 0.14):
        np.testing.assert_allclose(qdb.particle_currents(qdb.davies(system, leads, window=window)), current, rtol=1e-12)
    # 2t is within the window: the two levels of one electron count as one.
    wide = qdb.davies(system, leads, window=0.15)
    assert int(np.sum(wide.spectrum.same_level)) == 4 + 2
    assert abs(qdb.particle_currents(wide)[0] / current[0] - 1) > 0.01


def test_a_window_and_levels_of_another_charge():
    """Random couplings between two sets of levels that nothing connects: a window joins inside each, not across."""
    rng = np.random.default_rng(5)
    energies = np.array([0.0, 1.0, 1.03, 0.02, 1.3, 2.2])  # sets 0-2 and 3-5, levels of both within the window
    coupling = random_hermitian(rng, 6)
    coupling[:3, 3:] = coupling[3:, :3] = 0
    bath = qdb.Bath(coupling, qdb.Ohmic(0.001, 10.0), temperature=0.8)
    system = qdb.System(np.diag(energies), eigenbasis=np.eye(6), energies=energies)
    whole = qdb.davies(system, bath, window=0.05)
    for part in (slice(0, 3), slice(3, 6)):
        inside = qdb.Bath(coupling[part, part], qdb.Ohmic(0.001, 10.0), temperature=0.8)
        alone = qdb.davies(np.diag(energies[part]), inside, window=0.05)
        place = np.argsort(energies[part])
        np.testing.assert_allclose(whole.rates[0, part, part][np.ix_(place, place)], alone.rates[0], rtol=1e-12)
    assert not np.any(np.asarray(whole.spectrum.same_level)[:3, 3:])
    assert_gksl(np.asarray(whole.liouvillian()))


def test_negative_temperature_without_a_rate():
    """A traced T < 0 is flagged even where the bath does nothing that could show it."""
    statuses = jax.jit(
        jax.vmap(lambda t: qdb.davies(np.diag([0.0, 1.0]), qdb.Bath(X, qdb.Ohmic(0.0, 5.0), temperature=t)).status)
    )(jnp.array([-1.0, 1.0]))
    assert statuses[0] & int(Status.UNPHYSICAL_BATH) and not statuses[1] & int(Status.UNPHYSICAL_BATH)
