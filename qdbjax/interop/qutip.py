"""Operators and states for QuTiP. The other way needs nothing: every function takes a Qobj where it takes a matrix."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qdbjax._checks import as_matrix
from qdbjax._types import ArrayLike

if TYPE_CHECKING:
    import qutip


def to_qutip(operator: ArrayLike, dimensions: Sequence[int] | None = None) -> "qutip.Qobj":
    """A QuTiP operator from a matrix (d, d), such as a Hamiltonian, a coupling or a density matrix.

    operator: (d, d).
    dimensions: of the factors of a tensor product, by default (d,).
    Returns a Qobj with the same entries. Raises ValueError if the dimensions do not multiply to d.

    >>> qdb.interop.to_qutip(qdb.sigma_z()).shape
    (2, 2)
    """
    matrix = np.asarray(as_matrix(operator, "operator"))
    dimensions = [matrix.shape[0]] if dimensions is None else [int(d) for d in dimensions]
    if math.prod(dimensions) != matrix.shape[0]:
        raise ValueError(f"dimensions must multiply to {matrix.shape[0]}; got {dimensions}.")
    try:
        import qutip
    except ModuleNotFoundError:
        raise ModuleNotFoundError('to_qutip needs QuTiP: pip install "qdbjax[qutip]"') from None
    return qutip.Qobj(matrix, dims=[dimensions, dimensions])
