"""What the secular approximation changes in a stationary state: the terms that it drops, to second order.

Between levels of different energies a weak-coupling generator also has coherences. With jump operators X of the
universal Lindblad equation, which keep all terms, populations p of the secular equation feed the coherence

    s_mn = Σ_X (X P X†)_mn - √p_m √p_n (X†X)_mn,        x_mn = s_mn/(Γ_mn + i(E_m - E_n)),    P = diag(p),

Γ_mn half the outflows of both levels. In the loss the mean of p_m and p_n is taken as geometric: s is then 0 at
equilibrium, to all orders, and differs elsewhere by the square of the difference. The coherences change populations by
f = diag(Σ_X X x X† - ½{X†X, x}), to which these answer by δp, W δp = -f, and the energy current of bath b by

    δJ_b = Σ_n E_n (f_b + W_b δp)_n.

Both steps are second order in rate over distance of levels; where the change is as large as the current itself it is no
longer its size that is right, but that it is large. Beside currents of the Redfield equation of 200 random systems
(`benchmarks/secular_error.py`) a flag at 5 % misses 8 of the 82 whose currents are wrong by more than 10 % (4 % of all)
and is false in 6.5 % of all; a flag for spacings below the fastest rate also missed 4 %, and was false in 25.5 %.
*Source:* the second-order elimination of fast coherences, H.-P. Breuer and F. Petruccione, The Theory of Open Quantum
Systems (2002), section 9.1 (projection operators); X: F. Nathan and M. S. Rudner, Phys. Rev. B 102, 115109 (2020).
"""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Matrix, Rates, RealVector, Scalar
from qdbjax.generators.bath_jumps import AbstractBathJumps
from qdbjax.generators.block import in_cells
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import Channels
from qdbjax.numerics.barrier import optimization_barrier_cond
from qdbjax.numerics.entries import stack, unstack
from qdbjax.numerics.linear_equations import solve_and_factorize
from qdbjax.numerics.markov import RateMatrix
from qdbjax.numerics.matrix import batched_matmul, dagger, entrywise, squared
from qdbjax.numerics.pairs import largest_over_pairs
from qdbjax.systems import Spectrum

DROPPED = 0.05  # a relative change of the currents by dropped terms above this one raises a flag
CLEAR = 0.04  # below, one system in fifty of those of which the estimate would be above DROPPED
TOGETHER = 512  # cells of up to four levels that are worked on together: 128 take 10 % of a sweep longer, 1024 as well
QUIET = 1e-10  # net currents below this part of the gross ones count as this part


def secular_error(generator: Generator, populations: RealVector) -> Scalar:
    """Largest change of an energy current by the terms that the secular step dropped, over the largest current.

    generator: one whose derivatives are not wanted.
    populations: p (d,), stationary.

    Where the largest (Γ_mn/(E_m - E_n))² is below `CLEAR`, and for collisions, that square, which costs nothing.
    """
    spectrum, jumps = generator.spectrum, generator.jumps
    outflows = ft.reduce(ft.partial(entrywise, jnp.add), unstack(generator.total_rates))
    ratio = lambda m, n: 0.5 * (m[0] + n[0]) / (m[1] - n[1])  # noqa: E731
    square = largest_over_pairs(lambda m, n: ratio(m, n) ** 2, ~spectrum.same_level, outflows, spectrum.energies)
    if not isinstance(jumps, AbstractBathJumps):
        return square
    return in_cells(square > CLEAR, _estimate, (spectrum, jumps, populations), square, TOGETHER)


def _estimate(spectrum: Spectrum, jumps: AbstractBathJumps, populations: RealVector) -> Scalar:
    # Each step is written down once for the next one; otherwise XLA computes √γ anew in every product (d = 3: a cell
    # took 4.5 µs in place of 0.6). Rates are |X|², which is less to hand over for every cell than to compute for a few.
    once = lambda step, *operands: optimization_barrier_cond(step, populations, *operands)  # noqa: E731
    amplitudes = once(_amplitudes, spectrum, jumps)
    rates, losses = once(_rates_and_losses, amplitudes)
    coherences = once(_dropped_coherences, spectrum, rates, amplitudes, losses, populations)
    changes = stack([_population_change(*each, coherences) for each in zip(amplitudes, losses, strict=True)])
    answer = _answer(jnp.sum(rates, axis=0), jnp.sum(changes, axis=0))
    lifts = -spectrum.frequencies[None]  # [to, from]: the energy that a transition takes from a bath
    flows = rates * populations[None, None, :]
    net, gross = jnp.sum(lifts * flows, axis=(1, 2)), jnp.sum(jnp.abs(lifts) * flows, axis=(1, 2))
    energies = spectrum.energies
    error = jnp.sum(energies[None] * changes, axis=1) + jnp.sum(lifts * rates * answer[None, None, :], axis=(1, 2))
    scale = jnp.max(jnp.abs(net)) + QUIET * jnp.max(gross)
    return jnp.where(scale > 0, jnp.max(jnp.abs(error)) / jnp.where(scale > 0, scale, 1.0), 0.0)


def _amplitudes(spectrum: Spectrum, jumps: AbstractBathJumps) -> tuple[Channels, ...]:
    """X of each bath, all of one type."""
    amplitudes = jumps.amplitudes(spectrum)
    dtype = np.result_type(*(X.dtype for X in amplitudes))
    return tuple(X.astype(dtype) for X in amplitudes)


def _rates_and_losses(amplitudes: tuple[Channels, ...]) -> tuple[Rates, list[Matrix]]:
    """Σ|X|² and Σ X†X of each bath; the diagonal of the rates is 0."""
    apart = 1 - np.eye(amplitudes[0].shape[-1], dtype=jnp.real(amplitudes[0]).dtype)
    rates = jnp.stack([jnp.sum(squared(X), axis=0) * apart for X in amplitudes])
    return rates, [jnp.sum(batched_matmul(dagger(X), X), axis=0) for X in amplitudes]


def _dropped_coherences(
    spectrum: Spectrum, rates: Rates, amplitudes: tuple[Channels, ...], losses: list[Matrix], populations: RealVector
) -> Matrix:
    """x_mn, zero inside a level, whose coherences are kept. losses: Σ X†X of each bath."""
    roots = jnp.sqrt(jnp.maximum(populations, 0.0))
    fed = [jnp.sum(batched_matmul(X * populations.astype(X.dtype)[None, None], dagger(X)), axis=0) for X in amplitudes]
    source = sum(fed) - sum(losses) * (roots[:, None] * roots[None, :]).astype(losses[0].dtype)
    outflows = jnp.sum(rates, axis=(0, 1))
    decay, distance = 0.5 * (outflows[:, None] + outflows[None, :]), -spectrum.frequencies
    # Divided factor by factor: energies in joule have no square in single precision.
    apart = ~spectrum.same_level
    size = jnp.where(apart, jnp.hypot(decay, distance), 1.0)
    weight = jnp.where(apart, 1 / size, 0.0)
    response = jax.lax.complex(decay / size * weight, -distance / size * weight)
    return source.astype(response.dtype) * response


def _population_change(amplitudes: Channels, loss: Matrix, coherences: Matrix) -> RealVector:
    """f = diag(Σ_X X x X† - ½{X†X, x}) of one bath."""
    # A real X sees the real part of x alone.
    x = coherences if jnp.iscomplexobj(amplitudes) else jnp.real(coherences)
    gain = jnp.sum(jnp.real(batched_matmul(amplitudes, x[None]) * amplitudes.conj()), axis=(0, 2))
    return gain - jnp.sum(jnp.real(loss * x.conj()), axis=1)


def _answer(rates: RateMatrix, change: RealVector) -> RealVector:
    """δp with W δp = -f and Σδp = 0, which takes the place of the row of the state that is left most slowly."""
    outflows = jnp.sum(rates, axis=0)
    size = jnp.max(outflows)
    size = jnp.where(size > 0, size, 1.0)
    row = jnp.arange(rates.shape[0]) == jnp.argmin(outflows)
    matrix = jnp.where(row[:, None], 1.0, (rates - jnp.diag(outflows)) / size)
    return solve_and_factorize(matrix, jnp.where(row, 0.0, -change / size))[0]
