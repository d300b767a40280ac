"""Operators as NumPy arrays: Pauli and ladder matrices, projectors, embedding in a tensor product and partial trace.

NumPy rather than JAX, so that a coupling written down inside a traced function is still a known constant there; only
the partial trace, which is taken of computed states, is a JAX array.
"""

import functools as ft
import math

import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_matrix
from qdbjax._types import Array, ArrayLike


def _dimension(value: int, name: str) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}.")
    return int(value)


def _check_index(index: int, name: str, levels: int) -> None:
    if not 0 <= index < levels:
        raise ValueError(f"{name} must be between 0 and levels - 1 = {levels - 1}; got {index}.")


def sigma_x() -> np.ndarray:
    """Pauli matrix σ_x."""
    return np.array([[0.0, 1.0], [1.0, 0.0]])


def sigma_y() -> np.ndarray:
    """Pauli matrix σ_y."""
    return np.array([[0.0, -1.0j], [1.0j, 0.0]])


def sigma_z() -> np.ndarray:
    """Pauli matrix σ_z; the first basis state is up."""
    return np.array([[1.0, 0.0], [0.0, -1.0]])


def sigma_minus() -> np.ndarray:
    """σ₋ = |down⟩⟨up|."""
    return np.array([[0.0, 0.0], [1.0, 0.0]])


def sigma_plus() -> np.ndarray:
    """σ₊ = |up⟩⟨down|."""
    return np.array([[0.0, 1.0], [0.0, 0.0]])


def destroy(levels: int) -> np.ndarray:
    """Annihilation operator of an oscillator truncated to `levels` states, a|n⟩ = √n |n-1⟩; shape (levels, levels)."""
    levels = _dimension(levels, "levels")
    return np.diag(np.sqrt(np.arange(1.0, levels)), 1)


def create(levels: int) -> np.ndarray:
    """Creation operator of an oscillator truncated to `levels` states, a†|n⟩ = √(n+1) |n+1⟩; shape (levels, levels).

    The last state goes to 0.
    """
    return destroy(levels).T


def basis_state(index: int, levels: int) -> np.ndarray:
    """Basis vector |index⟩, shape (levels,); the density matrix |index⟩⟨index| is `site(index, levels)`.

    Raises ValueError for an index that is not between 0 and levels - 1.
    """
    levels = _dimension(levels, "levels")
    _check_index(index, "index", levels)
    return np.eye(levels)[index]


def fermion_destroy(mode: int, modes: int) -> np.ndarray:
    """Annihilation operator c of one of several fermion modes, {c_i, c_j†} = δ_ij; shape (2^modes, 2^modes).

    Each mode is empty (first) or occupied; mode 0 is the leftmost factor and carries no sign.
    mode: which one, from 0.
    modes: how many there are.
    Raises ValueError for a mode that is not there.
    *Source:* P. Jordan and E. Wigner, Z. Phys. 47, 631 (1928).
    """
    modes = _dimension(modes, "modes")
    if not 0 <= mode < modes:
        raise ValueError(f"mode must be between 0 and modes - 1 = {modes - 1}; got {mode}.")
    factors = [sigma_z()] * mode + [transition(0, 1, 2)] + [np.eye(2)] * (modes - mode - 1)
    return ft.reduce(np.kron, factors)


def transition(to: int, origin: int, levels: int) -> np.ndarray:
    """|to⟩⟨origin|; shape (levels, levels). Raises ValueError for states that are not between 0 and levels - 1."""
    levels = _dimension(levels, "levels")
    _check_index(to, "to", levels)
    _check_index(origin, "origin", levels)
    operator = np.zeros((levels, levels))
    operator[to, origin] = 1.0
    return operator


def site(index: int, sites: int) -> np.ndarray:
    """Projector |index⟩⟨index| on one site of a single-particle lattice; shape (sites, sites)."""
    return transition(index, index, sites)


def embed(operator: ArrayLike, index: int, dimensions: list[int] | tuple[int, ...]) -> np.ndarray:
    """Operator on one factor of a tensor product, 1 ⊗ … ⊗ A ⊗ … ⊗ 1.

    operator: A (n, n).
    index: the factor that it acts on; factor 0 is the leftmost.
    dimensions: the dimension of each factor, n at `index`.
    Returns (D, D), D the product of dimensions. Raises ValueError for a factor that is not there or another dimension.
    """
    operator = np.asarray(as_matrix(operator, "operator"))
    if not 0 <= index < len(dimensions):
        raise ValueError(f"index must be between 0 and {len(dimensions) - 1}; got {index}.")
    if operator.shape[0] != dimensions[index]:
        raise ValueError(f"operator has dimension {operator.shape[0]} but factor {index} has {dimensions[index]}.")
    factors = [operator if n == index else np.eye(size) for n, size in enumerate(dimensions)]
    return ft.reduce(np.kron, factors)


def partial_trace(rho: ArrayLike, keep: int | tuple[int, ...], dimensions: list[int] | tuple[int, ...]) -> Array:
    """Partial trace of an operator on a tensor product: ρ_A = Tr_B ρ, the reduced state of the factors in `keep`.

    rho: (D, D), D the product of dimensions.
    keep: the factor that stays, or several; they stay in the order of the tensor product.
    dimensions: the dimension of each factor; factor 0 is the leftmost.
    Returns the operator on the kept factors, differentiable. Raises ValueError for no factor, one that is not there, or
    dimensions that do not fit.
    *Source:* M. A. Nielsen and I. L. Chuang, Quantum Computation and Quantum Information (2000), section 2.4.3.
    """
    rho = as_matrix(rho, "rho")
    kept = sorted({keep} if isinstance(keep, (int, np.integer)) else set(keep))
    count = len(dimensions)
    if not kept or not 0 <= kept[0] <= kept[-1] < count:
        raise ValueError(f"keep must hold factors between 0 and {count - 1}; got {keep}.")
    if rho.shape[0] != math.prod(dimensions):
        raise ValueError(f"rho has dimension {rho.shape[0]} but the factors have {math.prod(dimensions)}.")
    rows = list(range(count))
    columns = [count + n if n in kept else n for n in rows]
    size = math.prod(dimensions[n] for n in kept)
    table = jnp.asarray(rho).reshape(*dimensions, *dimensions)
    return jnp.einsum(table, rows + columns, kept + [count + n for n in kept]).reshape(size, size)
