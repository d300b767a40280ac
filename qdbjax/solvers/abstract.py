"""What a way to the stationary state returns, and what it is called with."""

import abc

import equinox as eqx

from qdbjax._types import RealVector, Scalar
from qdbjax.generators.generator import Generator
from qdbjax.numerics.hermitian import Packed


class Solution(eqx.Module):
    """A stationary state in the energy eigenbasis and how good it is.

    populations (d,). coherences (d, d): packed, zero diagonal (`numerics.hermitian`). kernel_dimension: number of
    independent stationary states. residual: largest entry of L(ρ), in units of the largest rate.
    """

    populations: RealVector
    coherences: Packed
    kernel_dimension: Scalar
    residual: Scalar


class AbstractSolver(eqx.Module):
    """A way to the stationary state."""

    @abc.abstractmethod
    def solve(self, generator: Generator) -> Solution:
        """The stationary state, or one of them where there are several."""
