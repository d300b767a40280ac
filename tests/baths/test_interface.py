"""A bath that a user writes from the interface alone, with no spectral density (docs/extending.md)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb


class TelegraphNoise(qdb.baths.AbstractBath):
    """Noise of correlation v² e^{-λ|t|}, classical: γ(ω) = 2v²λ/(ω² + λ²) at either sign of ω, times 1/|ω|^p."""

    coupling: jax.Array
    strength: jax.Array
    rate: jax.Array
    temperature: jax.Array
    chemical_potential: jax.Array
    correlation: None
    name: str | None = eqx.field(static=True)
    power: int = eqx.field(static=True)

    charges = (0,)
    finite_at_zero = False
    always_finite = False

    def __init__(self, coupling, strength, rate, power=0):
        self.coupling, self.strength, self.rate = map(jnp.asarray, (coupling, strength, rate))
        self.temperature, self.chemical_potential = jnp.asarray(jnp.inf), jnp.asarray(0.0)
        self.correlation, self.name, self.power = None, "noise", power

    @property
    def operators(self):
        return [self.coupling]

    @property
    def scale(self):
        return self.rate

    @property
    def landmarks(self):
        return []

    def noises(self, frequency):
        return [2 * self.strength**2 * self.rate / (frequency**2 + self.rate**2) / jnp.abs(frequency) ** self.power]

    def noise_matrix(self, frequency):
        return self.noises(frequency)[0][None, None]

    def noise_parts(self, frequency):
        return (self.noises(frequency)[0][None],), jnp.ones((1, 1, 1))


COLD = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=0.5, name="cold")


def test_two_levels_between_noise_and_a_bath_in_closed_form():
    generator = qdb.davies(qdb.models.qubit(1.0), [TelegraphNoise(qdb.sigma_x(), 0.05, 2.0), COLD])
    state = qdb.steady_state(generator)
    g, n = 2 * 0.05**2 * 2.0 / (1 + 2.0**2), 1 / np.expm1(1 / 0.5)
    k = 2 * np.pi * 0.01 * np.exp(-0.1)
    upper = (g + k * n) / (2 * g + k * (2 * n + 1))
    assert int(state.status) == 0
    np.testing.assert_allclose(np.asarray(state.populations), [1 - upper, upper], rtol=1e-12)
    heat = qdb.heat_currents(generator, state)
    np.testing.assert_allclose(np.asarray(heat), np.array([1, -1]) * g * (1 - 2 * upper), rtol=1e-12)


def test_equal_levels_dephase_at_the_noise_of_zero_frequency():
    noise = TelegraphNoise(jnp.diag(jnp.array([0.0, 1.0, 0.0])), 0.05, 2.0)
    generator = qdb.davies(jnp.diag(jnp.array([0.0, 0.0, 1.0])), [noise])
    initial = jnp.full((3, 3), 1 / 3)
    later = qdb.evolve(generator, initial, jnp.array([0.0, 100.0])).density_matrix[-1]
    np.testing.assert_allclose(complex(later[0, 1]), np.exp(-(2 * 0.05**2 / 2.0) / 2 * 100) / 3, rtol=1e-8)


def test_noise_without_end_at_zero_frequency_is_refused_by_the_name_of_the_bath():
    noise = TelegraphNoise(qdb.sigma_z(), 0.05, 2.0, power=1)
    with pytest.raises(ValueError, match=r"infinite noise at ω → 0 \(TelegraphNoise\)"):
        qdb.davies(qdb.models.qubit(1.0), [noise])


def test_a_bath_without_temperature_has_a_lamb_shift():
    # (1/2π) P∫ γ(ω)/(x - ω) dω of a Lorentzian γ is v² x/(x² + λ²): + for the upper level, - for the lower.
    generator = qdb.davies(jnp.diag(jnp.array([0.0, 1.0])), [TelegraphNoise(qdb.sigma_x(), 0.05, 2.0)], lamb_shift=True)
    shift = 0.05**2 * 1.0 / (1 + 2.0**2)
    np.testing.assert_allclose(np.diff(np.diag(np.asarray(generator.lamb_shift).real))[0], 2 * shift, rtol=1e-9)


def test_memory_time_of_exponential_noise():
    # √(∫γ'²dω / ∫γ²dω) of the Lorentzian: 1/(√2 λ).
    memory = qdb.baths.memory_time(TelegraphNoise(qdb.sigma_x(), 0.05, 2.0))
    np.testing.assert_allclose(float(memory), 1 / (np.sqrt(2) * 2.0), rtol=1e-8)
