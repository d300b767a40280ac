"""Stationary populations of a rate matrix without a single subtraction (Grassmann, Taksar and Heyman 1985).

W p = 0 with columns of W summing to zero. Eliminating the last state k of the chain 0..k uses its outflow
s_k = Σ_{j<k} W_jk in place of the diagonal (censored chain):

    W_ij ← W_ij + W_ik W_kj / s_k,          p_k ∝ Σ_{j<k} (W_kj / s_k) p_j,

sums and products of rates only, so that each population keeps its relative accuracy whatever the ratio of the rates
(LU loses 1e-4 on a graph linked by 1e-13, all digits at 1e-17). Only off-diagonal entries of W are read.

Derivatives go through the elimination. Solving W dp = -dW p instead is shorter but wrong on weakly linked graphs: the
source sums to zero within each part only to rounding, and the link divides that by itself (measured: 1e-10 at a link of
1e-6). Derivatives of quotients would contain 1/s_k², which overflows for s_k = 1e-300; the derivative rules of `_ratio`
and `_normalised` do without.
*Source:* W. K. Grassmann, M. I. Taksar, D. P. Heyman, Oper. Res. 33, 1107 (1985); accuracy: C. A. O'Cinneide, Numer.
Math. 65, 109 (1993).
"""

import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, Float, RealVector
from qdbjax.numerics.entries import matrix_entries, stack, unstack
from qdbjax.numerics.matrix import entrywise, total

RateMatrix = Float[Array, "d d"]
UNROLLED_STATES = 4  # largest dimension written out


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
    return jnp.matmul(bare, x, precision="highest") - jnp.sum(bare, axis=0) * x


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
    factors = [[None] * d for _ in range(d)]
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


def _factor(rates: RateMatrix) -> tuple[RateMatrix, RealVector]:
    """Elimination of any dimension, as a loop over whole matrices: factors f (d, d) and pivots s (d,), s_0 = 1."""
    d = rates.shape[0]
    index = jnp.arange(d)

    def step(n, carry):
        w, pivots = carry
        k = d - 1 - n
        below = (index < k).astype(w.dtype)
        column = jnp.take(w, k, axis=1) * below
        outflow = jnp.sum(column)
        row = _ratio(jnp.take(w, k, axis=0) * below, outflow * jnp.ones_like(below))
        w = w + off_diagonal(column[:, None] * row[None, :])
        w = w.at[k, :].set(jnp.where(index < k, row, jnp.take(w, k, axis=0)))
        return w, pivots.at[k].set(outflow)

    return jax.lax.fori_loop(0, d - 1, step, (off_diagonal(rates), jnp.ones((d,), rates.dtype)))


def _backfill(factors: RateMatrix) -> RealVector:
    d = factors.shape[0]

    def step(k, x):
        below = jnp.where(jnp.arange(d) < k, jnp.take(factors, k, axis=0), 0.0)
        return x.at[k].set(jnp.sum(below * x))

    return jax.lax.fori_loop(1, d, step, jnp.zeros((d,), factors.dtype).at[0].set(1.0))


def eliminate(rates: RateMatrix) -> tuple[RealVector, RealVector]:
    """Stationary populations, and the outflow s_k of each state at its elimination (state 0: 1).

    Populations are right where all outflows are positive: one recurrent class, which holds state 0.
    """
    d = rates.shape[0]
    if d > UNROLLED_STATES:
        factors, pivots = _factor(rates)
        return _normalised(_backfill(factors)), pivots
    factors, pivots = _factor_unrolled(rates)
    x = [jnp.ones((), rates.dtype)]
    for k in range(1, d):
        x.append(sum((factors[k][j] * x[j] for j in range(1, k)), factors[k][0] * x[0]))
    return _normalised(stack(x)), stack([jnp.ones((), rates.dtype), *pivots[1:]])


def stationary(rates: RateMatrix) -> RealVector:
    """Populations p >= 0 with W p = 0 and Σp = 1, each right to rounding relative to itself.

    rates: W (d, d) [to, from], non-negative off the diagonal, which is ignored. See `eliminate`.
    """
    return eliminate(rates)[0]


def recurrent_classes(linked: Bool[Array, "d d"]) -> tuple[Bool[Array, " d"], Float[Array, ""]]:
    """Which states are recurrent, and in how many classes, for the graph linked[to, from].

    A state is recurrent if every state that it reaches leads back to it; each class has one stationary state. The
    transitive closure comes from repeated squaring of the adjacency matrix.
    *Source:* J. R. Norris, Markov Chains (1997), sections 1.2 and 1.5.
    """
    d = linked.shape[0]
    reach = (linked | jnp.eye(d, dtype=bool)).astype(jnp.float32)
    for _ in range(max(1, (d - 1).bit_length())):
        reach = jnp.minimum(reach @ reach, 1.0)
    reaches = reach > 0.5
    mutual = reaches & reaches.T
    recurrent = jnp.all(~reaches | mutual, axis=0)
    size = jnp.sum(mutual, axis=0).astype(jnp.float32)
    return recurrent, jnp.sum(jnp.where(recurrent, 1.0 / size, 0.0))


def stationary_rooted_at(rates: RateMatrix, root: Array) -> RealVector:
    """`stationary` with the elimination ending at the state `root`, which must be recurrent.

    Needed where state 0 is not recurrent, as where another state absorbs all at T = 0.
    """
    d = rates.shape[0]
    index = jnp.arange(d)
    order = jnp.where(index == 0, root, jnp.where(index == root, 0, index))
    return stationary(rates[order][:, order])[order]
