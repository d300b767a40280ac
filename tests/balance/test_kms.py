"""The KMS condition of a spectrum."""

import jax.numpy as jnp
import numpy as np
import pytest
from reference.machines import COUPLING

import qdbjax as qdb

BALANCE = qdb.balance
MATRIX = np.array([[1.0, 0.4 - 0.2j], [0.4 + 0.2j, 0.5]])


def test_kms_of_a_spectrum():
    """A bath obeys it, entries transposed; a field with its μ; β(ω) and measured noise do not."""
    frequencies = np.linspace(0.1, 3.0, 12)
    bath = qdb.Bath(
        np.stack([COUPLING, COUPLING @ COUPLING]), qdb.Ohmic(0.02, 6.0), temperature=0.7, correlation=MATRIX
    )
    check = BALANCE.kms_check(bath.noise_matrix, frequencies)
    assert check.holds and "holds at T = 0.7" in repr(check)
    np.testing.assert_allclose(check.inverse_temperatures, 1 / 0.7, rtol=1e-12)
    transposed = lambda x: jnp.where(x > 0, bath.noise_matrix(x), jnp.swapaxes(bath.noise_matrix(x), 0, 1))  # noqa: E731
    assert not BALANCE.kms_check(transposed, frequencies).holds
    assert not BALANCE.kms_check(bath.noise, frequencies, temperature=0.8).holds
    local = qdb.Bath(COUPLING, qdb.Ohmic(0.02, 6.0), inverse_temperature=lambda w: 1 + 0.5 * w)
    found = BALANCE.kms_check(local.noise, frequencies)
    assert not found.holds
    np.testing.assert_allclose(found.inverse_temperatures, 1 + 0.5 * frequencies, rtol=1e-12)
    shifted = lambda x: jnp.where(x > 0, 1.0, jnp.exp(-(jnp.abs(x) + 0.3) / 0.7))  # noqa: E731
    assert BALANCE.kms_check(shifted, frequencies, chemical_potential=-0.3).holds
    with pytest.raises(ValueError, match="frequencies must be positive"):
        BALANCE.kms_check(bath.noise, np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="noise must return"):
        BALANCE.kms_check(lambda x: jnp.ones((2, 3, 4)), frequencies)
