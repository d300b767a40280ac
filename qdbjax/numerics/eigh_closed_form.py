"""Closed-form eigensystem of Hermitian 2x2 and 3x3 matrices, without LAPACK.

Scalars only, so that under vmap every intermediate is one vector over the batch. Of a 3x3 matrix one eigenvalue comes
from the trigonometric solution of the characteristic equation and its vector from cross products of rows, as in
J. Kopp, Int. J. Mod. Phys. C 19, 523 (2008), which loses digits at double levels. Here that is done for the most
isolated eigenvalue only: it is about ‖M‖/√2 or more away from the others, ‖M‖² = Tr M² of the traceless part M, so that
its vector is well defined everywhere; what remains is an exact 2x2 problem in the orthogonal complement (deflation).

XLA recomputes intermediates in every fusion, with other roundings. So each component of one vector may be made from
slightly different numbers, and a choice that rounding decides may be made differently for two components (measured:
vectors off by order one at double levels). Hence two rules here: thresholds sit away from the values that symmetric
matrices give, and the 2x2 problem, which at a double level is nothing but rounding, is computed once (`barrier`).
"""

from typing import cast

import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Matrix, RealVector
from qdbjax.numerics.barrier import optimization_barrier_cond
from qdbjax.numerics.entries import Entry, choose, join, split, stack

Vector3 = tuple[Entry, Entry, Entry]
Upper3 = tuple[Array, Array, Array, Entry, Entry, Entry]  # m00, m11, m22 real; m01, m02, m12


def _two_levels(a: Array, c: Array, b: Entry) -> tuple[Array, Array, Entry, Entry]:
    """Lower and upper eigenvalue of [[a, b], [b*, c]], and the upper eigenvector (x, y)."""
    half = 0.5 * (a - c)
    middle = 0.5 * (a + c)
    off = b.squared()
    radius = jnp.sqrt(half * half + off)
    large = jnp.abs(half) + radius  # the component of the vector that suffers no cancellation
    norm = jnp.sqrt(large * large + off)
    flat = norm == 0
    inverse = 1.0 / jnp.where(flat, 1.0, norm)
    big = Entry(jnp.where(flat, 1.0, large * inverse))
    small = b.scaled(inverse)
    first = half >= 0
    return middle - radius, middle + radius, choose(first, big, small), choose(first, small.conj(), big)


def eigh2(matrix: Matrix) -> tuple[RealVector, Matrix]:
    """Ascending eigenvalues and eigenvectors (columns) of a Hermitian 2x2 matrix."""
    (a, b), (_, c) = split(matrix)

    def solve(a, c, re, im):
        low, high, x, y = _two_levels(a, c, Entry(re, im))
        return low, high, (x.re, x.im), (y.re, y.im)

    total = a.re + c.re + b.re + b.im
    low, high, x, y = optimization_barrier_cond(solve, total, a.re, c.re, b.re, b.im)
    x, y = (Entry(*z) if jnp.iscomplexobj(matrix) else Entry(z[0]) for z in (x, y))
    return stack([low, high]), join([[-y.conj(), x], [x.conj(), y]], matrix.dtype)


def _isolated_cosine(r: Array) -> Array:
    """cos(acos(r)/3) for 0 <= r <= 1: the root of 4c³ - 3c = r in [√3/2, 1], by Newton from a parabola.

    The parabola has the root's value √3/2 and slope 1/6 at r = 0 and its value 1 at r = 1. It is off by less than 2e-3
    and the slope 12c² - 3 is at least 6: three steps reach rounding.
    """
    start = 0.5 * np.sqrt(3.0).item()
    c = start + r * (1 / 6 - (start + 1 / 6 - 1) * r)
    for _ in range(3):
        c = c - ((4 * c * c - 3) * c - r) / (12 * c * c - 3)
    return c


def _isolated_vector(m: Upper3) -> Vector3:
    """Null vector of a Hermitian 3x3 matrix of rank 2: the largest column of its adjugate, normalised."""
    m00, m11, m22, m01, m02, m12 = m
    d0 = m11 * m22 - m12.squared()
    d1 = m00 * m22 - m02.squared()
    d2 = m00 * m11 - m01.squared()
    a01 = m02 * m12.conj() - m01.scaled(m22)
    a02 = m01 * m12 - m02.scaled(m11)
    a12 = m01.conj() * m02 - m12.scaled(m00)
    n0, n1, n2 = jnp.abs(d0), jnp.abs(d1), jnp.abs(d2)
    # Uneven weights: with equal ones a vector like (1, 1, 1)/√3 leaves the choice to rounding.
    first, second = (n0 >= 0.83 * n1) & (n0 >= 0.77 * n2), n1 >= 0.83 * n2
    v0 = choose(first, Entry(d0), choose(second, a01, a02))
    v1 = choose(first, a01.conj(), choose(second, Entry(d1), a12))
    v2 = choose(first, a02.conj(), choose(second, a12.conj(), Entry(d2)))
    size = jnp.sqrt(v0.squared() + v1.squared() + v2.squared())
    flat = size == 0  # H proportional to 1: any vector is right
    inverse = 1.0 / jnp.where(flat, 1.0, size)
    v0 = v0.scaled(inverse)
    return Entry(jnp.where(flat, 1.0, v0.re), v0.im), v1.scaled(inverse), v2.scaled(inverse)


def _complement(v: Vector3) -> tuple[Vector3, Vector3]:
    """Two unit vectors orthogonal to v and to each other."""
    v0, v1, v2 = v
    s0, s1, s2 = v0.squared(), v1.squared(), v2.squared()
    zero = Entry(jnp.zeros_like(s0))
    # Turn within the pair that holds the largest component or nearly so: its norm stays above 1/2.
    leading = jnp.maximum(s0, s1) >= 0.77 * s2
    inverse = 1.0 / jnp.sqrt(jnp.where(leading, s0 + s1, s1 + s2))
    n0, n1, n2 = v0.scaled(inverse), v1.scaled(inverse), v2.scaled(inverse)
    u0 = choose(leading, -n1.conj(), zero)
    u1 = choose(leading, n0.conj(), -n2.conj())
    u2 = choose(leading, zero, n1.conj())
    w = ((v1 * u2 - v2 * u1).conj(), (v2 * u0 - v0 * u2).conj(), (v0 * u1 - v1 * u0).conj())
    return (u0, u1, u2), w


def _between(x: Vector3, m: Upper3, y: Vector3) -> Entry:
    """⟨x|M|y⟩."""
    m00, m11, m22, m01, m02, m12 = m
    y0, y1, y2 = y
    a = y0.scaled(m00) + m01 * y1 + m02 * y2
    b = m01.conj() * y0 + y1.scaled(m11) + m12 * y2
    c = m02.conj() * y0 + m12.conj() * y1 + y2.scaled(m22)
    return x[0].conj() * a + x[1].conj() * b + x[2].conj() * c


def _isolated_eigenvalue(m: Upper3) -> tuple[Array, Array]:
    """The eigenvalue of a traceless Hermitian 3x3 matrix farthest from the others, and whether it is the top one."""
    b0, b1, b2, h01, h02, h12 = m
    f01, f02, f12 = h01.squared(), h02.squared(), h12.squared()
    p = jnp.sqrt((b0 * b0 + b1 * b1 + b2 * b2 + 2 * (f01 + f02 + f12)) / 6)
    inverse = jnp.where(p > 0, 1.0 / jnp.where(p > 0, p, 1.0), 0.0)
    triple = (h01 * h12 * h02.conj()).re
    # Divided factor by factor: p³ would underflow for small matrices.
    b0, b1, b2, g01, g02, g12 = (x * inverse for x in (b0, b1, b2, f01 * inverse, f02 * inverse, f12 * inverse))
    r = 0.5 * (b0 * b1 * b2 + 2 * (triple * inverse * inverse * inverse) - b0 * g12 - b1 * g02 - b2 * g01)
    top = r >= -0.0123  # not 0, where equally spaced levels would leave the choice to rounding
    return jnp.where(top, 2.0, -2.0) * p * _isolated_cosine(jnp.minimum(jnp.where(top, r, -r), 1.0)), top


def _deflate(re: list[Array], im: list[Array | float]) -> tuple:
    """Everything up to the 2x2 problem: isolated pair, frame of the complement, and H in that frame."""
    m00, m11, m22 = re[:3]
    m01, m02, m12 = (Entry(x, y) for x, y in zip(re[3:], im, strict=True))
    q = (m00 + m11 + m22) / 3
    centred = (m00 - q, m11 - q, m22 - q, m01, m02, m12)
    isolated, top = _isolated_eigenvalue(centred)
    v = _isolated_vector((centred[0] - isolated, centred[1] - isolated, centred[2] - isolated, m01, m02, m12))
    u, w = _complement(v)
    frame = [[x.re for x in vector] for vector in (v, u, w)], [[x.im for x in vector] for vector in (v, u, w)]
    uw = _between(u, centred, w)
    block = (_between(u, centred, u).re, _between(w, centred, w).re, uw.re, uw.im)
    return q, _between(v, centred, v).re, jnp.where(top, 1.0, 0.0).astype(q.dtype), block, frame


def eigh3(matrix: Matrix) -> tuple[RealVector, Matrix]:
    """Ascending eigenvalues and eigenvectors (columns) of a Hermitian 3x3 matrix."""
    (m00, m01, m02), (_, m11, m12), (_, _, m22) = split(matrix)
    re, im = [x.re for x in (m00, m11, m22, m01, m02, m12)], [x.im for x in (m01, m02, m12)]
    behind = optimization_barrier_cond(_deflate, cast(Array, sum((*re, *im))), re, im)
    q, isolated, top, (uu, ww, *uw), (frame, frame_im) = behind
    if not jnp.iscomplexobj(matrix):
        uw, frame_im = (uw[0], 0.0), [[0.0] * 3] * 3
    top = top > 0
    v, u, w = ([Entry(x, y) for x, y in zip(*pair, strict=True)] for pair in zip(frame, frame_im, strict=True))
    low, high, x, y = _two_levels(uu, ww, Entry(*uw))
    upper = [u[i] * x + w[i] * y for i in range(3)]
    lower = [w[i] * x.conj() - u[i] * y.conj() for i in range(3)]
    energies = [jnp.where(top, low, isolated), jnp.where(top, high, low), jnp.where(top, isolated, high)]
    columns = [
        [choose(top, lower[i], v[i]), choose(top, upper[i], lower[i]), choose(top, v[i], upper[i])] for i in range(3)
    ]
    return stack([energy + q for energy in energies]), join(columns, matrix.dtype)
