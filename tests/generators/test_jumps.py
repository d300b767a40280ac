"""Jump superoperators of any operators and dressed partners, few channels and many."""

import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_matrices import random_hermitian

from qdbjax.generators.jumps import SUMMED, jump_superoperator


@pytest.mark.parametrize("channels", [1, SUMMED, SUMMED + 1])
def test_symmetrised_jumps(rng, channels):
    """½ Σ (RρS† + SρR†) where R is no multiple of S, against products of matrices."""
    s, r = rng.normal(size=(2, channels, 3, 3)) + 1j * rng.normal(size=(2, channels, 3, 3))
    rho = random_hermitian(rng, 3)
    half = sum(b @ rho @ a.conj().T for a, b in zip(s, r, strict=True))
    found = jnp.einsum("nmlk,lk->nm", jump_superoperator(jnp.asarray(s), jnp.asarray(r)), rho)
    np.testing.assert_allclose(found, 0.5 * (half + half.conj().T), rtol=0, atol=1e-13)
