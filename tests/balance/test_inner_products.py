"""Products, symmetry of dissipators and the adjoint generator, against formulas written out in NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from reference.differences import two_point_slope
from reference.machines import SPECTRA
from reference.random_matrices import gaussian, random_hermitian, random_state, with_spectrum

import qdbjax as qdb

BALANCE = qdb.balance
PRODUCTS = ("GNS", "KMS", "BKM")
RNG = np.random.default_rng(11)
BASIS = with_spectrum(np.random.default_rng(5), [1.0, 2.0, 3.0])
ENERGIES = [SPECTRA[name] for name in ("generic", "equal levels", "equal gaps")]
COUPLINGS = np.stack([random_hermitian(RNG, 3) for _ in range(2)])


def written_out(a, b, sigma, product):
    power = lambda s: scipy.linalg.fractional_matrix_power(sigma, s)  # noqa: E731
    if product == "GNS":
        return np.trace(sigma @ a.conj().T @ b)
    if product == "KMS":
        return np.trace(power(0.5) @ a.conj().T @ power(0.5) @ b)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    pairs = zip((nodes + 1) / 2, weights / 2, strict=True)
    return sum(w * np.trace(power(s) @ a.conj().T @ power(1 - s) @ b) for s, w in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS)
def test_products(product):
    """Against fractional powers and quadrature; positive, and equal where everything commutes."""
    rng = np.random.default_rng(3)
    a, b, sigma = (
        random_hermitian(rng, 3) + 1j * random_hermitian(rng, 3),
        random_hermitian(rng, 3),
        random_state(rng, 3),
    )
    for weight in (sigma, np.diag([0.2, 0.2, 0.6])):  # the second with equal eigenvalues
        wanted = written_out(a, b, weight, product)
        np.testing.assert_allclose(BALANCE.inner_product(a, b, weight, product), wanted, rtol=1e-11)
    norm = BALANCE.inner_product(a, a, sigma, product)
    assert norm.real > 0 and abs(norm.imag) < 1e-14


FRAME = np.linalg.eigh(BASIS)[1]


def two_baths(energies, temperatures):
    """Two baths on a system written down in a frame that is not its eigenbasis."""
    hamiltonian = jnp.einsum("ik,k,jk->ij", FRAME, energies.astype(complex), FRAME.conj())
    baths = [qdb.Bath(c, qdb.Ohmic(0.02, 6.0), temperature=temperatures[n]) for n, c in enumerate(COUPLINGS)]
    return qdb.davies(hamiltonian, baths)


def symmetry_readings(energies, temperatures):
    generator = two_baths(energies, temperatures)
    steady = qdb.steady_state(generator)
    found = {"rho": steady.density_matrix, "liouvillian": generator.liouvillian()}
    for product in ("GNS", "KMS"):
        adjoint = BALANCE.adjoint_generator(generator, steady, product=product)
        residuals = BALANCE.symmetry_residuals(generator, steady, product=product)
        found[product] = residuals, adjoint, BALANCE.gksl_defects(adjoint)
    return found


symmetry_of_many = jax.jit(jax.vmap(symmetry_readings))
CASES = [(energies, temperatures) for energies in ENERGIES for temperatures in ((0.8, 0.8), (1.5, 0.5))]


@pytest.fixture(scope="module")
def batch():
    table = symmetry_of_many(*(jnp.asarray(column) for column in zip(*CASES, strict=True)))
    return [jax.tree.map(lambda leaf, n=n: np.asarray(leaf[n]), table) for n in range(len(CASES))]


@pytest.mark.parametrize("index", range(len(CASES)), ids=[str(case) for case in CASES])
def test_adjoint(batch, index):
    """⟨A, L†(B)⟩ = ⟨L♯(A), B⟩ for random A and B; L♯(1) = 0, GKSL for GNS and KMS; D = D♯ at one temperature only."""
    one, (energies, temperatures) = batch[index], CASES[index]
    rng = np.random.default_rng(index)
    heisenberg, rho = one["liouvillian"].conj().T, one["rho"]
    for product in ("GNS", "KMS"):
        residuals, adjoint, defects = one[product]
        a, b = (gaussian(rng, 3, 3) for _ in range(2))
        left = written_out(a, (heisenberg @ b.reshape(-1)).reshape(3, 3), rho, product)
        right = written_out((adjoint @ a.reshape(-1)).reshape(3, 3), b, rho, product)
        np.testing.assert_allclose(left, right, rtol=1e-10)
        assert defects.unit < 1e-13
        balanced = temperatures[0] == temperatures[1]
        # Cross terms of equal frequencies and a state that is not Gibbs: the GNS adjoint generates nothing physical.
        generates = product == "KMS" or balanced or list(energies) == ENERGIES[0]
        assert (defects.positivity > -1e-12 and defects.hermiticity < 1e-12) == generates
        assert (residuals.total < 1e-12 * residuals.size) == balanced
        assert np.all(residuals.baths < 1e-12) == balanced


def penalty(energies, temperatures):
    generator = two_baths(energies, temperatures)
    steady = qdb.steady_state(generator)
    return sum(BALANCE.symmetry_residuals(generator, steady, product=product).total for product in PRODUCTS)


penalty_and_slope = jax.jit(jax.vmap(jax.value_and_grad(penalty, argnums=1)))


@pytest.mark.slow
def test_gradient():
    """Residuals as a penalty: derivative in the temperatures against differences, at equal levels and gaps too."""
    energies = jnp.asarray(ENERGIES)
    points = np.tile([1.5, 0.5], (3, 1))
    slopes = penalty_and_slope(energies, points)[1]
    for n, direction in enumerate(np.eye(2)):
        wanted = two_point_slope(lambda x: penalty_and_slope(energies, x)[0], points, 1e-5, direction)
        np.testing.assert_allclose(slopes[:, n], wanted, rtol=1e-7)


def test_what_is_not_a_generator():
    """A map without complete positivity, one that moves the unit, one that is not square."""
    flip = np.eye(4).reshape(2, 2, 2, 2).transpose(1, 0, 2, 3).reshape(4, 4)  # A → Aᵀ, positive and not completely so
    defects = BALANCE.gksl_defects(jnp.asarray(flip - np.eye(4)))
    assert defects.positivity < -0.1 and defects.unit < 1e-15
    assert BALANCE.gksl_defects(jnp.asarray(np.eye(4))).unit == 1.0
    with pytest.raises(ValueError, match="superoperator must have shape"):
        BALANCE.gksl_defects(jnp.zeros((5, 5)))
    with pytest.raises(ValueError, match="product must be one of"):
        BALANCE.inner_product(np.eye(2), np.eye(2), np.eye(2) / 2, "Bures")
