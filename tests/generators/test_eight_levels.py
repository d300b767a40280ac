"""Gradients of larger systems compile. In a process of its own: a compiler that aborts would take the tests along.

LLVM could not select an instruction for the comparison of eight int32 labels on machines with AVX-512 (jaxlib 0.10).
"""

import pathlib
import subprocess
import sys

import pytest

import qdbjax as qdb

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
    """dp₁/dE_k = p₁(p_k - δ_1k) of a thermal state, d levels and one bath."""
    command = [sys.executable, "-c", PROGRAM, str(d)]
    root = pathlib.Path(qdb.__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-500:]
