"""Universal Lindblad equation: one jump operator per channel, smooth through level crossings, without secular step."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, ArrayLike, Matrix, Rates, compiled_when_eager
from qdbjax.baths import AbstractBath
from qdbjax.generators.davies import checked_baths, framed_operators, squared
from qdbjax.generators.generator import AbstractJumps, Channels, Generator
from qdbjax.numerics.small import compose, every, stacked
from qdbjax.systems import Spectrum, System, as_system, spectrum


def universal_lindblad(system: System | ArrayLike, baths: AbstractBath | Sequence[AbstractBath]) -> Generator:
    """Universal Lindblad equation of a system weakly coupled to any number of baths.

    L(ρ) = -i[H, ρ] + Σ_bath Σ_a (L_a ρ L_a† - ½{L_a†L_a, ρ}), ⟨n|L_a|m⟩ = √γ_a(E_m - E_n) ⟨n|S_a|m⟩, with the whole
    coupling in one jump operator: completely positive for every H, smooth through level crossings and as accurate as
    Born and Markov allow, Γτ << 1, whatever the level spacings. Not secular: populations and coherences mix, one bath's
    stationary state is Gibbs up to terms of order γ, and solvers treat the d² x d² Liouvillian (d <= 32).

    system: a System or a Hamiltonian (d, d), energy. baths: one or several; independent couplings only.
    Its Lamb shift, which does not commute with H, is left out. Returns a Generator; `gen.rates` are |⟨to|L_a|from⟩|².
    Raises ValueError for no bath, mismatched dimensions, repeated names, or correlated couplings.
    *Source:* F. Nathan and M. S. Rudner, Phys. Rev. B 102, 115109 (2020), (24)-(27).
    """
    system = as_system(system)
    baths, names = checked_baths(system, baths)
    for n, bath in enumerate(baths):
        if bath.correlation is not None:
            raise ValueError(f"baths[{n}] has correlated couplings; universal_lindblad needs independent ones.")
    return _universal(system, baths, names)


@compiled_when_eager
def _universal(system: System, baths: tuple[AbstractBath, ...], names: tuple[str, ...]) -> Generator:
    levels = spectrum(system, jnp.asarray(jnp.inf))
    jumps = UniversalJumps(baths)
    rates = jumps.rates(levels)
    temperatures = stacked([bath.single_temperature.astype(rates.dtype) for bath in baths])
    potentials = stacked([bath.chemical_potential.astype(rates.dtype) for bath in baths])
    status = raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)
    return Generator(system, levels, rates, jumps, temperatures, potentials, status, names)


class UniversalJumps(AbstractJumps):
    """Jump operators √γ∘S; a negative γ makes them NaN."""

    baths: tuple[AbstractBath, ...]

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        """Change of the particle number by each operator of each bath."""
        return tuple(bath.charges for bath in self.baths)

    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        """None."""
        return None

    def rates(self, spectrum: Spectrum) -> Rates:
        """|⟨to|L_a|from⟩|² summed over the channels of each bath, zero diagonal."""
        off = 1 - jnp.eye(spectrum.energies.shape[0], dtype=spectrum.energies.dtype)
        return stacked([jnp.sum(squared(operators), axis=0) * off for operators, _ in self.channels(spectrum)])

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        """(L, L) of each bath in the energy eigenbasis."""
        return tuple((jumps, jumps) for jumps in (self._of_bath(bath, spectrum) for bath in self.baths))

    def _of_bath(self, bath: AbstractBath, levels: Spectrum) -> Channels:
        framed = framed_operators(bath, levels)

        def roots(frequencies: Array) -> Array:
            noise = jnp.stack(bath.noises(frequencies))
            nothing = (noise == 0) | ((squared(framed) == 0) & ~jnp.isfinite(noise))
            return jnp.where(nothing, 0.0, jnp.sqrt(jnp.where(nothing, 1.0, noise)))

        frequencies = levels.frequencies
        root, slope = jax.jvp(roots, (frequencies,), (jnp.ones_like(frequencies),))
        dtype = np.promote_types(framed.dtype, root.dtype)
        # √γ depends on the level matrix: [S, M] vanishes in value and carries the derivative at degenerate levels.
        rest = levels.mixing.astype(dtype)
        mixed = compose(framed.astype(dtype), rest) - compose(rest, framed.astype(dtype))
        return root.astype(dtype) * framed + slope.astype(dtype) * mixed
