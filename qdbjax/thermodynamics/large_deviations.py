"""Rare fluctuations of what flows: scaled cumulant generating function, fluctuation theorem, what precision costs."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from qdbjax._checks import as_real
from qdbjax._types import Array, ArrayLike, Float, RealVector, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import Block, blocks, where_degenerate, whole_block
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.hermitian import real_matrix
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.matrix import batched_matmul
from qdbjax.numerics.perron import perron_eigenvalue
from qdbjax.numerics.products import dot
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike
from qdbjax.systems import Spectrum
from qdbjax.thermodynamics.counters import Counter, counter, stack_counters
from qdbjax.thermodynamics.counting import cumulants
from qdbjax.thermodynamics.counting_space import (
    jump_class_rates,
    jump_classes,
    jump_tensor,
    rate_scale,
)
from qdbjax.thermodynamics.currents import entropy_production


def _tilted_rates(generator: Generator, energy: RealVector, particles: RealVector) -> Array:
    """Rate matrix whose gains weigh e^{u_b (E_to - E_from) + v_b q}; the losses on its diagonal do not."""
    baths, charges = jump_classes(generator.jumps)
    energy_gain = -generator.spectrum.frequencies
    rates = jump_class_rates(generator.spectrum, generator.jumps, generator.rates)
    quanta = particles[baths] * jnp.asarray(charges, particles.dtype)
    weighed = rates * jnp.exp(energy[baths][:, None, None] * energy_gain[None] + quanta[:, None, None])
    between_levels = off_diagonal(generator.total_rates)
    losses = jnp.sum(between_levels, axis=0) + jnp.diagonal(jnp.sum(rates, axis=0))
    return jnp.sum(weighed, axis=0) - jnp.diag(losses)


def _tilted_block(spectrum: Spectrum, jumps: AbstractJumps, energy: RealVector, particles: RealVector) -> Scalar:
    """λ from the ω = 0 block, whose jump operators S become e^{½uB} S e^{-½uB}.

    B = diag(E) + M; the exponentials are expanded to first order in M, which is zero in value and has a derivative.
    """
    parts, whole = blocks(spectrum, jumps), whole_block(spectrum, jumps)
    dtype = whole.levels.dtype
    mixing, energy_gain = spectrum.mixing.astype(dtype), -spectrum.frequencies

    def weighed(block: Block, field: Scalar) -> Block:
        half, growth = (0.5 * field).astype(dtype), jnp.exp(0.5 * field * energy_gain).astype(dtype)[None]
        weigh = lambda x: growth * (x + half * (batched_matmul(mixing, x) - batched_matmul(x, mixing)))  # noqa: E731
        return Block(weigh(block.operators), weigh(block.dressed), block.levels, block.same, block.channels)

    change = jnp.zeros((mixing.shape[0],) * 4, dtype)
    for bath, charge in zip(*jump_classes(jumps), strict=True):
        block, weighed_block = parts[bath], weighed(parts[bath], energy[bath])
        gain = jnp.exp(particles[bath] * float(charge)).astype(dtype)
        change = change + gain * jump_tensor(weighed_block, jumps, bath, charge)
        change = change - jump_tensor(block, jumps, bath, charge)
    matrix = whole.matrix()
    outside = 1 - jnp.real(whole.same).reshape(-1)
    # Coherences outside the block are not part of it: a decay faster than all inside keeps them from being dominant.
    return perron_eigenvalue(
        matrix + real_matrix(change.reshape(matrix.shape)) - 2 * rate_scale(matrix) * jnp.diag(outside)
    )


@jit_if_eager
def _generating_function(generator: Generator, counters: Counter, fields: RealVector) -> Scalar:
    energy, particles = dot(fields, counters.energy), dot(fields, counters.particles)
    simple = perron_eigenvalue(_tilted_rates(generator, energy, particles))
    return where_degenerate(generator.spectrum, generator.jumps, _tilted_block, simple, energy, particles)


def generating_function(generator: Generator, counters: Counter | Sequence[Counter], fields: ArrayLike) -> Scalar:
    """Scaled cumulant generating function of what is counted, in the stationary state.

    λ(χ) = lim ln⟨e^{χ·X(t)}⟩/t, the dominant eigenvalue of the generator tilted by e^{χ·X}; convex, λ(0) = 0, its
    derivatives at 0 the cumulants.

    generator: of any kind.
    counters: one or several `counter`s, X positive into the system.
    fields: χ, a number, or one for each counter; inverse units of X.

    Returns a scalar, inverse time; differentiable to any order, at degenerate levels too (through the projector of the
    dominant eigenvalue, never an eigenvector). Raises ValueError unless there is one field a counter.
    *Source:* M. Esposito, U. Harbola, S. Mukamel, Rev. Mod. Phys. 81, 1665 (2009).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> hot_energy = qdb.thermodynamics.counter(generator, "energy", 0)
    >>> round(float(qdb.thermodynamics.generating_function(generator, hot_energy, 0.1)), 6)
    0.000769
    """
    many = [counters] if isinstance(counters, Counter) else list(counters)
    fields = jnp.atleast_1d(as_real(fields, "fields"))
    if fields.shape != (len(many),):
        raise ValueError(f"fields must hold one number for each of {len(many)} counters; got shape {fields.shape}.")
    return _generating_function(generator, stack_counters(many), fields)


def fluctuation_symmetry(generator: Generator, fields: ArrayLike) -> Float[Array, "..."]:
    """Violation of the fluctuation theorem by the entropy that the baths gain.

    λ(χ) - λ(-1 - χ): zero where every jump obeys local detailed balance with its bath (Gallavotti-Cohen symmetry); not
    for gases beyond the Born approximation.

    generator: of any kind.
    fields: χ, any shape, inverse nats.

    Returns an array of the shape of fields, inverse time. NaN for a local-KMS field, whose T has no one value.
    *Source:* J. L. Lebowitz and H. Spohn, J. Stat. Phys. 95, 333 (1999).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> bool(abs(qdb.thermodynamics.fluctuation_symmetry(generator, [0.1])).max() < 1e-12)
    True
    """
    fields = as_real(fields, "fields")
    gained = counter(generator, "entropy")
    violation = lambda x: generating_function(generator, gained, x) - generating_function(generator, gained, -1 - x)  # noqa: E731
    return jax.vmap(violation)(fields.reshape(-1)).reshape(fields.shape)


def fano_factor(
    generator: Generator, state: StateLike | None, bath: str | int | Counter, *, of: str = "particles"
) -> Scalar:
    """Noise over current.

    F = c_2/|c_1|: 1 for jumps of one quantum each that follow one another independently in one direction (Poisson),
    below 1 where they keep a distance, above 1 where they come in bunches or in both directions.

    generator: of any kind.
    state, bath, of: as for `cumulants`; by default particles are counted.

    Returns a scalar, units of what is counted. Diverges where the current vanishes and its noise does not, as at
    equilibrium; NaN where the state is flagged. Raises ValueError as `cumulants`.
    *Source:* U. Fano, Phys. Rev. 72, 26 (1947); Y. M. Blanter and M. Büttiker, Phys. Rep. 336, 1 (2000), for currents.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.thermodynamics.fano_factor(generator, None, 0, of="energy")), 3)
    2.094
    """
    mean, noise = cumulants(generator, state, bath, of=of, order=2)
    return noise / jnp.abs(mean)


def uncertainty_ratio(
    generator: Generator, state: StateLike | None, bath: str | int | Counter, *, of: str = "energy"
) -> Scalar:
    """What the precision of a current costs: thermodynamic uncertainty relation.

    Q = c_2 σ/(2 c_1²), σ the entropy production; Q >= 1 for classical Markov machines, while coherence between
    degenerate levels may go below.

    generator: of any kind.
    state, bath, of: as for `cumulants`.

    Returns a scalar without unit. NaN where the state is flagged, or a bath has no single temperature. Raises
    ValueError as `cumulants`.
    *Source:* A. C. Barato and U. Seifert, Phys. Rev. Lett. 114, 158101 (2015).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> bool(qdb.thermodynamics.uncertainty_ratio(generator, None, 0) >= 1)
    True
    """
    state = state_of(generator, state)  # solved for once
    mean, noise = cumulants(generator, state, bath, of=of, order=2)
    return noise * entropy_production(generator, state) / (2 * mean * mean)
