"""Derivatives by central differences."""

import numpy as np

STENCIL = (-2, -1, 1, 2)


def slope_of(samples, step):
    """Derivative, of fourth order in the step, from the values at STENCIL steps."""
    far_below, below, above, far_above = samples
    return (8 * (above - below) - (far_above - far_below)) / (12 * step)


def slope(function, x, step, direction=1.0):
    """df/dx along a direction, of fourth order in the step."""
    return slope_of([np.asarray(function(x + n * step * direction)) for n in STENCIL], step)


def curvature(function, x, step):
    """d²f/dx², of fourth order in the step."""
    far_below, below, above, far_above = (np.asarray(function(x + n * step)) for n in STENCIL)
    return (16 * (above + below) - far_above - far_below - 30 * np.asarray(function(x))) / (12 * step * step)


def two_point_slope(function, x, step, direction=1.0):
    """df/dx along a direction, of second order in the step."""
    above, below = (np.asarray(function(x + sign * step * direction)) for sign in (1, -1))
    return (above - below) / (2 * step)
