"""Contract of every diagnostic: in a batch, other cells do not matter, and its derivative is the one that differences
find, at equal levels and equal gaps too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.differences import STENCIL, slope_of

import qdbjax as qdb
from qdbjax import balance, thermodynamics as thermo

RNG = np.random.default_rng(17)
COUPLINGS = RNG.normal(size=(2, 3, 3))
COUPLINGS = 0.5 * (COUPLINGS + COUPLINGS.transpose(0, 2, 1))
OTHER = np.array([[0.5, 0.1, 0.05j], [0.1, 0.3, 0.1], [-0.05j, 0.1, 0.2]])
AXIS = np.array([[0.0, 1.0, 0.3], [-1.0, 0.0, 0.7], [-0.3, -0.7, 0.0]])
DIFFERENT = {"generic": [0.0, 1.0, 2.3], "equal gaps": [0.0, 1.0, 2.0]}
PATTERNS = {**DIFFERENT, "upper levels equal": [0.0, 1.0, 1.0], "lower levels equal": [0.0, 0.0, 1.0]}
# Temperatures of two baths, strength of the first, scale of the energies, angle of the Hamiltonian.
POINT = np.array([1.3, 0.6, 0.02, 1.1, 0.4])
STEPS = np.array([1e-3, 1e-3, 2e-5, 1e-3, 1e-3])


def hamiltonian(parameters, pattern):
    frame = jax.scipy.linalg.expm(AXIS * parameters[4])
    return frame @ jnp.diag(parameters[3] * pattern) @ frame.T


def solved_machine(parameters, pattern):
    hot, cold, strength, *_ = parameters
    baths = [
        qdb.Bath(COUPLINGS[0], qdb.Ohmic(strength, 8.0), temperature=hot, name="hot"),
        qdb.Bath(COUPLINGS[1], qdb.Ohmic(0.03, 8.0), temperature=cold, name="cold"),
    ]
    generator = qdb.davies(hamiltonian(parameters, pattern), baths)
    return generator, qdb.steady_state(generator)


def counting(parameters, pattern):
    """Cumulants, noise, large deviations."""
    generator, steady = solved_machine(parameters, pattern)
    both = [thermo.counter(generator, "energy", name) for name in ("hot", "cold")]
    return {
        "cumulants": qdb.cumulants(generator, steady, "hot", order=4),
        "entropy cumulants": qdb.cumulants(generator, steady, None, of="entropy", order=3),
        "joint cumulants": thermo.joint_cumulants(generator, steady, both, (2, 1)),
        "noise": thermo.noise_matrix(generator, steady),
        "noise spectrum": thermo.noise_spectrum(generator, steady, jnp.asarray([0.05])),
        "generating function": thermo.generating_function(generator, both, jnp.asarray([0.3, -0.2])),
        "fano": thermo.fano_factor(generator, steady, "hot", of="energy"),
        "uncertainty": thermo.uncertainty_ratio(generator, steady, "hot"),
    }


def cost(parameters, pattern):
    """Entropy, free energy, what a machine achieves."""
    generator, steady = solved_machine(parameters, pattern)
    rates, other = thermo.entropy_rates(generator, steady, steady), thermo.entropy_rates(generator, OTHER, steady)
    found = thermo.performance(generator, steady)
    return {
        "entropy rates": (rates.by_bath, rates.flow),
        "of another state": (other.by_bath, other.change, other.nonadiabatic, other.adiabatic),
        "production": qdb.entropy_production(generator, steady),
        "free energy": thermo.free_energy(generator, OTHER, 0.7),
        "performance": (found.heat_currents, found.carnot_efficiency, found.carnot_coefficient),
        "entropy": qdb.von_neumann_entropy(steady.density_matrix),
        "distance": qdb.relative_entropy(OTHER, steady.density_matrix),
    }


def symmetry(parameters, pattern):
    """Self-adjointness, and the adjoint of the generator."""
    generator, steady = solved_machine(parameters, pattern)
    residuals = balance.symmetry_residuals(generator, steady)
    return {
        "residuals": (residuals.total, residuals.baths),
        "adjoint": balance.adjoint_generator(generator, steady, product="KMS"),
    }


CYCLES = (((0, 1, 0), (1, 0, 1)), ((0, 1, 0), (0, 2, 1), (1, 0, 2)))


def levels(parameters, pattern):
    """What is said of single levels and transitions; it asks for levels that differ."""
    generator, steady = solved_machine(parameters, pattern)
    cycles, dynamical = balance.cycle_analysis(generator, steady, CYCLES), balance.dynamical_balance(generator, steady)
    split, bounds = balance.entropy_split(generator, steady), balance.domination_bounds(generator, steady)
    return {
        "cycles": (cycles.ratios, cycles.affinities, cycles.currents),
        "dynamical": (dynamical.micro_currents, dynamical.from_lowest, dynamical.balance),
        "temperatures": balance.effective_inverse_temperatures(generator, steady)[1:],
        "bounds": tuple(jnp.nan_to_num(x) for x in (bounds.ratio, bounds.lower, bounds.upper)),
        "split": (split.total, split.schnakenberg),
        "ratios": (balance.violation_ratios(generator), balance.pair_energy_currents(generator, steady)),
        "transitions": thermo.transition_response(generator),
        "kms": balance.kms_check(generator.jumps.baths[0].noise, jnp.asarray([0.5, 1.0])).inverse_temperatures,
    }


def known(parameters, pattern):
    """States known beforehand: canonical, grand-canonical, generalized, microcanonical, of mean force."""
    energy, temperature = hamiltonian(parameters, pattern), parameters[0]
    number = jax.scipy.linalg.expm(AXIS * parameters[4])
    number = number @ jnp.diag(jnp.asarray([0.0, 1.0, 1.0])) @ number.T
    gibbs = qdb.gibbs(energy, temperature=temperature)
    inverted = qdb.gibbs(energy, temperature=-temperature)
    grand = qdb.states.grand_canonical(
        qdb.System(energy, number=number), temperature=temperature, chemical_potential=parameters[1]
    )
    found = qdb.generalized_gibbs([energy], averages=[0.5])
    window = qdb.states.microcanonical(energy, energy=parameters[1], width=0.8)
    total = jnp.kron(energy, jnp.eye(2)) + jnp.kron(jnp.eye(3), jnp.diag(jnp.asarray([0.4, -0.4])))
    total = total + parameters[2] * jnp.kron(COUPLINGS[0], jnp.asarray([[0.0, 1.0], [1.0, 0.0]]))
    exact = qdb.mean_force(total, jnp.diag(jnp.asarray([0.4, -0.4])), temperature=temperature)
    strong = qdb.states.ultrastrong_mean_force(energy, COUPLINGS[1], temperature=temperature)
    return {
        "canonical": (gibbs.density_matrix, gibbs.free_energy, gibbs.entropy, gibbs.heat_capacity),
        "inverted": (inverted.density_matrix, inverted.energy, inverted.entropy),
        "grand-canonical": (grand.density_matrix, grand.number, grand.number_variance, grand.heat_capacity),
        "generalized": (found.density_matrix, found.multipliers, found.entropy),
        "microcanonical": (window.density_matrix, window.energy, window.entropy),
        "susceptibility": qdb.states.susceptibility(energy, COUPLINGS, temperature=temperature),
        "mean force": (exact.hamiltonian, exact.density_matrix, strong.density_matrix),
    }


def respond(parameters, pattern):
    """Response, and what the exchange of two temperatures does: derivatives of derivatives."""
    generator, steady = solved_machine(parameters, pattern)
    return {
        "onsager": thermo.onsager_matrix(generator),
        "rectification": thermo.rectification(generator).coefficient,
        "kubo": thermo.kubo_matrix(generator, steady),
    }


GROUPS = {read.__name__: read for read in (counting, cost, symmetry, levels, known, respond)}


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_batches_and_derivatives(group):
    """A batch of parameters and spectra: in another order the same (1e-13), slopes by five-point differences (1e-7)."""
    read, names = GROUPS[group], list(DIFFERENT if group == "levels" else PATTERNS)
    patterns = jnp.asarray([PATTERNS[name] for name in names])
    shifts = [sign * STEPS * np.eye(5)[n] for n in range(5) for sign in STENCIL]
    points = jnp.asarray(POINT + np.array([np.zeros(5), *shifts]))
    grid = jax.jit(jax.vmap(jax.vmap(read, (0, None)), (None, 0)))
    found, turned = grid(points, patterns), grid(points[::-1], patterns[::-1])
    slopes = jax.jit(jax.vmap(jax.jacfwd(read), (None, 0)))(jnp.asarray(POINT), patterns)
    for n, name in enumerate(names):
        leaves = jax.tree_util.tree_leaves_with_path(found)
        for (path, many), other, slope in zip(leaves, jax.tree.leaves(turned), jax.tree.leaves(slopes), strict=True):
            where = f"{name} {jax.tree_util.keystr(path)}"
            many, other, slope = np.asarray(many)[n], np.asarray(other)[-1 - n, ::-1], np.asarray(slope)[n]
            np.testing.assert_allclose(many, other, rtol=0, atol=1e-13 * np.abs(many).max(), err_msg=where)
            steps = STEPS.reshape(5, *[1] * (many.ndim - 1))
            wanted = np.moveaxis(slope_of([many[k::4] for k in (1, 2, 3, 4)], steps), 0, -1)
            size = max(np.abs(wanted).max(), np.abs(many[0]).max())
            np.testing.assert_allclose(slope, wanted, rtol=0, atol=1e-7 * size, err_msg=where)
