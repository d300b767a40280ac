"""One home for array aliases."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Inexact, Int

Scalar = Float[Array, ""]
RealVector = Float[Array, " d"]
Matrix = Inexact[Array, "d d"]
AnyArray = Array | np.ndarray  # NumPy where the value is known while a program is traced
AnyMatrix = Inexact[AnyArray, "d d"]
Rates = Float[Array, "bath to from"]
BathRates = Float[Array, "to from"]
Superoperator = Inexact[Array, "dd dd"]  # on row-major vec(ρ), dd = d²
BoolMatrix = Bool[Array, "d d"]
StatusCode = Int[Array, ""]
ArrayLike = Any
DType = Any  # what NumPy takes for one

if TYPE_CHECKING:
    Converted = Any
else:
    Converted = Array  # a field whose constructor makes an array of what it is given: a number, a list

__all__ = [
    "AnyArray",
    "AnyMatrix",
    "Array",
    "ArrayLike",
    "BathRates",
    "Bool",
    "BoolMatrix",
    "Complex",
    "Converted",
    "DType",
    "Float",
    "Inexact",
    "Int",
    "Matrix",
    "Rates",
    "RealVector",
    "Scalar",
    "StatusCode",
    "Superoperator",
]
