"""Lamb shift of the universal equation, and derivatives of both Lamb shifts where levels are degenerate."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from reference import differences
from reference.random_matrices import random_hermitian

import qdbjax as qdb
from qdbjax.baths import lamb_matrix, shared_lamb_shift

RNG = np.random.default_rng(11)
FIRST, SECOND, PUSH = (random_hermitian(RNG, 3) for _ in range(3))
BASIS = np.linalg.eigh(random_hermitian(RNG, 3))[1]
LEVELS = np.array([0.0, 1.0, 1.0])


def bath(density=qdb.Ohmic, coupling=FIRST, name=None):
    return qdb.Bath(coupling, density(0.02, 5.0), temperature=0.7, name=name)


def noise(omega):
    """The Ohmic γ(ω) with 30 digits."""
    omega = mpmath.mpf(omega)
    thermal = omega / -mpmath.expm1(-omega / mpmath.mpf("0.7")) if omega != 0 else mpmath.mpf("0.7")
    return 2 * mpmath.pi * mpmath.mpf("0.02") * thermal * mpmath.exp(-abs(omega) / 5)


shared = jax.jit(lambda p, q: shared_lamb_shift(bath(), p, q)[0])


@pytest.mark.parametrize(("p", "q"), [(0.7, -0.4), (-0.3, 0.9), (0.0, 1.0), (0.5, 0.5)])
def test_two_transitions_in_one_operator(p, q):
    """F(p, q) against adaptive quadrature; F(ω, ω) = s(ω)."""

    def difference(u):
        return mpmath.sqrt(noise(p - u) * noise(q - u)) - mpmath.sqrt(noise(p + u) * noise(q + u))

    edges = sorted({0.0, abs(p), abs(q), 2.0, 10.0, 50.0, 400.0})
    with mpmath.workdps(25):
        expected = mpmath.quad(lambda u: difference(u) / u, edges) / (2 * mpmath.pi)
    found = np.asarray(shared(np.array([p]), np.array([q])))[0]
    assert abs(found - float(expected)) < 1e-13
    if p == q:
        assert abs(found - np.asarray(lamb_matrix(bath(), jnp.asarray([p])))[0, 0, 0]) < 1e-15


@pytest.mark.parametrize("levels", [[0.0, 0.4, 1.1], [0.0, 1.0, 1.0]])
def test_the_sum_over_transitions(levels):
    """⟨m|H_LS|n⟩ written out, in the basis of the Hamiltonian."""
    levels = np.array(levels)
    hamiltonian = (BASIS * levels) @ BASIS.conj().T
    pair = [bath(name="a"), bath(coupling=SECOND, name="b")]
    found = qdb.universal_lindblad(hamiltonian, pair, lamb_shift=True).lamb_shift
    expected = np.zeros((3, 3), complex)
    for coupling in (FIRST, SECOND):
        framed = BASIS.conj().T @ coupling @ BASIS
        for low in range(3):
            p, q = (np.ravel(x) for x in np.meshgrid(levels - levels[low], levels - levels[low], indexing="ij"))
            table = np.asarray(shared(p, q)).reshape(3, 3)
            expected += table * np.outer(framed[low].conj(), framed[low])
    np.testing.assert_allclose(found, BASIS @ expected @ BASIS.conj().T, rtol=0, atol=1e-13)


def pushed(x):
    hamiltonian = (BASIS * LEVELS) @ BASIS.conj().T + jnp.asarray(x).astype(complex) * PUSH
    return 0.5 * (hamiltonian + hamiltonian.conj().T)


@pytest.mark.slow
def test_universal_currents_through_a_crossing():
    """A smooth cutoff: the derivative at degenerate levels is that of the differences across the crossing."""

    def currents(x):
        pair = [bath(qdb.DrudeLorentz, name="a"), bath(qdb.DrudeLorentz, SECOND, "b")]
        pair[1] = qdb.Bath(SECOND, pair[1].spectral_density, temperature=1.4, name="b")
        generator = qdb.universal_lindblad(pushed(x), pair, lamb_shift=True)
        return qdb.heat_currents(generator, qdb.steady_state(generator))

    value, slope = jax.jit(currents), jax.jit(jax.jacfwd(currents))(0.0)
    np.testing.assert_allclose(slope, differences.slope(value, 0.0, 1e-4), rtol=1e-7)
    assert abs(float(slope[0] + slope[1])) > 1e-4  # H_LS does not commute with H: heat does not add up to zero


def test_davies_shift_inside_a_level():
    """dH_LS/dx with the two equal levels kept as one cluster, against differences of the sum written in NumPy."""
    cluster = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 1]], bool)

    def written_out(x):
        energies, basis = np.linalg.eigh(np.asarray(pushed(x)))
        framed = basis.conj().T @ FIRST @ basis
        frequencies = jnp.asarray(energies[None, :] - energies[:, None])
        shift = np.asarray(smooth(frequencies))  # [l, m] at E_m - E_l
        dressed = framed.conj().T @ (shift * framed)
        dressed = 0.5 * (dressed + dressed.conj().T) * cluster
        return basis @ dressed @ basis.conj().T

    smooth = jax.jit(lambda x: lamb_matrix(bath(qdb.DrudeLorentz), x)[0, 0])
    found = jax.jit(jax.jacfwd(lambda x: qdb.davies(pushed(x), bath(qdb.DrudeLorentz), lamb_shift=True).lamb_shift))(
        0.0
    )
    np.testing.assert_allclose(found, differences.slope(written_out, 0.0, 1e-3), rtol=0, atol=1e-9)
    assert np.abs(found).max() > 1e-3
