"""The block of equal frequencies against the dense kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import random_machine
from reference.lindblad import Davies
from reference.machines import ENERGIES

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
