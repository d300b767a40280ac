"""Rare fluctuations of what flows: scaled cumulant generating function, fluctuation theorem, what precision costs."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from qdbjax._types import Array, ArrayLike, Float, RealVector, Scalar, as_real
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import Block, blocks, where_degenerate, whole_block
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.hermitian import real_tensor
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.matrix import batched_matmul
from qdbjax.numerics.perron import perron_eigenvalue
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
    """Rates weighed with e^{u_b (E_to - E_from) + v_b q}, and what leaves unchanged on the diagonal."""
    baths, charges = jump_classes(generator.jumps)
    lift = -generator.spectrum.frequencies
    rates = jump_class_rates(generator.spectrum, generator.jumps, generator.rates)
    quanta = particles[baths] * jnp.asarray(charges, particles.dtype)
    weighed = rates * jnp.exp(energy[baths][:, None, None] * lift[None] + quanta[:, None, None])
    bare = off_diagonal(generator.total_rates)
    leaving = jnp.sum(bare, axis=0) + jnp.diagonal(jnp.sum(rates, axis=0))
    return jnp.sum(weighed, axis=0) - jnp.diag(leaving)


def _tilted_block(spectrum: Spectrum, jumps: AbstractJumps, energy: RealVector, particles: RealVector) -> Scalar:
    """λ from the ω = 0 block: S becomes e^{½uB} S e^{-½uB}, to first order in the mixing, which is zero in value."""
    parts, whole = blocks(spectrum, jumps), whole_block(spectrum, jumps)
    dtype = whole.levels.dtype
    mixing, lift = spectrum.mixing.astype(dtype), -spectrum.frequencies

    def weighed(block: Block, field: Scalar) -> Block:
        half, growth = (0.5 * field).astype(dtype), jnp.exp(0.5 * field * lift).astype(dtype)[None]
        weigh = lambda x: growth * (x + half * (batched_matmul(mixing, x) - batched_matmul(x, mixing)))  # noqa: E731
        return Block(weigh(block.operators), weigh(block.dressed), block.levels, block.same, block.channels)

    change = jnp.zeros((mixing.shape[0],) * 4, dtype)
    for bath, charge in zip(*jump_classes(jumps), strict=True):
        block, weighed_block = parts[bath], weighed(parts[bath], energy[bath])
        gain = jnp.exp(particles[bath] * float(charge)).astype(dtype)
        change = change + gain * jump_tensor(weighed_block, jumps, bath, charge)
        change = change - jump_tensor(block, jumps, bath, charge)
    still = whole.matrix()
    outside = 1 - jnp.real(whole.same).reshape(-1)
    # Coherences outside the block must decay faster than anything inside.
    return perron_eigenvalue(
        still + real_tensor(change).reshape(still.shape) - 2 * rate_scale(still) * jnp.diag(outside)
    )


@jit_if_eager
def _generating_function(generator: Generator, counters: Counter, fields: RealVector) -> Scalar:
    energy, particles = fields @ counters.energy, fields @ counters.particles
    simple = perron_eigenvalue(_tilted_rates(generator, energy, particles))
    return where_degenerate(generator.spectrum, generator.jumps, _tilted_block, simple, energy, particles)


def generating_function(generator: Generator, counters: Counter | Sequence[Counter], fields: ArrayLike) -> Scalar:
    """Scaled cumulant generating function, λ(χ) = lim ln⟨e^{χ·X(t)}⟩/t.

    The dominant eigenvalue of the generator tilted by e^{χ·X}; convex, λ(0) = 0, its derivatives at 0 the cumulants.
    counters: one or several `counter`s, X positive into the system; fields χ: a number, or one for each. A scalar,
    inverse time; differentiable to any order, at degenerate levels too (through its projector, never an eigenvector).
    *Source:* M. Esposito, U. Harbola, S. Mukamel, Rev. Mod. Phys. 81, 1665 (2009).
    """
    many = [counters] if isinstance(counters, Counter) else list(counters)
    fields = jnp.atleast_1d(as_real(fields, "fields"))
    if fields.shape != (len(many),):
        raise ValueError(f"fields must hold one number for each of {len(many)} counters; got shape {fields.shape}.")
    return _generating_function(generator, stack_counters(many), fields)


def fluctuation_symmetry(generator: Generator, fields: ArrayLike) -> Float[Array, "..."]:
    """Violation of the fluctuation theorem, λ(χ) - λ(-1 - χ) of the entropy that the baths gain.

    Zero where every jump obeys local detailed balance with its bath (Gallavotti-Cohen symmetry); not for gases beyond
    the Born approximation nor, where T has no one value, for local-KMS fields (NaN). fields χ: any shape; the same
    shape comes back, inverse time.
    *Source:* J. L. Lebowitz and H. Spohn, J. Stat. Phys. 95, 333 (1999).
    """
    fields = as_real(fields, "fields")
    gained = counter(generator, "entropy")
    violation = lambda x: generating_function(generator, gained, x) - generating_function(generator, gained, -1 - x)  # noqa: E731
    return jax.vmap(violation)(fields.reshape(-1)).reshape(fields.shape)


def fano_factor(
    generator: Generator, state: StateLike | None, bath: str | int | Counter, *, of: str = "particles"
) -> Scalar:
    """Noise over current, F = c_2/|c_1|: 1 for independent jumps of one quantum each. Arguments as for `cumulants`."""
    mean, noise = cumulants(generator, state, bath, of=of, order=2)
    return noise / jnp.abs(mean)


def uncertainty_ratio(
    generator: Generator, state: StateLike | None, bath: str | int | Counter, *, of: str = "energy"
) -> Scalar:
    """What precision costs, Q = c_2 Σ̇/(2 c_1²) with Σ̇ the entropy production; Q >= 1 for classical Markov machines.

    The thermodynamic uncertainty relation; coherences between degenerate levels may go below. Arguments as for
    `cumulants`.
    *Source:* A. C. Barato and U. Seifert, Phys. Rev. Lett. 114, 158101 (2015).
    """
    mean, noise = cumulants(generator, state, bath, of=of, order=2)
    return noise * entropy_production(generator, state) / (2 * mean * mean)
