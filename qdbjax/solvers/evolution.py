"""Time evolution: of a constant generator here, of a protocol by `driven_evolution`.

Of a constant generator the populations are integrated and coherences, which only decay and oscillate, follow in closed
form. Where coherences share a Bohr frequency all entries are integrated in the interaction picture, without the fast
oscillations e^{-iω̄t}.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import allowed, as_hermitian, as_integer, as_real, as_tuple, is_traced
from qdbjax._status import Status, is_fatal, raise_flag, record, throw_if_flagged
from qdbjax._types import AnyMatrix, Array, ArrayLike, Bool, Matrix, Rates
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.generators.block import CAPACITY, DENSE_LIMIT, in_cells, whole_block
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.generators.interaction_picture import (
    coherence_exponents,
    coupled_coherences,
    rotating_matrix,
    rotating_matrix_on,
)
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.hermitian import pack, real_matrix, unpack
from qdbjax.numerics.markov import rate_matrix_vector
from qdbjax.numerics.products import dot
from qdbjax.solvers.breakpoints import as_breakpoints
from qdbjax.solvers.driven_evolution import Protocol, evolve_driven
from qdbjax.solvers.integration import (
    Evolution,
    Integration,
    Times,
    adjoint_of,
    expectation_weights,
    known_start,
)
from qdbjax.states.state import density_matrix
from qdbjax.systems import Spectrum

if TYPE_CHECKING:
    import diffrax

SAVES = ("density_matrix", "populations")


def _in_rotating_frame(
    spectrum: Spectrum, jumps: AbstractJumps, packed: Array, elapsed: Times, *, how: Integration
) -> tuple:
    """Integration in the interaction picture (`interaction_picture`), right for any spectrum.

    Returns populations (time, d), packed ρ (time, d, d) in the energy eigenbasis, whether the end was reached, and
    whether there are more coupled entries than there is room for.
    """
    d = packed.shape[0]
    matrix = real_matrix(rotating_matrix(spectrum, jumps))
    y0, start = packed.reshape(-1), jnp.zeros((), elapsed.dtype)
    field = lambda _, y: dot(matrix, y)  # noqa: E731
    ys, arrived = how.run(field, y0, start, elapsed, lambda _, y: y)
    angle = spectrum.rotating_frame_frequencies[None] * elapsed[:, None, None]
    rho = jax.vmap(unpack)(ys.reshape(-1, d, d)) * jax.lax.complex(jnp.cos(angle), -jnp.sin(angle))
    whole = jax.vmap(pack)(rho)
    return jnp.diagonal(whole, axis1=1, axis2=2), whole, arrived, jnp.zeros((), bool)


def _with_coherences(populations: Array, packed: Array, exponents: Array, elapsed: Times) -> Array:
    """Packed ρ(t) (time, d, d) from populations and ρ_mn(t) = e^{λ_mn t}ρ_mn(0), m < n, in real arithmetic.

    Half the exponentials and no complex ones: 0.05 instead of 0.22 ms for 100 times at d = 8.
    """
    d = packed.shape[0]
    above = np.triu_indices(d, 1)
    growth = jnp.exp(jnp.real(exponents[above])[None] * elapsed[:, None])
    angle = jnp.imag(exponents[above])[None] * elapsed[:, None]
    cosine, sine = growth * jnp.cos(angle), growth * jnp.sin(angle)
    re, im = packed[above][None], packed.T[above][None]
    place = np.zeros((d, d), int)
    count = len(above[0])
    place[np.diag_indices(d)] = np.arange(d)
    place[above] = d + np.arange(count)
    place.T[above] = d + count + np.arange(count)
    entries = jnp.concatenate([populations, cosine * re - sine * im, sine * re + cosine * im], axis=1)
    return entries[:, place.reshape(-1)].reshape(-1, d, d)


def _evolved(generator: Generator, packed: Array, elapsed: Times, how: Integration, only_populations: bool) -> tuple:
    """Populations (time, d), packed ρ (time, d, d) or None, whether the end was reached, and whether d is too large.

    d is too large where d > 32 and more entries are coupled to one another than there is room for.
    """
    rates, spectrum, jumps, d = generator.total_rates, generator.spectrum, generator.jumps, generator.dimension
    field = lambda _, p: rate_matrix_vector(rates, p)  # noqa: E731
    start = jnp.zeros((), elapsed.dtype)
    populations, arrived = how.run(field, jnp.diagonal(packed), start, elapsed, lambda _, p: p)
    whole = None
    if not only_populations:
        whole = _with_coherences(populations, packed, coherence_exponents(spectrum, jumps), elapsed)
    coupled = spectrum.degenerate if only_populations else spectrum.any_equal_frequencies

    plain = populations, whole, arrived.astype(elapsed.dtype), jnp.zeros_like(start)
    operands: tuple = spectrum, jumps, packed, elapsed
    function = _in_rotating_frame
    if d > DENSE_LIMIT:
        function = _matrix_free if spectrum.is_one_level else _coupled_ones
        operands = operands if spectrum.is_one_level else (*operands, generator.rates, populations, whole)

    def together(*operands):
        populations, whole, *flags = function(*operands, how=how)
        return populations, None if only_populations else whole, *(flag.astype(elapsed.dtype) for flag in flags)

    populations, whole, arrived, overflows = in_cells(coupled, together, operands, plain)
    return populations, whole, arrived > 0, overflows > 0


def _matrix_free(spectrum: Spectrum, jumps: AbstractJumps, packed: Array, elapsed: Times, *, how: Integration) -> tuple:
    """As `_in_rotating_frame`, for an equation that is not secular, by products of d × d matrices."""
    block = whole_block(spectrum, jumps)
    effective, start = block.effective, jnp.zeros((), elapsed.dtype)
    field = lambda _, y: pack(block.action(unpack(y), effective))  # noqa: E731
    whole, arrived = how.run(field, packed, start, elapsed, lambda _, y: y)
    return jnp.diagonal(whole, axis1=1, axis2=2), whole, arrived, jnp.zeros((), bool)


def _coupled_ones(
    spectrum: Spectrum,
    jumps: AbstractJumps,
    packed: Array,
    elapsed: Times,
    rates: Rates,
    populations: Array,
    whole: Array | None,
    *,
    how: Integration,
) -> tuple:
    """As `_in_rotating_frame`, for the few entries that are coupled to others.

    populations, whole: of all others, as `_evolved` has them.
    """
    entries, overflows = coupled_coherences(spectrum, jumps, rates, CAPACITY)
    matrix, start = rotating_matrix_on(spectrum, jumps, entries), jnp.zeros((), elapsed.dtype)
    field = lambda _, y: dot(matrix, y)  # noqa: E731
    ys, arrived = how.run(field, entries.take(packed), start, elapsed, lambda _, y: y)
    angle = spectrum.rotating_frame_frequencies[None] * elapsed[:, None, None]
    turned = jax.vmap(lambda y: unpack(entries.put(y)))(ys) * jax.lax.complex(jnp.cos(angle), -jnp.sin(angle))
    listed = entries.put(entries.filled.astype(packed.dtype)) > 0
    found = jax.vmap(pack)(turned)
    populations = jnp.where(jnp.diagonal(listed), jnp.diagonal(found, axis1=1, axis2=2), populations)
    return populations, None if whole is None else jnp.where(listed, found, whole), arrived, overflows


@jit_if_eager
def _evolve(
    generator: Generator,
    rho: Matrix,
    times: Times,
    start: Array,
    observables: dict[str, AnyMatrix],
    how: Integration,
    save: str,
) -> Evolution:
    spectrum = generator.spectrum
    rho, status = known_start(rho)
    packed, status = pack(spectrum.to_eigenbasis(rho)), status | generator.status
    only_populations = save == "populations" and not observables
    populations, whole, arrived, too_large = _evolved(generator, packed, times - start, how, only_populations)
    status = status | raise_flag(~arrived, Status.INTEGRATION_FAILED)
    status = status | raise_flag(too_large, Status.BLOCK_TOO_LARGE)
    bad = is_fatal(status) | ~arrived
    populations = jnp.where(bad, jnp.nan, populations)
    matrices, expectations = None, {}
    if not only_populations:
        whole = jnp.where(bad, jnp.nan, whole)
        weights = {name: expectation_weights(operator, spectrum) for name, operator in observables.items()}
        expectations = {name: jnp.sum(weight[None] * whole, axis=(1, 2)) for name, weight in weights.items()}
    if save == "density_matrix":
        matrices = jax.vmap(lambda each: spectrum.from_eigenbasis(unpack(each)))(whole)
    return Evolution(times, populations, matrices, expectations, None, None, None, status)


def checked_times(times: ArrayLike, start: ArrayLike) -> tuple[Times, Array, Bool[Array, ""] | np.bool_]:
    """times (time,) and start as real arrays, and whether times are finite, ascending and not before the start.

    Raises where known ones are not; in place of traced ones stands the start, and the result must become NaN.
    """
    times, start = as_real(times, "times"), as_real(start, "start")
    if times.ndim != 1 or times.shape[0] == 0:
        raise ValueError(f"times must be a vector of at least one time; got shape {times.shape}.")
    if start.ndim != 0:
        raise ValueError(f"start must be a single number; got shape {start.shape}.")
    if not is_traced(times, start):
        points, origin = np.asarray(times), float(start)
        if not (np.all(np.isfinite(points)) and np.isfinite(origin)):
            raise ValueError(f"times and start must be finite; got {points} and {origin}.")
        if np.any(np.diff(points) < 0):
            raise ValueError(f"times must ascend; got {points}. Sort them.")
        if points[0] < origin:
            raise ValueError(
                f"times must not lie before start = {origin:g}; got {points[0]:g}: relaxation has no past."
            )
    if not is_traced(times, start):
        return times, eval_at_trace_time(jnp.astype)(start, times.dtype), np.True_
    start = start.astype(times.dtype)
    in_order = jnp.all(times[1:] >= times[:-1]) & (times[0] >= start) & jnp.all(jnp.isfinite(times))
    return jnp.where(in_order, times, start), start, in_order


def as_observables(value: Any, dimension: int) -> dict[str, AnyMatrix]:
    """Named Hermitian operators from a mapping, a sequence (named 0, 1, …) or nothing."""
    if value is None:
        return {}
    words = "a mapping of names to operators, or a list of operators"
    many = value if isinstance(value, Mapping) else as_tuple(value, "observables", words)
    named = many if isinstance(many, Mapping) else {str(n): operator for n, operator in enumerate(many)}
    operators = {str(name): as_hermitian(operator, f"observables[{name!r}]") for name, operator in named.items()}
    for name, operator in operators.items():
        if operator.shape != (dimension, dimension):
            wanted = (dimension, dimension)
            raise ValueError(f"observables[{name!r}] must have shape {wanted}; got {operator.shape}.")
    return operators


def evolve(
    generator: Generator | Protocol,
    rho0: ArrayLike,
    times: ArrayLike,
    *,
    start: ArrayLike = 0.0,
    breakpoints: ArrayLike | None = None,
    save: str = "density_matrix",
    observables: Mapping[str, ArrayLike] | Sequence[ArrayLike] | None = None,
    solver: "diffrax.AbstractSolver | None" = None,
    mode: "str | diffrax.AbstractAdjoint" = "reverse",
    rtol: float = 1e-9,
    atol: float = 1e-12,
    max_steps: int = 16384,
    progress: bool = False,
    throw: bool = False,
) -> Evolution:
    """State at given times, of a constant or a driven system.

    dρ/dt = L(ρ) or L_t(ρ),   ρ(start) = rho0

    generator: a Generator; or a protocol, a function of time that returns one, for driving that is slow against the
        bath and the level spacings.
    rho0: density matrix (d, d), a state that holds one, or ket (d,), in the basis of the Hamiltonian.
    times: t >= start (time,), ascending, inverse energy.
    start: the time of rho0, inverse energy.
    breakpoints: times (n,) at which a protocol jumps or has a kink, in any order, inverse energy; no step goes across.
    save: "density_matrix" or "populations" (cheaper).
    observables: Hermitian A (d, d) by name, or a list; saved as Tr[A ρ(t)].
    solver: a diffrax solver, `Dopri8` by default; `Kvaerno5` for rates that differ by many orders.
    mode: of differentiation, "reverse" (grad, vjp) or "forward" (jvp, jacfwd), or a diffrax adjoint.
    rtol: relative tolerance of a step.
    atol: absolute tolerance of a step, for entries of ρ.
    max_steps: largest number of steps of the integration.
    progress: whether to show a progress bar.
    throw: whether to raise ValueError for a flagged result; not inside jit and vmap.

    Returns an Evolution. Of a Generator, populations obey dp/dt = W p and coherences follow in closed form; coherences
    that share a Bohr frequency are integrated together, in the interaction picture. Of a protocol, ρ is integrated with
    the generator of each moment; populations are those of its energy levels at each time, and heat and work are
    reported, at every time and in total since the start. A protocol that jumps at s, by `t >= s` or jnp.where, has no
    derivative in s by itself: name it, `breakpoints=[s]`, and derivatives of every order are those of the solution. On
    each side of s the protocol counts as it is on that side; at s itself results are those just before.
    Raises ValueError for a rho0 that is not a density matrix or ket, for times that do not ascend, for breakpoints of a
    Generator, and for a protocol above d = 32. Flagged, with NaN in place of values: an integration that does not reach
    the end, more than 1024 entries of ρ that are coupled to others above d = 32, and a flagged generator.
    *Source:* E. B. Davies, Commun. Math. Phys. 39, 91 (1974); R. Alicki, J. Phys. A 12, L103 (1979), heat and work.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> run = qdb.evolve(generator, [1.0, 0.0], jnp.linspace(0.0, 50.0, 3))
    >>> run.populations.round(4)
    Array([[0.    , 1.    ],
           [0.782 , 0.218 ],
           [0.7876, 0.2124]], dtype=float64)
    """
    import diffrax  # here, because importing it takes as long as importing JAX, and most sessions evolve nothing

    driven = not isinstance(generator, Generator)
    if driven and not callable(generator):
        raise TypeError(f"generator must be a Generator or a function of time that returns one; got {generator!r}.")
    if save not in SAVES:
        raise ValueError(f"save must be one of {SAVES}; got {save!r}.")
    if not driven:
        check_generator(generator)
    max_steps = as_integer(max_steps, "max_steps", 1)
    times, start, in_order = checked_times(times, start)
    breakpoints = as_breakpoints(breakpoints, times)
    if breakpoints is not None and not driven:
        raise ValueError("breakpoints belong to a protocol, a function of time; a Generator is the same at all times.")
    dimension = (generator(start) if driven else generator).dimension
    rho, operators = density_matrix(rho0, dimension), as_observables(observables, dimension)
    if is_traced(breakpoints):
        in_order = in_order & ~jnp.any(jnp.isnan(jnp.asarray(breakpoints)))
    rho = rho if in_order is np.True_ else allowed(rho, in_order)
    meter = diffrax.TextProgressMeter() if progress else diffrax.NoProgressMeter()
    how = Integration(diffrax.Dopri8() if solver is None else solver, adjoint_of(mode), rtol, atol, max_steps, meter)
    given = rho, times, start, operators, how, save
    result = evolve_driven(generator, *given, breakpoints) if driven else _evolve(generator, *given)
    record(result.status)
    throw_if_flagged(result.status, throw, allowed=Status.NEAR_DEGENERATE)
    return result
