"""Three levels between two baths, some of them close, for generators that keep more than the secular terms."""

import jax.numpy as jnp
import numpy as np
from reference.random_matrices import random_hermitian

import qdbjax as qdb
from qdbjax import Status

STRENGTHS, TEMPERATURES, CUTOFF = (0.02, 0.03), (0.6, 1.4), 5.0
SPECTRA = [[0.0, 1.0, 1.05], [0.0, 1.0, 2.02], [0.0, 1.0, 2.3], [0.0, 0.03, 0.06], [0.0, 1.0, 1.0]]
LEVELS = np.array([0.0, 1.0, 1.0])
RNG = np.random.default_rng(4)
COUPLINGS = np.stack([random_hermitian(RNG, 3) for _ in range(2)])
BASIS = np.linalg.eigh(random_hermitian(RNG, 3))[1]
PUSH = random_hermitian(RNG, 3)  # splits LEVELS


def baths(strengths=STRENGTHS, temperatures=TEMPERATURES):
    return [
        qdb.Bath(coupling, qdb.Ohmic(strength, CUTOFF), temperature=temperature, name=str(n))
        for n, (coupling, strength, temperature) in enumerate(zip(COUPLINGS, strengths, temperatures, strict=True))
    ]


def rotated(energies):
    hamiltonian = (BASIS * jnp.asarray(energies)[None, :].astype(complex)) @ BASIS.conj().T
    return 0.5 * (hamiltonian + hamiltonian.conj().T)


def pushed(x):
    """The Hamiltonian of LEVELS, pushed."""
    hamiltonian = rotated(LEVELS) + jnp.asarray(x).astype(complex) * PUSH
    return 0.5 * (hamiltonian + hamiltonian.conj().T)


def readings(generator):
    steady = qdb.steady_state(generator)
    currents = qdb.heat_currents(generator, steady)
    return generator.liouvillian(), steady.density_matrix, steady.status, currents, generator.rates


def assert_stationary(found, flows=True):
    """Residual, positivity, first law."""
    liouvillian, rho, status, currents, _ = map(np.asarray, found)
    assert status & ~int(Status.NEAR_DEGENERATE) == 0
    assert np.abs(liouvillian @ rho.reshape(-1)).max() < 1e-13
    assert np.linalg.eigvalsh(rho).min() > 0 and abs(np.trace(rho) - 1) < 1e-13
    assert abs(currents.sum()) < 1e-13 and (currents[1] > 1e-5) == flows
