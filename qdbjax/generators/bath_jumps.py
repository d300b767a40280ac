"""Jump terms of weakly coupled baths: operators, reservoirs and charges (Davies and universal equations)."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax.baths import AbstractBath
from qdbjax.generators.jumps import AbstractJumps, Channels, PerBath
from qdbjax.numerics.entries import stack, unstack
from qdbjax.numerics.matrix import batched_matmul
from qdbjax.systems import Spectrum


class AbstractBathJumps(AbstractJumps):
    """Jump terms made from weakly coupled baths."""

    baths: eqx.AbstractVar[tuple[AbstractBath, ...]]

    @abc.abstractmethod
    def amplitudes(self, spectrum: Spectrum) -> tuple[Channels, ...]:
        """X_a of each bath (channel, d, d) with rates Σ_a |⟨to|X_a|from⟩|², phases of the couplings included."""

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        return tuple(bath.charges for bath in self.baths)

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        columns = (
            [bath.single_temperature for bath in self.baths],
            [bath.chemical_potential for bath in self.baths],
        )
        dtype = np.result_type(*(value.dtype for column in columns for value in column))
        temperatures, potentials = (stack([value.astype(dtype) for value in column]) for column in columns)
        return temperatures, potentials

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "AbstractBathJumps":
        pairs = zip(unstack(temperatures), unstack(chemical_potentials), strict=True)
        baths = tuple(bath.with_reservoir(*pair) for bath, pair in zip(self.baths, pairs, strict=True))
        return eqx.tree_at(lambda jumps: jumps.baths, self, baths)


def bath_operators(bath: AbstractBath, spectrum: Spectrum) -> Channels:
    """The operators of a bath in the energy eigenbasis (k, d, d)."""
    return spectrum.to_eigenbasis(jnp.stack([jnp.asarray(operator) for operator in bath.operators]))


def commutator_with_mixing(framed: Channels, spectrum: Spectrum) -> Channels:
    """[S, M] of each operator: zero in value; its derivative is that of ω∘S where a Hamiltonian mixes equal levels.

    ω∘S = SB - BS with ω[to, from] = E_from - E_to and the level matrix B = diag(E) + M (`Spectrum`).
    """
    mixing = spectrum.mixing.astype(framed.dtype)
    return batched_matmul(framed, mixing) - batched_matmul(mixing, framed)
