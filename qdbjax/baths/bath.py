"""A bath: what it couples to, how strongly at each frequency, and how hot it is."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import allowed, as_hermitian, as_made, as_real, is_traced
from qdbjax._types import AnyArray, AnyMatrix, Array, ArrayLike, Bool, Float, Scalar
from qdbjax.baths.abstract import AbstractBath, Correlation, Operators, diagonal_table
from qdbjax.baths.spectral.abstract import AbstractSpectralDensity, as_spectral_density
from qdbjax.baths.temperature import Temperature, as_temperature, describe, temperature_at
from qdbjax.numerics.hermitian import is_positive
from qdbjax.numerics.occupation import magnitude, thermal_energy


class Bath(AbstractBath):
    """A thermal bosonic bath coupled through H_I = Σ_a S_a ⊗ B_a.

    ∫dt e^{iωt}⟨B_a(t)B_b(0)⟩ = γ(ω) M_ab,   γ(ω) = 2πJ(ω)(n + 1),   γ(-ω) = 2πJ(ω)n   (ω > 0)

    with n = 1/(e^{ω/T} - 1), so that KMS, γ_ba(-ω) = e^{-ω/T} γ_ab(ω), holds by construction.

    coupling: Hermitian S (d, d), or several S_a (k, d, d), dimensionless, in the basis of the Hamiltonian.
    spectral_density: J(ω), energy, a spectral density or any callable.
    temperature: T >= 0, energy (k_B = 1; T = 0 is exact); give this or inverse_temperature.
    inverse_temperature: 1/T > 0; a callable β(ω) makes a local-KMS field, hot at some frequencies and cold at others.
    correlation: Hermitian positive semidefinite M (k, k); None for the unit matrix (independent couplings).
    name: label in results.

    Raises ValueError or TypeError for concrete input out of range; traced input is flagged by the solvers.
    *Source:* H.-P. Breuer and F. Petruccione, The Theory of Open Quantum Systems (2002), section 3.3, with the full
    Fourier transform as γ.

    >>> qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=1.0, name="hot")
    Bath('hot', coupling 2x2, Ohmic, temperature=1.0)
    """

    coupling: Operators
    spectral_density: AbstractSpectralDensity
    temperature: Temperature
    correlation: Correlation | None
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        coupling: ArrayLike,
        spectral_density: AbstractSpectralDensity | Callable,
        *,
        temperature: ArrayLike | None = None,
        inverse_temperature: ArrayLike | Callable | None = None,
        correlation: ArrayLike | None = None,
        name: str | None = None,
    ):
        self.coupling = as_hermitian(coupling, "coupling", ndim=(2, 3))
        if self.coupling.shape[0] == 0:
            raise ValueError(f"coupling must hold at least one operator; got shape {self.coupling.shape}.")
        self.spectral_density = as_spectral_density(spectral_density)
        self.temperature = as_temperature(temperature, inverse_temperature)
        self.correlation = None if correlation is None else _correlation(correlation, self.coupling)
        self.name = None if name is None else str(name)

    @property
    def operators(self) -> list[AnyMatrix]:
        return [self.coupling] if self.coupling.ndim == 2 else list(self.coupling)

    @property
    def charges(self) -> tuple[int, ...]:
        return (0,) * len(self.operators)

    @property
    def chemical_potential(self) -> Scalar:
        """μ = 0, because no particles are exchanged."""
        return jnp.zeros(())

    @property
    def finite_at_zero(self) -> bool:
        return self.spectral_density.finite_at_zero

    @property
    def always_finite(self) -> bool:
        return self.spectral_density.finite_at_zero

    @property
    def diverges_at_zero(self) -> Bool[Array, ""]:
        return self.spectral_density.over_frequency(jnp.zeros(())) == jnp.inf

    @property
    def formula(self) -> str:
        return type(self.spectral_density).__name__

    @property
    def landmarks(self) -> list[Array]:
        """ω = 0, and those of the spectral density at both signs."""
        marks = self.spectral_density.landmarks
        return [jnp.zeros(()), *marks, *(-mark for mark in marks)]

    @property
    def scale(self) -> Array:
        return self.spectral_density.scale

    def _both_ways(self, frequency: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """γ(±ω) = 2πJ(|ω|)/|ω| · (|ω|n(|ω|) + max(±ω, 0)), with transcendental functions evaluated once for both."""
        size = magnitude(frequency)
        quanta = thermal_energy(frequency, temperature_at(self.temperature, frequency))
        strength = 2 * jnp.pi * self.spectral_density.over_frequency(size)
        # ½(|ω| + ω) has the slope ½ at ω = 0 that γ has there; max(ω, 0) would have 0.
        down, up = 0.5 * (size + frequency), 0.5 * (size - frequency)
        return strength * (quanta + down), strength * (quanta + up)

    def noise(self, frequency: ArrayLike) -> Float[Array, "..."]:
        """Noise spectrum γ(ω), before `correlation`.

        frequency: ω of any sign and shape, energy; ω = 0 gives the limit.

        Returns γ(ω) >= 0 in the shape of ω, inverse time.
        """
        return as_made(self)._both_ways(as_real(frequency, "frequency"))[0]

    def noise_pairs(self, frequency: Float[Array, "..."]) -> list[tuple[Float[Array, "..."], Float[Array, "..."]]]:
        return [self._both_ways(frequency)] * len(self.operators)

    def noises(self, frequency: Float[Array, "..."]) -> list[Float[Array, "..."]]:
        return [self.noise(frequency)] * len(self.operators)

    def noise_matrix(self, frequency: Float[Array, "..."]) -> Array:
        """γ_ab(ω), (k, k, *shape of ω): γ(ω) M_ab for ω > 0, γ(ω) M_ba for ω < 0, and γ(0) Re M_ab at ω = 0."""
        if self.correlation is None:
            return diagonal_table(self.noises(frequency))
        noise = self.noise(frequency)
        weights = jnp.asarray(self.correlation).reshape(*self.correlation.shape, *([1] * noise.ndim))
        real = jnp.real(weights) * noise[None, None]
        if not jnp.iscomplexobj(weights):
            return real
        return jax.lax.complex(real, jnp.imag(weights) * (jnp.sign(frequency) * noise)[None, None])

    def noise_parts(self, frequency: Float[Array, "..."]) -> tuple[tuple[Array, ...], Array]:
        """The parts of γ even and odd in ω, 2πJ(n + ½) and πJ; the even one is larger by T/ω."""
        size = magnitude(frequency)
        quanta = thermal_energy(frequency, temperature_at(self.temperature, frequency))
        strength = 2 * jnp.pi * self.spectral_density.over_frequency(size)
        even, odd = strength * (quanta + 0.5 * size), strength * (0.5 * frequency)
        weights = jnp.eye(len(self.operators)) if self.correlation is None else jnp.asarray(self.correlation)
        if not jnp.iscomplexobj(weights):
            return (even[None], odd[None]), weights[None]
        real, sign = jnp.real(weights).astype(weights.dtype), jnp.sign(frequency)
        return (jnp.stack([even, sign * even]), jnp.stack([odd, sign * odd])), jnp.stack([real, weights - real])

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        shape = "x".join(map(str, self.coupling.shape))
        return f"Bath({label}coupling {shape}, {self.formula}, {describe(self.temperature)})"


def _correlation(value: ArrayLike, coupling: AnyArray) -> Correlation:
    value = as_hermitian(value, "correlation")
    channels = 1 if coupling.ndim == 2 else coupling.shape[0]
    if value.shape != (channels, channels):
        wanted = (channels, channels)
        raise ValueError(f"correlation must have shape {wanted}, one row per coupling; got {value.shape}.")
    if is_traced(value):
        slack = 1e3 * float(jnp.finfo(value.dtype).eps) * jnp.max(jnp.abs(value))
        value = allowed(value, is_positive(value, slack))
    else:
        lowest = np.linalg.eigvalsh(np.asarray(value)).min()
        if lowest < -1e-12 * float(np.abs(value).max()):
            raise ValueError(f"correlation must be positive semidefinite; its lowest eigenvalue is {lowest:.3g}.")
    return value
