"""Every way to make a generator, held to what it claims: positivity for all, covariance and thermal states for some."""

import dataclasses
from collections.abc import Callable

import diffrax
import jax
import numpy as np
import pytest
from reference.lindblad import assert_gksl, commutator
from reference.machines import COUPLING, ENERGIES, SPINS
from reference.thermal import gibbs

import qdbjax as qdb
from qdbjax import Status

OHMIC = qdb.Ohmic(0.02, 6.0)


@dataclasses.dataclass(frozen=True)
class Maker:
    """make(temperatures): a generator with one bath for each. secular: [D, [H, ·]] = 0. thermal: what one bath of
    temperature T leaves alone, or None."""

    make: Callable
    secular: bool = True
    thermal: Callable | None = None


def couplings(temperatures, make):
    return [make(np.linalg.matrix_power(COUPLING, n + 1), t, str(n)) for n, t in enumerate(temperatures)]


def bath(s, temperature, name):
    return qdb.Bath(s, OHMIC, temperature=temperature, name=name)


def field(s, temperature, name):
    density = qdb.PowerLaw(0.05, 3.0, 2.0)
    return qdb.Field(np.triu(s, 1), density, temperature=temperature, name=name)


def lead(temperatures):
    baths = [
        qdb.Lead(SPINS, qdb.baths.LorentzianBand(0.01, 0.2, 1.5), temperature=t, chemical_potential=0.4, name=str(n))
        for n, t in enumerate(temperatures)
    ]
    return qdb.davies(qdb.models.spinful_dot(-0.3, 1.1, 0.4), baths, lamb_shift=True)


def local(temperatures):
    profiles = [lambda w, t=t: (1 + 0.5 * w) / t for t in temperatures]
    fields = [
        qdb.Field(np.triu(COUPLING, 1), OHMIC, inverse_temperature=p, name=str(n)) for n, p in enumerate(profiles)
    ]
    return qdb.davies(qdb.models.three_level(ENERGIES), fields)


def three(energies=ENERGIES, make=bath, **options):
    return lambda temperatures: qdb.davies(qdb.models.three_level(energies), couplings(temperatures, make), **options)


def universal(**options):
    return lambda temperatures: qdb.universal_lindblad(
        qdb.models.three_level(ENERGIES), couplings(temperatures, bath), **options
    )


def gases(energies=ENERGIES):
    potential = COUPLING + np.diag([1.0, 0.7, 1.5]) + 0.3j * (np.tri(3, k=-1) - np.tri(3, k=-1).T)

    def make(temperatures):
        many = [qdb.Gas(potential @ potential.conj().T / (1 + n), temperature=t) for n, t in enumerate(temperatures)]
        return qdb.low_density(qdb.models.three_level(energies), many)

    return make


def of_levels(energies):
    return lambda temperature: gibbs(np.diag(energies), temperature)


def grand_canonical(temperature):
    system = qdb.models.spinful_dot(-0.3, 1.1, 0.4)
    return gibbs(np.asarray(system.hamiltonian) - 0.4 * np.asarray(system.number), temperature)


MAKERS = {
    "davies": Maker(three(), thermal=of_levels(ENERGIES)),
    "davies, equal gaps": Maker(three([0.0, 1.0, 2.0]), thermal=of_levels([0.0, 1.0, 2.0])),
    "davies, equal levels": Maker(three([0.0, 1.0, 1.0], lamb_shift=True), thermal=of_levels([0.0, 1.0, 1.0])),
    "davies with Lamb shift": Maker(three(lamb_shift=True), thermal=of_levels(ENERGIES)),
    "fields": Maker(three(make=field), thermal=of_levels(ENERGIES)),
    "leads": Maker(lead, thermal=grand_canonical),
    "local-KMS fields": Maker(local),
    "partial secular": Maker(three([0.0, 1.0, 1.05], window=0.2), False, of_levels([0.0, 1.025, 1.025])),
    "gases": Maker(gases(), thermal=of_levels(ENERGIES)),
    "gases, equal gaps": Maker(gases([0.0, 1.0, 2.0]), thermal=of_levels([0.0, 1.0, 2.0])),
    "gases, equal levels": Maker(gases([0.0, 1.0, 1.0]), thermal=of_levels([0.0, 1.0, 1.0])),
    "universal": Maker(universal(), secular=False),
    "universal with Lamb shift": Maker(universal(lamb_shift=True), secular=False),
}
makers = pytest.mark.parametrize("name", MAKERS)


@makers
def test_master_equation(name):
    """Trace and Hermiticity kept, completely positive; covariant and thermal where claimed, and only there."""
    maker = MAKERS[name]
    generator = maker.make((0.7,))
    liouvillian = np.asarray(generator.liouvillian())
    size = np.abs(liouvillian).max()
    assert_gksl(liouvillian)
    ours = commutator(np.asarray(generator.system.hamiltonian))
    dissipator = liouvillian - ours
    excess = np.abs(dissipator @ ours - ours @ dissipator).max() / np.abs(dissipator).max()
    assert (excess < 1e-12) == maker.secular
    thermal = maker.thermal(0.7) if maker.thermal else gibbs(generator.system.hamiltonian, 0.7)
    still = np.abs(liouvillian @ thermal.reshape(-1)).max() < 1e-13 * size
    assert still == (maker.thermal is not None)


@pytest.mark.slow
@makers
def test_relaxation(name):
    """Two baths: a unique state; evolution and propagator agree and end there; the distance to it shrinks."""
    generator = MAKERS[name].make((0.7, 1.5))
    steady = qdb.steady_state(generator)
    rho = np.asarray(steady.density_matrix)
    d = generator.dimension
    assert int(steady.status) & ~int(Status.NEAR_DEGENERATE) == 0 and int(steady.kernel_dimension) == 1
    assert np.abs(np.asarray(generator.apply(rho))).max() < 1e-12 and np.linalg.eigvalsh(rho).min() > -1e-14
    start = np.full((d, d), 0.5 / d) + 0.5 * np.eye(d) / d
    times = np.array([0.0, 3.0, 20.0, 100.0, 3000.0])
    run = qdb.evolve(generator, start, times, solver=diffrax.Dopri8(), rtol=1e-11, atol=1e-13, max_steps=100_000)
    for time, state in zip(times, run.density_matrix, strict=True):
        wanted = np.asarray(qdb.propagator(generator, time)) @ start.reshape(-1)
        np.testing.assert_allclose(np.asarray(state).reshape(-1), wanted, rtol=0, atol=1e-8)
    np.testing.assert_allclose(run.density_matrix[-1], rho, rtol=0, atol=1e-8)
    distances = jax.vmap(lambda state: qdb.relative_entropy(state, rho))(run.density_matrix[:-1])
    assert np.all(np.diff(distances) < 0)
