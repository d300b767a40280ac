"""Fields and leads: removal operators, chemical potentials, and how they print."""

import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import Status


@pytest.mark.parametrize(("potential", "flag"), [(1.5, Status.UNPHYSICAL_BATH), (1.0, Status.NONFINITE_INPUT)])
def test_potential_at_or_above_a_transition_is_flagged(potential, flag):
    """A boson field cannot hold μ ≥ ω at an ω that it exchanges; where nothing couples it may."""
    field = qdb.Field(qdb.sigma_minus(), qdb.Ohmic(0.01, 5.0), temperature=0.5, chemical_potential=potential)
    steady = qdb.steady_state(qdb.davies(qdb.models.qubit(1.0), field))
    assert int(steady.status) & flag and np.all(np.isnan(steady.populations))
    below = qdb.Field(qdb.sigma_minus(), qdb.Ohmic(0.01, 5.0), temperature=0.5, chemical_potential=0.9)
    assert int(qdb.steady_state(qdb.davies(qdb.models.qubit(1.0), below)).status) == 0
    # A level at μ that the field does not couple to: E = 0, 1, 2 with D = |0⟩⟨2| and μ = 1.
    blind = qdb.Field(qdb.transition(0, 2, 3), qdb.Ohmic(0.01, 5.0), temperature=0.5, chemical_potential=1.0)
    bath = qdb.Bath(np.ones((3, 3)) - np.eye(3), qdb.Ohmic(0.01, 5.0), temperature=0.5)
    assert int(qdb.steady_state(qdb.davies(qdb.models.three_level([0.0, 1.0, 2.0]), [blind, bath])).status) == 0


def test_refused():
    """Removal operators that do not remove one particle, and parameters out of range."""
    lead = qdb.Lead(qdb.fermion_destroy(0, 1).T, qdb.Flat(0.1), temperature=0.5)
    with pytest.raises(ValueError, match="must remove one particle"):
        qdb.davies(qdb.models.quantum_dot(0.3), lead)
    with pytest.raises(ValueError, match="chemical_potential must be finite; got inf"):
        qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.1), temperature=0.5, chemical_potential=np.inf)
    with pytest.raises(ValueError, match="exactly one of temperature and inverse_temperature"):
        qdb.Field(qdb.sigma_minus(), qdb.Ohmic(0.1, 5.0))


def test_printed():
    """Leads and fields say what they are."""
    lead = qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=0.3, chemical_potential=0.5, name="left")
    assert repr(lead) == "Lead('left', removal 2x2, Flat, temperature=0.3, chemical_potential=0.5)"
    local = qdb.Field(qdb.sigma_minus(), qdb.Ohmic(0.1, 5.0), inverse_temperature=lambda w: 1 + w)
    assert "inverse_temperature=β(ω)" in repr(local)


NUMBERS = np.array([-2.0, -0.7, -0.1, 0.2, 0.5, 1.0, 1.7, 2.5, 4.0, 7.0])


def test_noise_of_a_lead():
    """2πJ(1 - f) for D and 2πJ(-ω)f(-ω) for D†, at energies of either sign."""
    lead = qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.03), temperature=0.6, chemical_potential=0.4)
    filled = lambda energy: 1 / (np.exp((energy - 0.4) / 0.6) + 1)  # noqa: E731
    out, back = lead.noises(NUMBERS)
    np.testing.assert_allclose(out, 2 * np.pi * 0.03 * (1 - filled(NUMBERS)), rtol=1e-13)
    np.testing.assert_allclose(back, 2 * np.pi * 0.03 * filled(-NUMBERS), rtol=1e-13)


def test_noise_of_a_field():
    """2πJ(N + 1) at ω > 0 for D, 2πJ(-ω)N(-ω) at ω < 0 for D†, nothing elsewhere."""
    field = qdb.Field(qdb.sigma_minus(), qdb.Ohmic(0.03, 5.0), temperature=0.6, chemical_potential=-0.4)
    size = np.abs(NUMBERS)
    strength, quanta = 2 * np.pi * 0.03 * size * np.exp(-size / 5), 1 / np.expm1((size + 0.4) / 0.6)
    out, back = field.noises(NUMBERS)
    np.testing.assert_allclose(out, np.where(NUMBERS > 0, strength * (quanta + 1), 0.0), rtol=1e-13)
    np.testing.assert_allclose(back, np.where(NUMBERS < 0, strength * quanta, 0.0), rtol=1e-13)
