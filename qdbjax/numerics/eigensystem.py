"""Hermitian eigensystem whose derivative is right for everything that does not depend on the basis inside a cluster.

Let H V = V B with B = diag(E) + M, M = 0 in value. Perturbation theory, H → H + dH and X = V†dH V, gives

    dB = X inside a cluster of levels, 0 elsewhere;      dV = V Y,  B Y - Y B = -X between clusters, Y = 0 inside.

No denominator ever connects two levels of one cluster, so nothing overflows at a crossing. What replaces the missing
rotation is the tangent of the mixing M: functions that treat B as a matrix inside a cluster (`-i[B, ρ]`, `V f(B) V†`)
have the exact derivative at, near and away from a crossing. The rule calls differentiable functions, so that it holds
in forward and reverse mode and to second order.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import BoolMatrix, Matrix, RealVector
from qdbjax.numerics.barrier import materialize
from qdbjax.numerics.eigh_closed_form import eigh2, eigh3
from qdbjax.numerics.entries import UNROLL, Entry, from_entries, matrix_entries, unstack
from qdbjax.numerics.matrix import LayoutMatrix, entrywise, largest


def eigh(matrix: Matrix) -> tuple[RealVector, Matrix]:
    """Ascending eigenvalues and eigenvectors of a Hermitian matrix: closed form for d <= 3, LAPACK above.

    No derivative rule of its own: differentiate `eigensystem`.
    """
    d = matrix.shape[-1]
    if d == 1:
        return jnp.real(matrix[0]), jnp.ones_like(matrix)
    if d in (2, 3):
        return _in_units_of_its_size(eigh2 if d == 2 else eigh3, matrix)
    energies, basis = jnp.linalg.eigh(matrix, symmetrize_input=False)
    return energies, basis


def _in_units_of_its_size(closed_form: Callable, matrix: Matrix) -> tuple[RealVector, Matrix]:
    """A closed form of a matrix scaled to 1, where fourth powers of its entries would leave the range of its type.

    Single precision reaches from 1e-38 to 1e38: energies in joule are 1e-24. In double precision 1e-77 to 1e77 hold.
    """
    if jnp.finfo(matrix.dtype).bits > 32:
        return closed_form(matrix)
    size = largest(entrywise(jnp.abs, jnp.real(matrix)))
    if jnp.iscomplexobj(matrix):
        size = jnp.maximum(size, largest(entrywise(jnp.abs, jnp.imag(matrix))))
    unit = jnp.where(size > 0, size, 1.0)
    energies, basis = closed_form(entrywise(lambda x: x / unit.astype(x.dtype), matrix))
    return entrywise(lambda x: x * unit, energies), basis


def eigensystem(hamiltonian: Matrix, clusters: Callable[[RealVector], BoolMatrix]) -> tuple[RealVector, Matrix, Matrix]:
    """Energies E (d,), mixing M (d, d) and eigenvectors V (d, d, columns) of a Hermitian matrix.

    `clusters` maps energies to the boolean matrix of pairs that count as one level; it alone decides degeneracy.
    M is zero; its derivative is the off-diagonal part of V†dH V inside a cluster (module docstring).
    """
    return _eigensystem(clusters, hamiltonian)


def materialized_eigensystem(hamiltonian: Matrix, clusters: Callable) -> tuple[RealVector, Matrix, Matrix]:
    """`eigensystem` for what is read many times: of up to three levels put together from entries, vectors written once.

    On a grid one axis of which leaves H as it is, eigenvectors would be computed anew in every point.
    """
    energies, mixing, basis = eigensystem(hamiltonian, clusters)
    if hamiltonian.shape[0] > UNROLL:
        return energies, mixing, basis
    return from_entries(energies), from_entries(mixing), materialize(basis)


def _eigensystem_value(clusters, hamiltonian):
    energies, basis = eigh(hamiltonian)
    return energies, _zeros_of(hamiltonian), basis


def _zeros_of(matrix: Matrix) -> Matrix:
    """A zero for each entry, of each cell of a batch.

    JAX 0.10 fails to differentiate a batched custom_jvp one of whose values is the same constant for every cell while
    its tangent is not (grad of scan of vmap, or of any batched jaxpr).
    """
    nothing = jnp.zeros((), matrix.dtype)
    return jnp.where(matrix == matrix, nothing, nothing)


_eigensystem = jax.custom_jvp(_eigensystem_value, nondiff_argnums=(0,))


def _inverse_gaps(energies: RealVector, same: BoolMatrix, like: LayoutMatrix) -> LayoutMatrix:
    """1/(E_j - E_i) at [i, j] between clusters, 0 inside."""
    if like.rows is None:
        gap = energies[None, :] - energies[:, None]
        return LayoutMatrix(None, jnp.where(same, 0.0, 1.0 / jnp.where(same, 1.0, gap)))
    energy, inside, d = unstack(energies), matrix_entries(same), energies.shape[0]
    rows = [[Entry(0.0) for _ in range(d)] for _ in range(d)]
    for i, j in zip(*np.triu_indices(d, 1), strict=True):
        inverse = jnp.where(inside[i][j], 0.0, 1.0 / jnp.where(inside[i][j], 1.0, energy[j] - energy[i]))
        rows[i][j], rows[j][i] = Entry(inverse), Entry(-inverse)
    return LayoutMatrix(rows)


@_eigensystem.defjvp
def _eigensystem_jvp(clusters, primals, tangents):
    (hamiltonian,), (d_hamiltonian,) = primals, tangents
    energies, mixing, basis = _eigensystem(clusters, hamiltonian)
    same, dtype = jax.lax.stop_gradient(clusters(energies)), basis.dtype
    V, M, dH = (LayoutMatrix.of(x) for x in (basis, mixing, d_hamiltonian))
    M = M.without_diagonal()  # which is known to have no tangent either
    # Only the Hermitian part of the tangent is a tangent, ½(dH + dH†): entries of H may be perturbed one at a time.
    # Each of three matrices is computed once: without, XLA assembles arrays of 3 x 3 in between and computes one entry
    # after the other anew.
    dH = (dH + dH.H).times(0.5).materialized(energies)
    X = V.adjoint_matmul(dH @ V).materialized(energies)
    dM = X.where(same).without_diagonal()
    inverse = _inverse_gaps(energies, same, like=V)
    Y = X.times(inverse)
    # M is zero; its tangent is part of that of Y, for second derivatives.
    Y = Y + (M @ Y + (Y @ M).times(-1.0)).times(inverse)
    dV = (V @ Y).materialized(energies)
    return (energies, mixing, basis), (X.real_diagonal(), dM.array(dtype), dV.array(dtype))
