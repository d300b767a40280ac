"""Integrals over the whole line and Fourier integrals at any time, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdbjax.numerics.filon import panels

CORNER, WIDTH = 0.7, 0.03


@jax.jit
def transforms(time):
    """∫f e^{-iωt}dω of a kink e^{-|ω - a|}, a bell and a narrow Lorentzian, all at one corner."""
    line = panels([jnp.asarray(CORNER), jnp.asarray(0.0)], jnp.ones(()))
    x = line.nodes
    kink = jnp.exp(-jnp.abs(x - CORNER))
    bell = jnp.exp(-0.5 * x**2)
    peak = WIDTH / ((x - CORNER) ** 2 + WIDTH**2)
    return line.fourier(jnp.stack([kink, bell, peak]), time)


@pytest.mark.parametrize("time", [0.0, 0.2, -3.0, 40.0, 1e4])
def test_fourier(time):
    """However fast e^{-iωt} turns (1e-13)."""
    turn = np.exp(-1j * CORNER * time)
    wanted = [
        turn * 2 / (1 + time**2),
        np.sqrt(2 * np.pi) * np.exp(-0.5 * time**2),
        turn * np.pi * np.exp(-WIDTH * abs(time)),
    ]
    np.testing.assert_allclose(transforms(time), wanted, rtol=0, atol=1e-12)


def test_integrals_and_steps():
    """∫f dω, infinite where it diverges; which functions jump at a corner."""
    line = panels([jnp.zeros(())], jnp.ones(()))
    x = line.nodes
    kink, endless = jnp.exp(-jnp.abs(x)), 1 / (1 + jnp.abs(x))
    step = jnp.where(x > 0, kink, 0.0)
    np.testing.assert_allclose(line.integrals(jnp.stack([kink, endless, step])), [2.0, np.inf, 1.0], rtol=1e-13)
    np.testing.assert_array_equal(line.steps(jnp.stack([kink, step])), [False, True])
    np.testing.assert_allclose(np.sum(np.asarray(line.weights * kink)), 2.0, rtol=1e-13)
    assert np.isposinf(np.real(line.fourier(endless[None], jnp.zeros(())))[0])
