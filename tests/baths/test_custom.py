"""Densities given as functions: what is found of them, in any unit, and what is refused or flagged."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import Status
from qdbjax.baths import Custom, lamb_error, lamb_matrix, memory_time

X, FREQUENCIES = qdb.sigma_x(), np.array([1.0, -1.0, 0.0, 0.03, -4.0])


def read(density, unit=1.0):
    """Lamb shifts and memory time of a bath with this density."""
    bath = qdb.Bath(X, density, temperature=0.4 * unit)
    return eqx.filter_jit(lamb_matrix)(bath, FREQUENCIES * unit), memory_time(bath)


@pytest.mark.parametrize("unit", [1e-24, *(pytest.param(u, marks=pytest.mark.slow) for u in (1.0, 1e9))])
def test_any_unit(unit):
    """By class and by function."""
    shift, memory = read(qdb.Ohmic(0.01, 5 * unit), unit)
    found, remembered = read(lambda w: 0.01 * w * jnp.exp(-w / (5 * unit)), unit)
    np.testing.assert_allclose(found, shift, rtol=1e-11)
    np.testing.assert_allclose(remembered, memory, rtol=1e-9)


@pytest.mark.parametrize("width", [1e-3, *(pytest.param(w, marks=pytest.mark.slow) for w in (0.3, 0.03, 0.01, 1e-4))])
def test_a_mode_of_any_width(width):
    """By class and by function."""
    shift, memory = read(qdb.UnderdampedLorentzian(0.1, 1.0, width))
    found, remembered = read(lambda w: 0.01 * width * w / ((w * w - 1) ** 2 + width**2 * w * w))
    np.testing.assert_allclose(found, shift, rtol=1e-8)
    np.testing.assert_allclose(remembered, memory, rtol=1e-9)


FOUND = {
    "ohmic": (lambda w: w * jnp.exp(-w), []),
    "super-ohmic": (lambda w: w**3 * jnp.exp(-w), []),
    "gaussian": (lambda w: w * jnp.exp(-w * w), []),
    "drude": (lambda w: w / (1 + w * w), []),
    "sub-ohmic": (lambda w: w**0.3 * jnp.exp(-w), []),
    "constant at 0": (lambda w: jnp.exp(-w), []),
    "hard cutoff": (lambda w: jnp.where(w < 3, w, 0.0), [3.0]),
    "triangle": (lambda w: jnp.maximum(1 - jnp.abs(w - 2), 0.0), [1.0, 2.0, 3.0]),
    "mode": (lambda w: 1e-4 * w / ((w * w - 1) ** 2 + 1e-8 * w * w), [1.0]),
    "two modes": (
        lambda w: w * jnp.exp(-w) * (0.1 + 1 / (1 + 1e6 * (w - 1) ** 2) + 1 / (1 + 1e6 * (w - 3) ** 2)),
        [1.0, 3.0],
    ),
    "dip": (lambda w: w * jnp.exp(-w) * (1 - 0.9 / (1 + ((w - 1) / 0.01) ** 2)), [1.0]),
}


@pytest.mark.parametrize(
    "name", [n if n in ("triangle", "mode") else pytest.param(n, marks=pytest.mark.slow) for n in FOUND]
)
def test_structure_is_found(name):
    """Kinks and steps to rounding, peaks to a small part of their width, and nothing where there is none."""
    function, places = FOUND[name]
    for unit in (1.0, 1e10, 1e-22):
        density = Custom(lambda w, unit=unit: function(w / unit))
        found = np.sort(np.asarray(density.landmarks)) / unit
        np.testing.assert_allclose(found, places, rtol=1e-4 if name in ("dip", "two modes") else 1e-5)
        assert 0.3 < float(density.scale) / unit < 8


@pytest.mark.parametrize("function", [lambda w: 0.1 * w, lambda w: 0.1, lambda w: 0.1 * w / (1 + w), lambda w: w**0.2])
def test_a_density_without_end(function):
    assert np.isinf(Custom(function).scale)
    with pytest.raises(ValueError, match=r"baths\[0\].*Lamb shift"):
        qdb.davies(np.diag([0.0, 1.0]), qdb.Bath(X, function, temperature=1.0), lamb_shift=True)


@pytest.mark.slow
@pytest.mark.parametrize("maker", [qdb.davies, qdb.universal_lindblad])
def test_infinite_shift(maker):
    """J(0) > 0 at T > 0, slow tails: refused where known, flagged where traced."""
    build = lambda T, J: maker(np.diag([0.0, 1.0]), qdb.Bath(X, J, temperature=T), lamb_shift=True)  # noqa: E731
    constant = lambda w: 0.1 * jnp.exp(-w)  # noqa: E731
    for density in (constant, qdb.baths.Algebraic(0.1, 1.0, 0.4)):
        with pytest.raises(ValueError, match=r"baths\[0\].*Lamb shift"):
            build(1.0, density)
    assert int(jax.jit(lambda T: build(T, constant).status)(1.0)) == Status.INACCURATE_INTEGRAL
    assert int(build(1.0, qdb.Ohmic(0.1, 5.0)).status) == 0


@pytest.mark.slow
def test_structure_that_is_hidden():
    """Landmarks that are given as none, with a peak there: flagged, NaN or refused; with the right one all is well."""
    peak = lambda w: 1e-3 * w / ((w * w - 1) ** 2 + 1e-6 * w * w)  # noqa: E731
    hidden = qdb.Bath(X, Custom(peak, scale=1.0, landmarks=[]), temperature=0.4)
    assert int(qdb.davies(np.diag([0.0, 1.3]), hidden, lamb_shift=True).status) == Status.INACCURATE_INTEGRAL
    with pytest.raises(ValueError, match=r"structure that integrals over it miss.*landmarks="):
        memory_time(hidden)
    with pytest.raises(ValueError, match="structure that integrals over it miss"):
        qdb.baths.bath_correlation(hidden, [0.0, 1.0])
    assert np.isnan(jax.jit(memory_time)(hidden))
    given = qdb.Bath(X, Custom(peak, scale=1.0, landmarks=[1.0]), temperature=0.4)
    np.testing.assert_allclose(memory_time(given), np.sqrt(2) / 1e-3, rtol=1e-6)
    assert float(lamb_error(given, jnp.asarray(1.3))) < 1e-10
    with pytest.raises(ValueError, match="landmarks must be a vector"):
        Custom(peak, landmarks=1.0)
    with pytest.raises(ValueError, match="scale must be > 0"):
        Custom(peak, scale=-1.0)


@pytest.mark.slow
def test_parameters_in_a_closure_and_in_a_module():
    """Values and derivatives of a function that closes over traced numbers: those of the class, in each mode."""

    class Trained(eqx.Module):
        strength: jax.Array
        cutoff: jax.Array

        def __call__(self, w):
            return self.strength * w * jnp.exp(-w / self.cutoff)

    def shift(density, eta, cutoff):
        bath = qdb.Bath(X, density(eta, cutoff), temperature=0.4)
        added = qdb.davies(np.diag([0.0, 1.0]), bath, lamb_shift=True).lamb_shift[0, 0]
        return jnp.real(added) + memory_time(bath)

    point = jnp.asarray(0.01), jnp.asarray(5.0)
    wanted = jax.jit(jax.value_and_grad(lambda *x: shift(qdb.Ohmic, *x), (0, 1)))(*point)
    for density in (lambda e, c: lambda w: e * w * jnp.exp(-w / c), lambda e, c: Trained(e, c)):
        found = jax.jit(jax.value_and_grad(lambda *x, d=density: shift(d, *x), (0, 1)))(*point)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10)
        np.testing.assert_allclose(shift(density, *point), wanted[0], rtol=1e-10)
        slope = jax.jit(jax.jacfwd(lambda *x, d=density: shift(d, *x), 1))(*point)
        np.testing.assert_allclose(slope, wanted[1][1], rtol=1e-10)


REFUSED = {
    "NumPy": (lambda w: np.sqrt(w), "written with jax.numpy"),
    "interpolation by NumPy": (lambda w: np.interp(w, [0.0, 1.0], [0.0, 1.0]), "written with jax.numpy"),
    "if": (lambda w: w if w < 1 else 0.0, "not branch"),
    "math": (lambda w: float(w) ** 0.5, "not branch"),
    "complex": (lambda w: 1j * w, "complex"),
    "integer": (lambda w: 1, "returns int64 of shape"),
    "bool": (lambda w: w > 1, "returns bool"),
    "vector": (lambda w: w * jnp.ones(3), r"returns float64 of shape \(3,\)"),
    "nothing": (lambda w: None, "returns nothing"),
    "two arguments": (lambda w, T: w, "missing 1 required"),
    "attribute": (lambda w: w.magnitude, "calling it raised AttributeError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_sentence(name):
    """What JAX cannot compute is refused by name, known or traced, as J and as β."""
    function, words = REFUSED[name]
    for call in (
        lambda T: qdb.Bath(X, function, temperature=T),
        jax.jit(lambda T: qdb.Bath(X, function, temperature=T).noise(T)),
        lambda T: qdb.Ohmic(0.1, 1.0) + function,
    ):
        with pytest.raises(TypeError, match=f"^spectral_density must .*{words}"):
            call(1.0)
    with pytest.raises(TypeError, match=f"^inverse_temperature must .*{words}"):
        qdb.Bath(X, qdb.Ohmic(0.1, 1.0), inverse_temperature=function)


def test_floats_and_closures_are_allowed():
    """A constant as a Python float; single precision; a function that closes over a traced number, at any coupling."""
    assert float(qdb.Bath(X, lambda w: 0.05, temperature=1.0).noise(1.0)) > 0
    assert qdb.Bath(X, lambda w: jnp.float32(0.05), temperature=1.0).noise(1.0).dtype == np.float64

    def rate(eta):
        bath = qdb.Bath(X + np.eye(2), lambda w: eta * w, temperature=1.0)
        return qdb.davies(np.diag([0.0, 1.0]), bath).rates

    np.testing.assert_allclose(jax.jit(rate)(0.1), rate(0.1), rtol=1e-14)


def test_a_lead_looks_at_both_signs():
    """A narrow band below ω = 0, and where the memory of a lead at T = 0 has no end: at a step at μ ≠ 0."""
    band = lambda e: 0.1 / (1 + ((e + 0.7) / 1e-3) ** 2)  # noqa: E731
    lead = qdb.Lead(qdb.sigma_minus(), band, temperature=1e6, chemical_potential=0.3)
    np.testing.assert_allclose(memory_time(lead), 1 / (1e-3 * np.sqrt(2)), rtol=1e-6)
    cold = qdb.Lead(qdb.sigma_minus(), qdb.baths.LorentzianBand(0.1, 0.7, 0.5), temperature=0.0, chemical_potential=0.3)
    assert np.isinf(memory_time(cold))
