"""Stationary state from the ω = 0 block: populations, and coherences between degenerate levels.

The unknown is ρ as d² reals. K, the block of L, has one dependent row, as Tr K(ρ) = 0; the row of one population is
replaced by the trace, and coherences outside the block are set to zero:

    A(ρ) = K(ρ) except in row r, where it is Tr ρ,      A(ρ) = e_r.

Which row counts when it is cold: the others are then balances between terms of their own size, while the trace, put in
the row of a rare level, swamps it (with r the most populated level populations of e^{-500} are right to 1e-13, with a
bordered matrix, which adds the trace to every row, 20 % are lost at e^{-33}). Columns are scaled by √p_m √p_n, p from
the rates between populations alone, and rows by their largest entry. What the condition number says then is not how
cold it is (5 to 100 whatever T is) but how nearly the state is one of many. The scaling is repeated with the
populations found where the first p was far off (a coherent drive at T = 0).

Derivatives apply A without forming it and use the same inverse (every order and mode).
*Source:* of the elimination of a dependent row, W. J. Stewart, Numerical Solution of Markov Chains (1994), section 2.3.
"""

from collections.abc import Callable

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp

from qdbjax._types import Array, Bool, BoolMatrix, Float, RealVector, Scalar
from qdbjax.generators.block import UNKNOWNS, Block, block_entries, block_room, usual_entries, whole_block
from qdbjax.generators.block_entries import AllEntries, Entries, SomeEntries
from qdbjax.generators.generator import Generator
from qdbjax.generators.jumps import AbstractJumps
from qdbjax.numerics.hermitian import negativity, pack, unpack
from qdbjax.numerics.markov import off_diagonal
from qdbjax.numerics.matrix import largest
from qdbjax.solvers.abstract import AbstractSolver, Solution
from qdbjax.solvers.matrix_free import solve_matrix_free
from qdbjax.solvers.populations import solve_graph
from qdbjax.solvers.scaling import Scaled, best_scaled, fastest_decay, rounding
from qdbjax.systems import Spectrum


def block_rows(block: Block, fastest: Scalar, entries: Entries | None = None) -> Float[Array, "n n"]:
    """K on packed reals, by default all of them; coherences outside the block decay at the fastest rate."""
    entries = AllEntries(block.levels.shape[0]) if entries is None else entries
    return block.matrix_on(entries) - fastest * jnp.diag(1 - entries.take(jnp.real(block.same)))


class Equations(eqx.Module):
    """A(ρ) = e_r on some entries of ρ, ready to be solved.

    scaled: the equations, scaled and factorised.
    replaced: (n,), True at the row r that is the trace.
    solution: (n,).
    residual: largest entry of K(ρ) of the solution over the fastest rate.
    """

    scaled: Scaled
    replaced: Array
    solution: Array
    residual: Scalar

    @staticmethod
    def of(
        block: Block, fastest: Scalar, populations: RealVector, equal: BoolMatrix, one_level: bool, entries: Entries
    ) -> "Equations":
        """Of the arguments of `best_scaled`, the block, its fastest rate, and whether all levels count as one."""
        matrix = block_rows(block, fastest, entries)
        coupled = None if one_level else entries.in_use_anywhere(jnp.real(block.same) > 0)
        scaled, replaced, solution = best_scaled(matrix, populations, equal, entries, coupled)
        residual = largest(jnp.abs(jnp.sum(matrix * solution[None, :], axis=1))) / fastest
        return Equations(scaled, replaced, solution, residual)

    @property
    def condition_number(self) -> Scalar:
        """Of the scaled equations."""
        return self.scaled.inverse.condition_number

    def solve(self, source: Array) -> Array:
        """x of A x = b."""
        return self.scaled.solve(source)

    def solve_transposed(self, source: Array) -> Array:
        """x of Aᵀ x = b."""
        return self.scaled.solve_transposed(source)


class FewOrAll(eqx.Module):
    """`Equations` on a short list of entries of ρ where the block of every cell of a batch fits into it, else on all.

    One conditional for the batch, so that one list is computed and not both.

    crowded: whether the block of any cell is larger than the short list.
    few, every: equations on the one and on the other list, zeros for the one that is not used.
    """

    crowded: Bool[Array, ""]
    few: Equations
    every: Equations
    few_entries: SomeEntries
    entries: Entries

    @staticmethod
    def of(equations: Callable, few: SomeEntries, fits: Bool[Array, ""], entries: Entries) -> "FewOrAll":
        """equations: from a list of entries to `Equations`; few, fits: of `usual_entries`; entries: all of them."""

        def nothing(some):
            return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(equations, some))

        crowded = eqxi.unvmap_any(~fits)
        in_all, in_few = (lambda: (nothing(few), equations(entries))), (lambda: (equations(few), nothing(entries)))
        of_few, of_all = jax.lax.cond(crowded, in_all, in_few)
        return FewOrAll(crowded, of_few, of_all, few, entries)

    def _wide(self, vector: Array) -> Array:
        """A vector of the short list as one of the long list."""
        return self.entries.take(self.few_entries.put(vector))

    @property
    def replaced(self) -> Array:
        """(n,), True at the row r that is the trace."""
        of_few = self._wide(self.few.replaced.astype(self.few.residual.dtype)) > 0
        return jnp.where(self.crowded, self.every.replaced, of_few)

    @property
    def solution(self) -> Array:
        """(n,), of the equations that are used."""
        return jnp.where(self.crowded, self.every.solution, self._wide(self.few.solution))

    @property
    def condition_number(self) -> Scalar:
        """Of the equations that are used."""
        return jnp.where(self.crowded, self.every.condition_number, self.few.condition_number)

    @property
    def residual(self) -> Scalar:
        """Of the equations that are used."""
        return jnp.where(self.crowded, self.every.residual, self.few.residual)

    def _solved(self, source: Array, solve: Callable) -> Array:
        def in_few(source):
            return self._wide(solve(self.few, self.few_entries.take(self.entries.put(source))))

        return jax.lax.cond(self.crowded, lambda source: solve(self.every, source), in_few, source)

    def solve(self, source: Array) -> Array:
        """x of A x = b."""
        return self._solved(source, lambda equations, b: equations.solve(b))

    def solve_transposed(self, source: Array) -> Array:
        """x of Aᵀ x = b."""
        return self._solved(source, lambda equations, b: equations.solve_transposed(b))


def solve_block(
    spectrum: Spectrum, jumps: AbstractJumps, rates: Float[Array, "d d"], populations: RealVector
) -> Solution:
    """Stationary state from the ω = 0 block.

    rates: of all baths together [to, from], inverse time.
    populations: of these rates alone (d,), by which columns are scaled.
    Where the state is one of many the condition number is infinite, or as large as rounding makes it; the caller flags
    it, and a block with more entries than there is room for.
    """
    if block_room(spectrum) > UNKNOWNS:
        return solve_matrix_free(spectrum, jumps, rates, populations)
    d, entries = spectrum.energies.shape[0], block_entries(spectrum)
    block = whole_block(spectrum, jumps)
    fixed = jax.lax.stop_gradient(block)
    fastest = fastest_decay(fixed)
    equal = Spectrum(spectrum.energies, spectrum.basis, spectrum.mixing).same_level  # a window joins other levels too
    guess = jax.lax.stop_gradient(populations)
    equations = lambda some: Equations.of(fixed, fastest, guess, equal, spectrum.is_one_level, some)  # noqa: E731
    usual = usual_entries(spectrum)
    found = equations(entries) if usual is None else FewOrAll.of(equations, *usual, entries)
    state, condition = entries.put(_with_derivative(block, found, fastest, entries)), found.condition_number
    kernel = jnp.where(condition * rounding(d, fastest.dtype) > 0.1, 2.0, 1.0).astype(fastest.dtype)
    missed = negativity(jax.lax.stop_gradient(state))
    return Solution(
        jnp.diagonal(state),
        off_diagonal(state),
        kernel,
        found.residual,
        condition,
        missed,
        jax.lax.stop_gradient(spectrum.widest_level),
    )


def _with_derivative(block: Block, found: Equations | FewOrAll, fastest: Scalar, entries: Entries) -> Array:
    """The solution found of A(ρ) = e_r, as a function of the block: dρ = -A⁻¹ dA(ρ), in every order and mode.

    No further solution is made for the value, as `lax.custom_linear_solve` around it would.
    """
    arrays, rest = eqx.partition((found, fastest, entries), eqx.is_array)

    def action(block, arrays, vector):
        found, fastest, entries = eqx.combine(arrays, rest)
        packed, same = entries.put(vector), jnp.real(block.same)
        inside = pack(block.action(unpack(packed * same)))
        outside = fastest * vector * (1 - entries.take(same))
        return jnp.where(found.replaced, jnp.trace(packed), entries.take(inside) - outside)

    @jax.custom_jvp
    def solution(block, arrays):
        return eqx.combine(arrays, rest)[0].solution

    @solution.defjvp
    def _jvp(primals, tangents):
        (block, arrays), (change, _) = primals, tangents
        found, vector = eqx.combine(arrays, rest)[0], solution(block, arrays)
        _, source = jax.jvp(lambda block: action(block, arrays, vector), (block,), (change,))
        step = jax.lax.custom_linear_solve(
            lambda x: action(block, arrays, x),
            -source,
            lambda _, b: found.solve(b),
            lambda _, b: found.solve_transposed(b),
        )
        return vector, step

    return solution(block, arrays)


class DegenerateBlock(AbstractSolver):
    """The ω = 0 block for every cell: populations and coherences between equal levels; cost n³ a cell for n entries."""

    def solve(self, generator: Generator) -> Solution:
        rates = jax.lax.stop_gradient(generator.total_rates)
        return solve_block(generator.spectrum, generator.jumps, rates, solve_graph(rates).populations)
