"""Operators as NumPy arrays: Pauli and ladder matrices, projectors, embedding in a tensor product and partial trace.

NumPy rather than JAX, so that a coupling written down inside a traced function is still a known constant there; only
the partial trace, which is taken of computed states, is a JAX array.
"""

import functools as ft
import math

import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_integer, as_matrix, as_tuple, matrix_of_state
from qdbjax._types import Array, ArrayLike
from qdbjax.numerics.products import contract


def _index(value: int, name: str, count: int, counted: str) -> int:
    if as_integer(value, name, -math.inf) not in range(count):
        raise ValueError(f"{name} must be between 0 and {counted} - 1 = {count - 1}; got {value}.")
    return int(value)


def _sizes(dimensions: list[int] | tuple[int, ...]) -> tuple[int, ...]:
    sizes = as_tuple(dimensions, "dimensions", "a list with the dimension of each factor")
    if not sizes:
        raise ValueError("dimensions must hold the dimension of at least one factor; got none.")
    return tuple(as_integer(size, f"dimensions[{n}]", 1) for n, size in enumerate(sizes))


def sigma_x() -> np.ndarray:
    """Pauli matrix σ_x.

    >>> qdb.sigma_x()
    array([[0., 1.],
           [1., 0.]])
    """
    return np.array([[0.0, 1.0], [1.0, 0.0]])


def sigma_y() -> np.ndarray:
    """Pauli matrix σ_y.

    >>> qdb.sigma_y()
    array([[ 0.+0.j, -0.-1.j],
           [ 0.+1.j,  0.+0.j]])
    """
    return np.array([[0.0, -1.0j], [1.0j, 0.0]])


def sigma_z() -> np.ndarray:
    """Pauli matrix σ_z; the first basis state is up.

    >>> qdb.sigma_z()
    array([[ 1.,  0.],
           [ 0., -1.]])
    """
    return np.array([[1.0, 0.0], [0.0, -1.0]])


def sigma_minus() -> np.ndarray:
    """σ₋ = |down⟩⟨up|.

    >>> qdb.sigma_minus()
    array([[0., 0.],
           [1., 0.]])
    """
    return np.array([[0.0, 0.0], [1.0, 0.0]])


def sigma_plus() -> np.ndarray:
    """σ₊ = |up⟩⟨down|.

    >>> qdb.sigma_plus()
    array([[0., 1.],
           [0., 0.]])
    """
    return np.array([[0.0, 1.0], [0.0, 0.0]])


def destroy(levels: int) -> np.ndarray:
    """Annihilation operator of an oscillator truncated to `levels` states, a|n⟩ = √n |n-1⟩; shape (levels, levels).

    levels: how many, n = 0 to levels - 1.

    >>> qdb.destroy(2)
    array([[0., 1.],
           [0., 0.]])
    """
    levels = as_integer(levels, "levels", 1)
    return np.diag(np.sqrt(np.arange(1.0, levels)), 1)


def create(levels: int) -> np.ndarray:
    """Creation operator of an oscillator truncated to `levels` states, a†|n⟩ = √(n+1) |n+1⟩; shape (levels, levels).

    The last state goes to 0.

    levels: how many, n = 0 to levels - 1.

    >>> qdb.create(2)
    array([[0., 0.],
           [1., 0.]])
    """
    return destroy(levels).T


def basis_state(index: int, levels: int) -> np.ndarray:
    """Basis vector |index⟩, shape (levels,); the density matrix |index⟩⟨index| is `site(index, levels)`.

    index: of the state, from 0.
    levels: how many there are.
    Raises ValueError for an index that is not between 0 and levels - 1.

    >>> qdb.basis_state(1, 3)
    array([0., 1., 0.])
    """
    levels = as_integer(levels, "levels", 1)
    index = _index(index, "index", levels, "levels")
    return np.eye(levels)[index]


def fermion_destroy(mode: int, modes: int) -> np.ndarray:
    """Annihilation operator c of one of several fermion modes, {c_i, c_j†} = δ_ij; shape (2^modes, 2^modes).

    Each mode is empty (first) or occupied; mode 0 is the leftmost factor and carries no sign.
    mode: which one, from 0.
    modes: how many there are.
    Raises ValueError for a mode that is not there.
    *Source:* P. Jordan and E. Wigner, Z. Phys. 47, 631 (1928).

    >>> qdb.fermion_destroy(0, 1)
    array([[0., 1.],
           [0., 0.]])
    """
    modes = as_integer(modes, "modes", 1)
    mode = _index(mode, "mode", modes, "modes")
    factors = [sigma_z()] * mode + [transition(0, 1, 2)] + [np.eye(2)] * (modes - mode - 1)
    return ft.reduce(np.kron, factors)


def transition(to: int, origin: int, levels: int) -> np.ndarray:
    """|to⟩⟨origin|, which takes the state `origin` to the state `to`; shape (levels, levels).

    to: index of the state it leads to, from 0.
    origin: index of the state it starts from.
    levels: how many there are.
    Raises ValueError for states that are not between 0 and levels - 1.

    >>> qdb.transition(0, 1, 2)
    array([[0., 1.],
           [0., 0.]])
    """
    levels = as_integer(levels, "levels", 1)
    to = _index(to, "to", levels, "levels")
    origin = _index(origin, "origin", levels, "levels")
    operator = np.zeros((levels, levels))
    operator[to, origin] = 1.0
    return operator


def site(index: int, sites: int) -> np.ndarray:
    """Projector |index⟩⟨index| on one site of a single-particle lattice; shape (sites, sites).

    index: of the site, from 0.
    sites: how many there are.

    >>> qdb.site(1, 2)
    array([[0., 0.],
           [0., 1.]])
    """
    sites = as_integer(sites, "sites", 1)
    index = _index(index, "index", sites, "sites")
    return transition(index, index, sites)


def embed(operator: ArrayLike, index: int, dimensions: list[int] | tuple[int, ...]) -> np.ndarray:
    """Operator on one factor of a tensor product, 1 ⊗ … ⊗ A ⊗ … ⊗ 1.

    operator: A (n, n).
    index: the factor that it acts on; factor 0 is the leftmost.
    dimensions: the dimension of each factor, n at `index`.
    Returns (D, D), D the product of dimensions. Raises ValueError for a factor that is not there or another dimension.

    >>> qdb.embed(qdb.sigma_z(), 0, [2, 2]).diagonal()
    array([ 1.,  1., -1., -1.])
    """
    operator = np.asarray(as_matrix(operator, "operator"))
    dimensions = _sizes(dimensions)
    index = _index(index, "index", len(dimensions), "factors")
    if operator.shape[0] != dimensions[index]:
        raise ValueError(f"operator has dimension {operator.shape[0]} but factor {index} has {dimensions[index]}.")
    factors = [operator if n == index else np.eye(size) for n, size in enumerate(dimensions)]
    return ft.reduce(np.kron, factors)


def partial_trace(rho: ArrayLike, keep: int | tuple[int, ...], dimensions: list[int] | tuple[int, ...]) -> Array:
    """Partial trace of an operator on a tensor product: ρ_A = Tr_B ρ, the reduced state of the factors in `keep`.

    rho: (D, D), D the product of dimensions, or a state that holds one (`SteadyState`).
    keep: the factor that stays, or several; they stay in the order of the tensor product.
    dimensions: the dimension of each factor; factor 0 is the leftmost.
    Returns the operator on the kept factors, differentiable. Raises ValueError for no factor, one that is not there, or
    dimensions that do not fit.
    *Source:* M. A. Nielsen and I. L. Chuang, Quantum Computation and Quantum Information (2000), section 2.4.3.

    >>> qdb.partial_trace(np.diag([0.4, 0.3, 0.2, 0.1]), 0, [2, 2]).round(4)
    Array([[0.7, 0. ],
           [0. , 0.3]], dtype=float64)
    """
    rho = as_matrix(matrix_of_state(rho), "rho")
    dimensions = _sizes(dimensions)
    count = len(dimensions)
    several = (keep,) if isinstance(keep, (int, np.integer)) else as_tuple(keep, "keep", "one factor or several")
    kept = sorted({as_integer(factor, "keep", -math.inf) for factor in several})
    if not kept or not 0 <= kept[0] <= kept[-1] < count:
        raise ValueError(f"keep must hold factors between 0 and {count - 1}; got {keep}.")
    if rho.shape[0] != math.prod(dimensions):
        raise ValueError(f"rho has dimension {rho.shape[0]} but the factors have {math.prod(dimensions)}.")
    rows = list(range(count))
    columns = [count + n if n in kept else n for n in rows]
    size = math.prod(dimensions[n] for n in kept)
    table = jnp.asarray(rho).reshape(*dimensions, *dimensions)
    return contract(table, rows + columns, kept + [count + n for n in kept]).reshape(size, size)
