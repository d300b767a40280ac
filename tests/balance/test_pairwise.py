"""Balance of rates: Davies obeys it, chemical potentials count, sums and splits agree with currents and entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.machines import ENERGIES, SPINS, three_level_machine

import qdbjax as qdb

LOCAL = np.diag([1.0, 0.7, 1.5])


def two_baths(hot, cold):
    return three_level_machine((hot, cold))


def two_gases(hot, cold):
    gases = [qdb.Gas(LOCAL, temperature=hot), qdb.Gas(LOCAL[::-1, ::-1] - 0.2, temperature=cold, density=0.4, mass=2.0)]
    return qdb.low_density(qdb.models.three_dot_ring(0.4, 0.3), gases)


def readings(generator):
    steady = qdb.steady_state(generator)
    return {
        "ratios": qdb.balance.violation_ratios(generator),
        "currents": qdb.balance.probability_currents(generator, steady),
        "heat": qdb.balance.pair_energy_currents(generator, steady),
        "micro": qdb.micro_currents(generator, steady),
        "per_bath": qdb.heat_currents(generator, steady),
        "split": qdb.balance.entropy_split(generator, steady),
        "entropy": qdb.entropy_production(generator, steady),
        "at_rest": qdb.balance.entropy_split(generator, jnp.diag(jnp.asarray([0.2, 0.5, 0.3]))),
        "at_rest_entropy": qdb.entropy_production(generator, jnp.diag(jnp.asarray([0.2, 0.5, 0.3]))),
        "conditions": qdb.balance.thermalization_conditions(generator),
        "energies": generator.spectrum.energies,
        "residual": steady.residual,
    }


davies, gases = (jax.jit(lambda hot, cold, make=make: readings(make(hot, cold))) for make in (two_baths, two_gases))


@pytest.mark.slow
@pytest.mark.parametrize("temperatures", [(1.0, 1.0), (1.5, 0.4), (0.3, 0.9)])
@pytest.mark.parametrize("kind", [davies, gases], ids=["davies", "gases"])
def test_currents_heat_and_entropy(kind, temperatures):
    """First and second law, and the same numbers by pairs, by baths and by states."""
    found = kind(*temperatures)
    per_bath, size = np.asarray(found["per_bath"]), np.abs(found["micro"]).max()
    np.testing.assert_allclose(found["currents"], np.asarray(found["micro"]).sum(axis=0), rtol=0, atol=1e-15)
    assert abs(per_bath.sum()) < 1e-13 and np.abs(np.asarray(found["currents"]).sum(axis=1)).max() < 1e-14
    pairs = np.asarray(found["heat"])
    np.testing.assert_allclose(np.triu(pairs, 1).sum(), per_bath.sum(), atol=1e-14)
    hot, cold = temperatures
    assert (per_bath[0] > 1e-6) == (hot > cold) and (abs(per_bath[0]) < 1e-13) == (hot == cold)
    entropy = -(per_bath / np.array(temperatures)).sum()
    np.testing.assert_allclose(found["entropy"], entropy, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found["split"].total, entropy, rtol=1e-10, atol=1e-14)
    assert float(found["split"].total) > -1e-14 and float(found["split"].schnakenberg) > -1e-14
    assert (size > 1e-14) == (kind is gases or hot != cold)


def test_davies_obeys_detailed_balance():
    found = davies(1.5, 0.4)
    np.testing.assert_allclose(found["ratios"], np.ones((2, 3, 3)), rtol=1e-13)
    np.testing.assert_allclose(found["split"].schnakenberg, found["split"].total, rtol=1e-12)
    assert np.abs(found["conditions"]).max() < 1e-15
    # The energy eigenbasis of this system is the basis of its Hamiltonian: a diagonal state has no coherence.
    np.testing.assert_allclose(found["at_rest"].total, found["at_rest_entropy"], rtol=1e-11)


@pytest.mark.slow
def test_one_gas_in_equilibrium_circulates():
    found = gases(0.6, 0.6)
    ratios = np.asarray(found["ratios"])
    assert np.abs(ratios - 1).max() > 0.05
    np.testing.assert_allclose(ratios * np.swapaxes(ratios, 1, 2), np.ones((2, 3, 3)), rtol=1e-12)
    loop = np.asarray(found["currents"])
    np.testing.assert_allclose([loop[0, 1], loop[1, 2]], [loop[2, 0], loop[2, 0]], rtol=1e-9)
    assert abs(loop[0, 1]) > 1e-7 and abs(float(found["entropy"])) < 1e-15
    split = found["split"]
    assert float(split.schnakenberg) > 1e-9 and abs(float(split.total)) < 1e-15
    np.testing.assert_allclose(split.violation, -split.schnakenberg, rtol=1e-6)
    assert np.abs(np.asarray(found["conditions"]).sum(axis=1)).max() < 1e-15


def test_chemical_potential_of_a_lead():
    """Charge states of a dot: E - μN takes the place of E."""
    leads = [
        qdb.Lead(SPINS, qdb.Flat(0.01), temperature=t, chemical_potential=mu) for t, mu in ((0.5, 0.3), (0.2, -0.1))
    ]
    generator = qdb.davies(qdb.models.spinful_dot(-0.3, 1.1, 0.4), leads)
    np.testing.assert_allclose(qdb.balance.violation_ratios(generator), np.ones((2, 4, 4)), rtol=1e-12)


def test_one_way_and_no_way():
    """T = 0: up-rates vanish; levels without transition count as balanced."""
    system = qdb.models.three_level(ENERGIES)
    bath = qdb.Bath(np.array([[0, 1.0, 0], [1, 0, 1.0], [0, 1, 0]]), qdb.Ohmic(0.1, 5.0), temperature=0.2)
    ratios = np.asarray(qdb.balance.violation_ratios(qdb.davies(system, bath)))[0]
    assert ratios[0, 2] == ratios[2, 0] == ratios[1, 1] == 1
    split = qdb.balance.entropy_split(qdb.davies(system, bath), np.diag([0.0, 0.0, 1.0]))
    assert np.isposinf(split.schnakenberg) or float(split.total) > 0
    assert "schnakenberg" in repr(qdb.balance.entropy_split(qdb.davies(system, bath)))
