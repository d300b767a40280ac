"""What every generator does."""

import numpy as np
import pytest

import qdbjax as qdb

OHMIC = qdb.Ohmic(0.05, 5.0)


def test_too_large_for_dense():
    """At d = 64 the Liouvillian is refused with its size and the alternative, and so is what needs it."""
    generator = qdb.davies(np.diag(np.arange(64.0) ** 1.5), qdb.Bath(np.ones((64, 64)), OHMIC, temperature=1.0))
    with pytest.raises(ValueError, match=r"dimension 64 takes 0.25 GiB.*steady_state"):
        generator.liouvillian()
    with pytest.raises(ValueError, match="dimension 64; the limit is"):
        qdb.asymptotic_state(generator, np.eye(64) / 64)


def test_state_of_another_shape():
    """What a generator is applied to."""
    generator = qdb.davies(np.diag([1.0, -1.0]), qdb.Bath(qdb.sigma_x(), OHMIC, temperature=1.0))
    with pytest.raises(ValueError, match=r"rho must have shape \(2, 2\)"):
        generator.apply(np.eye(3))
