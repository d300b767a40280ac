"""Gases: parameters out of range are refused with name and value."""

import numpy as np
import pytest

import qdbjax as qdb

V = np.diag([1.0, 0.7, 1.5])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"potential": V + np.triu(np.ones((3, 3)), 1)}, "potential must be Hermitian"),
        ({"potential": np.diag([1.0, np.inf, 1.0])}, "potential must be finite"),
        ({"potential": V * np.nan}, "potential must be finite"),
        ({"potential": V[:2]}, "potential must have shape"),
        ({"mass": 0.0}, "mass must be > 0 and finite; got 0.0"),
        ({"mass": -1.0}, "mass must be > 0 and finite; got -1.0"),
        ({"mass": [1.0, 2.0]}, "mass must be a single number"),
        ({"density": -0.1}, "density must be >= 0 and finite; got -0.1"),
        ({"density": np.nan}, "density must be >= 0 and finite; got nan"),
        ({"temperature": 0.0}, "temperature must be > 0 and finite; got 0.0"),
        ({"temperature": -2.0}, "temperature must be > 0 and finite; got -2.0"),
        ({"temperature": np.inf}, "temperature must be > 0 and finite; got inf"),
    ],
)
def test_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        qdb.Gas(**{"potential": V, "temperature": 1.0} | arguments)
