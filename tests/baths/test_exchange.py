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
