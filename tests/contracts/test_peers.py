"""Steady states and currents against QuTiP and against the NumPy reference; single precision against double."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qutip
from contracts.registry import machines
from programs import observe, observed, random_machine
from reference.lindblad import Davies, bohr_parts
from reference.thermal import ohmic_noise


def collapse_operators(system):
    """√γ(ω) S(ω) of every bath and every distinct Bohr frequency, from the Davies formula in NumPy."""
    hamiltonian, couplings, strengths, cutoffs, temperatures = system
    return [
        np.sqrt(ohmic_noise(frequency, eta, cutoff, heat)) * part
        for s, eta, cutoff, heat in zip(couplings, strengths, cutoffs, temperatures, strict=True)
        for frequency, part in bohr_parts(hamiltonian, s)
    ]


def against_qutip(systems):
    """Largest difference of density matrices, machine by machine, where the state is unique."""
    worst, compared = 0.0, 0
    for system, seen in zip(systems, observed(systems), strict=True):
        if seen["kernel"] != 1:
            continue
        operators = [qutip.Qobj(c) for c in collapse_operators(system) if np.abs(c).max() > 0]
        rho = qutip.steadystate(qutip.Qobj(system[0]), operators).full()
        worst, compared = max(worst, np.abs(rho - seen["rho"]).max()), compared + 1
    return worst, compared


def draw(count, seed):
    """Random machines of three levels, two baths: generic, equal gaps, equal levels."""
    rng = np.random.default_rng(seed)
    kinds = [None, [0.0, 1.0, 2.0], [0.0, 1.0, 1.0], [0.3, 0.3, 1.7]]
    return [random_machine(rng, 3, 2, kinds[n % len(kinds)]) for n in range(count)]


def test_qutip():
    """24 random machines (1e-9)."""
    worst, compared = against_qutip(draw(24, 100))
    assert compared == 24
    assert worst <= 1e-9


@pytest.mark.slow
def test_qutip_many():
    """240 random machines (1e-9)."""
    worst, compared = against_qutip(draw(240, 200))
    assert compared == 240
    assert worst <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4, 4), (6, 2)], ids=str)
def test_qutip_larger(shape):
    """Four and six levels, degenerate ones included (1e-9)."""
    worst, compared = against_qutip(machines(*shape))
    assert compared >= 3
    assert worst <= 1e-9


@pytest.mark.parametrize("shape", [(3, 2), pytest.param((4, 4), marks=pytest.mark.slow)], ids=str)
def test_reference(shape):
    """Liouvillian, state and currents of the NumPy reference, degenerate spectra included."""
    systems = machines(*shape)
    for system, seen in zip(systems, observed(systems), strict=True):
        hamiltonian, couplings, *vectors = system
        if np.any(np.abs(np.diff(np.linalg.eigvalsh(hamiltonian)) - 1e-11) < 1e-12):
            continue  # the two divide the noise of a nearly equal pair differently
        dense = Davies(hamiltonian, list(zip(couplings, *vectors, strict=True)))
        scale = np.abs(dense.liouvillian).max()
        assert np.abs(seen["liouvillian"] - dense.liouvillian).max() <= 1e-12 * scale
        if seen["kernel"] == 1:
            np.testing.assert_allclose(seen["rho"], dense.steady_state(), rtol=0, atol=1e-10)
            np.testing.assert_allclose(seen["heat"], dense.heat_currents(), rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:JAX computes in single precision")
def test_single_precision():
    """float32 end to end: populations to 5e-6, currents to 1e-4 of the largest."""
    systems = [random_machine(np.random.default_rng(n), 3, 2, [0.0, 1.0, 2.3]) for n in range(4)]
    double = observed(systems)
    with jax.enable_x64(False):
        program = jax.jit(jax.vmap(lambda *leaves: {k: v for k, v in observe(*leaves).items() if k != "liouvillian"}))
        stacks = [np.stack(leaf) for leaf in zip(*systems, strict=True)]
        narrow = [jnp.asarray(x.astype(np.complex64 if np.iscomplexobj(x) else np.float32)) for x in stacks]
        single = jax.tree.map(np.asarray, program(*narrow))
    assert single["populations"].dtype == np.float32
    for n, seen in enumerate(double):
        np.testing.assert_allclose(single["populations"][n], seen["populations"], rtol=0, atol=5e-6)
        np.testing.assert_allclose(single["heat"][n], seen["heat"], rtol=0, atol=1e-4 * np.abs(seen["heat"]).max())
        assert single["status"][n] == seen["status"]


def test_noise_of_the_reference():
    """The γ(ω) used here as a reference obeys KMS."""
    w = np.array([0.3, 1.0, 4.0])
    up, down = ohmic_noise(-w, 0.1, 5.0, 0.7), ohmic_noise(w, 0.1, 5.0, 0.7)
    np.testing.assert_allclose(up, np.exp(-w / 0.7) * down, rtol=1e-14)
