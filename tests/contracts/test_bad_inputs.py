"""Operators and numbers out of range: refused by name, accepted with the right answer, or flagged when traced."""

import jax.numpy as jnp
import numpy as np
import pytest
import qutip
from programs import machine, observed, random_machine, replaced
from reference.machines import ENERGIES

import qdbjax as qdb
from qdbjax import Status

GOOD = np.array([[1.0, 0.3], [0.3, -1.0]])
OHMIC = qdb.Ohmic(0.05, 5.0)


def system(value):
    return qdb.System(value)


def bath(value):
    return qdb.Bath(value, OHMIC, temperature=1.0)


REFUSED = {
    "not Hermitian": (np.array([[0.0, 1.0], [0.0, 0.0]]), ValueError, "Hermitian"),
    "complex symmetric": (np.array([[0.0, 1j], [1j, 0.0]]), ValueError, "Hermitian"),
    "complex diagonal": (np.diag([1.0 + 1j, 0.0]), ValueError, "Hermitian"),
    "nan": (np.array([[np.nan, 0.0], [0.0, 1.0]]), ValueError, "finite"),
    "inf": (np.diag([np.inf, 1.0]), ValueError, "finite"),
    "vector": (np.ones(2), ValueError, r"\(2,\)"),
    "rectangular": (np.ones((2, 3)), ValueError, r"\(2, 3\)"),
    "number": (1.0, ValueError, r"\(\)"),
    "empty": (np.zeros((0, 0)), ValueError, r"\(0, 0\)"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "rectangular"),
    "object": (np.array([[None, 1], [1, 0]], dtype=object), TypeError, "object"),
    "text": ([["a", "b"], ["c", "d"]], TypeError, "dtype"),
    "none": (None, TypeError, "object"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize(("build", "name"), [(system, "hamiltonian"), (bath, "coupling")])
def test_refused(kind, build, name):
    """The error names the argument and what is wrong with it."""
    value, error, text = REFUSED[kind]
    with pytest.raises(error, match=f"(?s){name}.*{text}"):
        build(value)


ACCEPTED = {
    "list": GOOD.tolist(),
    "tuple": tuple(map(tuple, GOOD)),
    "jax": jnp.asarray(GOOD),
    "qutip": qutip.Qobj(GOOD),
    "complex": GOOD.astype(complex),
    "long double": GOOD.astype(np.longdouble),
    "hermitian to rounding": GOOD + np.array([[0.0, 1e-14], [0.0, 0.0]]),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_accepted(kind):
    """All ways to write one matrix."""
    for found in (system(ACCEPTED[kind]).hamiltonian, bath(ACCEPTED[kind]).coupling):
        np.testing.assert_allclose(np.asarray(found), GOOD, rtol=0, atol=1e-13)
        assert np.asarray(found).dtype.itemsize in (8, 16)


@pytest.mark.parametrize("dtype", [int, np.int8, np.uint16, bool])
def test_integers_accepted(dtype):
    """Integer and boolean matrices become float64."""
    value = np.array([[1, 1], [1, 0]], dtype=dtype)
    found = np.asarray(system(value).hamiltonian)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, value.astype(float))


def test_single_precision_stays():
    """float32 is kept, float16 is widened."""
    assert np.asarray(system(GOOD.astype(np.float32)).hamiltonian).dtype == np.float32
    assert np.asarray(system(GOOD.astype(np.float16)).hamiltonian).dtype == np.float64


# Three levels, two baths, everything traced: one compiled program for all cells below.
BASE = random_machine(np.random.default_rng(31), 3, 2, ENERGIES)


def nan_in(leaf, index):
    leaf = np.array(leaf)
    leaf[index] = np.nan
    return leaf


ZERO, UNIT = np.zeros((3, 3)), np.eye(3)
FLAGGED = {
    "nan hamiltonian": (replaced(BASE, hamiltonian=nan_in(BASE[0], (0, 0))), Status.NONFINITE_INPUT),
    "inf hamiltonian": (replaced(BASE, hamiltonian=np.diag([np.inf, 0.0, 1.0])), Status.NONFINITE_INPUT),
    "nan coupling": (replaced(BASE, couplings=nan_in(BASE[1], (1, 0, 1))), Status.NONFINITE_INPUT),
    "nan strength": (replaced(BASE, strengths=[np.nan, 0.1]), Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH),
    "negative strength": (replaced(BASE, strengths=[0.1, -0.5]), Status.UNPHYSICAL_BATH),
    "nan temperature": (replaced(BASE, temperatures=[np.nan, 0.1]), Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH),
    "negative temperature": (replaced(BASE, temperatures=[1.0, -1.0]), Status.UNPHYSICAL_BATH),
    "infinite temperature": (replaced(BASE, temperatures=[1.0, np.inf]), Status.NONFINITE_INPUT),
    "cutoff zero": (replaced(BASE, cutoffs=0.0), Status.NONUNIQUE | Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH),
    "zero coupling": (replaced(BASE, couplings=[ZERO, ZERO]), Status.NONUNIQUE),
    "coupling to unity": (replaced(BASE, couplings=[UNIT, UNIT]), Status.NONUNIQUE),
    "zero strength": (replaced(BASE, strengths=0.0), Status.NONUNIQUE),
}


def test_flagged():
    """Traced and in one batch: each bad cell says why and holds NaN; the good one between them is untouched."""
    systems = [BASE, *(system for system, _ in FLAGGED.values()), BASE]
    table = observed(systems)
    (clean,) = observed([BASE])
    for seen in (table[0], table[-1]):
        assert seen["status"] & ~int(Status.NEAR_DEGENERATE) == 0
        for name in seen:
            np.testing.assert_array_equal(seen[name], clean[name], err_msg=name)
    for (name, (_, flags)), seen in zip(FLAGGED.items(), table[1:-1], strict=True):
        assert seen["status"] & int(flags), f"{name}: {qdb.explain(seen['status'])}"
        assert np.all(np.isnan(seen["populations"])), name
        assert np.all(np.isnan(seen["heat"])), name
        assert np.isnan(seen["entropy"]), name


def test_nan_cell_in_a_batch():
    """One NaN among degenerate and generic cells leaves all others as they are without it."""
    rng = np.random.default_rng(2)
    spectra = [0.0, 1.0, 1.0], ENERGIES, [0.3, 0.3, 0.3], [0.0, 1.0, 2.0]
    cells = [random_machine(rng, 3, 2, energies) for energies in spectra]
    broken = machine(np.full((3, 3), np.nan), *cells[0][1:])
    clean, dirty = observed(cells), observed([*cells[:2], broken, *cells[2:]])
    assert dirty[2]["status"] & Status.NONFINITE_INPUT
    assert np.all(np.isnan(dirty[2]["populations"]))
    for one, other in zip(clean, [*dirty[:2], *dirty[3:]], strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
