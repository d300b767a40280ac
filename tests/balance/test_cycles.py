"""Cycles of the rates."""

import jax
import numpy as np
from reference.differences import two_point_slope
from reference.machines import ENERGIES, three_level_machine

import qdbjax as qdb

BALANCE = qdb.balance


def qubit(*temperatures):
    baths = [qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=t) for t in temperatures]
    return qdb.davies(qdb.models.qubit(1.0), baths)


def test_cycles():
    """As many as edges less a tree; each closed; ω(β_cold - β_hot) for two baths on one pair; traced for given ones."""
    generator = three_level_machine((1.5, 0.4))
    cycles = BALANCE.cycle_basis(generator)
    assert len(cycles) == 2 * 3 - 2 and len(BALANCE.cycle_basis(generator, by_bath=False)) == 1
    for cycle in cycles:
        for (_, to, _), (_, _, start) in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert to == start
    found = BALANCE.cycle_analysis(generator)
    for cycle, affinity in zip(cycles, np.asarray(found.affinities), strict=True):
        temperatures = np.array([1.5, 0.4])[[bath for bath, _, _ in cycle]]
        heats = np.array([ENERGIES[to] - ENERGIES[start] for _, to, start in cycle])
        np.testing.assert_allclose(affinity, -np.sum(heats / temperatures), rtol=1e-10, atol=1e-13)
    slope = jax.jit(
        jax.grad(lambda t: BALANCE.cycle_analysis(three_level_machine((t, 0.4)), None, cycles).entropy_production)
    )
    wanted = two_point_slope(
        lambda t: BALANCE.cycle_analysis(three_level_machine((t, 0.4))).entropy_production, 1.5, 1e-5
    )
    np.testing.assert_allclose(slope(1.5), wanted, rtol=1e-7)


def test_no_way_back():
    """A bath at T = 0 cannot lift: its cycles have no finite affinity, and a tree has none at all."""
    frozen = BALANCE.cycle_analysis(three_level_machine((1.0, 0.0)))
    assert np.any(np.isinf(np.asarray(frozen.affinities)))
    assert BALANCE.cycle_analysis(qubit(0.7)).cycles == ()
