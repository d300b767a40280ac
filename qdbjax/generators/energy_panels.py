"""Energies at which collisions are looked at: panels between thresholds, with nodes that crowd at both ends.

Rates, t matrices and their derivatives have square roots at every threshold E_j, and, for weak coupling, a pole just
beyond it; an attractive potential binds particles in closed channels, which shows as resonances at E_j - (m u)²/2m. All
of them are ends of panels, so that the double-exponential rules see analytic functions. Panels of no length (crossing
levels, no resonance) keep their nodes at weight 0, whose derivative counts: shapes do not depend on values.
"""

import itertools
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
    """Distances E - E_0 of nodes from thresholds (node, *thresholds), weights, and signs that alternate."""

    distances: Array
    weights: Float[Array, " node"]
    signs: np.ndarray


def nodes_between(ends: list[Array], thresholds: Array, temperature: Array) -> Nodes:
    """Panels between ascending ends, and from the last one to infinity, where functions fall as e^{-E/T}.

    No threshold lies inside a panel: distances to it add up from its nearer end, without cancellation. Nodes go deep
    for derivatives in which a threshold moves against the end of a panel, as where degenerate levels split.
    """
    dtype, dims = thresholds.dtype, thresholds.ndim
    spread = lambda values: values.reshape(-1, *[1] * dims)  # noqa: E731
    x, rest, weight = (jnp.asarray(values, dtype) for values in unit_interval(deep=True))
    close, smallest = float(jnp.finfo(dtype).eps) ** 1.5 * temperature, float(jnp.finfo(dtype).tiny)
    distances, weights, signs = [], [], []
    for start, end in itertools.pairwise(ends):
        length = end - start
        # The derivative of a panel of no length is that of its length times the function there: nodes stay close by.
        reach = jnp.where(length > 0, length, close)
        up = (start - thresholds)[None] + spread(jnp.maximum(reach * x, smallest))
        down = -((thresholds - end)[None] + spread(jnp.maximum(reach * rest, smallest)))
        distances.append(jnp.where((thresholds <= start)[None], up, down))
        weights.append(length * weight)
        signs.append((-1.0) ** np.arange(len(x)))
    x, weight = (jnp.asarray(values, dtype) for values in decaying())
    distances.append((ends[-1] - thresholds)[None] + spread(temperature * x))
    weights.append(temperature * weight)
    signs.append((-1.0) ** np.arange(len(x)))
    return Nodes(jnp.concatenate(distances), jnp.concatenate(weights), np.concatenate(signs))


def resonances(energies: RealVector, potential: Complex[Array, "d d"], gas: Gas) -> RealVector:
    """Where channel j binds a particle, E_j - Re(m u_j)²/2m with u_j its effective potential; E_j if it does not.

    (W^{-1})_jj eliminated of all other channels is k_j + imu_j; three rounds put E within the width of the resonance.
    """
    live, fixed = energies, jax.lax.stop_gradient
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
    return live - jnp.where(jnp.isfinite(binding), binding, 0.0)
