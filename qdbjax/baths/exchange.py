"""Baths that exchange particles with the system: bosonic fields and fermionic leads with a chemical potential.

H_I = Σ_a ∫dk (g(k) D_a ⊗ b†(k) + h.c.): D_a takes a particle of energy ω from the system and gives it to the bath, D_a†
brings one back. In the form Σ S ⊗ B the operators are S = D_a, with noise 2πJ(ω)(1 ± N), and S = D_a†, which lowers the
energy by -ω, with noise 2πJ N at -ω; + and the Bose function for fields, - and the Fermi function for leads.
"""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_matrix, as_scalar, is_traced
from qdbjax._types import AnyMatrix, Array, ArrayLike, Float, Scalar
from qdbjax.baths.abstract import AbstractBath, Operators, diagonal_table
from qdbjax.baths.spectral.abstract import AbstractSpectralDensity, as_spectral_density
from qdbjax.baths.temperature import Temperature, as_temperature, describe, temperature_at
from qdbjax.numerics.occupation import bose, fermi

Frequencies = Float[Array, "..."]


def _removal(value: ArrayLike) -> Operators:
    value = as_matrix(value, "removal", ndim=(2, 3))
    if value.shape[0] == 0:
        raise ValueError(f"removal must hold at least one operator; got shape {value.shape}.")
    return value


class AbstractExchange(AbstractBath):
    """Parameters shared by fields and leads, and the operators D_a and D_a† with their charges."""

    removal: Operators
    spectral_density: AbstractSpectralDensity
    temperature: Temperature
    chemical_potential: Scalar
    correlation: None
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        removal: ArrayLike,
        spectral_density: AbstractSpectralDensity | Callable,
        *,
        temperature: ArrayLike | None = None,
        inverse_temperature: ArrayLike | Callable | None = None,
        chemical_potential: ArrayLike = 0.0,
        name: str | None = None,
    ):
        self.removal = _removal(removal)
        self.spectral_density = as_spectral_density(spectral_density)
        self.temperature = as_temperature(temperature, inverse_temperature)
        self.chemical_potential = as_scalar(chemical_potential, "chemical_potential")
        self.correlation = None
        self.name = None if name is None else str(name)

    @property
    def operators(self) -> list[AnyMatrix]:
        """D_a, then D_a†."""
        removals = [self.removal] if self.removal.ndim == 2 else list(self.removal)
        return [*removals, *(operator.conj().T for operator in removals)]

    @property
    def charges(self) -> tuple[int, ...]:
        """-1 for D_a, +1 for D_a†."""
        count = 1 if self.removal.ndim == 2 else self.removal.shape[0]
        return (-1,) * count + (1,) * count

    @property
    def finite_at_zero(self) -> bool:
        # A field has no modes at ω = 0; for a lead ω = 0 is an energy like any other.
        return True

    @property
    def formula(self) -> str:
        return type(self.spectral_density).__name__

    @property
    def landmarks(self) -> list[Array]:
        """ω = 0, the chemical potential, and those of the spectral density, at both signs."""
        marks = [self.chemical_potential, *self.spectral_density.landmarks]
        return [jnp.zeros(()), *marks, *(-mark for mark in marks)]

    @property
    def scale(self) -> Array:
        return jnp.maximum(self.spectral_density.scale, jnp.abs(self.chemical_potential))

    @abc.abstractmethod
    def both_noises(self, frequency: Frequencies) -> tuple[Frequencies, Frequencies]:
        """(γ for D_a, γ for D_a†) at ω, elementwise, inverse time."""

    def noises(self, frequency: Frequencies) -> list[Frequencies]:
        """γ(ω) of each D_a, then of each D_a†, inverse time."""
        count = len(self.charges) // 2
        out, back = self.both_noises(frequency)
        return [out] * count + [back] * count

    def noise_matrix(self, frequency: Frequencies) -> Array:
        return diagonal_table(self.noises(frequency))

    def noise_parts(self, frequency: Frequencies) -> tuple[tuple[Array, ...], Array]:
        """γ for D and for D†."""
        both = jnp.stack(self.both_noises(frequency))
        back = np.repeat([0.0, 1.0], len(self.charges) // 2)
        return (both,), jnp.asarray(np.stack([np.diag(1 - back), np.diag(back)]), both.dtype)

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        shape = "x".join(map(str, self.removal.shape))
        potential = "traced" if is_traced(self.chemical_potential) else f"{np.asarray(self.chemical_potential)}"
        return (
            f"{type(self).__name__}({label}removal {shape}, {self.formula}, {describe(self.temperature)}, "
            f"chemical_potential={potential})"
        )


class Field(AbstractExchange):
    """A bosonic field that exchanges quanta with the system, H_I = Σ_a ∫dk (g D_a a† + h.c.).

    emission m→n: 2πJ(ω)(N + 1)|⟨n|D|m⟩|²,   absorption n→m: 2πJ(ω)N|⟨n|D|m⟩|²,   N = 1/(e^{(ω-μ)/T} - 1)

    with ω = E_m - E_n > 0; there are no transitions at ω <= 0, where the field has no modes.

    removal: D (d, d), which takes a quantum from the system, or several (k, d, d), each with a field of its own; need
        not be Hermitian; dimensionless.
    spectral_density: J(ω), energy, a spectral density or a callable.
    temperature: T >= 0, energy (k_B = 1); give this or inverse_temperature.
    inverse_temperature: 1/T > 0; a callable β(ω) makes a local-KMS field.
    chemical_potential: μ, energy, below every ω that is exchanged; at or above, the occupation is infinite or negative
        and the result is flagged.
    name: label in results.

    Raises ValueError or TypeError for concrete input out of range; traced input is flagged by the solvers.
    *Source:* L. Accardi and K. Imafuku, Int. J. Mod. Phys. B 18, 435 (2004), (17)-(23).

    >>> qdb.Field(qdb.sigma_minus(), qdb.Ohmic(0.01, cutoff=10.0), temperature=1.0, chemical_potential=-0.5)
    Field(removal 2x2, Ohmic, temperature=1.0, chemical_potential=-0.5)
    """

    if TYPE_CHECKING:  # which makes a constructor of the fields
        __init__ = AbstractExchange.__init__

    @property
    def always_finite(self) -> bool:
        return False  # N(ω) is infinite at ω = μ

    def occupation(self, frequency: Frequencies) -> Frequencies:
        """N(ω) at ω > 0, dimensionless."""
        return bose(frequency - self.chemical_potential, temperature_at(self.temperature, frequency))

    def both_noises(self, frequency: Frequencies) -> tuple[Frequencies, Frequencies]:
        """2πJ(ω)(N + 1) at ω > 0 for D, 2πJ(-ω)N(-ω) at ω < 0 for D†."""
        size = jnp.where(frequency == 0, 1.0, jnp.abs(frequency))
        strength, occupation = 2 * jnp.pi * self.spectral_density(size), self.occupation(size)
        emission = jnp.where(frequency > 0, strength * (occupation + 1), 0.0)
        return emission, jnp.where(frequency < 0, strength * occupation, 0.0)


class Lead(AbstractExchange):
    """A fermionic lead that exchanges particles with the system, H_I = Σ_a ∫dk (g D_a c† + h.c.).

    out of the system, m→n: 2πJ(ω)(1 - f)|⟨n|D|m⟩|²,   into it, n→m: 2πJ(ω)f|⟨n|D|m⟩|²,   f = 1/(e^{(ω-μ)/T} + 1)

    with ω = E_m - E_n of either sign. Γ = 2πJ is the tunnelling rate.

    removal: D (d, d), which removes one particle, or several (k, d, d) (spin, orbitals), each with channels of its own;
        dimensionless.
    spectral_density: J(ω) at either sign of ω, energy: `Flat` (wide band), `LorentzianBand`, or a callable.
    temperature: T >= 0, energy (k_B = 1); give this or inverse_temperature.
    inverse_temperature: 1/T > 0, or a callable β(ω).
    chemical_potential: μ, energy.
    name: label in results.

    Raises ValueError or TypeError for concrete input out of range; a negative J, and traced input, are flagged.
    *Source:* C. W. J. Beenakker, Phys. Rev. B 44, 1646 (1991), for rates of sequential tunnelling.

    >>> qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=0.5, chemical_potential=0.2, name="left")
    Lead('left', removal 2x2, Flat, temperature=0.5, chemical_potential=0.2)
    """

    if TYPE_CHECKING:  # which makes a constructor of the fields
        __init__ = AbstractExchange.__init__

    @property
    def landmarks(self) -> list[Array]:
        """ω = 0, the chemical potential, and those of J(ω) and J(-ω), at both signs."""
        mirrored = self.spectral_density.mirrored
        marks = [] if mirrored is self.spectral_density else mirrored.landmarks
        return [*super().landmarks, *marks, *(-mark for mark in marks)]

    @property
    def scale(self) -> Array:
        return jnp.maximum(super().scale, self.spectral_density.mirrored.scale)

    @property
    def always_finite(self) -> bool:
        return True  # 0 <= f(ω) <= 1

    def occupation(self, frequency: Frequencies) -> Frequencies:
        """f(ω), dimensionless."""
        return fermi(frequency - self.chemical_potential, temperature_at(self.temperature, frequency))

    def both_noises(self, frequency: Frequencies) -> tuple[Frequencies, Frequencies]:
        """2πJ(ω)(1 - f(ω)) for D, 2πJ(-ω)f(-ω) for D†."""
        potential, temperature = self.chemical_potential, temperature_at(self.temperature, frequency)
        # 1 - f(x) = f(-x), without cancellation deep below the Fermi level.
        out = 2 * jnp.pi * self.spectral_density(frequency) * fermi(potential - frequency, temperature)
        return out, 2 * jnp.pi * self.spectral_density(-frequency) * fermi(-frequency - potential, temperature)
