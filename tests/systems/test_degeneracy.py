"""Which levels count as one, and what that decides."""

import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from programs import observed, three_levels
from reference.lindblad import Davies
from reference.machines import links

import qdbjax as qdb
from qdbjax import Status
from qdbjax.systems import degeneracy


@pytest.mark.parametrize("factor", [1 - 1e-3, 1 + 1e-3])
def test_gap_at_the_tolerance(factor):
    """Levels at tolerance·(1 ± 1e-3): one level or two, and right for what they count as."""
    gap = 1e-8 * factor * 2.3
    couplings = [np.diag([1.0, 0.2, 0.1]) + 0.3, links((0, 1, 0.4), (1, 2))]
    energies = np.array([0.0, gap, 2.3])
    (seen,) = observed([three_levels(*couplings, energies=energies)])
    baths = [(s, 0.02, 8.0, t) for s, t in zip(couplings, (1.0, 0.4), strict=True)]
    dense = Davies(np.diag(energies), baths, 1e-8 * 2.3)
    np.testing.assert_allclose(seen["rho"], dense.steady_state(), rtol=0, atol=1e-7)
    np.testing.assert_allclose(seen["heat"], dense.heat_currents(), rtol=0, atol=1e-9)
    coherent = np.abs(seen["rho"][0, 1]) > 1e-4
    assert coherent == (factor < 1)
    assert bool(seen["status"] & Status.NEAR_DEGENERATE) == (factor > 1)


def test_near_degeneracy_is_flagged():
    """Close levels that baths excite in different phases: flagged, with the numbers kept."""
    couplings = [links((0, 2), (1, 2)), links((0, 2), (1, 2, -1.0))]
    wide, narrow = observed([three_levels(*couplings, energies=[0.0, gap, 2.3]) for gap in (0.9, 1e-4)])
    assert wide["status"] == 0
    assert narrow["status"] == Status.NEAR_DEGENERATE
    assert np.all(np.isfinite(narrow["populations"]))


PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
import qdbjax as qdb

d = int(sys.argv[1])
bath = qdb.Bath(np.ones((d, d)), qdb.Ohmic(0.01, 5.0), temperature=1.0)
excited = lambda h: qdb.steady_state(qdb.davies(h, bath)).populations[1]
energies = np.arange(d) * 1.1 ** np.arange(d)
grad = jax.jit(jax.grad(excited))(jnp.diag(jnp.array(energies)))
weights = np.exp(-energies)
p = weights / weights.sum()
wanted = p[1] * p
wanted[1] -= p[1]
np.testing.assert_allclose(np.diag(grad), wanted, rtol=1e-9, atol=1e-13)
"""


@pytest.mark.slow
@pytest.mark.parametrize("d", [5, 8, 16])
def test_gradient(d):
    """dp₁/dE_k = p₁(p_k - δ_1k) of a thermal state, d levels and one bath, in a process of its own.

    LLVM could not select an instruction for the comparison of eight int32 labels on machines with AVX-512 (jaxlib
    0.10): a compiler that aborts would take the tests along.
    """
    command = [sys.executable, "-c", PROGRAM, str(d)]
    root = pathlib.Path(qdb.__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize(
    ("offset", "tolerance"), [(0.0, 1e-8 + 32 * 2.0**-52), (1e8, 1e-8 + 32 * 2.0**-52 * (1e8 + 1))]
)
def test_tolerance(offset, tolerance):
    """1e-8 of the width plus 32 eps of the largest energy; twice that between Bohr frequencies."""
    found = degeneracy.tolerance(jnp.array([offset, offset + 1.0]))
    np.testing.assert_allclose(found, tolerance, rtol=1e-12)


@pytest.mark.parametrize("miss", [1.9e-8, 2.1e-8])
def test_frequencies_at_the_tolerance(miss):
    """Spacings ½ and ½ + miss in a spectrum of width 1: one frequency below 2e-8, two above."""
    energies = jnp.array([0.0, 0.5, 1.0 + miss])
    assert bool(degeneracy.any_equal_frequencies(energies)) == (miss < 2e-8)
