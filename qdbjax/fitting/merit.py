"""What a search minimises: the loss in a unit of its own, and bounds by an augmented Lagrangian.

    M(z) = loss(z)/u + Σ_i (μ/2) max(0, c_i(z) + λ_i/μ)²,      c_i <= 0: excess over bound i, in units of its size

For fixed multipliers λ and penalty μ this is smooth and has no bounds. After each round of minimising it

    λ_i ← max(0, λ_i + μ c_i(z)),      μ ← 10 μ where the bounds are not four times nearer than a round ago,

so that bounds are kept to rounding at a finite μ, where a penalty alone (λ = 0) misses them by λ/μ. A round in which
the loss wins is made again with a hundred times the penalty, one whose search gets stuck with a tenth. With u from the
start, and c in units of the bound, the output, or its slope there, nothing of the search depends on units of outputs.

*Source:* E. G. Birgin and J. M. Martínez, Practical Augmented Lagrangian Methods (2014), algorithm 4.1.
"""

import equinox as eqx
import jax.numpy as jnp

from qdbjax._types import Array, Bool, Float, Int, Scalar

BOUND_TOLERANCE = 1e-6  # excess over a bound, relative to it, up to which it counts as kept
FIRST_PENALTY = 10.0  # μ where loss/u and c are of order 1
PENALTY_LIMIT = 1e9  # beyond which bounds that are not kept are taken to be out of reach
BOUND_ROUNDS = 30  # of one search
RUNAWAY = 1.0  # excess at which the loss has won against the bounds: back, with a larger penalty
Excess = Float[Array, " k"]


class Merit(eqx.Module):
    """Unit, multipliers and penalty, and how the rounds went.

    unit: u of the loss; 0 until it is measured at the start.
    sizes: (k,), that an excess is measured in.
    tolerances: (k,), up to which a bound counts as kept, in these sizes.
    multipliers: (k,), λ.
    penalty: μ.
    gap: the largest |max(c_i, -λ_i/μ)|, 0 at a solution, at the end of the last round; at first the excess.
    rounds: made so far.
    steps: of this round.
    """

    unit: Scalar
    sizes: Excess
    tolerances: Excess
    multipliers: Excess
    penalty: Scalar
    gap: Scalar
    rounds: Int[Array, ""]
    steps: Int[Array, ""]

    @property
    def is_measured(self) -> Bool[Array, ""]:
        """Whether the unit is known."""
        return self.unit > 0

    def _push(self, excess: Excess) -> Excess:
        """max(0, c + λ/μ)."""
        return jnp.maximum(0.0, excess / self.sizes + self.multipliers / self.penalty)

    def value(self, loss: Scalar, excess: Excess) -> Scalar:
        """M."""
        return loss / self._divisor + 0.5 * self.penalty * jnp.sum(self._push(excess) ** 2)

    def pull(self, excess: Excess) -> Excess:
        """∂M/∂c."""
        return self.penalty * self._push(excess) / self.sizes

    def gradient(self, loss_slope: Array, pulled: Array) -> Array:
        """∇M from the slope (n,) of the loss and the sum (n,) of all slopes of excess times their pull."""
        return loss_slope / self._divisor + pulled

    def residuals(self, residuals: Array, excess: Excess) -> Array:
        """r with M = ½ Σ r²."""
        return jnp.concatenate([residuals / jnp.sqrt(self._divisor), jnp.sqrt(self.penalty) * self._push(excess)])

    def residual_slopes(self, slopes: Array, excess_slopes: Array, excess: Excess) -> Array:
        """The Jacobian of `residuals`."""
        active = jnp.where(self._push(excess) > 0, jnp.sqrt(self.penalty) / self.sizes, 0.0)
        return jnp.concatenate([slopes / jnp.sqrt(self._divisor), active[:, None] * excess_slopes])

    @property
    def _divisor(self) -> Scalar:
        return jnp.where(self.is_measured, self.unit, 1.0)

    def measured(
        self, loss: Scalar, slope: Array, excess: Excess, sizes: Array, reach: Excess, has_targets: bool
    ) -> "Merit":
        """With units from the start; losses with targets are numbers without a unit.

        sizes: (2, k), of bounds and outputs. reach: (k,), how far the output moves with a free real.
        """
        size = jnp.maximum(jnp.abs(loss), jnp.max(jnp.abs(slope)))
        size = jnp.where(jnp.isfinite(size) & (size > 0), size, 1.0)
        unit = jnp.ones_like(size) if has_targets else size
        penalty = FIRST_PENALTY * jnp.maximum(size / unit, 1.0)
        bound, output = sizes[0], _finite(sizes[1])
        each = _or_one(jnp.maximum(jnp.maximum(bound, output), _finite(reach)))
        digits = max(BOUND_TOLERANCE, 64 * float(jnp.finfo(each.dtype).eps))
        kept = digits * jnp.where(bound > 0, jnp.maximum(bound, 1e-3 * output), jnp.where(output > 0, output, each))
        read = lambda merit: (merit.unit, merit.sizes, merit.tolerances, merit.penalty, merit.gap)  # noqa: E731
        new = unit, each, kept / each, penalty, jnp.max(excess / each, initial=0.0)
        found = [jnp.where(self.is_measured, old, given) for old, given in zip(read(self), new, strict=True)]
        return eqx.tree_at(read, self, tuple(found))

    def next_round(self, excess: Excess, is_stuck: Bool[Array, ""]) -> tuple["Merit", Bool[Array, ""], Bool[Array, ""]]:
        """The merit of the next round, whether the bounds are kept, and whether this round is lost.

        is_stuck: whether the search of this round was given up: then the penalty was too steep. A round that is lost
        must be made again, from where it began.
        """
        excess = excess / self.sizes
        off = jnp.abs(jnp.maximum(excess, -self.multipliers / self.penalty))
        gap = jnp.max(off, initial=0.0)
        is_lost = jnp.max(excess, initial=0.0) > jnp.maximum(RUNAWAY, 2 * self.gap)
        is_kept = jnp.all(off <= 0.1 * self.tolerances)
        is_stuck &= is_kept  # else the multipliers are what is wrong
        is_settled = ~is_lost & ~is_stuck
        multipliers = jnp.maximum(0.0, self.multipliers + self.penalty * excess)
        growth = jnp.where(gap > 0.25 * self.gap, 10.0, 1.0)
        following = Merit(
            self.unit,
            self.sizes,
            self.tolerances,
            jnp.where(is_settled, multipliers, self.multipliers),
            self.penalty * jnp.where(is_lost, 100.0, jnp.where(is_stuck, 0.1, growth)),
            jnp.where(is_settled, gap, self.gap),
            self.rounds + 1,
            jnp.zeros_like(self.steps),
        )
        return following, is_kept, is_lost

    @property
    def is_exhausted(self) -> Bool[Array, ""]:
        """Whether another round would not bring the bounds nearer."""
        return (self.rounds >= BOUND_ROUNDS) | (self.penalty > PENALTY_LIMIT * FIRST_PENALTY)


def _finite(size: Array) -> Array:
    return jnp.where(jnp.isfinite(size), size, 0.0)


def _or_one(size: Array) -> Array:
    return jnp.where(size > 0, size, 1.0)


def first_merit(bounds: int, dtype: jnp.dtype, measures: bool) -> Merit:
    """Before the first step; measures: whether the start is to give units."""
    zeros, ones = jnp.zeros((bounds,), dtype), jnp.ones((bounds,), dtype)
    unit, penalty = jnp.asarray(0.0 if measures else 1.0, dtype), jnp.asarray(FIRST_PENALTY, dtype)
    none = jnp.zeros((), jnp.int32)
    return Merit(unit, ones, ones, zeros, penalty, jnp.zeros((), dtype), none, none)
