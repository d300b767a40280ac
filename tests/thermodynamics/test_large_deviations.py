"""Precision has its price."""

import jax
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.thermodynamics import (
    uncertainty_ratio,
)


@pytest.mark.slow
def test_precision_has_its_price():
    """Q >= 1 for the energy from every bath of 2000 random classical machines."""
    rng = np.random.default_rng(4)
    energies = np.sort(rng.uniform(0.0, 3.0, size=(2000, 3)), axis=1) + np.array([0.0, 0.1, 0.2])
    couplings = rng.normal(size=(2000, 2, 3, 3))
    temperatures = np.exp(rng.uniform(np.log(0.2), np.log(5.0), size=(2000, 2)))

    def ratio(levels, couplings, temperatures):
        baths = [
            qdb.Bath(couplings[n] + couplings[n].T, qdb.Ohmic(0.01, 10.0), temperature=temperatures[n], name=str(n))
            for n in range(2)
        ]
        generator = qdb.davies(qdb.models.three_level(levels), baths)
        return uncertainty_ratio(generator, qdb.steady_state(generator), 0)

    found = np.asarray(jax.jit(jax.vmap(ratio))(energies, couplings, temperatures))
    assert found.min() >= 1 - 1e-9 and np.median(found) > 1.001
