"""Functions of pairs of levels, of each pair once where entries are held one by one."""

import functools as ft
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, BoolMatrix, RealVector
from qdbjax.numerics.entries import matrix_entries, stack, unstack
from qdbjax.numerics.matrix import ENTRIES


def antisymmetric_tables(function: Callable, matrix: Array) -> list[Array]:
    """f(A_ij) of an antisymmetric real matrix (d, d), for each of several functions f.

    function: x ↦ [(f(x), f(-x)), …] of arrays, one pair for each f. Where entries are held one by one, it is asked for
        d(d - 1)/2 + 1 numbers in place of d².
    """
    if matrix.size > ENTRIES:
        return [forward for forward, _ in function(matrix)]
    entries, d = matrix_entries(matrix), matrix.shape[0]
    upper = list(zip(*np.triu_indices(d, 1), strict=True))
    tables = []
    for forward, backward in function(stack([entries[0][0], *(entries[n][m] for n, m in upper)])):
        (zero, *above), (_, *below) = unstack(forward), unstack(backward)
        table = [[zero] * d for _ in range(d)]
        for (n, m), x, y in zip(upper, above, below, strict=True):
            table[n][m], table[m][n] = x, y
        tables.append(stack([stack(row) for row in table]))
    return tables


def largest_over_pairs(term: Callable, pairs: BoolMatrix, *vectors: RealVector) -> Array:
    """The largest of term((x_m, y_m, …), (x_n, y_n, …)) >= 0 over pairs (d, d) of m and n; 0 if there are none.

    term, pairs: symmetric in m and n.
    """
    if pairs.size > ENTRIES:
        rows, columns = ([jnp.expand_dims(each, axis) for each in vectors] for axis in (1, 0))
        return jnp.max(jnp.where(pairs, term(rows, columns), 0.0))
    each, chosen = list(zip(*map(unstack, vectors), strict=True)), matrix_entries(pairs)
    terms = [jnp.where(chosen[m][n], term(each[m], each[n]), 0.0) for m in range(len(each)) for n in range(m)]
    return ft.reduce(jnp.maximum, terms, jnp.zeros((), vectors[0].dtype))
