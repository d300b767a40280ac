"""Matrix arithmetic in both layouts, entries kept apart and whole arrays, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_matrices import gaussian

from qdbjax.numerics import entries, matrix
from qdbjax.numerics.matrix import LayoutMatrix

sizes = pytest.mark.parametrize("d", [1, 2, 3, 4, 9])
layouts = pytest.mark.parametrize(("d", "apart"), [(1, True), (2, True), (3, True), (3, False), (4, False)])


@sizes
def test_products(rng, d):
    """A B, V†AV and stacks of products, of real and complex factors; a factor that is known while tracing."""
    a, b, known = gaussian(rng, d, d), rng.normal(size=(d, d)), np.eye(d)[::-1].copy()
    products = jax.jit(lambda a, b: (matrix.matmul(a, b), matrix.matmul(known, a), matrix.in_frame(a, b)))
    for found, wanted in zip(products(a, b), (a @ b, known @ a, a.conj().T @ b @ a), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13 * d)
    stacks = gaussian(rng, 3, d, d), gaussian(rng, d, d)
    found = jax.jit(matrix.batched_matmul)(*stacks)
    np.testing.assert_allclose(found, stacks[0] @ stacks[1], rtol=0, atol=1e-13 * d)
    framed = jax.jit(matrix.in_frame)(stacks[1], stacks[0])
    np.testing.assert_allclose(framed, stacks[1].conj().T @ stacks[0] @ stacks[1], rtol=0, atol=1e-12 * d)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_inverse(rng, d):
    """Rows and columns may differ by any factor."""
    scales = 10.0 ** np.array([0.0, -90.0, 70.0])[:d]
    plain = gaussian(rng, d, d)
    found = np.asarray(jax.jit(lambda x: LayoutMatrix.of(x).inverse().array(x.dtype))(scales[:, None] * plain))
    np.testing.assert_allclose(found * scales[None, :], np.linalg.inv(plain), rtol=1e-12)


@layouts
def test_layouts_agree_with_numpy(rng, d, apart):
    """Every operation of the matrix type, a factor known while tracing among them."""
    known = np.diag(np.arange(1.0, d + 1)) if d > 1 else np.array([[2.0]])
    a, x, y = gaussian(rng, d, d), rng.normal(size=(d, d)), rng.normal(size=d)

    @jax.jit
    def formulas(a, x, y):
        A, X = (LayoutMatrix.of(each, entries=apart) for each in (a, x))
        K = LayoutMatrix.of(known, entries=apart)
        return {
            "product": (A.H @ (K @ A)).array(a.dtype),
            "sum": (A + X).array(a.dtype),
            "abs2": A.abs2().array(x.dtype),
            "columns": X.columns(y).without_diagonal().array(x.dtype),
            "scaled": X.scaled(y, y + 1).array(x.dtype),
            "times i": X.times_i(y[0]).array(a.dtype),
            "entrywise": X.entrywise(jnp.hypot, A.abs2()).array(x.dtype),
            "pairs": X.sum_over_pairs(y),
            "diagonal": (LayoutMatrix.diagonal_of(y, X) + X).array(x.dtype),
        }

    skew = x - x.T
    wanted = {
        "product": a.conj().T @ known @ a,
        "sum": a + x,
        "abs2": np.abs(a) ** 2,
        "columns": x * y[None] * (1 - np.eye(d)),
        "scaled": y[:, None] * x * (y + 1)[None],
        "times i": 1j * y[0] * x,
        "entrywise": np.hypot(x, np.abs(a) ** 2),
        "pairs": sum((y[m] - y[n]) * skew[m, n] for m in range(d) for n in range(m)),
        "diagonal": np.diag(y) + x,
    }
    found = formulas(a, x, y)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-13, err_msg=name)


@layouts
def test_samples(rng, d, apart):
    """A matrix for every sample: (K + iV)⁻¹, its square modulus summed with and without signs."""
    potential, k = rng.normal(size=(d, d)), rng.uniform(1.0, 2.0, size=(d, 5)) + 1j * rng.uniform(0.0, 1.0, size=(d, 5))
    signs = (-1.0) ** np.arange(5)

    @jax.jit
    def resolved(potential, k):
        V = LayoutMatrix.of(potential, samples=1, entries=apart)
        W = (LayoutMatrix.diagonal_of(k, V) + V.times_i(jnp.asarray(2.0))).inverse()
        square = W.abs2()
        return W.array(k.dtype), *(square.sum_over_samples(s).array(potential.dtype) for s in (None, signs))

    wanted = np.stack([np.linalg.inv(np.diag(k[:, n]) + 2j * potential) for n in range(5)], axis=-1)
    found = resolved(potential, k)
    for value, right in zip(found, (wanted, (np.abs(wanted) ** 2).sum(-1), np.abs(wanted) ** 2 @ signs), strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-12, atol=1e-13)


@layouts
def test_tables_of_pairs(rng, d, apart):
    """f(E_from - E_to) for several f at once, each evaluated once a pair where entries are apart."""
    energies = np.sort(rng.normal(size=d))
    both = lambda x: [(jnp.exp(x), jnp.exp(-x)), (x, -x)]  # noqa: E731

    def tables(energies, frequencies):
        like = LayoutMatrix.of(np.eye(d), entries=apart)
        own = frequencies is None
        gaps = LayoutMatrix.differences(energies, like) if own else LayoutMatrix.of(frequencies, entries=apart)
        return [each.array(energies.dtype) for each in gaps.tables(both)]

    gaps, off = energies[None] - energies[:, None], 1 - np.eye(d)
    for given in (None, jnp.asarray(gaps)):
        for value, right in zip(jax.jit(tables)(energies, given), (np.exp(gaps) * off, gaps * off), strict=False):
            np.testing.assert_allclose(value, right, rtol=1e-14, atol=1e-15)


@layouts
def test_factors_masks_and_diagonal(rng, d, apart):
    """A times a number and entry by entry, under a mask, its real diagonal; behind a barrier, with a gradient."""
    a, b, mask = gaussian(rng, d, d), rng.normal(size=(d, d)), rng.random((d, d)) < 0.5

    def parts(a, b, mask):
        matrix = LayoutMatrix.of(a, entries=apart).materialized(jnp.sum(b) == jnp.sum(b))
        found = matrix.times(-0.5), matrix.times(LayoutMatrix.of(b, entries=apart)), matrix.where(mask)
        return [each.array(a.dtype) for each in found], matrix.real_diagonal()

    (half, product, kept), diagonal = jax.jit(jax.vmap(parts))(a[None], b[None], mask[None])
    for found, wanted in ((half, -a / 2), (product, a * b), (kept, np.where(mask, a, 0)), (diagonal, np.diag(a).real)):
        np.testing.assert_allclose(found[0], wanted, rtol=1e-15)
    total = lambda a: jnp.sum(jnp.abs(parts(a, b, mask)[0][1]) ** 2)  # noqa: E731
    np.testing.assert_allclose(jax.jit(jax.grad(total))(a), 2 * a.conj() * b * b, rtol=1e-14)


@sizes
def test_parts(rng, d):
    """Diagonal matrices, entries and back, reductions."""
    x = rng.normal(size=(d, d))
    parts = jax.jit(lambda x: (matrix.diagonal_matrix(x[0]), matrix.largest(x), matrix.total(x)))
    for found, wanted in zip(parts(x), (np.diag(x[0]), x.max(), x.sum()), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
    np.testing.assert_array_equal(entries.stack_entries(entries.flat_entries(jnp.asarray(x)), x.shape), x)
    np.testing.assert_allclose(matrix.entrywise(jnp.hypot, jnp.asarray(x), jnp.asarray(x)), np.hypot(x, x), rtol=1e-15)
    assert matrix.every(jnp.isfinite, jnp.asarray(x))
    assert not matrix.every(jnp.isfinite, jnp.asarray(np.where(np.eye(d, dtype=bool), np.nan, x)))


SPARSE = {
    "permutation": np.eye(12)[::-1],
    "projector": np.diag([0.0, 3.0] + [0.0] * 10),
    "hopping": 1j * np.eye(12, k=3) - 1j * np.eye(12, k=-3),
    "nothing": np.zeros((12, 12)),
    "dense row": np.eye(12) + np.eye(12)[:, [0]] * np.ones(12),
}


@pytest.mark.parametrize("known", SPARSE.values(), ids=SPARSE)
def test_known_operators_of_a_site(rng, known):
    """Rows are copied where there are few entries in each; value and both derivatives as NumPy's product."""
    b = gaussian(rng, 12, 12)
    assert matrix.is_sparse(known) == (np.count_nonzero(known, axis=1).max() <= 2)
    assert not matrix.is_sparse(jnp.asarray(known))
    product = lambda b: (LayoutMatrix.of(known) @ LayoutMatrix.of(b)).array(jnp.complex128)  # noqa: E731
    found, back = jax.vjp(product, jnp.asarray(b))
    np.testing.assert_allclose(found, known @ b, rtol=0, atol=1e-14)
    np.testing.assert_allclose(back(jnp.asarray(b))[0], known.T @ b, rtol=0, atol=1e-14)
    np.testing.assert_allclose(jax.jvp(product, (b,), (2 * b,))[1], 2 * known @ b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 1e-80, 1e80])
@pytest.mark.parametrize("d", [2, 3, 9, 20])
def test_sums_of_squared_terms(rng, d, scale):
    """In single precision for many levels, at any size of the operator."""
    v, a = gaussian(rng, d, d), scale * gaussian(rng, d, d)
    wanted = (abs(v) ** 2).T @ abs(a) ** 2 @ abs(v) ** 2
    found = jax.jit(lambda a, v: LayoutMatrix.of(a).squared_terms(LayoutMatrix.of(v).abs2()).array(jnp.float64))(a, v)
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if d > 8 else 1e-12)
    zero = LayoutMatrix.of(0 * a).squared_terms(LayoutMatrix.of(v).abs2()).array(jnp.float64)
    assert not np.any(np.asarray(zero))


@pytest.mark.parametrize(("dtype", "scale", "tail"), [("f4", 1e-6, 1e-4), ("f4", 1e6, 1e-4), ("f8", 1.0, 1e-17)])
def test_small_sums_of_squared_terms(rng, dtype, scale, tail):
    """Of levels that live on one site each, with tails at all others, and a coupling of a site: no sum is lost."""
    d = 12
    size, a = (np.eye(d) + tail * rng.uniform(0.5, 1, (d, d))) ** 2, np.zeros((d, d))
    a[3, 4] = a[4, 3] = scale
    wanted = size.T @ a**2 @ size
    of_both = jax.jit(lambda a, size: LayoutMatrix.of(a).squared_terms(LayoutMatrix.of(size)).array(size.dtype))
    np.testing.assert_allclose(of_both(a.astype(dtype), size.astype(dtype)), wanted, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (6, 6), (9, 9), (64, 64)])
def test_the_largest_entry_of_nan(shape):
    """Is NaN, in a batch too, where XLA's own largest entry of many is not."""
    values = np.zeros((4, *shape))
    values[1].flat[3 % values[1].size - 1] = np.nan
    values[2].flat[0] = np.inf
    values[3] = -1.0
    for function in (jax.jit(jax.vmap(matrix.largest)), lambda x: [jax.jit(matrix.largest)(each) for each in x]):
        np.testing.assert_array_equal(np.asarray(function(values)), [0.0, np.nan, np.inf, -1.0])
