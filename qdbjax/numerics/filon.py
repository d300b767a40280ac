"""Integrals over the whole line, and Fourier integrals at any time, of functions with known corners.

The line is cut at the corners (kinks, steps, narrow peaks), and each piece into panels that double in length away from
its ends. A function that is analytic off its corners, whatever the widths of its peaks and the way it falls off, is a
polynomial of low degree on every such panel: Legendre coefficients fall as (3 + √8)^{-n}. On a panel of middle m and
half-width h

    ∫ f(ω) e^{-iωt} dω = e^{-imt} h Σ_n f_n 2(-i)^n j_n(ht)

with spherical Bessel functions j_n, however fast e^{-iωt} turns (L. N. G. Filon, Proc. R. Soc. Edinburgh 49, 38 (1928),
here with Legendre polynomials). Where it turns slowly the Gauss rule is used as it stands.
"""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float
from qdbjax.numerics.products import dot

NODES = 24
DEGREES = 21
OCTAVES = 48  # panels reach down to 2^-48 of a piece, and on the tails up to 2^48 units
SLOW = 8.0  # phase per half panel up to which 24 Gauss nodes are exact to 1e-14

_X, _W = np.polynomial.legendre.leggauss(NODES)
_MIDDLE, _LAST = slice(8, 11), slice(DEGREES - 3, DEGREES)  # degrees whose coefficients tell how a series falls
_TO_LEGENDRE = (_W * (np.arange(DEGREES)[:, None] + 0.5) * np.polynomial.legendre.legvander(_X, DEGREES - 1).T).T

Values = Float[Array, "function panel node"]


class Panels(eqx.Module):
    """Middles and half-widths (panel,), and the panels that reach to a corner or to infinity."""

    middle: Float[Array, " panel"]
    half: Float[Array, " panel"]
    ends: tuple[int, ...] = eqx.field(static=True)

    @property
    def nodes(self) -> Float[Array, "panel node"]:
        """Gauss nodes of every panel."""
        return self.middle[:, None] + self.half[:, None] * jnp.asarray(_X, self.half.dtype)[None]

    @property
    def weights(self) -> Float[Array, "panel node"]:
        """Gauss weights of every node."""
        return self.half[:, None] * jnp.asarray(_W, self.half.dtype)[None]

    def integrals(self, values: Values) -> Float[Array, " function"]:
        """∫f dω from f at the nodes; inf where it diverges."""
        parts = self.half[None] * jnp.sum(values * jnp.asarray(_W, self.half.dtype)[None, None], axis=-1)
        return jnp.where(self._endless(parts, values), jnp.inf, jnp.sum(parts, axis=1))

    def error(self, values: Values) -> Float[Array, " function"]:
        """Estimated error of ∫f dω, relative to ∫|f|dω: of what Legendre series leave out, (function,).

        With a and b the coefficients of degree 10 and 20 it is b² where they fall exponentially and b²/a where they
        fall as a power, because of a kink inside a panel; both are (ln b)²/ln a or 2 ln b, as in `principal_value`.
        """
        whole = jnp.sum(
            self.half[None] * jnp.sum(jnp.abs(values) * jnp.asarray(_W, values.dtype)[None, None], axis=-1), axis=1
        )

        def left(degrees):
            coefficients = dot(values, jnp.asarray(_TO_LEGENDRE[:, degrees], values.dtype))
            total = jnp.sum(self.half[None] * jnp.max(jnp.abs(coefficients), axis=-1), axis=1)
            floor = float(jnp.finfo(values.dtype).eps)
            return jnp.log(jnp.clip(total / jnp.where(whole > 0, whole, 1.0), floor, 0.9))

        last, middle = left(_LAST), left(_MIDDLE)
        return jax.lax.stop_gradient(jnp.exp(jnp.maximum(2 * last, last * last / middle)))

    def steps(self, values: Values) -> Array:
        """Whether f jumps at a corner, (function,): 2^-42 of a piece away, where corner and node still differ."""
        left, right = np.array(self.ends[1:-1:2]) - 6, np.array(self.ends[2:-1:2]) + 6
        jumps = jnp.max(jnp.abs(values[:, right, 0] - values[:, left, -1]), axis=1)
        return jumps > 1e-6 * jnp.max(jnp.abs(values), axis=(1, 2))

    def fourier(self, values: Values, time: Float[Array, ""]) -> Array:
        """∫f(ω) e^{-iωt} dω from real f at the nodes, complex (function,); inf where it diverges at t = 0."""
        phase = self.half * time
        slow = jnp.abs(phase) <= SLOW
        angle = jnp.where(slow, phase, 0.0)[:, None] * jnp.asarray(_X, phase.dtype)[None]
        weight = jnp.asarray(_W, phase.dtype)[None]
        gauss = [jnp.sum(values * (weight * part)[None], axis=-1) for part in (jnp.cos(angle), -jnp.sin(angle))]
        coefficients = dot(values, jnp.asarray(_TO_LEGENDRE, phase.dtype))
        filon = _bessel_sums(coefficients, jnp.where(slow, SLOW, phase)[None])
        re, im = (jnp.where(slow[None], few, many) for few, many in zip(gauss, filon, strict=True))
        turning = jax.lax.complex(jnp.cos(self.middle * time), -jnp.sin(self.middle * time))
        parts = self.half[None].astype(turning.dtype) * turning[None] * jax.lax.complex(re, im)
        total, endless = jnp.sum(parts, axis=1), self._endless(jnp.abs(parts), values)
        return jax.lax.complex(jnp.where(endless, jnp.inf, jnp.real(total)), jnp.where(endless, 0.0, jnp.imag(total)))

    def _endless(self, parts: Float[Array, "function panel"], values: Values) -> Array:
        """Whether panels at a corner or at infinity still matter, beside the largest |f| of a panel."""
        size = self.half[None] * jnp.max(jnp.abs(values), axis=-1)
        return jnp.max(parts[:, np.array(self.ends)], axis=1) > 1e-6 * jnp.max(size, axis=1)


def _bessel_sums(coefficients: Values, phase: Float[Array, "1 panel"]) -> tuple[Array, Array]:
    """Real and imaginary part of Σ_n f_n 2(-i)^n j_n(k), by the upward recurrence of j_n.

    Beyond n = k the recurrence loses digits no faster than the coefficients fall: at k = 8 and n = 20 five of them.
    """
    here = jnp.sin(phase) / phase
    above = (here - jnp.cos(phase)) / phase
    sums = [jnp.zeros(coefficients.shape[:2], phase.dtype)] * 2
    for n in range(DEGREES):
        sums[n % 2] = sums[n % 2] + (2.0 if n % 4 in (0, 3) else -2.0) * coefficients[..., n] * here
        here, above = above, (2 * n + 3) / phase * above - here
    return sums[0], sums[1]


def panels(corners: list[Array], unit: Array) -> Panels:
    """Panels for the whole line. corners: 0 where there are none; unit > 0: the scale on which it falls off."""
    corners = corners or [jnp.zeros(())]
    marks = list(jnp.sort(jnp.stack([jnp.asarray(corner, unit.dtype) for corner in corners])))
    near = jnp.asarray(2.0 ** np.arange(-OCTAVES, 0), unit.dtype)  # of a piece
    far = unit * jnp.asarray(2.0 ** np.arange(-OCTAVES, OCTAVES + 1), unit.dtype)
    edges, ends = [marks[0] - far[::-1]], [0]
    for start, end in itertools.pairwise(marks):
        ends += [sum(map(len, edges)) - 1, sum(map(len, edges))]
        length = end - start
        edges += [start[None], start + length * near, end - length * near[-2::-1]]
    ends += [sum(map(len, edges)) - 1, sum(map(len, edges))]
    edge = jnp.concatenate([*edges, marks[-1][None], marks[-1] + far])
    return Panels(0.5 * (edge[1:] + edge[:-1]), 0.5 * jnp.diff(edge), (*ends, edge.shape[0] - 2))
