"""An interval of time cut where a protocol jumps, so that each piece is smooth and its ends can be differentiated.

An integrator cannot see the derivative with respect to the time s of a jump, such as that of `t >= s`. Here a clock σ
runs from k to k + 1 on the k-th piece, t = a_k + (σ - k)(b_k - a_k): it stops at whole numbers, which do not move, and
s stands in a_k and b_k, where every order of derivative sees it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, is_traced
from qdbjax._types import Array, ArrayLike, Float, Int
from qdbjax.solvers.integration import Times

MARGIN = 4.0  # units in the last place by which a time is kept away from a breakpoint: a protocol rounds in its own way


def as_breakpoints(value: ArrayLike | None, times: Times) -> Array | None:
    """Breakpoints (n,) in the type of times; None for none. Raises ValueError for known ones that are NaN."""
    if value is None:
        return None
    points = as_real(value, "breakpoints")
    if points.ndim != 1:
        raise ValueError(f"breakpoints must be a vector of times, [s] for one; got shape {points.shape}.")
    if not is_traced(points) and np.any(np.isnan(np.asarray(points))):
        raise ValueError(f"breakpoints must be numbers; got {np.asarray(points)}.")
    return points.astype(times.dtype) if points.shape[0] else None


def held(value: Array, low: Array, high: Array) -> Array:
    """The value kept between two bounds, with its derivative as if it were not."""
    return value + jax.lax.stop_gradient(jnp.clip(value, low, high) - value)


class Pieces(eqx.Module):
    """The pieces of an interval between breakpoints, n + 1 of them; see `cut`.

    begins, ends: a_k and b_k (piece,), inverse energy.
    earliest, latest: the times (piece,) between which the protocol is evaluated on a piece, inside of it by rounding.
    """

    begins: Float[Array, " piece"]
    ends: Float[Array, " piece"]
    earliest: Float[Array, " piece"]
    latest: Float[Array, " piece"]

    def at(self, clock: Array) -> tuple[Array, Array]:
        """The time at which the protocol is evaluated, and dt/dσ."""
        last = self.begins.shape[0] - 1
        piece = jnp.clip(jnp.floor(jax.lax.stop_gradient(clock)), 0, last)
        k = piece.astype(np.int32)
        length = self.ends[k] - self.begins[k]
        return held(self.begins[k] + (clock - piece) * length, self.earliest[k], self.latest[k]), length

    @property
    def ending(self) -> Float[Array, " breakpoint"]:
        """The time just before each breakpoint, moving with it."""
        return held(self.ends[:-1], self.earliest[:-1], self.latest[:-1])

    @property
    def starting(self) -> Float[Array, " breakpoint"]:
        """The time just after each breakpoint, moving with it."""
        return held(self.begins[1:], self.earliest[1:], self.latest[1:])

    def piece_of(self, times: Times) -> Int[Array, " time"]:
        """The piece of each time; a breakpoint belongs to the one that it ends, the start to the one that follows."""
        points = self.ends[None, :-1]
        return jnp.sum((points < times[:, None]) | (points <= self.begins[0]), axis=1, dtype=np.int32)

    def clocks(self, times: Times) -> Times:
        """σ of each time, below the whole number at which its piece ends."""
        k = self.piece_of(times)
        length = self.ends[k] - self.begins[k]
        clock = k.astype(times.dtype) + (times - self.begins[k]) / jnp.where(length > 0, length, 1.0)
        return held(clock, k.astype(times.dtype), self.last_clocks[k])

    @property
    def last_clocks(self) -> Float[Array, " piece"]:
        """The last σ of each piece, below a whole number by rounding; n + 1 of the last."""
        count, dtype = self.begins.shape[0], self.begins.dtype
        whole = np.arange(1, count + 1)
        return jnp.asarray(whole - MARGIN * count * np.finfo(dtype).eps * (whole < count), dtype)


def cut(breakpoints: Array, start: Array, end: Array) -> Pieces:
    """The pieces of [start, end]; breakpoints in any order, those outside end or begin a piece without length."""
    points = jnp.sort(breakpoints)
    points = jnp.where(points > start, jnp.where(points < end, points, end), start)
    begins, ends = jnp.concatenate([start[None], points]), jnp.concatenate([points, end[None]])
    margin = MARGIN * float(jnp.finfo(points.dtype).eps) * jnp.maximum(jnp.abs(start), jnp.abs(end))
    middle, place = 0.5 * (begins + ends), np.arange(begins.shape[0])
    earliest = jnp.where(place > 0, jnp.minimum(begins + margin, middle), begins)
    latest = jnp.where(place < place[-1], jnp.maximum(ends - margin, middle), ends)
    return Pieces(begins, ends, earliest, latest)
