"""The universal Lindblad equation: its jump operators, limits and Lamb shift, and its derivatives through crossings."""

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
from reference import differences
from reference.lindblad import assert_gksl, lindbladian
from reference.machines import KET
from reference.thermal import ohmic_noise

import qdbjax as qdb
from qdbjax import Status
from qdbjax.baths import shared_lamb_shift

universal = jax.jit(lambda energies: readings(qdb.universal_lindblad(rotated(energies), baths())))


@pytest.mark.parametrize("energies", SPECTRA, ids=str)
def test_universal(energies):
    """One jump operator √γ∘S per bath, degenerate levels included; positive; first law."""
    energies = np.array(energies)
    found = universal(energies)
    assert_gksl(found[0])
    assert_stationary(found)
    omega = energies[None, :] - energies[:, None]
    framed = BASIS.conj().T @ COUPLINGS @ BASIS
    roots = [np.sqrt(ohmic_noise(omega, eta, CUTOFF, t)) for eta, t in zip(STRENGTHS, TEMPERATURES, strict=True)]
    jumps = [BASIS @ (root * s) @ BASIS.conj().T for root, s in zip(roots, framed, strict=True)]
    np.testing.assert_allclose(found[0], lindbladian(np.asarray(rotated(energies)), jumps), rtol=0, atol=1e-13)


def test_universal_goes_over_into_davies():
    """Weak coupling, fixed spacings: the stationary states agree to first order in γ."""
    distance = []
    for scale in (1e-2, 1e-3):
        weak = [scale * strength for strength in STRENGTHS]
        states = [make(rotated([0.0, 1.0, 2.3]), baths(weak)) for make in (qdb.davies, qdb.universal_lindblad)]
        first, second = (np.asarray(qdb.steady_state(generator).density_matrix) for generator in states)
        distance.append(np.abs(first - second).max())
    assert distance[1] < 1e-4 and 8 < distance[0] / distance[1] < 12


def heat(gap, make):
    generator = make(rotated(jnp.stack([jnp.zeros(()), jnp.ones(()), 1.0 + gap])))
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


@pytest.mark.slow
def test_universal_is_smooth_through_a_crossing():
    """Value and slope at gap 0 are the limits from both sides; Davies with its secular step jumps.

    With a cutoff that is smooth at ω = 0; e^{-|ω|/ω_c} has a kink there, and so has the current.
    """
    densities = [qdb.DrudeLorentz(strength, CUTOFF) for strength in STRENGTHS]
    drude = [
        qdb.Bath(bath.coupling, density, temperature=bath.temperature, name=bath.name)
        for bath, density in zip(baths(), densities, strict=True)
    ]
    smooth = jax.jit(jax.value_and_grad(lambda gap: heat(gap, lambda h: qdb.universal_lindblad(h, drude))))
    jumpy = jax.jit(lambda gap: heat(gap, lambda h: qdb.davies(h, drude)))
    values, slopes = zip(*[smooth(gap) for gap in (-1e-4, -1e-6, 0.0, 1e-6, 1e-4)], strict=True)
    np.testing.assert_allclose(values, values[2], rtol=1e-3)
    np.testing.assert_allclose([values[1], values[3]], values[2], rtol=1e-5)
    np.testing.assert_allclose([slopes[1], slopes[3]], slopes[2], rtol=1e-3)
    np.testing.assert_allclose((values[3] - values[1]) / 2e-6, slopes[2], rtol=1e-5)
    assert abs(jumpy(1e-6) / jumpy(0.0) - 1) > 1e-3


@pytest.mark.slow
def test_universal_evolves():
    """evolve and propagator take it as any other generator."""
    generator = qdb.universal_lindblad(rotated([0.0, 1.0, 1.05]), baths())
    rho = (np.asarray(qdb.propagator(generator, 6.0)) @ np.outer(KET, KET.conj()).reshape(-1)).reshape(3, 3)
    np.testing.assert_allclose(qdb.evolve(generator, KET, [6.0]).density_matrix[0], rho, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "density", [qdb.PowerLaw(0.02, 5.0, 0.5), qdb.Tabulated([0.1, 0.5], [0.01, 0.02])], ids=["divergent", "table ends"]
)
def test_universal_with_noise_that_is_not_finite(density):
    """Infinite at ω = 0 or unknown at a Bohr frequency, and met by a coupling: flagged, never taken as 0."""
    bath = qdb.Bath(COUPLINGS[0], density, temperature=1.0)
    generator = qdb.universal_lindblad(rotated([0.0, 1.0, 2.3]), bath)
    steady = qdb.steady_state(generator)
    assert not np.isfinite(generator.liouvillian()).all() and np.isnan(steady.populations).all()
    assert int(steady.status) & int(Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH)


def test_refused():
    """Correlated couplings."""
    bath = qdb.Bath(COUPLINGS, qdb.Ohmic(0.1, 5.0), temperature=1.0, correlation=np.array([[1.0, 0.5], [0.5, 1.0]]))
    with pytest.raises(ValueError, match="correlated couplings"):
        qdb.universal_lindblad(rotated([0.0, 1.0, 2.0]), bath)


def bath(density, n, temperature=0.7):
    return qdb.Bath(COUPLINGS[n], density(0.02, 5.0), temperature=temperature, name=str(n))


shared = jax.jit(lambda p, q: shared_lamb_shift(bath(qdb.Ohmic, 0), p, q)[0])


@pytest.mark.parametrize("levels", [[0.0, 0.4, 1.1], [0.0, 1.0, 1.0]])
def test_the_sum_over_transitions(levels):
    """⟨m|H_LS|n⟩ written out, in the basis of the Hamiltonian."""
    levels = np.array(levels)
    hamiltonian = (BASIS * levels) @ BASIS.conj().T
    both = [bath(qdb.Ohmic, n) for n in range(2)]
    found = qdb.universal_lindblad(hamiltonian, both, lamb_shift=True).lamb_shift
    expected = np.zeros((3, 3), complex)
    for coupling in COUPLINGS:
        framed = BASIS.conj().T @ coupling @ BASIS
        for low in range(3):
            p, q = (np.ravel(x) for x in np.meshgrid(levels - levels[low], levels - levels[low], indexing="ij"))
            table = np.asarray(shared(p, q)).reshape(3, 3)
            expected += table * np.outer(framed[low].conj(), framed[low])
    np.testing.assert_allclose(found, BASIS @ expected @ BASIS.conj().T, rtol=0, atol=1e-13)


@pytest.mark.slow
def test_universal_currents_through_a_crossing():
    """A smooth cutoff: the derivative at degenerate levels is that of the differences across the crossing."""

    def currents(x):
        drude = [bath(qdb.DrudeLorentz, 0), bath(qdb.DrudeLorentz, 1, temperature=1.4)]
        generator = qdb.universal_lindblad(pushed(x), drude, lamb_shift=True)
        return qdb.heat_currents(generator, qdb.steady_state(generator))

    value, slope = jax.jit(currents), jax.jit(jax.jacfwd(currents))(0.0)
    np.testing.assert_allclose(slope, differences.slope(value, 0.0, 1e-4), rtol=1e-7)
    assert abs(float(slope[0] + slope[1])) > 1e-4  # H_LS does not commute with H: heat does not add up to zero
