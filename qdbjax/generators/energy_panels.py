"""Quadrature over the energy of a collision: panels between thresholds, double-exponential rules on each.

Rates, t matrices and their derivatives have square roots at every threshold E_j, and, for weak coupling, a pole just
beyond it; an attractive potential binds particles in closed channels, which gives resonances at E_j - (m u)²/2m. All
of them are ends of panels, so that each rule integrates a function that is analytic inside its panel. The number of
panels is fixed, because shapes must not depend on values: where two ends coincide (crossing levels, no resonance) a
panel has length 0. It adds 0 to the integral, but not to its derivative by the ends, so its nodes are kept.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Complex, Float, RealVector
from qdbjax.baths import Gas
from qdbjax.generators.scattering_matrix import resolvents, wave_numbers
from qdbjax.numerics.double_exponential import decaying, unit_interval
from qdbjax.numerics.matrix import LayoutMatrix


class Nodes(NamedTuple):
    """Nodes of a quadrature over the energy E.

    distances: E - E_j from every threshold (node, *thresholds), energy.
    weights: (node,), energy.
    signs: ±1 alternating along each panel (node,), for an error estimate from every other node.
    """

    distances: Array
    weights: Float[Array, " node"]
    signs: np.ndarray


def nodes_between(ends: Float[Array, " end"], thresholds: Array, temperature: Array) -> Nodes:
    """Nodes on the panels between ascending ends, and from the last end to infinity, where functions fall as e^{-E/T}.

    No threshold lies inside a panel: its distance from a node is that of the nearer end plus the node's distance from
    this end, without cancellation. Nodes come much closer to the ends than the values need, for derivatives in
    which a threshold moves relative to the end of a panel, as where degenerate levels split.
    """
    dtype, dims = thresholds.dtype, thresholds.ndim
    spread = lambda values: values.reshape(*values.shape, *[1] * dims)  # noqa: E731
    x, rest, weight = (jnp.asarray(values, dtype)[None] for values in unit_interval())
    start, end = ends[:-1, None], ends[1:, None]
    length = end - start
    close, smallest = float(jnp.finfo(dtype).eps) ** 1.5 * temperature, float(jnp.finfo(dtype).tiny)
    # d/dl of ∫ f over a panel of length l → 0 is f at its place: nodes of a panel without length stay within
    # `close` of it, so that the weights' derivative finds the value of f there.
    reach = jnp.where(length > 0, length, close)
    here = thresholds[None, None]
    up = (spread(start) - here) + spread(jnp.maximum(reach * x, smallest))
    down = -((here - spread(end)) + spread(jnp.maximum(reach * rest, smallest)))
    within = jnp.where(here <= spread(start), up, down)
    y, tail = (jnp.asarray(values, dtype) for values in decaying())
    beyond = (ends[-1] - thresholds)[None] + spread(temperature * y)
    signs = np.concatenate([np.tile((-1.0) ** np.arange(x.shape[1]), len(length)), (-1.0) ** np.arange(len(y))])
    return Nodes(
        jnp.concatenate([within.reshape(-1, *thresholds.shape), beyond]),
        jnp.concatenate([(length * weight).reshape(-1), temperature * tail]),
        signs,
    )


def resonances(energies: RealVector, potential: Complex[Array, "d d"], gas: Gas) -> RealVector:
    """Energy at which each channel j binds a particle, E_j - Re(m u_j)²/2m; E_j if it does not. Shape (d,).

    Eliminating all other channels from W^{-1} = K + imV (Schur complement, 1/W_jj) leaves k_j + imu_j, with u_j the
    effective potential of channel j. A δ potential u < 0 in one dimension binds at k = -imu, the zero of it. u_j
    depends on E: three fixed-point rounds put E within the width of the resonance, which is all that a panel's end
    needs. Derivatives are those of the thresholds alone.
    """
    differentiable, fixed = energies, jax.lax.stop_gradient
    energies, potential, mass = fixed(energies), fixed(potential), fixed(gas.mass)
    where = energies
    binding = jnp.zeros_like(energies)
    for _ in range(3):
        real, imaginary = wave_numbers(where[:, None] - energies[None, :], mass)
        own = np.eye(energies.shape[0], dtype=bool)  # [channel, for j]: its own wave number is put to 1
        real, imaginary = jnp.where(own, 1.0, real.T), jnp.where(own, 0.0, imaginary.T)
        w = resolvents(real, imaginary, LayoutMatrix.of(potential, samples=1), mass).array(potential.dtype)
        each = np.arange(energies.shape[0])
        bound = (1 / w[each, each, each] - 1) / 1j
        square = jnp.real(bound * bound)
        binding = jnp.where((jnp.real(bound) < 0) & (square > 0), square / (2 * mass), 0.0)
        where = energies - binding
    return differentiable - jnp.where(jnp.isfinite(binding), binding, 0.0)
