"""Currents through a double dot against QmeQ's, of its classical and of its Lindblad equation."""

import jax
import numpy as np
import pytest
from golden_cases import cases

import qdbjax as qdb

MAKERS = {"Pauli": qdb.davies, "Lindblad": qdb.universal_lindblad}
CURRENTS = {
    "particles": qdb.particle_currents,
    "energy": qdb.thermodynamics.energy_currents,
    "heat": qdb.heat_currents,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_double_dot(kind):
    """Twelve random dots between leads of any rates, temperatures and potentials (1e-12 of the largest current)."""

    def readings(levels, tunneling, interaction, rates, temperatures, chemical_potentials):
        leads = [
            qdb.Lead(
                qdb.fermion_destroy(n, 2),
                qdb.Flat(rates[n] / (2 * np.pi)),
                temperature=temperatures[n],
                chemical_potential=chemical_potentials[n],
                name=name,
            )
            for n, name in enumerate(("left", "right"))
        ]
        generator = MAKERS[kind](qdb.models.double_dot(levels, tunneling, interaction), leads)
        steady = qdb.steady_state(generator)
        return {name: current(generator, steady) for name, current in CURRENTS.items()}

    known = cases("qmeq_double_dot")
    inputs = {key: np.array([case["inputs"][key] for case in known]) for key in known[0]["inputs"]}
    found = jax.jit(jax.vmap(lambda given: readings(**given)))(inputs)
    for name in CURRENTS:
        theirs = np.array([case["outputs"][kind][name] for case in known])
        np.testing.assert_allclose(found[name], theirs, rtol=0, atol=1e-12 * np.abs(theirs).max(), err_msg=name)
