"""The interface of baths: operators and noise spectra, which is all that a master equation needs."""

import abc
import copy
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import AnyArray, AnyMatrix, Array, Bool, Float, Inexact, Scalar
from qdbjax.baths.temperature import LocalTemperature, Temperature

Noise = Float[Array, "..."]
Operators = Inexact[AnyArray, "*operators d d"]  # one operator or several
Correlation = Inexact[AnyArray, "k k"]


class AbstractBath(eqx.Module):
    """A bath with H_I = Σ_a S_a ⊗ B_a: operators S_a of the system, noise spectra γ_ab(ω) = ∫dt e^{iωt}⟨B_a†(t)B_b(0)⟩.

    temperature: T, energy, or a LocalTemperature β(ω).
    chemical_potential: μ, energy; 0 for a bath that exchanges no particles.
    correlation: M (k, k) with γ_ab = γ M_ab, or None for independent couplings.
    name: label in results, or None.
    """

    temperature: eqx.AbstractVar[Temperature]
    chemical_potential: eqx.AbstractVar[Scalar]
    correlation: eqx.AbstractVar[Correlation | None]
    name: eqx.AbstractVar[str | None]

    @property
    @abc.abstractmethod
    def operators(self) -> list[AnyMatrix]:
        """S_a, each (d, d); S_a(ω) lowers the energy by ω."""

    @property
    @abc.abstractmethod
    def charges(self) -> tuple[int, ...]:
        """Change of the system's particle number by each S_a; 0 where no particles are exchanged."""

    @property
    @abc.abstractmethod
    def finite_at_zero(self) -> bool:
        """Whether γ(ω) is known to stay finite at ω → 0 whatever the parameters."""

    @property
    @abc.abstractmethod
    def landmarks(self) -> list[Array]:
        """Frequencies, of either sign, at which γ_ab(ω) has a kink, a step or a narrow peak."""

    @property
    @abc.abstractmethod
    def scale(self) -> Array:
        """The frequency beyond which γ_ab(ω) falls off."""

    @property
    @abc.abstractmethod
    def always_finite(self) -> bool:
        """Whether γ(ω) is known to be finite at every ω whatever the parameters."""

    @abc.abstractmethod
    def noises(self, frequency: Noise) -> list[Noise]:
        """γ_aa(ω) of each operator before `correlation`, elementwise."""

    def noise_pairs(self, frequency: Noise) -> list[tuple[Noise, Noise]]:
        """(γ_aa(ω), γ_aa(-ω)) of each operator before `correlation`: for both directions of a transition."""
        return list(zip(self.noises(frequency), self.noises(-frequency), strict=True))

    @abc.abstractmethod
    def noise_matrix(self, frequency: Noise) -> Array:
        """γ_ab(ω), (k, k, *shape of ω), inverse time."""

    @abc.abstractmethod
    def noise_parts(self, frequency: Noise) -> tuple[tuple[Array, ...], Array]:
        """Parts of real functions g_p, each (p, *shape of ω), and M_p (p, k, k) with γ_ab(ω) = Σ_p g_p(ω) M_p,ab.

        g_p is the sum of its parts: what cancels in an integral and is large beside the rest is a part of its own.
        """

    @property
    def diverges_at_zero(self) -> Bool[Array, ""]:
        """Whether γ(ω) grows without end at ω → 0; asked where that is not known by `finite_at_zero`."""
        return jnp.any(jnp.stack(self.noises(jnp.zeros(()))) == jnp.inf)

    @property
    def formula(self) -> str:
        """The class whose formula the noise follows, for messages: that of the spectral density where there is one."""
        return type(self).__name__

    @property
    def dimension(self) -> int:
        """Dimension of the system that the bath couples to."""
        return self.operators[0].shape[-1]

    @property
    def single_temperature(self) -> Scalar:
        """T, energy; NaN for a bath whose temperature depends on frequency."""
        return jnp.asarray(jnp.nan) if isinstance(self.temperature, LocalTemperature) else self.temperature

    def with_reservoir(self, temperature: Scalar, chemical_potential: Scalar) -> "AbstractBath":
        """The bath at another temperature and chemical potential.

        A local-KMS bath keeps its β(ω), a bath that exchanges no particles its μ = 0.
        """
        bath = self
        if not isinstance(self.temperature, LocalTemperature):
            bath = eqx.tree_at(lambda b: b.temperature, bath, temperature)
        if any(self.charges):
            bath = eqx.tree_at(lambda b: b.chemical_potential, bath, chemical_potential)
        return bath


def map_stacked(function: Callable[[AbstractBath], Any], baths: tuple[AbstractBath, ...]) -> list:
    """function(bath) of every bath; baths that differ in numbers only are stacked and compiled once, under vmap.

    function: of one bath, to a tree of arrays.
    baths: a tuple of any kinds.
    Returns a list, one entry a bath.
    """
    groups: list[tuple] = []
    for place, bath in enumerate(baths):
        nameless = copy.copy(bath)
        object.__setattr__(nameless, "name", None)  # a label of results, which must not keep baths apart
        numbers, rest = eqx.partition(nameless, lambda leaf: isinstance(leaf, jax.Array | np.ndarray))
        leaves, structure = jax.tree.flatten(numbers)
        # Leaves that are not arrays must agree as well: the activation function of a network, for one.
        kind = structure, [(leaf.shape, leaf.dtype) for leaf in leaves], jax.tree.leaves(rest)
        for known, _, places, columns in groups:
            if known == kind:
                places.append(place)
                columns.append(leaves)
                break
        else:
            groups.append((kind, rest, [place], [leaves]))
    found: dict[int, Any] = {}
    for (structure, *_), rest, places, columns in groups:
        stacks = [jnp.stack([jnp.asarray(leaf) for leaf in leaves]) for leaves in zip(*columns, strict=True)]
        numbers = jax.tree.unflatten(structure, stacks)
        made = jax.vmap(lambda numbers, rest=rest: function(eqx.combine(numbers, rest)))(numbers)
        found |= {place: jax.tree.map(lambda leaf, n=n: leaf[n], made) for n, place in enumerate(places)}
    return [found[place] for place in range(len(baths))]


def diagonal_table(values: list[Noise]) -> Array:
    """(k, k, ...) with the given arrays on the diagonal."""
    unit = np.eye(len(values)).reshape(len(values), len(values), *([1] * values[0].ndim))
    return jnp.stack(values)[None] * jnp.asarray(unit, values[0].dtype)
