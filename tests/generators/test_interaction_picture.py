"""The frame that turns with the Bohr frequencies: what is left there is constant, and turns back into e^{tL}."""

import numpy as np
import pytest
import scipy.linalg
from reference.machines import SPECTRA, three_level_machine

from qdbjax.generators.interaction_picture import coherence_exponents, rotating_matrix

TIME = 7.0


@pytest.mark.parametrize("name", SPECTRA)
def test_turned_back(name):
    """e^{-iω̄t} e^{tM} is e^{tL} in the energy basis, of which each lone coherence is one number."""
    generator = three_level_machine((0.7, 1.5), SPECTRA[name])
    levels, jumps = generator.spectrum, generator.jumps
    turns = np.exp(-1j * np.asarray(levels.rotating_frame_frequencies).reshape(-1) * TIME)
    matrix = np.asarray(rotating_matrix(levels, jumps))
    found = turns[:, None] * scipy.linalg.expm(TIME * matrix)
    frame = np.kron(np.asarray(levels.basis), np.asarray(levels.basis).conj())
    wanted = frame.conj().T @ scipy.linalg.expm(TIME * np.asarray(generator.liouvillian())) @ frame
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    assert np.abs(matrix).max() < 0.5  # rates: nothing turns
    if name == "generic":
        alone = np.diagonal(wanted).reshape(3, 3)[np.triu_indices(3, 1)]
        exponents = np.asarray(coherence_exponents(levels, jumps))[np.triu_indices(3, 1)]
        np.testing.assert_allclose(np.exp(exponents * TIME), alone, rtol=1e-12)
