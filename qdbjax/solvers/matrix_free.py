"""Stationary state of a block too large for a matrix: GMRES on the d × d density matrix, matrix products only.

A as in `degenerate_block`, A(ρ) = L(ρ) but for one row, which is Tr ρ. The preconditioner P keeps two parts of A: the
rates between populations, solved directly, and of each coherence its own decay and frequency. With columns scaled by
C = √p_m √p_n, p the populations that P alone gives,

    C⁻¹ P⁻¹ A C y = C⁻¹ P⁻¹ e_r,      ρ = C y,

where y is of size 1 at every level, so that rare levels are as accurate as others. It is solved from two starts: in
what the equations determine they agree, and their difference is the error; along a second stationary state they differ.
*Source:* Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986), GMRES.
"""

import functools as ft
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import gmres

from qdbjax._types import Array, Float, Matrix, RealVector, Scalar
from qdbjax.generators.block import Block, whole_block
from qdbjax.generators.block_entries import AllEntries, SomeEntries
from qdbjax.generators.interaction_picture import coherence_exponents
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.hermitian import Packed, negativity, pack, unpack
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.matrix import largest
from qdbjax.solvers.abstract import Solution
from qdbjax.solvers.scaling import Scaled, best_scaled, fastest_decay, rounding, scale_of
from qdbjax.systems import Spectrum

SUBSPACE = 80  # vectors between restarts
RESTARTS = 25
CONVERGED = 100  # many eps
COMPARED = 1e5  # many eps, of the second solution


class Preconditioner(eqx.Module):
    """An approximate inverse of A: populations by the rates between them, each coherence by its own decay.

    direct: the equations of populations.
    own: inverse exponent of each coherence (d, d).
    undecided: whether rates leave populations undecided; their inverse would fill them with its rounding then, the same
        from any start.
    """

    direct: Scaled
    own: Matrix
    undecided: Array
    fastest: Scalar

    def apply(self, packed: Packed) -> Packed:
        """An approximation of A⁻¹(ρ)."""
        return self._applied(packed, self.direct.solve, self.own)

    def apply_transposed(self, packed: Packed) -> Packed:
        """An approximation of A⁻ᵀ(ρ)."""
        return self._applied(packed, self.direct.solve_transposed, self.own.conj())

    def _applied(self, packed: Packed, solve: Callable, own: Matrix) -> Packed:
        populations = jnp.diagonal(packed)
        populations = jnp.where(self.undecided, -populations / self.fastest, solve(populations))
        return pack(unpack(packed) * own, populations)


def solve_matrix_free(
    spectrum: Spectrum, jumps: AbstractJumps, rates: Float[Array, "d d"], populations: RealVector
) -> Solution:
    """Stationary state from the ω = 0 block, in memory d² times the vectors kept.

    Arguments and flags as of `solve_block`; the condition number is the difference of two solutions over that of
    rounding.
    """
    d = spectrum.energies.shape[0]
    block = whole_block(spectrum, jumps)
    fixed = jax.lax.stop_gradient(block)
    fastest, same = fastest_decay(fixed), jnp.real(fixed.same)
    unit = jnp.eye(d, dtype=same.dtype)
    # The part of A between populations, and each coherence by itself.
    rates = off_diagonal(jax.lax.stop_gradient(rates))
    rates = rates - jnp.diag(jnp.sum(rates, axis=0))
    levels = SomeEntries(d, jnp.arange(d) * (d + 1))
    direct, replaced, _ = best_scaled(rates, jax.lax.stop_gradient(populations), unit > 0, levels)
    own = jax.lax.stop_gradient(coherence_exponents(spectrum, jumps))
    own = 1 / jnp.where((same > 0) & (unit == 0) & (own != 0), own, -fastest.astype(own.dtype))
    scale = scale_of(jax.lax.stop_gradient(populations), AllEntries(d)).reshape(d, d)
    row = unit * replaced.astype(same.dtype)[:, None]

    def action_of(block: Block) -> Callable:
        effective = block.effective  # formed once and not in every product

        def action(packed: Packed) -> Packed:
            inside = pack(block.action(unpack(packed * same), effective)) - fastest * packed * (1 - same)
            return jnp.where(row > 0, jnp.trace(packed), inside)

        return action

    undecided = direct.inverse.condition_number * rounding(d, same.dtype) > 0.1
    precondition = Preconditioner(direct, own, undecided, fastest)

    def solve_scaled(operator, source: Packed, start: Packed, many: float) -> Packed:
        tolerance = many * float(jnp.finfo(source.dtype).eps)
        return gmres(operator, source, start, tol=tolerance, restart=SUBSPACE, maxiter=RESTARTS)[0]

    def solve_from(start: Packed, many: float, operator, source: Packed) -> Packed:
        forward = lambda x: precondition.apply(x) / scale  # noqa: E731
        return scale * solve_scaled(lambda y: forward(operator(scale * y)), forward(source), start, many)

    nothing = jnp.zeros_like(scale)
    solve = ft.partial(solve_from, nothing, CONVERGED)

    def solve_transposed(operator, source: Packed) -> Packed:
        backward = lambda z: precondition.apply_transposed(z / scale)  # noqa: E731
        found = solve_scaled(lambda z: scale * operator(backward(z)), scale * source, nothing, CONVERGED)
        return backward(found)

    packed = jax.lax.custom_linear_solve(action_of(block), row, solve, solve_transposed)
    value = jax.lax.stop_gradient(packed)
    action = action_of(fixed)
    anywhere = jnp.cos(jnp.arange(1, d * d + 1, dtype=same.dtype)).reshape(d, d)
    other = solve_from(anywhere, COMPARED, action, row)
    error = largest(jnp.abs(value - other) / scale)
    change = jnp.where(row > 0, 0.0, action(value))
    residual = jax.lax.stop_gradient(largest(jnp.abs(change))) / fastest
    kernel = jnp.where(error > 0.1, 2.0, 1.0).astype(same.dtype)
    condition = jnp.maximum(1.0, error / rounding(d, same.dtype))
    width = jax.lax.stop_gradient(spectrum.widest_level)
    return Solution(jnp.diagonal(packed), off_diagonal(packed), kernel, residual, condition, negativity(value), width)
