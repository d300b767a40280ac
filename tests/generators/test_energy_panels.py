"""Integrals over collision energies: converged nodes, resonances at the ends of panels."""

import functools as ft
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import Status
from qdbjax.generators.low_density_equation import collision_rates
from qdbjax.numerics import double_exponential
from qdbjax.systems import diagonalize

TAU, LOCAL = -0.5 / np.sqrt(3), np.array([1.0, 0.7, 1.5])
OFF = ~np.eye(3, dtype=bool)


@ft.cache
def rates_by(step=1.0, blind=False):
    """Rates and their error over flux, 1/T and strength of V, with nodes so far apart; blind: not looking for poles."""
    module = sys.modules[collision_rates.__module__]

    @jax.jit
    def rates(flux, beta, strength):
        gas = qdb.Gas(strength * jnp.diag(jnp.asarray(LOCAL)), temperature=1 / beta)
        return collision_rates(diagonalize(qdb.models.three_dot_ring(TAU, flux)), gas)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(double_exponential, "STEP", double_exponential.STEP * step)
        if blind:
            patch.setattr(module, "resonances", lambda energies, *_: energies)
        rates(0.3, 1.0, 1.0)  # traced and compiled here
    return rates


@pytest.mark.parametrize("beta", [0.04, 0.4, 2.0, 10.0, 40.0])  # βΔE from 0.02 to 20
@pytest.mark.parametrize("flux", [0.75, 0.5, 0.499, 0.3])
def test_nodes_doubled(beta, flux):
    found, error = rates_by()(flux, beta, 1.0)
    finer, _ = rates_by(step=0.5)(flux, beta, 1.0)
    assert finer.shape == found.shape and not np.array_equal(finer, found)
    np.testing.assert_allclose(np.asarray(found)[OFF], np.asarray(finer)[OFF], rtol=1e-12)
    assert float(error) < 1e-12


@pytest.mark.parametrize(("strength", "accuracy"), [(-1.0, 1e-12), (-0.3, 1e-10), (-0.1, 1e-7)])
def test_resonances(strength, accuracy):
    """A weak attraction binds in closed channels: narrow resonances, at the ends of panels, or flagged."""
    found, error = rates_by()(0.75, 1.0, strength)
    finer, _ = rates_by(step=0.5)(0.75, 1.0, strength)
    np.testing.assert_allclose(np.asarray(found)[OFF], np.asarray(finer)[OFF], rtol=accuracy)
    # Without looking for them the same nodes are far off.
    blind, warned = rates_by(blind=True)(0.75, 1.0, strength)
    if strength == -0.1:
        assert np.abs(np.asarray(blind)[OFF] / np.asarray(finer)[OFF] - 1).max() > 1e-2
        assert float(warned) > 1e-5 and float(error) < 1e-3 * float(warned)


def test_an_unresolved_resonance_is_flagged():
    gas = qdb.Gas(-0.003 * np.diag(LOCAL), temperature=1.0)
    status = int(qdb.low_density(qdb.models.three_dot_ring(TAU, 0.75), gas).status)
    assert status & int(Status.INACCURATE_INTEGRAL) and "resonance" in qdb.explain(status)
