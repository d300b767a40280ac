"""Counting statistics against routes of their own: 40-digit spectra, a dense tilted Liouvillian, differences."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from reference.differences import two_point_slope
from reference.lindblad import Davies
from reference.machines import SITES, ring_hamiltonian

import qdbjax as qdb
from qdbjax.thermodynamics import (
    counter,
    fluctuation_symmetry,
    generating_function,
    joint_cumulants,
    noise_matrix,
    noise_spectrum,
    onsager_matrix,
    uncertainty_ratio,
)

TAU, ETA, CUTOFF = 0.5, 0.01, 10.0
FREQUENCIES = np.array([0.0, 0.02, 0.3])


def hamiltonian(flux):
    angle = 2 * jnp.pi * flux / 3
    hop = jax.lax.complex(TAU * jnp.cos(angle), -TAU * jnp.sin(angle)) * np.roll(np.eye(3) + 0j, 1, axis=1)
    return hop + hop.conj().T


def ring(flux, hot, cold):
    """Eigenvectors computed, not known."""
    baths = [qdb.Bath(SITES[n], qdb.Ohmic(ETA, CUTOFF), temperature=t, name=str(n)) for n, t in enumerate((hot, cold))]
    return qdb.davies(hamiltonian(jnp.asarray(flux)), baths)


def readings(flux, hot, cold):
    generator = ring(flux, hot, cold)
    steady = qdb.steady_state(generator)
    both = [counter(generator, "energy", name) for name in "01"]
    return {
        "cumulants": qdb.cumulants(generator, steady, "0", order=6),
        "noise": noise_matrix(generator, steady),
        "joint": joint_cumulants(generator, steady, both, (2, 1)),
        "spectrum": noise_spectrum(generator, steady, FREQUENCIES),
        "symmetry": fluctuation_symmetry(generator, np.linspace(-1.3, 0.4, 4)),
        "tilted": generating_function(generator, both, jnp.asarray([0.3, -0.2])),
        "heat": qdb.heat_currents(generator, steady),
        "uncertainty": uncertainty_ratio(generator, steady, "0"),
        "rates": generator.rates,
        "energies": generator.spectrum.energies,
    }


readings_of_many = jax.jit(jax.vmap(readings))
FLUXES = [0.3, 0.7, 0.0, 0.5, 1.5]
HOT, COLD = 1.0, 0.4


@pytest.fixture(scope="module")
def batch():
    """All fluxes in one batch, level crossings among them."""
    table = readings_of_many(jnp.asarray(FLUXES), jnp.full(len(FLUXES), HOT), jnp.full(len(FLUXES), COLD))
    return [jax.tree.map(lambda leaf, n=n: np.asarray(leaf[n]), table) for n in range(len(FLUXES))]


def reference(flux, hot=HOT, cold=COLD):
    baths = [(SITES[n], ETA, CUTOFF, t) for n, t in enumerate((hot, cold))]
    return Davies(ring_hamiltonian(flux, TAU), baths, tolerance=1e-4)


def cumulants_in_many_digits(rates, energies, order):
    """n!/2πi ∮ λ(χ)/χ^{n+1} dχ with λ from the characteristic polynomial of the tilted rate matrix, 40 digits."""
    with mpmath.workdps(40):
        points, radius = 96, mpmath.mpf("0.15")
        circle = [radius * mpmath.expjpi(mpmath.mpf(2) * k / points) for k in range(points)]
        values = []
        for field in circle:
            tilted = mpmath.matrix(3, 3)
            for bath, table in enumerate(rates):
                for n in range(3):
                    for l in range(3):
                        if n != l:
                            rate = mpmath.mpf(float(table[n, l]))
                            lift = mpmath.mpf(float(energies[n])) - mpmath.mpf(float(energies[l]))
                            tilted[n, l] += rate * (mpmath.exp(field * lift) if bath == 0 else 1)
                            tilted[l, l] -= rate
            spectrum = mpmath.eig(tilted, left=False, right=False)
            values.append(max(spectrum, key=lambda z: z.real))
        return [
            float(mpmath.re(math.factorial(n) * sum(v / x**n for v, x in zip(values, circle, strict=True)) / points))
            for n in range(1, order + 1)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_six_cumulants(batch, index):
    """c_1 … c_6 of the energy from one bath (1e-10 of each)."""
    one = batch[index]
    wanted = cumulants_in_many_digits(one["rates"], one["energies"], 6)
    np.testing.assert_allclose(one["cumulants"], wanted, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(FLUXES)))
def test_against_the_dense_tilted_liouvillian(batch, index):
    """Cumulants, joint cumulants and λ(χ); coherences between equal levels included."""
    one, dense = batch[index], reference(FLUXES[index])
    np.testing.assert_allclose(one["cumulants"][:4], dense.cumulants(0, 4), rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(one["heat"][0], one["cumulants"][0], rtol=1e-12)
    np.testing.assert_allclose(one["tilted"], dense.generating_function([0.3, -0.2]).real, rtol=1e-10)
    # Energy is kept: what comes from one bath goes to the other.
    np.testing.assert_allclose(one["noise"], one["cumulants"][1] * np.array([[1, -1], [-1, 1]]), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(one["joint"][1:, 0], one["cumulants"][:2], rtol=1e-10)
    np.testing.assert_allclose(one["joint"][1:, 1], -one["cumulants"][1:3], rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(FLUXES)))
def test_laws(batch, index):
    """Gallavotti-Cohen symmetry (1e-10), S(0) = noise, S(ω) Hermitian and positive, precision has its price."""
    one = batch[index]
    assert np.abs(one["symmetry"]).max() < 1e-10 * np.abs(one["rates"]).max()
    spectrum = one["spectrum"]
    np.testing.assert_allclose(spectrum[0], one["noise"], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(spectrum, np.swapaxes(spectrum, 1, 2).conj(), rtol=0, atol=1e-16)
    assert np.linalg.eigvalsh(spectrum).min() > -1e-14
    assert one["uncertainty"] >= 1 - 1e-10
    assert not np.allclose(spectrum[1:], one["noise"], rtol=1e-3)


@pytest.mark.slow
def test_noise_spectrum_against_time(batch):
    """S(ω) from the correlations of single jumps, integrated over time by quadrature of a matrix exponential."""
    one = batch[0]
    rates, energies = one["rates"], one["energies"]
    lift = energies[:, None] - energies[None, :]
    total = rates.sum(axis=0)
    walk = total - np.diag(total.sum(axis=0))
    values, vectors = np.linalg.eig(walk)
    still = np.real(vectors[:, np.argmin(np.abs(values))])
    still = still / still.sum()
    jumps = rates * lift[None]
    shot = (rates * lift[None] ** 2 @ still).sum(axis=1)
    for frequency, spectrum in zip(FREQUENCIES, one["spectrum"], strict=True):
        times, weights = np.polynomial.legendre.leggauss(80)
        total_time, wanted = 0.0, np.diag(shot).astype(complex)
        inverse = np.linalg.inv(vectors)
        for start, end in zip(edges := np.r_[0, np.geomspace(1.0, 3000.0, 60)], edges[1:], strict=False):
            nodes = 0.5 * (end - start) * times + 0.5 * (end + start)
            for t, w in zip(nodes, 0.5 * (end - start) * weights, strict=True):
                moved = np.real(vectors * np.exp(values * t) @ inverse)
                corr = np.array([[(jumps[i] @ moved @ jumps[j] @ still).sum() for j in range(2)] for i in range(2)])
                mean = np.array([(jump @ still).sum() for jump in jumps])
                corr = corr - np.outer(mean, mean)
                wanted += w * (np.exp(1j * frequency * t) * corr + np.exp(-1j * frequency * t) * corr.T)
            total_time = end
        assert total_time > 1000
        np.testing.assert_allclose(spectrum, wanted, rtol=1e-8, atol=1e-12)


TILT = [0.3, -0.2]


def noise(parameters):
    flux, hot, cold = parameters
    generator = ring(flux, hot, cold)
    tilted = generating_function(generator, [counter(generator, "energy", name) for name in "01"], jnp.asarray(TILT))
    return qdb.cumulants(generator, qdb.steady_state(generator), "0", order=2)[1] + tilted


def dense_noise(parameters):
    dense = reference(*parameters)
    return dense.cumulants(0, 2)[1] + dense.generating_function(TILT).real


slopes = jax.jit(jax.vmap(jax.grad(noise)))


@pytest.mark.slow
def test_gradient_of_noise():
    """Derivatives of noise and λ(χ) in flux and temperatures, at crossings too, against dense differences."""
    points = jnp.asarray([[flux, HOT, COLD] for flux in FLUXES])
    grads = np.asarray(slopes(points))
    for flux, grad in zip(FLUXES, grads, strict=True):
        for n, step in enumerate((1e-6, 1e-4, 1e-4)):
            wanted = two_point_slope(dense_noise, np.array([flux, HOT, COLD]), step, np.eye(3)[n])
            np.testing.assert_allclose(grad[n], wanted, rtol=2e-6, atol=3e-8)


def test_what_is_refused():
    """Unknown bath or quantity, particles where none flow, orders that are none."""
    generator = ring(0.3, 1.0, 0.4)
    steady = qdb.steady_state(generator)
    for arguments, words in (
        ({"bath": "warm"}, "bath must name a bath"),
        ({"bath": 2}, "bath must name a bath"),
        ({"bath": 1.5}, "0 or '0', 1 or '1'"),
        ({"bath": 0, "of": "charge"}, "of must be one of"),
        ({"bath": 0, "of": "particles"}, "Field or Lead"),
        ({"bath": 0, "order": 0}, "order must be an integer >= 1"),
    ):
        with pytest.raises(ValueError, match=words):
            qdb.cumulants(generator, steady, **arguments)
    with pytest.raises(ValueError, match="one number for each"):
        generating_function(generator, counter(generator), jnp.zeros(2))
    frozen = ring(0.3, 0.0, 0.4)
    with pytest.raises(ValueError, match="T > 0 of every bath"):
        onsager_matrix(frozen)
