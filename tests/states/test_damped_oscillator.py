"""The damped oscillator against digamma sums in sixty digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from qdbjax import states


def difference(function, step):
    """Central difference of fourth order at 0."""
    f = lambda n: np.asarray(function(n * step))  # noqa: E731
    return (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * step)


def by_digamma(frequency, damping, cutoff, temperature, mass):
    """⟨x²⟩ and ⟨p²⟩ by partial fractions and digamma functions, in sixty digits."""
    with mpmath.workdps(60):
        frequency, damping, cutoff, temperature, mass = (
            mpmath.mpf(float(x)) for x in (frequency, damping, cutoff, temperature, mass)
        )
        spring, h = frequency**2, 2 * mpmath.pi * temperature
        cubic = mpmath.matrix([[0, 1, 0], [0, 0, 1], [-spring * cutoff, -spring - damping * cutoff, -cutoff]])
        roots = mpmath.eig(cubic, left=False, right=False)

        def summed(top):
            parts = []
            for n, root in enumerate(roots):
                others = [root - other for k, other in enumerate(roots) if k != n]
                parts.append(top(root) / mpmath.fprod(others) * mpmath.digamma(1 - root / h))
            return -mpmath.re(mpmath.fsum(parts)) / h

        x2 = temperature / mass * (1 / spring + 2 * summed(lambda z: cutoff + z))
        p2 = mass * temperature * (1 + 2 * summed(lambda z: spring * (cutoff + z) + damping * cutoff * z))
        return x2, p2


TRIPLE = 8 / np.sqrt(27), np.sqrt(27)  # damping and cutoff at which the roots are one, -√3 (ω₀ = 1)
OSCILLATORS = {
    "underdamped": (1.0, 0.3, 5.0, 0.5, 1.0),
    "overdamped": (1.0, 20.0, 100.0, 0.3, 2.0),
    "triple": (1.0, *TRIPLE, 0.2, 1.0),
    "cold": (1.0, 0.7, 30.0, 1e-4, 1.0),
    "hot": (0.2, 0.1, 3.0, 500.0, 0.3),
    "wide band": (1.0, 0.2, 1e6, 0.1, 1.0),
    "undamped": (1.3, 0.0, 4.0, 0.5, 2.0),
}
oscillator = jax.jit(
    jax.vmap(lambda w, g, c, t, m: states.damped_oscillator(w, damping=g, cutoff=c, temperature=t, mass=m))
)
variances = jax.jit(
    jax.vmap(
        jax.jacrev(
            lambda w, g, c, t, m: jnp.stack(
                jax.tree.leaves(states.damped_oscillator(w, damping=g, cutoff=c, temperature=t, mass=m))[:2]
            ),
            (0, 1, 2, 3, 4),
        )
    )
)


def test_damped_oscillator():
    """Variances (1e-12), Ω* and M* and their defining relations, at real, complex and equal roots."""
    given = np.array(list(OSCILLATORS.values())).T
    found = oscillator(*given)
    for n, numbers in enumerate(OSCILLATORS.values()):
        x2, p2 = by_digamma(*numbers)
        np.testing.assert_allclose(found.position_variance[n], float(x2), rtol=1e-12)
        np.testing.assert_allclose(found.momentum_variance[n], float(p2), rtol=1e-12)
        frequency = float(2 * numbers[3] * mpmath.acoth(2 * mpmath.sqrt(x2 * p2)))
        np.testing.assert_allclose(found.frequency[n], frequency, rtol=1e-11)
        np.testing.assert_allclose(found.mass[n], float(mpmath.sqrt(p2 / x2)) / frequency, rtol=1e-11)
    np.testing.assert_allclose([found.frequency[-1], found.mass[-1]], [1.3, 2.0], rtol=1e-12)


def test_damped_oscillator_derivatives():
    """Of both variances, by differences of the digamma sums."""
    given = np.array(list(OSCILLATORS.values()))
    found = np.stack(variances(*given.T), axis=-1)  # (case, variance, argument)
    assert np.all(np.isfinite(found))
    for case in (0, 1, 2, 4):
        for argument in range(5):
            step = 1e-3 * given[case, argument]
            sums = lambda s: np.array([float(x) for x in by_digamma(*(given[case] + s * np.eye(5)[argument]))])  # noqa: B023, E731
            np.testing.assert_allclose(found[case, :, argument], difference(sums, step), rtol=1e-8, atol=1e-9)


def test_inverse_temperature():
    given = {"damping": 0.3, "cutoff": 5.0}
    found = states.damped_oscillator(1.0, inverse_temperature=4.0, **given)
    assert found.frequency == states.damped_oscillator(1.0, temperature=0.25, **given).frequency
    with pytest.raises(ValueError, match="give exactly one of temperature and inverse_temperature"):
        states.damped_oscillator(1.0, temperature=0.25, inverse_temperature=4.0, **given)
    with pytest.raises(ValueError, match=r"inverse_temperature must be > 0 and finite; got -1\.0"):
        states.damped_oscillator(1.0, inverse_temperature=-1.0, **given)
