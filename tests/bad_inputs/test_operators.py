"""Operators out of range: refused with the argument's name, accepted with the right answer, or flagged when traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qutip
from programs import machine, observed, random_machine

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


def test_mismatched():
    """Bath and system of different dimension; number and eigenbasis of another shape; a charge not conserved."""
    with pytest.raises(ValueError, match=r"baths\[0\].*2.*3"):
        qdb.davies(np.diag([0.0, 1.0, 2.0]), bath(GOOD))
    with pytest.raises(ValueError, match=r"number.*\(2, 2\).*\(3, 3\)"):
        qdb.System(GOOD, number=np.eye(3))
    with pytest.raises(ValueError, match="number must commute"):
        qdb.System(GOOD, number=np.diag([0.0, 1.0]))
    with pytest.raises(ValueError, match="eigenbasis"):
        qdb.System(GOOD, eigenbasis=np.eye(2))
    with pytest.raises(ValueError, match=r"eigenbasis.*\(3, 3\)"):
        qdb.System(GOOD, eigenbasis=np.eye(3), energies=np.ones(3))
    with pytest.raises(ValueError, match="eigenbasis and energies must solve"):
        qdb.System(GOOD, eigenbasis=np.eye(2), energies=np.array([-1.0, 1.0]))
    with pytest.raises(ValueError, match=r"energies.*\(3,\)"):
        qdb.System(GOOD, eigenbasis=np.eye(2), energies=np.ones(3))


def test_correlation():
    """A correlation matrix must be Hermitian, positive, and of the number of couplings."""
    pair = np.stack([GOOD, np.eye(2)])
    for value, text in [
        (np.eye(3), r"\(2, 2\)"),
        (np.diag([1.0, -0.5]), "positive.*-0.5"),
        (np.array([[1.0, 0.2], [0.1, 1.0]]), "Hermitian"),
    ]:
        with pytest.raises(ValueError, match=f"(?s)correlation.*{text}"):
            qdb.Bath(pair, OHMIC, temperature=1.0, correlation=value)
    with pytest.raises(ValueError, match="at least one"):
        qdb.Bath(np.zeros((0, 2, 2)), OHMIC, temperature=1.0)


def test_baths():
    """None, something else than a bath, and one name twice."""
    with pytest.raises(ValueError, match=r"baths.*got none"):
        qdb.davies(GOOD, [])
    with pytest.raises(TypeError, match=r"baths\[1\].*str"):
        qdb.davies(GOOD, [bath(GOOD), "hot"])
    named = qdb.Bath(GOOD, OHMIC, temperature=1.0, name="hot")
    with pytest.raises(ValueError, match=r"names must differ.*hot"):
        qdb.davies(GOOD, [named, named])


@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf])
def test_strength(strength):
    """Negative, NaN and infinite strengths are refused by every density, with name and value."""
    for build in (
        lambda: qdb.Ohmic(strength, 5.0),
        lambda: qdb.PowerLaw(strength, 5.0, 0.5),
        lambda: qdb.DrudeLorentz(strength, 5.0),
        lambda: qdb.Algebraic(strength, 5.0),
        lambda: qdb.UnderdampedLorentzian(strength, 1.0, 0.1),
        lambda: qdb.Flat(strength),
    ):
        with pytest.raises(ValueError, match=f"strength must be .* got {strength}"):
            build()


def test_parameters_of_densities():
    """Cutoff 0 refused and ∞ accepted where there is a limit; exponents, widths and tables checked."""
    for build, name in [
        (lambda: qdb.Ohmic(0.1, 0.0), "cutoff"),
        (lambda: qdb.Ohmic(0.1, -1.0), "cutoff"),
        (lambda: qdb.DrudeLorentz(0.1, np.nan), "cutoff"),
        (lambda: qdb.PowerLaw(0.1, np.inf, 1.0), "cutoff"),
        (lambda: qdb.PowerLaw(0.1, 5.0, 0.0), "exponent"),
        (lambda: qdb.Algebraic(0.1, 5.0, -1.0), "power"),
        (lambda: qdb.UnderdampedLorentzian(0.1, 0.0, 1.0), "frequency"),
        (lambda: qdb.UnderdampedLorentzian(0.1, 1.0, 0.0), "width"),
        (lambda: qdb.Ohmic([0.1, 0.2], 5.0), r"strength.*\(2,\)"),
        (lambda: qdb.Tabulated([1.0, 0.5], [0.1, 0.1]), "frequencies.*ascending"),
        (lambda: qdb.Tabulated([0.0, 0.5], [0.1, 0.1]), "frequencies.*positive"),
        (lambda: qdb.Tabulated([0.5, 1.0], [0.1, -0.1]), "values.*>= 0"),
        (lambda: qdb.Tabulated([0.5, 1.0], [0.1]), r"frequencies and values.*\(2,\).*\(1,\)"),
        (lambda: qdb.Tabulated([], []), "frequencies and values"),
        (lambda: qdb.Sum(), "at least one"),
    ]:
        with pytest.raises(ValueError, match=name):
            build()
    for density in (qdb.Ohmic(0.1, np.inf), qdb.DrudeLorentz(0.1, np.inf), qdb.Algebraic(0.1, np.inf)):
        np.testing.assert_allclose(density(jnp.array(3.0)), 0.3, rtol=1e-15)
    with pytest.raises(TypeError, match="strength must be real"):
        qdb.Ohmic(1j, 5.0)
    with pytest.raises(TypeError, match="callable"):
        qdb.Bath(GOOD, 0.1, temperature=1.0)
    with pytest.raises(TypeError, match="callable"):
        qdb.Custom(0.1)


def test_arguments_of_states():
    """Initial states: trace, positivity, Hermiticity, size."""
    generator = qdb.davies(GOOD, bath(np.array([[0.0, 1.0], [1.0, 0.0]])))
    for rho, text in [
        (np.eye(2), "trace 1.*2"),
        (np.diag([1.5, -0.5]), "positive.*-0.5"),
        (np.array([[0.5, 0.5], [0.0, 0.5]]), "Hermitian"),
        (np.eye(3) / 3, r"dimension 2.*\(3, 3\)"),
    ]:
        with pytest.raises(ValueError, match=f"(?s)rho0.*{text}"):
            qdb.asymptotic_state(generator, rho)
    with pytest.raises(ValueError, match=r"rho must have shape \(2, 2\)"):
        generator.apply(np.eye(3))


def test_one_level():
    """d = 1: nothing can happen, and nothing fails."""
    generator = qdb.davies([[0.7]], qdb.Bath([[2.0]], OHMIC, temperature=0.5))
    state = qdb.steady_state(generator)
    np.testing.assert_array_equal(state.populations, [1.0])
    assert int(state.status) == 0
    np.testing.assert_array_equal(qdb.heat_currents(generator, state), [0.0])
    np.testing.assert_array_equal(generator.liouvillian(), [[0.0]])


# Three levels, two baths, everything traced: one compiled program for all cells below.
BASE = random_machine(np.random.default_rng(31), 3, 2, [0.0, 1.0, 2.3])


def with_(**changes):
    names = ("hamiltonian", "couplings", "strengths", "cutoffs", "temperatures")
    return machine(*(changes.get(name, leaf) for name, leaf in zip(names, BASE, strict=True)))


def nan_in(leaf, index):
    leaf = np.array(leaf)
    leaf[index] = np.nan
    return leaf


ZERO, UNIT = np.zeros((3, 3)), np.eye(3)
FLAGGED = {
    "nan hamiltonian": (with_(hamiltonian=nan_in(BASE[0], (0, 0))), Status.NONFINITE_INPUT),
    "inf hamiltonian": (with_(hamiltonian=np.diag([np.inf, 0.0, 1.0])), Status.NONFINITE_INPUT),
    "nan coupling": (with_(couplings=nan_in(BASE[1], (1, 0, 1))), Status.NONFINITE_INPUT),
    "nan strength": (with_(strengths=[np.nan, 0.1]), Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH),
    "negative strength": (with_(strengths=[0.1, -0.5]), Status.UNPHYSICAL_BATH),
    "nan temperature": (with_(temperatures=[np.nan, 0.1]), Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH),
    "negative temperature": (with_(temperatures=[1.0, -1.0]), Status.UNPHYSICAL_BATH),
    "infinite temperature": (with_(temperatures=[1.0, np.inf]), Status.NONFINITE_INPUT),
    "cutoff zero": (with_(cutoffs=0.0), Status.NONUNIQUE | Status.NONFINITE_INPUT | Status.UNPHYSICAL_BATH),
    "zero coupling": (with_(couplings=[ZERO, ZERO]), Status.NONUNIQUE),
    "coupling to unity": (with_(couplings=[UNIT, UNIT]), Status.NONUNIQUE),
    "zero strength": (with_(strengths=0.0), Status.NONUNIQUE),
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


def test_trivial_hamiltonians():
    """H = 0 and H ∝ 1: baths of Hermitian couplings dephase to the mixed state; no energy flows."""
    for seen in observed([with_(hamiltonian=ZERO), with_(hamiltonian=0.7 * UNIT)]):
        assert seen["kernel"] == 1
        np.testing.assert_allclose(seen["rho"], UNIT / 3, rtol=0, atol=1e-12)
        np.testing.assert_allclose(seen["heat"], 0.0, rtol=0, atol=1e-13)


def test_duplicate_baths():
    """One bath written twice is one bath of twice the strength."""
    couplings = [BASE[1][0], BASE[1][0]]
    twice = with_(couplings=couplings, strengths=0.02, cutoffs=5.0, temperatures=0.8)
    once = with_(couplings=couplings, strengths=[0.04, 0.0], cutoffs=5.0, temperatures=0.8)
    one, two = observed([once, twice])
    np.testing.assert_allclose(one["liouvillian"], two["liouvillian"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(one["rho"], two["rho"], rtol=0, atol=1e-13)


def test_throw():
    """throw=True raises what the flag would say; inside jit it is refused."""
    generator = qdb.davies(np.diag([0.0, 1.0]), qdb.Bath(np.diag([1.0, 2.0]), OHMIC, temperature=1.0))
    assert int(qdb.steady_state(generator).status) & Status.NONUNIQUE
    with pytest.raises(ValueError, match=r"nonunique.*asymptotic_state"):
        qdb.steady_state(generator, throw=True)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda g: qdb.steady_state(g, throw=True).populations)(generator)


def test_too_large_for_dense():
    """The Liouvillian at d = 64 is refused with its size and the alternative."""
    generator = qdb.davies(np.diag(np.arange(64.0) ** 1.5), qdb.Bath(np.ones((64, 64)), OHMIC, temperature=1.0))
    with pytest.raises(ValueError, match=r"at dimension 64; the limit is 32.*steady_state"):
        generator.liouvillian()
    with pytest.raises(ValueError, match="dimension 64; the limit is"):
        qdb.asymptotic_state(generator, np.eye(64) / 64)
