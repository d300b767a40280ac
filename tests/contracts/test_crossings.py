"""Derivatives at and near level crossings of the three-dot ring, where a plain eigensystem gives NaN or a wrong number.

Exactly at a crossing the expected values are differences of the NumPy reference, which keeps the two levels one cluster
on both sides (tolerance 1e-4). The current varies there on the scale of the rates, so that the step is small, 1e-6.
"""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from programs import gradients, machine, observed, random_machine
from reference import rates
from reference.differences import two_point_slope
from reference.lindblad import Davies
from reference.machines import SITES, ring_hamiltonian

import qdbjax as qdb

TAU, ETA, CUTOFF, HOT, COLD = 0.5, 0.01, 10.0, 1.0, 0.2
CROSSINGS = (0.0, 0.5, 1.5)
STEP = 1e-6
NEAR = [1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9]
APART = [1e-8, 3e-8, 1e-7, 1e-6, 1e-5]
POINT = {"flux": 0.0, "tunneling": TAU, "hot": HOT, "cold": COLD, "eta": ETA, "cutoff": CUTOFF}


def ring(flux=0.0, tunneling=TAU, hot=HOT, cold=COLD, eta=ETA, cutoff=CUTOFF):
    """The same as a machine for the generic route, which computes eigenvectors."""
    return machine(ring_hamiltonian(flux, tunneling), SITES, eta, cutoff, [hot, cold])


def dense_heat(system):
    """Heat from the hot bath, by the NumPy reference."""
    matrix, couplings, *vectors = system
    return Davies(matrix, list(zip(couplings, *vectors, strict=True)), tolerance=1e-4).heat_currents()[0]


def parameter_difference(flux, name):
    """Central difference of the dense equation in one parameter of the ring."""
    point = {**POINT, "flux": flux}
    return two_point_slope(lambda x: dense_heat(ring(**{**point, name: x})), point[name], STEP)


def model_heat(parameters):
    """Heat from the hot bath by the model of the zoo, which knows its eigenvectors."""
    flux, tunneling, hot, cold, eta, cutoff = parameters
    system = qdb.models.three_dot_ring(tunneling, flux)
    baths = [
        qdb.Bath(qdb.site(n, 3), qdb.Ohmic(eta, cutoff), temperature=temperature)
        for n, temperature in enumerate((hot, cold))
    ]
    generator = qdb.davies(system, baths)
    current = qdb.heat_currents(generator, qdb.steady_state(generator))[0]
    return current, current


# Forward here, reverse in the generic route.
model_many = jax.jit(jax.vmap(jax.jacfwd(model_heat, has_aux=True)))
FLUXES = [*CROSSINGS, 1.0, 0.3, 1.3, 2.5, *(base + delta for base in CROSSINGS for delta in (*NEAR, *APART))]


@ft.cache
def model():
    """flux: (heat, gradient by parameter name) of the zoo's model."""
    points = jnp.array([list({**POINT, "flux": flux}.values()) for flux in FLUXES])
    grads, values = (np.asarray(x) for x in model_many(points))
    return {flux: (values[n], dict(zip(POINT, grads[n], strict=True))) for n, flux in enumerate(FLUXES)}


@ft.cache
def generic():
    """flux: (heat, gradient by argument) of the generic route."""
    values, grads = gradients([ring(flux) for flux in FLUXES])
    return {flux: (values[n], [leaf[n] for leaf in grads]) for n, flux in enumerate(FLUXES)}


def flux_slope(flux):
    """dH/dφ."""
    hop = -2j * np.pi / 3 * TAU * np.exp(-2j * np.pi * flux / 3) * np.roll(np.eye(3), 1, axis=1)
    return hop + hop.conj().T


@pytest.mark.parametrize("flux", CROSSINGS)
@pytest.mark.parametrize("name", POINT)
def test_model_at_crossings(flux, name):
    """Value and every derivative of the zoo's ring exactly at a crossing, against reference differences."""
    value, grads = model()[flux]
    np.testing.assert_allclose(value, dense_heat(ring(flux)), rtol=1e-9)
    wanted = parameter_difference(flux, name)
    np.testing.assert_allclose(grads[name], wanted, rtol=1e-6, atol=2e-9)


@pytest.mark.parametrize("flux", CROSSINGS)
def test_known_numbers(flux):
    """The derivative with respect to flux is what the reference gave when this was written."""
    known = {0.0: 0.04587283, 0.5: 0.00863780}
    if flux in known:
        np.testing.assert_allclose(model()[flux][1]["flux"], known[flux], rtol=1e-5)
    assert abs(model()[flux][1]["flux"]) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("flux", CROSSINGS)
def test_generic_route_at_crossings(flux):
    """The same from computed eigenvectors: flux, tunneling, T, η, ω_c through the chain rule in NumPy."""
    value, grads = generic()[flux]
    known_value, known = model()[flux]
    np.testing.assert_allclose(value, known_value, rtol=1e-11)
    g_h, _, g_eta, g_cutoff, g_heat = grads
    found = {
        "flux": np.real(np.sum(g_h * flux_slope(flux))),
        "tunneling": np.real(np.sum(g_h * ring_hamiltonian(flux))) / TAU,
        "hot": g_heat[0],
        "cold": g_heat[1],
        "eta": g_eta.sum(),
        "cutoff": g_cutoff.sum(),
    }
    size = max(map(abs, known.values()))
    for name, slope in found.items():
        np.testing.assert_allclose(slope, known[name], rtol=1e-9, atol=1e-11 * size, err_msg=name)


def hermitian_units():
    """A basis of Hermitian 3x3 matrices."""
    for m in range(3):
        for n in range(m, 3):
            unit = np.zeros((3, 3), complex)
            unit[m, n] = unit[n, m] = 1
            yield (m, n, "re"), unit
            if m != n:
                unit = np.zeros((3, 3), complex)
                unit[m, n], unit[n, m] = 1j, -1j
                yield (m, n, "im"), unit


@pytest.mark.slow
@pytest.mark.parametrize("flux", CROSSINGS)
def test_every_entry_of_the_hamiltonian(flux):
    """All nine real directions of H at a crossing, those that split the double level included."""
    grad = generic()[flux][1][0]
    system = ring(flux)
    for name, unit in hermitian_units():
        wanted = two_point_slope(lambda h: dense_heat(machine(h, *system[1:])), system[0], STEP, unit)
        found = np.real(np.sum(grad * unit))
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=5e-9, err_msg=str(name))


@pytest.mark.slow
@pytest.mark.parametrize("crossing", CROSSINGS)
def test_near_crossings(crossing):
    """Closer than the tolerance the two levels are one: the derivative continues that at the crossing."""
    at = model()[crossing][1]["flux"]
    for delta in NEAR:
        flux = crossing + delta
        _, grads = model()[flux]
        assert all(np.isfinite(x) for x in grads.values())
        np.testing.assert_allclose(grads["flux"], at, rtol=1e-5)
        g_h = generic()[flux][1][0]
        assert np.all(np.isfinite(g_h))
        np.testing.assert_allclose(np.real(np.sum(g_h * flux_slope(flux))), at, rtol=1e-5)


def pauli_current(flux, tunneling=TAU):
    """Heat from the hot bath by populations alone, complex-analytic away from a crossing.

    Rates between plane waves are γ(ω)/9; |ω| of the cutoff keeps the sign it has at the real point.
    """
    energies = np.array([2 * tunneling * np.cos(2 * np.pi * (flux + j) / 3) for j in range(3)])
    signs = np.sign(np.real(energies[None, :] - energies[:, None]))
    tables = []
    for temperature in (HOT, COLD):
        omega = energies[None, :] - energies[:, None] + np.eye(3)
        gamma = 2 * np.pi * ETA * np.exp(-signs * omega / CUTOFF) * omega / -np.expm1(-omega / temperature)
        tables.append((gamma / 9) * (1 - np.eye(3)))
    return rates.heat(energies, tables[0], rates.stationary(sum(tables)))


@pytest.mark.slow
@pytest.mark.parametrize("crossing", CROSSINGS)
def test_just_apart(crossing):
    """Farther than the tolerance populations decouple: complex-step derivative of the Pauli equation."""
    for delta in APART:
        flux = crossing + delta
        value = pauli_current(flux)
        slopes = {
            "flux": pauli_current(flux + 1e-20j).imag / 1e-20,
            "tunneling": pauli_current(flux, TAU + 1e-20j).imag / 1e-20,
        }
        found, grads = model()[flux]
        np.testing.assert_allclose(found, value.real, rtol=1e-8)
        for name, slope in slopes.items():
            np.testing.assert_allclose(grads[name], slope, rtol=1e-6, atol=1e-10)
        found, grads = generic()[flux]
        np.testing.assert_allclose(found, value.real, rtol=1e-8)
        turned = {"flux": flux_slope(flux), "tunneling": ring_hamiltonian(flux) / TAU}
        for name, slope in slopes.items():
            np.testing.assert_allclose(np.real(np.sum(grads[0] * turned[name])), slope, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(("flux", "same"), [(0.3, 1.3), (0.0, 1.0), (0.5, 1.5), (0.5, 2.5)])
def test_gauge_invariance(flux, same):
    """One flux quantum more changes nothing."""
    (value, grads), (value_too, grads_too) = model()[flux], model()[same]
    np.testing.assert_allclose(value, value_too, rtol=1e-11)
    for name in grads:
        np.testing.assert_allclose(grads[name], grads_too[name], rtol=1e-10, atol=1e-13, err_msg=name)


def test_crossings_are_degenerate():
    """At the crossings the spectrum counts as degenerate, and the coherences matter: populations alone are off."""
    for flux in CROSSINGS:
        energies = np.linalg.eigvalsh(ring_hamiltonian(flux))
        assert np.diff(energies).min() < 1e-14
        (seen,) = observed([ring(flux)])
        assert seen["kernel"] == 1
        value = pauli_current(flux + 1e-7).real
        assert abs(seen["heat"][0] - value) > 1e-3 * abs(value)


def thermal_probe(matrix, direction, probe, temperature):
    """Derivative of Tr[probe e^{-H/T}/Z] in a direction of H, by the Fréchet derivative of SciPy's expm."""
    shifted = -(matrix - np.linalg.eigvalsh(matrix)[0] * np.eye(3)) / temperature
    weight, change = scipy.linalg.expm_frechet(shifted, -direction / temperature)
    norm = np.trace(weight).real
    return (np.trace(probe @ change) / norm - np.trace(probe @ weight) * np.trace(change) / norm**2).real


@pytest.mark.slow
def test_thermal_state_gradient():
    """One bath: the gradient of the stationary state is that of e^{-H/T}/Z (1e-8) at gaps 0, 1e-15 … 1e-1."""
    rng = np.random.default_rng(8)
    gaps = [0.0, *10.0 ** np.arange(-15, 0)]
    systems, probes, directions = [], [], []
    for gap in gaps:
        system = random_machine(rng, 3, 2, [0.0, gap, 1.3])
        systems.append(machine(*system[:2], [system[2][0], 0.0], 5.0, 0.8))
        probe, direction = random_machine(rng, 3, 1)[0], random_machine(rng, 3, 1)[0]
        probes.append(probe)
        directions.append(direction)
    values, grads = gradients(systems, probes)
    for n, gap in enumerate(gaps):
        matrix = systems[n][0]
        weight = scipy.linalg.expm(-matrix / 0.8)
        expected = np.trace(probes[n] @ weight).real / np.trace(weight).real
        np.testing.assert_allclose(values[n], expected, rtol=0, atol=1e-8)
        wanted = thermal_probe(matrix, directions[n], probes[n], 0.8)
        found = np.real(np.sum(grads[0][n] * directions[n]))
        scale = np.linalg.norm(probes[n], 2) * np.linalg.norm(directions[n], 2) / 0.8
        assert abs(found - wanted) <= 1e-8 * scale, gap
