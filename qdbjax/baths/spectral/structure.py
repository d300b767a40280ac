"""Where a function J(ω) lives, in any unit, and where it is not smooth: found by looking at it.

On a grid of equal steps in ln ω, over eighty decades, the scale is the last frequency at which J is half its maximum.
A kink, a step or a narrow peak shows in the fourth difference, relative to J around it: for what is smooth on the scale
of ω itself that is a few (Δ ln ω)⁴ = 1e-6. Each place found is looked at again on finer and finer grids: a step or a
kink stays the largest of fourth differences down to rounding, a peak until it is resolved.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool, Float, Scalar
from qdbjax.baths.scalar_function import at_fixed_parameters
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager

PER_E_FOLD = 32
DECADES = {8: (-40, 40), 4: (-30, 20)}  # by bytes of a number
ROUGH = 2e-3  # fourth difference relative to J around it that counts as structure
FAINT = 0.1  # of the maximum, below which J counts as this
APART = 6  # steps of the grid between two places
FOUND_IF_KNOWN, FOUND_IF_TRACED = 8, 2  # places looked for
ZOOMS, ZOOMED = 14, 64


def scale_and_landmarks(function: Callable) -> tuple[Scalar, list[Scalar]]:
    """The frequency > 0 beyond which J falls off, inf if it does not, and the places where it is not smooth.

    function: J(ω) of one real number, > 0. Where its numbers are traced places that are not needed are 0.
    """
    fixed, is_traced = at_fixed_parameters(function)
    if is_traced:
        scale, places, found = _structure(fixed, FOUND_IF_TRACED)
        return scale, list(jnp.where(found, places, 0.0))
    scale, places, found = eval_at_trace_time(_structure)(function, FOUND_IF_KNOWN)
    return scale, [place for place, one in zip(places, np.asarray(found), strict=True) if one]


@jit_if_eager
def _structure(function: Callable, count: int) -> tuple[Scalar, Float[Array, " place"], Bool[Array, " place"]]:
    values = lambda x: _finite(jnp.abs(jax.vmap(function)(x))) * jnp.ones_like(x)  # noqa: E731
    dtype = np.dtype(jnp.result_type(float))
    low, high = (each * np.log(10) for each in DECADES[dtype.itemsize])
    frequencies = jnp.asarray(np.exp(np.arange(low, high, 1 / PER_E_FOLD)), dtype)
    density = values(frequencies)
    large = density >= 0.5 * jnp.max(density)
    last = frequencies.shape[0] - 1 - jnp.argmax(large[::-1])
    scale = jnp.where(last >= frequencies.shape[0] - APART, jnp.inf, frequencies[last])
    scale = jnp.where(jnp.max(density) > 0, scale, 1.0)
    rough = jnp.maximum(_roughness(density), _roughness(density / frequencies))
    numbers = jnp.arange(rough.shape[0])

    def roughest(left: Array, _) -> tuple[Array, tuple[Array, Array]]:
        place = jnp.argmax(left)
        away, most = jnp.abs(numbers - place), left[place]
        # The flanks of a peak are rough as well, less than its top.
        taken = (away <= APART) | ((away <= PER_E_FOLD // 2) & (left < 0.03 * most))
        return jnp.where(taken, 0.0, left), (place, most > ROUGH)

    _, (places, found) = jax.lax.scan(roughest, rough, None, length=count)
    places = _closer(values, frequencies, jnp.clip(places, 2, frequencies.shape[0] - 3))
    return scale, places, found


def _closer(values: Callable, frequencies: Array, places: Array) -> Array:
    """The roughest place near each point of the grid, to rounding."""
    steps = jnp.asarray(np.linspace(0.0, 1.0, ZOOMED), frequencies.dtype)

    def zoom(_, window):
        start, end = window
        points = start[:, None] + (end - start)[:, None] * steps[None]
        density = values(points.reshape(-1)).reshape(points.shape)
        middle = jnp.clip(jnp.argmax(_fourth_difference(density), axis=1), 2, ZOOMED - 3)
        pick = lambda n: jnp.take_along_axis(points, n[:, None], axis=1)[:, 0]  # noqa: E731
        return pick(middle - 2), pick(middle + 2)

    start, end = jax.lax.fori_loop(0, ZOOMS, zoom, (frequencies[places - 2], frequencies[places + 2]))
    return 0.5 * (start + end)


def _finite(values: Array) -> Array:
    return jnp.where(jnp.isfinite(values), values, 0.0)


def _fourth_difference(values: Array) -> Array:
    inner = jnp.abs(jnp.diff(values, n=4, axis=-1))
    edge = jnp.zeros((*values.shape[:-1], 2), values.dtype)
    return jnp.concatenate([edge, inner, edge], axis=-1)


def _roughness(values: Array) -> Array:
    values = _finite(values)
    around = values
    for shift in (1, 2):
        around = jnp.maximum(around, jnp.maximum(jnp.roll(values, shift), jnp.roll(values, -shift)))
    floor = jnp.maximum(around, FAINT * jnp.max(values))
    return jnp.where(floor > 0, _fourth_difference(values) / jnp.where(floor > 0, floor, 1.0), 0.0)
