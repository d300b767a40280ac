"""The interface of solvers for the stationary state: `solve(generator)` returns a Solution."""

import abc

import equinox as eqx

from qdbjax._types import RealVector, Scalar
from qdbjax.generators.generator import Generator
from qdbjax.numerics.hermitian import Packed


class Solution(eqx.Module):
    """A stationary state in the energy eigenbasis, its residual and its uniqueness.

    populations: p (d,).
    coherences: (d, d), packed reals with zero diagonal (`numerics.hermitian`).
    kernel_dimension: number of independent stationary states, or 2 for two or more where a block was solved.
    residual: largest entry of L(ρ) over the largest rate.
    condition_number: of the equations solved, each scaled to its own size; 1 where nothing is subtracted.
    negativity: by how much the state misses positivity; 0 where it does not.
    level_width: largest difference of energies that were taken for one level, energy.
    """

    populations: RealVector
    coherences: Packed
    kernel_dimension: Scalar
    residual: Scalar
    condition_number: Scalar
    negativity: Scalar
    level_width: Scalar


class AbstractSolver(eqx.Module):
    """A method for the stationary state of a generator."""

    @abc.abstractmethod
    def solve(self, generator: Generator) -> Solution:
        """The stationary state, or one of them where there are several."""
