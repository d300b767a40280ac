"""Full counting statistics: cumulants and noise of what flows into the system in a stationary state.

With L(χ) the generator whose jumps weigh e^{χX}, X what a jump brings, the cumulants per time of the total X are the
derivatives at χ = 0 of the dominant eigenvalue λ(χ) of L(χ). Order by order in χ, the eigenvalue equation
L(χ) ρ(χ) = λ(χ) ρ(χ) with Tr ρ(χ) = 1 gives them without an eigenvector ever being computed,

    L ρ_n = Σ_{k=1..n} C(n, k) (c_k - L_k) ρ_{n-k},   Tr ρ_n = δ_n0,   c_n = Σ_{k=1..n} C(n, k) Tr[L_k ρ_{n-k}],

L_k the k-th derivative of L(χ); for several counters with powers and binomials of several variables.
"""

import itertools
import math
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real
from qdbjax._types import Array, ArrayLike, Float, RealVector
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator
from qdbjax.numerics.nullspace import inverse
from qdbjax.numerics.products import dot
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import State, StateLike
from qdbjax.thermodynamics.counters import Counter, all_counters, counter, stack_counters, weight_polynomial
from qdbjax.thermodynamics.counting_space import CountingSpace, block_space, jump_classes, population_space
from qdbjax.thermodynamics.currents import of_state_where_degenerate

Powers = tuple[int, ...]
Classes = tuple[np.ndarray, np.ndarray]  # bath and charge of every class of jumps


def _apply(matrix: Array, vector: Array) -> Array:
    return dot(matrix, vector)


def _derivative(space: CountingSpace, classes: Classes, counters: Counter, powers: Powers) -> Array:
    """The derivative of L(χ) at χ = 0, of a given order in each field."""
    weights = weight_polynomial(counters, *classes, powers)
    n = space.state.shape[0]
    tables = space.jumps[:, : sum(powers) + 1].reshape(-1, n * n)
    return _apply(weights.reshape(-1), tables).reshape(n, n)


def _powers_up_to(powers: Powers) -> list[Powers]:
    """Every tuple of powers none of which is above the given one."""
    return list(itertools.product(*(range(power + 1) for power in powers)))


def _recursion(space: CountingSpace, classes: Classes, counters: Counter, powers: Powers) -> Array:
    """Cumulants of every power up to the given ones, shape (*powers + 1), by the recursion of the module docstring."""
    resolvent = inverse(space.bordered)
    zero: Powers = (0,) * len(powers)
    terms = {k: _derivative(space, classes, counters, k) for k in _powers_up_to(powers) if k != zero}
    states: dict[Powers, Array] = {zero: space.state}
    cumulants: dict[Powers, Array] = {zero: jnp.zeros((), space.state.dtype)}
    for n in sorted(_powers_up_to(powers), key=sum)[1:]:
        steps = [k for k in _powers_up_to(n) if k != zero]
        weights = np.array([math.prod(map(math.comb, n, k)) for k in steps], float)[:, None]
        lower = jnp.stack([states[tuple(map(operator.sub, n, k))] for k in steps]) * jnp.asarray(
            weights, space.state.dtype
        )
        source = _apply(jnp.concatenate([terms[k] for k in steps], axis=1), lower.reshape(-1))
        # c_n itself is not among them yet, 0 stands for it: the terms of lower order have no trace.
        known = jnp.stack([cumulants.get(k, cumulants[zero]) for k in steps])
        source = source - _apply(known, lower)
        cumulants[n] = jnp.sum(space.trace * source)
        states[n] = -_apply(resolvent, source - cumulants[n] * space.state)
    return jnp.stack([cumulants[k] for k in _powers_up_to(powers)]).reshape(tuple(power + 1 for power in powers))


def in_counting_space(
    generator: Generator, state: State, powers: int, function: Callable[..., Array], *operands: Array
) -> Array:
    """function(space, *operands), a real array, of the populations alone or, where levels are degenerate, of the block.

    powers: the highest derivative of L(χ) that the function reads.
    """

    def of_block(spectrum, jumps, rho, operands):
        return function(block_space(spectrum, jumps, rho, powers), *operands)

    spectrum, jumps = generator.spectrum, generator.jumps
    populations = population_space(spectrum, jumps, generator.rates, state.populations, powers)
    plain = function(populations, *operands)
    return of_state_where_degenerate(generator, of_block, plain, state, operands)


@jit_if_eager
def _cumulants(generator: Generator, state: State, counters: Counter, powers: Powers) -> Array:
    classes = jump_classes(generator.jumps)

    def function(space, energy, particles):
        return _recursion(space, classes, Counter(energy, particles), powers)

    return in_counting_space(generator, state, sum(powers), function, counters.energy, counters.particles)


def _check_order(order: int, name: str) -> int:
    if not isinstance(order, int) or isinstance(order, bool) or order < 1:
        raise ValueError(f"{name} must be an integer >= 1; got {order!r}.")
    return order


def _as_counter(generator: Generator, bath: str | int | Counter | None, of: str) -> Counter:
    return bath if isinstance(bath, Counter) else counter(generator, of, bath)


def cumulants(
    generator: Generator,
    state: StateLike | None,
    bath: str | int | Counter | None,
    *,
    of: str = "energy",
    order: int = 4,
) -> Float[Array, " order"]:
    """Cumulants per time of what a bath brings into the system in the stationary state.

    c_n = lim ⟨⟨X(t)^n⟩⟩/t: c_1 the current, c_2 the noise at zero frequency (without a factor 2), c_3 the skewness …

    generator: of any kind.
    state: the stationary state, in any form that `heat_currents` takes; None to have it solved for.
    bath: name or number, None for all baths together, or a Counter for any combination.
    of: "energy", "particles", "heat" or "entropy", as for `thermodynamics.counter`; not read with a Counter.
    order: n of the highest cumulant, an integer >= 1.

    Returns (order,), c_1 positive into the system, units of X^n per time; differentiable, at degenerate levels too. NaN
    where the state is flagged. Raises ValueError for an unknown bath or quantity, for particles where none are
    exchanged, and for an order below 1.
    *Source:* C. Flindt, T. Novotný, A. Braggio, A.-P. Jauho, Phys. Rev. B 82, 155407 (2010).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.cumulants(generator, None, 0, order=2).round(5)  # mean and noise of the energy from hot
    Array([0.00696, 0.01456], dtype=float64)
    """
    counters, powers = stack_counters([_as_counter(generator, bath, of)]), (_check_order(order, "order"),)
    return _cumulants(generator, state_of(generator, state), counters, powers)[1:]


def joint_cumulants(
    generator: Generator, state: StateLike | None, counters: Sequence[Counter], orders: Sequence[int]
) -> Array:
    """Joint cumulants per time of several counters in the stationary state.

    c_{k1 k2 …} = lim ⟨⟨X_1(t)^{k1} X_2(t)^{k2} …⟩⟩/t at [k1, k2, …], 0 at [0, 0, …].

    generator: of any kind.
    state: as for `cumulants`.
    counters: several `counter`s.
    orders: the highest power of each, integers >= 1.

    Returns (orders[0] + 1, orders[1] + 1, …). NaN where the state is flagged. Raises ValueError for an order below 1,
    and where counters and orders are not equally many.
    *Source:* C. Flindt, T. Novotný, A. Braggio, A.-P. Jauho, Phys. Rev. B 82, 155407 (2010).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> counters = [qdb.thermodynamics.counter(generator, "energy", bath) for bath in (0, 1)]
    >>> round(float(qdb.thermodynamics.joint_cumulants(generator, None, counters, (1, 1))[1, 1]), 5)
    -0.01456
    """
    powers = tuple(_check_order(order, "orders") for order in orders)
    if len(counters) != len(powers):
        raise ValueError(f"counters and orders must be equally many; got {len(counters)} and {len(powers)}.")
    return _cumulants(generator, state_of(generator, state), stack_counters(list(counters)), powers)


def _current_covariance(space: CountingSpace, classes: Classes, counters: Counter, resolvent: Callable) -> Array:
    """C_ij = Tr[L_ij ρ] - Tr[L_i R L_j ρ] - Tr[L_j R* L_i ρ] with R = (L + iω)⁻¹, as [Re C, Im C].

    resolvent: x ↦ (Re R x, Im R x) for columns x of trace zero.
    """
    count = counters.energy.shape[0]
    unit = [tuple(int(n == i) for n in range(count)) for i in range(count)]
    first = [_derivative(space, classes, counters, k) for k in unit]
    changes = [_apply(each, space.state) for each in first]
    rows = jnp.stack([_apply(space.trace, each) for each in first])
    currents = jnp.stack([jnp.sum(space.trace * each) for each in changes])
    columns = jnp.stack(changes, axis=1) - space.state[:, None] * currents[None, :]
    real, imaginary = resolvent(columns)
    shot = jnp.zeros((count, count), space.state.dtype)
    for i, j in itertools.combinations_with_replacement(range(count), 2):
        both = _derivative(space, classes, counters, tuple(a + b for a, b in zip(unit[i], unit[j], strict=True)))
        value = jnp.sum(space.trace * _apply(both, space.state))
        shot = shot.at[i, j].set(value).at[j, i].set(value)
    real, imaginary = _apply(rows, real), _apply(rows, imaginary)
    return jnp.stack([shot - real - real.T, imaginary.T - imaginary])


@jit_if_eager
def _noise(generator: Generator, state: State, counters: Counter) -> Array:
    classes = jump_classes(generator.jumps)

    def function(space, energy, particles):
        resolvent = inverse(space.bordered)
        solve = lambda x: (_apply(resolvent, x), jnp.zeros_like(x))  # noqa: E731
        return _current_covariance(space, classes, Counter(energy, particles), solve)[0]

    return in_counting_space(generator, state, 2, function, counters.energy, counters.particles)


def noise_matrix(
    generator: Generator, state: StateLike | None, counters: Sequence[Counter] | None = None
) -> Float[Array, "counter counter"]:
    """Covariance per time of what flows, the noise at zero frequency.

    C_ij = lim ⟨⟨X_i(t) X_j(t)⟩⟩/t. At equilibrium C = 2 `onsager_matrix`: fluctuation and dissipation.

    generator: of any kind.
    state: as for `cumulants`.
    counters: several `counter`s; by default the particles (where any are exchanged) and the energy of each bath in
        turn, the order of `onsager_matrix`.

    Returns (counter, counter), symmetric, positive semidefinite, units of X_i X_j per time. NaN where the state is
    flagged.
    *Source:* C. Flindt, T. Novotný, A. Braggio, A.-P. Jauho, Phys. Rev. B 82, 155407 (2010).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.thermodynamics.noise_matrix(generator, None).round(4)
    Array([[ 0.0146, -0.0146],
           [-0.0146,  0.0146]], dtype=float64)
    """
    chosen = all_counters(generator)[1] if counters is None else stack_counters(list(counters))
    return _noise(generator, state_of(generator, state), chosen)


@jit_if_eager
def _noise_spectrum(generator: Generator, state: State, counters: Counter, frequencies: RealVector) -> Array:
    classes = jump_classes(generator.jumps)

    def function(space, energy, particles, frequencies):
        n = space.state.shape[0]
        unit = jnp.eye(n, dtype=space.state.dtype)

        def at(frequency):
            # L + iω on the real and the imaginary part of a vector.
            real, imaginary = space.bordered, frequency * unit
            rows = [jnp.concatenate(row, axis=1) for row in ([real, -imaginary], [imaginary, real])]

            def solve(x):
                found = _apply(inverse(jnp.concatenate(rows)), jnp.concatenate([x, jnp.zeros_like(x)]))
                return found[:n], found[n:]

            return _current_covariance(space, classes, Counter(energy, particles), solve)

        return jax.vmap(at)(frequencies)

    return in_counting_space(generator, state, 2, function, counters.energy, counters.particles, frequencies)


def noise_spectrum(
    generator: Generator, state: StateLike | None, frequencies: ArrayLike, counters: Sequence[Counter] | None = None
) -> Array:
    """Noise at finite frequency of the currents I = dX/dt, each a sequence of pulses, one a jump.

    S_ij(ω) = ∫dt e^{iωt} ⟨⟨I_i(t) I_j(0)⟩⟩; S(0) is `noise_matrix`. For ω beyond every rate the shot noise of single
    jumps.

    generator: of any kind.
    state: as for `cumulants`.
    frequencies: ω, (n,), energy.
    counters: as for `noise_matrix`.

    Returns (n, counter, counter) complex, Hermitian in the last two. NaN where the state is flagged. Raises ValueError
    for frequencies that are not a vector.
    *Source:* C. Flindt, T. Novotný, A.-P. Jauho, Physica E 29, 411 (2005).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.thermodynamics.noise_spectrum(generator, None, [0.0, 1.0]).shape
    (2, 2, 2)
    """
    frequencies = as_real(frequencies, "frequencies")
    if frequencies.ndim != 1:
        raise ValueError(f"frequencies must be a vector; got shape {frequencies.shape}.")
    chosen = all_counters(generator)[1] if counters is None else stack_counters(list(counters))
    found = _noise_spectrum(generator, state_of(generator, state), chosen, frequencies)
    return jax.lax.complex(found[:, 0], found[:, 1])
