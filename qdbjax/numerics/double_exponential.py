"""Double-exponential quadrature: nodes that crowd at the ends of a panel, whatever happens there.

Integrands here are analytic inside a panel, with kinks, steps of any width or integrable singularities at its ends. The
maps x = ½(1 + tanh(½π sinh t)) on (0, 1) and x = exp(½π sinh t) on (0, ∞) turn them into functions of t for which the
trapezoidal rule converges exponentially (H. Takahasi and M. Mori, Publ. RIMS 9, 721 (1974)).
"""

import numpy as np

STEP = 1 / 16


def _steps(first: float, last: float) -> np.ndarray:
    return np.arange(round(first / STEP), round(last / STEP) + 1) * STEP


def decaying() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for ∫₀^∞ of functions that fall as e^{-x}, and may rise as x^{-½} at 0; without e^{-x}."""
    t = _steps(-4.5, 1.625)  # x between 1e-28 and 45
    x = np.exp(0.5 * np.pi * np.sinh(t))
    return x, STEP * 0.5 * np.pi * np.cosh(t) * x


def unit_interval() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes x, their distances 1 - x to the other end (without cancellation), and weights for ∫₀¹.

    For functions that may diverge as an inverse square root at an end.
    """
    t = _steps(-3.75, 3.75)  # from 1e-28 to as much below 1
    x, rest = 1 / (1 + np.exp(-np.pi * np.sinh(t))), 1 / (1 + np.exp(np.pi * np.sinh(t)))
    return x, rest, STEP * np.pi * np.cosh(t) * x * rest
