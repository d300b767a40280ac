"""XXZ chain between two baths: spectrum, populations, heat, profile, and their derivatives against golden differences.

Of the golden gradients, the chain is here and γ(±ω) of a bath in the same file; the three-level case has μ ≠ 0 and
waits for chemical potentials, the others for generators and states that the package does not have yet.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import array, cases

import qdbjax as qdb

CHAIN = cases("davies_xxz_chain")
(DERIVATIVES,) = [case for case in cases("gradients") if case["name"] == "XXZ3"]
(NOISE,) = [case for case in cases("gradients") if case["name"] == "Lamb"]
SITES = [2, 2, 2]
ENDS = qdb.embed(qdb.sigma_x(), 0, SITES), qdb.embed(qdb.sigma_x(), 2, SITES)
NAMES = ("J", "Delta", "h1", "h2", "h3", "T1", "T2", "eta1", "eta2", "wc")


def solve(parameters):
    """Generator and state of the chain from its parameter vector, in the order of NAMES."""
    exchange, anisotropy, h1, h2, h3, *heat, eta1, eta2, cutoff = parameters
    chain = qdb.models.xxz_chain(jnp.stack([h1, h2, h3]), exchange, anisotropy)
    baths = [
        qdb.Bath(end, qdb.Ohmic(eta, cutoff), temperature=temperature)
        for end, eta, temperature in zip(ENDS, (eta1, eta2), heat, strict=True)
    ]
    generator = qdb.davies(chain, baths)
    state = qdb.steady_state(generator)
    return generator, state, qdb.heat_currents(generator, state), chain.hamiltonian


@jax.jit
def readings(parameters):
    generator, state, heat, hamiltonian = solve(parameters)
    return generator.spectrum.energies, state, heat, qdb.entropy_production(generator, state), hamiltonian


def outputs(parameters):
    """Heat from the first bath and energy, the two outputs whose derivatives are golden."""
    _, state, heat, hamiltonian = solve(parameters)
    energy = jnp.sum(hamiltonian.T * jnp.real(state.density_matrix))
    return jnp.stack([heat[0], energy])


forward = jax.jit(jax.jacfwd(outputs))
reverse = jax.jit(jax.jacrev(outputs))


def parameters(inputs):
    """The parameter vector of a golden case."""
    etas = inputs.get("etas", [inputs.get("eta")] * 2)
    fields = inputs.get("h", [inputs.get(f"h{n}") for n in (1, 2, 3)])
    heat = inputs.get("T", [inputs.get("T1"), inputs.get("T2")])
    return jnp.array([inputs["J"], inputs["Delta"], *fields, *heat, *etas, inputs["wc"]])


@pytest.mark.parametrize("case", CHAIN, ids=["distinct", "equal gaps"])
def test_chain(case):
    """Energies, populations, heat, entropy production, magnetisation, energy, purity (1e-8)."""
    expected = case["outputs"]
    energies, state, heat, production, hamiltonian = readings(parameters(case["inputs"]))
    assert int(state.status) & ~int(qdb.Status.NEAR_DEGENERATE) == 0
    assert float(state.kernel_dimension) == expected["kernel_dimension"]
    np.testing.assert_allclose(energies, expected["energies"], rtol=0, atol=1e-12)
    # The golden list descends; by level, 5 and 6 are inverted out of equilibrium.
    falling = np.sort(state.populations)[::-1]
    np.testing.assert_allclose(falling, expected["rho_ss_energy_populations"], rtol=1e-10)
    np.testing.assert_allclose(heat, expected["heat_into_system"], rtol=1e-10)
    np.testing.assert_allclose(production, expected["entropy_production"], rtol=1e-10)
    rho = np.asarray(state.density_matrix)
    profile = [np.trace(qdb.embed(qdb.sigma_z(), n, SITES) @ rho).real for n in range(3)]
    np.testing.assert_allclose(profile, expected["sz_profile"], rtol=1e-10)
    np.testing.assert_allclose(np.trace(np.asarray(hamiltonian) @ rho).real, expected["energy"], rtol=1e-10)
    np.testing.assert_allclose(np.trace(rho @ rho).real, expected["purity"], rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_chain_derivatives(mode):
    """Heat and energy with respect to every parameter in the file (1e-7, or ten times the golden error)."""
    outcome = DERIVATIVES["outputs"]
    point = parameters(DERIVATIVES["inputs"])
    np.testing.assert_allclose(outputs_at(point), outcome["value"], rtol=1e-9)
    found = np.asarray({"forward": forward, "reverse": reverse}[mode](point))
    table = {name: found[:, NAMES.index(name)] for name in NAMES if name in outcome["gradient"]}
    assert set(table) >= {"J", "Delta", "h1", "h2", "h3", "T1", "T2"}
    for name, column in table.items():
        slack = 10 * outcome["fd_error_estimate"][name]
        np.testing.assert_allclose(column, outcome["gradient"][name], rtol=1e-7, atol=slack, err_msg=name)


def outputs_at(point):
    """Value without another compilation: from the program of the first test."""
    _, state, heat, _, hamiltonian = readings(point)
    return [float(heat[0]), float(np.trace(np.asarray(hamiltonian) @ np.asarray(state.density_matrix)).real)]


def noise(point):
    """γ(ω) and γ(-ω) of a bath from (ω, T, ω_c)."""
    frequency, temperature, cutoff = point
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(NOISE["inputs"]["eta"], cutoff), temperature=temperature)
    return jnp.stack([bath.noise(frequency), bath.noise(-frequency)])


@pytest.mark.parametrize("transform", [jax.jacfwd, jax.jacrev])
def test_noise_derivatives(transform):
    """γ(±ω) with respect to ω, T and ω_c."""
    expected = NOISE["outputs"]
    point = jnp.array([NOISE["inputs"][name] for name in ("w", "T", "wc")])
    np.testing.assert_allclose(noise(point), expected["value"][2:], rtol=1e-12)
    found = jax.jit(transform(noise))(point)
    wanted = array([expected["gradient"][name][2:] for name in ("w", "T", "wc")]).T
    np.testing.assert_allclose(found, wanted, rtol=1e-7)
