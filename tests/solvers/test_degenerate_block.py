"""The block of equal frequencies against the dense kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import random_machine
from reference.differences import slope
from reference.lindblad import Davies, block_state
from reference.machines import ENERGIES
from reference.random_matrices import random_hermitian, with_spectrum

import qdbjax as qdb

BATHS = tuple(zip((0.02, 0.02), (8.0, 8.0), (1.0, 0.4), strict=True))  # strength, cutoff, temperature


@pytest.mark.slow
def test_solvers_agree():
    """Auto, the ω = 0 block and the dense kernel on degenerate and generic spectra; populations where they suffice."""
    rng = np.random.default_rng(6)
    s = np.stack([random_machine(rng, 3, 1)[0] for _ in range(2)])

    @jax.jit
    @jax.vmap
    def all_of_them(energies):
        baths = [qdb.Bath(s[n], qdb.Ohmic(eta, cutoff), temperature=t) for n, (eta, cutoff, t) in enumerate(BATHS)]
        generator = qdb.davies(qdb.System(jnp.diag(energies)), baths)
        solvers = qdb.solvers.Auto(), qdb.solvers.DegenerateBlock(), qdb.solvers.Dense(), qdb.solvers.Populations()
        states = [qdb.steady_state(generator, solver) for solver in solvers]
        return [(state.density_matrix, state.kernel_dimension, state.residual) for state in states]

    spectra = np.array([ENERGIES, [0.0, 1.0, 1.0], [0.0, 1.0, 2.0], [0.5, 0.5, 0.5]])
    auto, block, dense, populations = jax.tree.map(np.asarray, all_of_them(jnp.asarray(spectra)))
    for other in (block, dense):
        np.testing.assert_allclose(other[0], auto[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(other[1], auto[1], rtol=0, atol=1e-9)
        assert np.all(other[2] < 1e-12)
    np.testing.assert_allclose(populations[0][[0, 2]], auto[0][[0, 2]], rtol=0, atol=1e-13)
    for found, energies in zip(auto[0], spectra, strict=True):
        dense = Davies(np.diag(energies), [(s[n], *BATHS[n]) for n in range(2)])
        np.testing.assert_allclose(found, dense.steady_state(), rtol=0, atol=1e-11)


# Six levels: none equal, one pair, two pairs, all pairs (twelve entries, as many as the short list has), and a triplet
# with a pair or four in one level, for which every entry is taken.
MULTIPLETS = [
    [0.0, 0.4, 0.9, 1.5, 2.2, 3.0],
    [0.0, 0.4, 0.4, 1.5, 2.2, 3.0],
    [0.0, 0.0, 0.9, 1.5, 2.2, 2.2],
    [0.0, 0.0, 0.9, 0.9, 2.2, 2.2],
    [0.0, 0.9, 0.9, 0.9, 2.2, 2.2],
    [0.7, 0.7, 0.7, 0.7, 1.9, 2.2],
]


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [[1, 2, 3, 0, 1, 3], [0, 1, 2, 3, 4, 5]], ids=["short list", "all entries"])
def test_short_list_and_all_entries(rng, chosen):
    """States, currents and their slopes against least squares, in batches that fit into the short list and not."""
    hamiltonians = with_spectrum(rng, np.array(MULTIPLETS)[chosen])
    couplings = random_hermitian(rng, 6, 2)

    def current(hot, hamiltonian):
        baths = [
            qdb.Bath(couplings[n], qdb.Ohmic(2e-4, 8.0), temperature=t, name=str(n)) for n, t in enumerate((hot, 0.4))
        ]
        generator = qdb.davies(hamiltonian, baths)
        state = qdb.steady_state(generator)
        return qdb.heat_currents(generator, state)[0], (state.density_matrix, state.status, state.residual)

    reverse = jax.vmap(jax.value_and_grad(current, has_aux=True), (None, 0))
    forward = jax.vmap(jax.jacfwd(lambda hot, h: current(hot, h)[0]), (None, 0))
    found, slopes = jax.jit(reverse)(1.0, jnp.asarray(hamiltonians))
    np.testing.assert_allclose(jax.jit(forward)(1.0, jnp.asarray(hamiltonians)), slopes, rtol=1e-11)

    def wanted(hot, hamiltonian):
        return block_state(hamiltonian, [(couplings[0], 2e-4, 8.0, hot), (couplings[1], 2e-4, 8.0, 0.4)])

    for k, hamiltonian in enumerate(hamiltonians):
        rho, heat = wanted(1.0, hamiltonian)
        np.testing.assert_allclose(found[1][0][k], rho, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found[0][k], heat[0], rtol=1e-11)
        differences = slope(lambda hot, h=hamiltonian: wanted(hot, h)[1][0], 1.0, 1e-3)
        np.testing.assert_allclose(slopes[k], differences, rtol=1e-6)
    assert not np.any(found[1][1]) and np.all(found[1][2] < 1e-13)
