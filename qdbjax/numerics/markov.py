"""Stationary populations of a rate matrix without a single subtraction (Grassmann, Taksar and Heyman 1985).

W p = 0 with columns of W summing to zero. Eliminating the last state k of the chain 0..k uses its outflow
s_k = Σ_{j<k} W_jk in place of the diagonal (censored chain):

    W_ij ← W_ij + W_ik W_kj / s_k,          p_k ∝ Σ_{j<k} (W_kj / s_k) p_j,

sums and products of rates only, so that each population keeps its relative accuracy whatever the ratio of the rates
(LU loses 1e-4 on a graph linked by 1e-13, all digits at 1e-17). Only off-diagonal entries of W are read.

Above d = 4 the last states are eliminated in panels K, so that products of matrices do the work; R are the states
before the panel, D the outflow of each state of K to all others:

    X = (D - W_KK)⁻¹ W_KR,          W_RR ← W_RR + W_RK X,          p_K = X p_R.

The inverse (mean times that are spent in K) comes from steps that add and multiply alone (`_inflow_response`).

Derivatives go through the elimination. Solving W dp = -dW p instead is shorter but wrong on weakly linked graphs: the
source sums to zero within each part only to rounding, and the link divides that by itself (measured: 1e-10 at a link of
1e-6). Derivatives of quotients would contain 1/s_k², which overflows for s_k = 1e-300; the derivative rules of `_ratio`
and `_normalised` do without.
*Source:* W. K. Grassmann, M. I. Taksar, D. P. Heyman, Oper. Res. 33, 1107 (1985); accuracy: C. A. O'Cinneide, Numer.
Math. 65, 109 (1993); inverses: A. S. Alfa, J. Xue, Q. Ye, Math. Comp. 71, 217 (2002).
"""

import functools as ft

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, Float, RealVector
from qdbjax.numerics.entries import matrix_entries, stack, unstack
from qdbjax.numerics.matrix import entrywise, total
from qdbjax.numerics.products import dot

RateMatrix = Float[Array, "d d"]
UNROLLED_STATES = 4  # largest dimension written out
PANEL_STATES = 8  # of a panel up to d = 32
# Largest dimension whose panels are written one after the other, each on what is left: a third to a half of the time of
# a loop over them, on the whole matrix, at d = 5 to 32, value and gradient, in programs of about the same size.
FEW_PANELS = 32
SQUARED_STATES = 8  # largest dimension at which paths are squared without products


def off_diagonal(rates: RateMatrix) -> RateMatrix:
    """The matrix with zeros on its diagonal."""
    return rates * (1 - jnp.eye(rates.shape[0], dtype=rates.dtype))


def rate_matrix_vector(rates: RateMatrix, x: RealVector) -> RealVector:
    """W x, the diagonal being minus the column sums of the off-diagonal rates."""
    d = rates.shape[0]
    if d <= UNROLLED_STATES:
        w, v = matrix_entries(rates), unstack(x)
        rows = [[w[i][j] * v[j] - w[j][i] * v[i] for j in range(d) if j != i] for i in range(d)]
        return stack([sum(row[1:], row[0]) if row else jnp.zeros_like(v[0]) for row in rows])
    bare = off_diagonal(rates)
    return dot(bare, x) - jnp.sum(bare, axis=0) * x


@jax.custom_jvp
def _ratio(rate: Array, outflow: Array) -> Array:
    """rate/outflow, with 1 in place of an outflow 0. Its derivative never squares the outflow, which may be 1e-300."""
    return rate * (1.0 / jnp.where(outflow > 0, outflow, 1.0))


@_ratio.defjvp
def _ratio_jvp(primals, tangents):
    (rate, outflow), (d_rate, d_outflow) = primals, tangents
    ratio = _ratio(rate, outflow)
    return ratio, _ratio(d_rate, outflow) - ratio * _ratio(d_outflow, outflow)


@jax.custom_jvp
def _normalised(x: RealVector) -> RealVector:
    """x/Σx, with a derivative that never squares the sum."""
    inverse = 1.0 / total(x)
    return entrywise(lambda value: value * inverse, x)


@_normalised.defjvp
def _normalised_jvp(primals, tangents):
    (x,), (d_x,) = primals, tangents
    populations, size = _normalised(x), total(x)
    scaled = entrywise(lambda value: _ratio(value, size * jnp.ones_like(value)), d_x)
    relative = total(scaled)
    return populations, entrywise(lambda change, p: change - p * relative, scaled, populations)


def _factor_unrolled(rates: RateMatrix) -> tuple[list[list], list]:
    """Elimination entry by entry: f[k][j] = W_kj/s_k when state k is eliminated (j < k), and the pivots s_k."""
    w = matrix_entries(rates)
    d = len(w)
    factors: list[list] = [[None] * d for _ in range(d)]
    pivots: list = [None] * d
    for k in range(d - 1, 0, -1):
        pivots[k] = sum(w[j][k] for j in range(1, k)) + w[0][k] if k > 1 else w[0][k]
        for j in range(k):
            factors[k][j] = _ratio(w[k][j], pivots[k])
        for i in range(k):
            for j in range(k):
                if i != j:
                    w[i][j] = w[i][j] + w[i][k] * factors[k][j]
    return factors, pivots


def _by_states(rates: RateMatrix) -> tuple[RealVector, RealVector]:
    """Populations relative to state 0 and pivots, one state after the other."""
    factors, pivots = _factor_unrolled(rates)
    x = [jnp.ones((), rates.dtype)]
    for k in range(1, len(pivots)):
        terms: list[Array] = [factors[k][j] * x[j] for j in range(k)]
        x.append(sum(terms[1:], terms[0]))
    return stack(x), stack([jnp.ones((), rates.dtype), *pivots[1:]])


def _inflow_response(block: RateMatrix, leaving: RealVector, entering: RealVector) -> tuple[RateMatrix, RealVector]:
    """(D - W_KK)⁻¹ diag(b) of a panel K, and the pivots of its elimination.

    A step exchanges state k with its inflow b_k: x_k = (b_k + Σ_j W_kj x_j)/s_k goes into the equations of all others,
    those of the states exchanged before included.

    block: W_KK (n, n).
    leaving: Σ_{i∈R} W_ik (n,), the outflow to the states before the panel.
    entering: b (n,).
    """
    n = block.shape[0]
    index = jnp.arange(n)

    def step(m, carry):
        table, leaving, pivots = carry
        k = n - 1 - m
        here, below = index == k, (index < k).astype(block.dtype)
        column = jnp.take(table, k, axis=1)
        outflow = jnp.sum(column * below) + jnp.take(leaving, k)
        row = _ratio(jnp.where(here, entering, jnp.take(table, k, axis=0)), outflow * jnp.ones_like(leaving))
        kept = jnp.where(here[:, None] | here[None, :], 0.0, table)
        table = kept + jnp.where(here, 1.0, column)[:, None] * row[None, :]
        return table, leaving + jnp.take(leaving, k) * row * below, pivots.at[k].set(outflow)

    table, _, pivots = jax.lax.fori_loop(0, n, step, (block, leaving, jnp.ones_like(leaving)))
    return table, pivots


def _solve_panel(block: RateMatrix, rows: Array, columns: Array) -> tuple[Array, RealVector]:
    """X of a panel and its pivots, from W_KK (n, n), W_KR (n, d) and W_RK (d, n), zero where a state is not in R."""
    # In units of the largest inflow: the inverse alone could overflow, and its derivative squares a pivot.
    entering = jax.lax.stop_gradient(jnp.max(rows, axis=1))
    response, pivots = _inflow_response(block, jnp.sum(columns, axis=0), entering)
    return dot(response, _ratio(rows, entering[:, None] * jnp.ones_like(rows))), pivots


def _cut(w: RateMatrix, start: Array, width: int) -> tuple[Float[Array, "n n"], Array, Array]:
    """W_KK, W_KR and W_RK of the panel of states from `start` on."""
    before = jnp.arange(w.shape[0]) < start
    rows = jax.lax.dynamic_slice_in_dim(w, start, width, axis=0)
    columns = jax.lax.dynamic_slice_in_dim(w, start, width, axis=1)
    block = jax.lax.dynamic_slice_in_dim(columns, start, width, axis=0)
    return block, jnp.where(before[None, :], rows, 0.0), jnp.where(before[:, None], columns, 0.0)


@ft.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _eliminate_panels(rates: RateMatrix, width: int) -> tuple[Float[Array, "n n"], Array, Array]:
    """What is left of the first panel, and X (panel, n, d) and pivots (panel, n) of the others."""
    w, _, solved = _eliminate_and_keep(rates, width)
    return w, *solved


def _starts(d: int, width: int) -> Array:
    return d - width * jnp.arange((d - 1) // width, 0, -1)


def _eliminate_and_keep(rates: RateMatrix, width: int):
    def step(w, start):
        panel = _cut(w, start, width)
        ratios, pivots = _solve_panel(*panel)
        return w + dot(panel[2], ratios), (panel, (ratios, pivots))

    d = rates.shape[0]
    w, (panels, solved) = jax.lax.scan(step, rates, _starts(d, width), reverse=True)
    first = d - width * ((d - 1) // width)
    return w[:first, :first], panels, solved


@_eliminate_panels.defjvp
def _eliminate_panels_jvp(width, primals, tangents):
    """The derivative reads the panels as they were eliminated: reverse mode keeps d² numbers, not as many a panel."""
    (rates,), (change,) = primals, tangents
    w, panels, solved = _eliminate_and_keep(rates, width)

    def step(change, kept):
        start, panel, ratios = kept
        of_panel = _cut(change, start, width)
        _, (d_ratios, d_pivots) = jax.jvp(_solve_panel, panel, of_panel)
        return change + dot(of_panel[2], ratios) + dot(panel[2], d_ratios), (d_ratios, d_pivots)

    d = rates.shape[0]
    change, d_solved = jax.lax.scan(step, change, (_starts(d, width), panels, solved[0]), reverse=True)
    return (w, *solved), (change[: w.shape[0], : w.shape[0]], *d_solved)


def _by_few_panels(rates: RateMatrix) -> tuple[RealVector, RealVector]:
    """Populations relative to state 0 and pivots, panel by panel; the last few states by themselves."""
    d = rates.shape[0]
    if d <= UNROLLED_STATES:
        return _by_states(rates)
    start = max(1, d - PANEL_STATES)
    columns = rates[:start, start:]
    ratios, pivots = _solve_panel(rates[start:, start:], rates[start:, :start], columns)
    x, first_pivots = _by_few_panels(rates[:start, :start] + dot(columns, ratios))
    return jnp.concatenate([x, dot(ratios, x)]), jnp.concatenate([first_pivots, pivots])


def _by_panels(rates: RateMatrix) -> tuple[RealVector, RealVector]:
    """Populations relative to state 0 and pivots, by a loop over panels."""
    d = rates.shape[0]
    width = 1 << ((d - 1).bit_length() + 1) // 2  # √d, or the power of two above it: the fastest up to d = 512
    w, ratios, pivots = _eliminate_panels(off_diagonal(rates), width)
    x, first_pivots = _by_few_panels(w)

    def fill_panel(x, panel):
        start, ratios = panel
        return jax.lax.dynamic_update_slice_in_dim(x, dot(ratios, x), start, axis=0), None

    start = jnp.zeros_like(rates[0]).at[: x.shape[0]].set(x)
    x, _ = jax.lax.scan(fill_panel, start, (_starts(d, width), ratios))
    return x, jnp.concatenate([first_pivots, pivots.reshape(-1)])


def eliminate(rates: RateMatrix) -> tuple[RealVector, RealVector]:
    """Stationary populations, and the outflow s_k of each state at its elimination (state 0: 1).

    Populations are right where all outflows are positive: one recurrent class, which holds state 0.
    """
    x, pivots = _by_few_panels(rates) if rates.shape[0] <= FEW_PANELS else _by_panels(rates)
    return _normalised(x), pivots


def stationary(rates: RateMatrix) -> RealVector:
    """Populations p >= 0 with W p = 0 and Σp = 1, each right to rounding relative to itself.

    rates: W (d, d) [to, from], non-negative off the diagonal, which is ignored. See `eliminate`.
    """
    return eliminate(rates)[0]


def recurrent_classes(linked: Bool[Array, "d d"]) -> tuple[Bool[Array, " d"], Float[Array, ""]]:
    """Which states are recurrent, and in how many classes, for the graph linked[to, from].

    A state is recurrent if every state that it reaches leads back to it; each class has one stationary state.
    *Source:* J. R. Norris, Markov Chains (1997), sections 1.2 and 1.5.
    """
    reaches = _transitive_closure((linked | jnp.eye(linked.shape[0], dtype=bool)).astype(jnp.float32)) > 0.5
    mutual = reaches & reaches.T
    recurrent = jnp.all(~reaches | mutual, axis=0)
    size = jnp.sum(mutual, axis=0).astype(jnp.float32)
    return recurrent, jnp.round(jnp.sum(jnp.where(recurrent, 1.0 / size, 0.0)))


def _transitive_closure(links: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """1 where a state is reached from another one in any number of steps, by squaring the adjacency matrix repeatedly.

    Above d = 8 state 0 is asked first, whether it reaches all states and all reach it: every state reaches every other
    one then, and nothing is squared, unless for another cell of a batch. At d = 512 squaring takes twice as long as the
    elimination, the question a seventh of it.
    """
    d = links.shape[0]
    squarings = max(1, (d - 1).bit_length())
    if d <= SQUARED_STATES:
        reaches = links > 0.5
        for _ in range(squarings):  # no products: for every matrix of a batch XLA would make one small dot on a CPU
            reaches = jnp.any(reaches[:, :, None] & reaches[None, :, :], axis=1)
        return reaches.astype(links.dtype)
    square = lambda _, reach: jnp.minimum(dot(reach, reach), 1.0)  # noqa: E731
    connected = jnp.all(_reached_soon(links, squarings) & _reached_soon(links.T, squarings))
    return jnp.where(connected, 1.0, jax.lax.fori_loop(0, jnp.where(connected, 0, squarings), square, links))


def _reached_soon(links: Float[Array, "d d"], steps: int) -> Bool[Array, " d"]:
    """Which states are reached from state 0 in so many steps at most."""
    start = jnp.arange(links.shape[0]) == 0

    def step(carry):
        n, reached, _ = carry
        further = dot(links, reached.astype(links.dtype)) > 0.5
        return n + 1, further, jnp.any(further & ~reached)

    more = lambda carry: carry[2] & (carry[0] < steps)  # noqa: E731
    return jax.lax.while_loop(more, step, (jnp.zeros((), jnp.int32), start, jnp.ones((), bool)))[1]


def stationary_rooted_at(rates: RateMatrix, root: Array) -> RealVector:
    """`stationary` with the elimination ending at the state `root`, which must be recurrent.

    Needed where state 0 is not recurrent, as where another state absorbs all at T = 0.
    """
    d = rates.shape[0]
    index = jnp.arange(d)
    order = jnp.where(index == 0, root, jnp.where(index == root, 0, index))
    return stationary(rates[order][:, order])[order]
