"""What is trained stays what its constructor allows: positive, Hermitian, symmetric, within bounds of its own."""

import functools as ft

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import fitting
from qdbjax._checks import as_real
from qdbjax.fitting.transforms import Bounded, Complex, Hermitian, Symmetric

REAL = np.array([[0.3, 1.0], [1.0, 0.1]])
COMPLEX = np.array([[0.3, 1.0 - 0.5j], [1.0 + 0.5j, 0.1]])
LOWER = np.array([[0.0, 1.0], [0.0, 0.0]])


class Charged(eqx.Module):
    """A module of one's own that checks one of its two numbers."""

    charge: jax.Array = eqx.field(converter=lambda x: as_real(x, "charge"))
    mass: jax.Array = eqx.field(converter=lambda x: as_real(x, "mass"))

    def __check_init__(self):
        if self.mass <= 0:
            raise ValueError("mass must be positive.")


def bath(coupling, **options):
    return qdb.Bath(coupling, qdb.Ohmic(0.01, 10.0), **{"temperature": 0.7, **options})


KINDS = {
    "Ohmic": (qdb.Ohmic(0.1, 2.0), "Positive Positive"),
    "PowerLaw": (qdb.PowerLaw(0.1, 2.0, 0.5), "Positive Positive Positive"),
    "DrudeLorentz": (qdb.DrudeLorentz(0.1, 2.0), "Positive Positive"),
    "UnderdampedLorentzian": (qdb.UnderdampedLorentzian(0.1, 2.0, 0.3), "Positive Positive Positive"),
    "LorentzianBand": (qdb.baths.LorentzianBand(0.1, 0.5, 1.0), "Positive Real Positive"),
    "Sum": (qdb.Ohmic(0.1, 2.0) + qdb.Ohmic(0.2, 3.0), "Positive Positive Positive Positive"),
    "Bath": (bath(REAL), "Symmetric Positive Positive Positive"),
    "Bath, complex": (bath(COMPLEX), "Hermitian Positive Positive Positive"),
    "Bath, two": (bath(np.stack([REAL, 2 * REAL])), "Symmetric Positive Positive Positive"),
    "Bath, local": (bath(REAL, temperature=None, inverse_temperature=lambda w: 1 + w), "Symmetric Positive Positive"),
    "Lead": (
        qdb.Lead(LOWER, qdb.Ohmic(0.1, 2.0), temperature=0.5, chemical_potential=0.2),
        "Real Positive Positive Positive Real",
    ),
    "Lead, complex": (
        qdb.Lead(1j * LOWER, qdb.Ohmic(0.1, 2.0), temperature=0.5, chemical_potential=0.2),
        "Complex Positive Positive Positive Real",
    ),
    "Lead, symmetric": (qdb.Lead(REAL, qdb.Ohmic(0.1, 2.0), temperature=0.5), "Real Positive Positive Positive Real"),
    "System, solved": (qdb.System(np.diag([1.0, 2.0]), eigenbasis=np.eye(2), energies=[1.0, 2.0]), "Real Real Real"),
    "Gas": (qdb.Gas(REAL, temperature=0.5, density=1.0, mass=2.0), "Symmetric Positive Positive Positive"),
    "System": (qdb.System(COMPLEX), "Hermitian"),
    "a list": ([qdb.System(REAL), {"b": bath(COMPLEX)}], "Symmetric Hermitian Positive Positive Positive"),
    "a module of one's own": (Charged(1.0, 2.0), "Real Positive"),
    "a negative charge": (Charged(-1.0, 2.0), "Real Positive"),
    "a network": (eqx.nn.Linear(2, 1, key=jax.random.key(0)), "Real Real"),
    "bare arrays": ((jnp.ones(2), jnp.eye(2)), "Real Real"),
}


@pytest.mark.parametrize(("module", "kinds"), KINDS.values(), ids=KINDS)
def test_the_constructor_says_what_is_allowed(module, kinds):
    """Each array in the order of the tree; what cannot be asked is free."""
    found = fitting.trainable(module).parameters
    assert " ".join(type(each.transform).__name__ for each in found) == kinds


def test_a_place_without_a_kind_takes_what_is_allowed():
    """`leaves` asks as `trainable` does, unless a kind is given."""
    tree = bath(REAL)
    strength, coupling = lambda b: b.spectral_density.strength, lambda b: b.coupling
    narrow = ft.partial(fitting.bounded, low=0.0, high=1.0)
    found = fitting.leaves(tree, strength, coupling, (lambda b: b.temperature, narrow)).parameters
    assert [type(each.transform).__name__ for each in found] == ["Positive", "Symmetric", "Bounded"]
    with pytest.raises(ValueError, match="at least one place"):
        fitting.leaves(tree)


STACKED = pytest.param(np.stack([REAL, 2 * REAL]), marks=pytest.mark.slow)


@pytest.mark.parametrize("coupling", [REAL, COMPLEX, STACKED], ids=["real", "complex", "two"])
def test_a_hermitian_coupling_stays_hermitian(coupling):
    """Fitted to a matrix that is not, it comes to the Hermitian part, which is nearest."""
    rng = np.random.default_rng(3)
    wanted = rng.normal(size=coupling.shape) + 1j * rng.normal(size=coupling.shape) * np.iscomplexobj(coupling)
    nearest = 0.5 * (wanted + np.swapaxes(wanted.conj(), -1, -2))
    model = lambda bath: jnp.stack([jnp.real(bath.coupling), jnp.imag(bath.coupling)])  # noqa: E731
    parts = np.stack([wanted.real, wanted.imag])
    found = qdb.fit(model, fitting.match(parts), {"bath": fitting.trainable(bath(coupling))})
    trained = np.asarray(found.parameters["bath"].coupling)
    np.testing.assert_array_equal(trained, np.swapaxes(trained.conj(), -1, -2))
    np.testing.assert_allclose(trained, nearest, atol=1e-8)
    assert trained.dtype == coupling.dtype


SIZED = [
    (Symmetric(), np.array([[0.2, 0.5], [0.5, -1.0]]), 3),
    (Symmetric(), np.stack([REAL, 3 * REAL, np.eye(2)]), 9),
    (Hermitian(), COMPLEX, 4),
    (Hermitian(), np.stack([COMPLEX, 2 * COMPLEX]), 8),
    (Complex(), np.array([1 + 2j, -3j]), 4),
    (Bounded(jnp.asarray([0.0, 1.0]), jnp.asarray([1.0, 5.0])), np.array([0.3, 4.0]), 2),
]


@pytest.mark.parametrize(("transform", "value", "size"), SIZED)
def test_there_and_back(transform, value, size):
    """As many free reals as there are numbers to choose, a label for each, and allowed values wherever they go."""
    free = transform.inverse(jnp.asarray(value))
    assert free.shape == (size,) == (transform.size(value.shape),)
    assert len(set(transform.labels("x", value.shape))) == size
    np.testing.assert_allclose(transform.forward(free, value.shape), value, rtol=1e-14)
    moved = np.asarray(transform.forward(free + jnp.linspace(-2.0, 3.0, size), value.shape))
    assert moved.dtype == value.dtype and transform.invalid_reason(moved) is None


@pytest.mark.slow
@pytest.mark.parametrize(("transform", "value", "size"), SIZED)
def test_no_free_real_is_idle(transform, value, size):
    """Each moves the value in a direction of its own."""
    free = transform.inverse(jnp.asarray(value))
    slopes = np.asarray(jax.jacfwd(lambda z: transform.forward(z, value.shape))(free)).reshape(-1, size)
    assert np.linalg.matrix_rank(np.concatenate([slopes.real, slopes.imag])) == size


def test_bounds_of_arrays():
    """Each entry between its own bounds, wherever starts are drawn; what is held back is named by entry."""
    low, high = np.array([0.0, 1.0, 0.3]), np.array([1.0, 2.0, 0.9])
    x = fitting.bounded(low=low, high=high)
    np.testing.assert_allclose(x.start, (low + high) / 2)
    drawn = np.stack([x.transform.forward(x.sample(jax.random.key(n)), (3,)) for n in range(200)])
    assert np.all(drawn > low) and np.all(drawn < high)
    np.testing.assert_allclose(np.sort(drawn, axis=0)[[10, -11]], [low + 0.05 * (high - low), high], atol=0.1)
    peak = jnp.asarray([0.5, 3.0, 0.2])
    found = qdb.fit(lambda x: -jnp.sum((x - peak) ** 2), fitting.maximize(), {"x": x}, steps=100)
    assert found.at_bounds == ["x[2] lies at its lower bound 0.3", "x[1] lies at its upper bound 2"]
    np.testing.assert_allclose(found.values["x"], [0.5, 2.0, 0.3], atol=1e-3)


def test_ranges_of_arrays():
    """Of other kinds too."""
    for make in (fitting.positive, fitting.real):
        x = make(np.ones(2), range=(np.array([0.5, 5.0]), 10.0))
        drawn = np.stack([x.transform.forward(x.sample(jax.random.key(n)), (2,)) for n in range(50)])
        assert np.all(drawn >= [0.5, 5.0]) and np.all(drawn <= 10.0) and drawn[:, 0].min() < 5.0


BAD = (
    (lambda: fitting.bounded(low=[0.0, 1.0], high=[1.0, 1.0]), r"low must be below high, both finite; got \[0. 1.\]"),
    (lambda: fitting.bounded(low=0.0, high=np.inf), "both finite; got 0 and inf"),
    (lambda: fitting.bounded([0.5, 0.5, 0.5], low=[0.0, 0.0], high=1.0), "low must be a number or have the shape"),
    (lambda: fitting.bounded([0.5, 2.0], low=0.0, high=[1.0, 1.5]), "start must lie inside its bounds"),
    (lambda: fitting.bounded(low=[0.0, 1.0], high=[2.0, 3.0, 4.0]), "must have shapes that spread over each other"),
    (lambda: fitting.positive([1.0, 2.0], range=([0.1, 0.1, 0.1], 3.0)), "lower end of range must be a number or have"),
    (lambda: fitting.positive([1.0, 2.0], range=([0.1, 4.0], 3.0)), r"range must ascend; got \[0.1 4. \] to 3"),
    (lambda: fitting.positive(1.0, range=(0.0, 3.0)), "lower end of range must be positive and finite; got 0"),
    (lambda: fitting.hermitian(np.stack([REAL, LOWER])), "Hermitian"),
)


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_parameters_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
