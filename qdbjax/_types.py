"""One home for array aliases."""

from typing import Any

from jaxtyping import Array, Bool, Complex, Float, Inexact, Int

Scalar = Float[Array, ""]
RealVector = Float[Array, " d"]
Matrix = Inexact[Array, "d d"]
Rates = Float[Array, "bath to from"]
BoolMatrix = Bool[Array, "d d"]
StatusCode = Int[Array, ""]
ArrayLike = Any

__all__ = [
    "Array",
    "ArrayLike",
    "Bool",
    "BoolMatrix",
    "Complex",
    "Float",
    "Inexact",
    "Int",
    "Matrix",
    "Rates",
    "RealVector",
    "Scalar",
    "StatusCode",
]
