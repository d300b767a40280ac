"""Correlation functions of baths in time, and memory times."""

import jax
import jax.numpy as jnp

from qdbjax._checks import as_made, as_real
from qdbjax._types import Array, ArrayLike, Scalar
from qdbjax.baths.abstract import AbstractBath
from qdbjax.baths.noise_integrals import finite_or_zero, has_no_cutoff, noise_panels, resolved
from qdbjax.compilation.eager import jit_if_eager


def bath_correlation(bath: AbstractBath, times: ArrayLike) -> Array:
    """Correlation function of a bath, C_ab(t) = ⟨B_a†(t)B_b(0)⟩ = ∫dω/2π γ_ab(ω) e^{-iωt}.

    bath: a Bath, Field or Lead.
    times: (time,), inverse energy, of either sign; C_ab(-t) = C_ba(t)*.
    Returns complex (k, k, time), energy², k the number of operators of the bath (D, then D† for fields and leads); a
    single coupling is [0, 0]. inf at t = 0 where the density falls off too slowly (Drude-Lorentz). The error is about
    1e-12 of C(0), or of the largest |C| among the times. Raises ValueError for a density without end (`Flat`, infinite
    cutoff), whose correlation is a δ function, and for one with structure that is not among its landmarks; where these
    are traced the result is NaN, and a sweep is told INACCURATE_INTEGRAL.
    *Source:* H.-P. Breuer and F. Petruccione, The Theory of Open Quantum Systems (2002), section 3.6.

    >>> bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=1.0)
    >>> qdb.baths.bath_correlation(bath, [0.0, 1.0]).round(4)
    Array([[[1.0287e+00+0.j   , 2.0000e-04-0.002j]]], dtype=complex128)
    """
    times, bath = as_real(times, "times"), as_made(bath)
    if times.ndim != 1:
        raise ValueError(f"times must be a vector; got shape {times.shape}.")
    _refuse_endless(bath)
    return resolved(bath, *_bath_correlation(bath, times))


@jit_if_eager
def _bath_correlation(bath: AbstractBath, times: Array) -> tuple[Array, Array]:
    line = noise_panels(bath, times.dtype)
    table = finite_or_zero(bath.noise_matrix(line.nodes))
    k = table.shape[0]
    values = table.reshape(k * k, *table.shape[2:]) / (2 * jnp.pi)

    def at(time):
        from_real = line.fourier(jnp.real(values), time)
        if not jnp.iscomplexobj(values):
            return from_real
        from_imaginary = line.fourier(jnp.imag(values), time)
        # Part by part: i·(∞ + 0i) would be NaN.
        return jax.lax.complex(from_real.real - from_imaginary.imag, from_real.imag + from_imaginary.real)

    size = jnp.sum(jnp.abs(values), axis=0, keepdims=True)
    error = jnp.where(jnp.isinf(bath.scale), jnp.nan, line.error(size)[0])
    return jax.lax.map(at, times).T.reshape(k, k, -1), error


def memory_time(bath: AbstractBath) -> Scalar:
    """Memory time τ of a bath: the root mean square width of its correlation function.

    τ² = ∫t²|C(t)|²dt / ∫|C(t)|²dt = ∫|γ'(ω)|²dω / ∫|γ(ω)|²dω, summed over operators. The second form is Parseval's
    theorem: tC(t) is the transform of -iγ'(ω).

    bath: a Bath, Field or Lead.
    Returns τ, inverse energy: 1/ω_c for an Ohmic bath at T = 0, 1/(√2 ω_c) for a hot Drude-Lorentz bath; inf where a
    step in γ makes the tail of C too long (a lead at T = 0, a sub-Ohmic bath); 0 for a density without end (`Flat`,
    infinite cutoff). Differentiable. Raises ValueError for a density with structure that is not among its landmarks;
    where it is traced the result is NaN, and a sweep is told INACCURATE_INTEGRAL.

    >>> bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=0.0)
    >>> round(float(qdb.baths.memory_time(bath)), 6)
    0.1
    """
    bath = as_made(bath)
    return resolved(bath, *_memory_time(bath))


@jit_if_eager
def _memory_time(bath: AbstractBath) -> tuple[Scalar, Scalar]:
    line = noise_panels(bath, jnp.result_type(float))
    nodes = line.nodes
    noise, slope = jax.jvp(bath.noise_matrix, (nodes,), (jnp.ones_like(nodes),))
    squares = jnp.stack([_squares(slope), _squares(noise)])
    spread, weight = line.integrals(squares)
    table = finite_or_zero(noise).reshape(-1, *nodes.shape)
    endless = jnp.isinf(spread) | jnp.any(line.steps(jnp.abs(table)))
    width = jnp.where(endless, jnp.inf, jnp.sqrt(spread / jnp.where(endless, 1.0, weight)))
    known = endless | jnp.isinf(bath.scale)
    return jnp.where(jnp.isinf(bath.scale), 0.0, width), jnp.where(known, 0.0, jnp.max(line.error(squares)))


def _squares(table: Array) -> Array:
    numbers = finite_or_zero(table)
    return jnp.sum(jnp.real(numbers * numbers.conj()), axis=(0, 1))


def _refuse_endless(bath: AbstractBath) -> None:
    if has_no_cutoff(bath):
        raise ValueError(
            f"bath has a density without end ({bath.formula}, scale inf): it forgets at once, "
            "C(t) ∝ δ(t). Give a finite cutoff to ask for its memory."
        )
