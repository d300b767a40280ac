"""Detailed balance as a symmetry: inner products weighed with a state, and the adjoint of a generator in them.

With X the Heisenberg form of a map and ⟨A, B⟩ a product of operators, X♯ is defined by ⟨A, X(B)⟩ = ⟨X♯(A), B⟩. The
Hamiltonian part is anti-symmetric in each product whose state commutes with H, so that detailed balance asks for the
dissipator to be its own adjoint, D = D♯, which is L - L♯ = 2i[H + H_LS, ·].
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian, as_matrix
from qdbjax._repr import number, summary
from qdbjax._types import Array, ArrayLike, Float, Matrix, Scalar, Superoperator
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import check_dense
from qdbjax.generators.generator import Generator, check_generator, dissipator_matrix, energy_liouvillian
from qdbjax.numerics.matrix import largest
from qdbjax.numerics.matrix_functions import expm_hermitian, inverse_hermitian, logm_hermitian, sqrt_hermitian
from qdbjax.numerics.products import dot
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import State, StateLike
from qdbjax.thermodynamics.entropy import logarithm_of_state

PRODUCTS = ("GNS", "KMS", "BKM")


def _check_product(product: str) -> None:
    if product not in PRODUCTS:
        raise ValueError(f"product must be one of {PRODUCTS}; got {product!r}.")


def _derivative_matrix(function, at: Matrix) -> Superoperator:
    """The derivative of a matrix function as a (d², d²) matrix on row-major vec."""
    d = at.shape[0]
    units = jnp.eye(d * d, dtype=at.dtype).reshape(d * d, d, d)
    # Along Hermitian directions, for which the derivative rules of matrix functions hold; all others by linearity.
    real, imaginary = 0.5 * (units + jnp.swapaxes(units, 1, 2)), -0.5j * (units - jnp.swapaxes(units, 1, 2))
    slope = jax.vmap(lambda x: jax.jvp(function, (at,), (x,))[1])
    return (slope(real) + 1j * slope(imaginary)).reshape(d * d, d * d).T


def _metrics(rho: Matrix, product: str) -> tuple[Superoperator, Superoperator]:
    """G with ⟨A, B⟩ = vec(A)† G vec(B), and its inverse."""
    unit = jnp.eye(rho.shape[0], dtype=rho.dtype)
    if product == "GNS":
        return jnp.kron(unit, rho.T), jnp.kron(unit, inverse_hermitian(rho).T)
    if product == "KMS":
        root = sqrt_hermitian(rho)
        back = inverse_hermitian(root)
        return jnp.kron(root, root.T), jnp.kron(back, back.T)
    # ∫₀¹ ρ^s B ρ^{1-s} ds is the change of exp at ln ρ.
    return _derivative_matrix(expm_hermitian, logm_hermitian(rho)), _derivative_matrix(logm_hermitian, rho)


@jit_if_eager
def _inner(a: Matrix, b: Matrix, rho: Matrix, product: str) -> Array:
    weighed = dot(_metrics(rho, product)[0], b.reshape(-1))
    return jnp.sum(a.reshape(-1).conj() * weighed)


def inner_product(a: ArrayLike, b: ArrayLike, state: ArrayLike, product: str = "GNS") -> Array:
    """Inner product of two operators weighed with a density matrix σ.

    "GNS": Tr[σA†B]; "KMS": Tr[σ^½A†σ^½B]; "BKM" (Bogoliubov, Kubo, Mori): ∫₀¹ds Tr[σ^sA†σ^{1-s}B].

    a, b: A and B, (d, d), Hermitian or not.
    state: σ, Hermitian, positive, (d, d), in the basis of A and B.
    product: "GNS", "KMS" or "BKM".

    Returns a complex scalar, ⟨B, A⟩ = ⟨A, B⟩*. Raises ValueError for another product, a σ that is not Hermitian, and
    shapes.
    *Source:* R. Alicki, Rep. Math. Phys. 10, 249 (1976), GNS; R. Kubo, J. Phys. Soc. Jpn. 12, 570 (1957), BKM.

    >>> qdb.balance.inner_product(qdb.sigma_x(), qdb.sigma_x(), np.diag([0.5, 0.5]), product="GNS")
    Array(1.+0.j, dtype=complex128)
    """
    _check_product(product)
    rho = jnp.asarray(as_hermitian(state, "state"))
    rho = rho.astype(np.promote_types(rho.dtype, jnp.complex64))
    operators = []
    for value, name in ((a, "a"), (b, "b")):
        operator = jnp.asarray(as_matrix(value, name)).astype(rho.dtype)
        if operator.shape != rho.shape:
            raise ValueError(f"{name} must have the shape of state, {rho.shape}; got {operator.shape}.")
        operators.append(operator)
    return _inner(operators[0], operators[1], rho, product)


def _adjoint(heisenberg: Matrix, metric: Matrix, back: Matrix) -> Matrix:
    """X♯ = G⁻¹X†G."""
    product = dot(heisenberg.conj().T, metric)
    return dot(back, product)


def _faithful(generator: Generator, state: State) -> Array:
    """1, or NaN where the state has no inverse, so that products weighed with it have no adjoint."""
    return jnp.where(jnp.all(logarithm_of_state(generator, state).values > 0), 1.0, jnp.nan)


@jit_if_eager
def _adjoint_generator(generator: Generator, state: State, product: str) -> Matrix:
    spectrum = generator.spectrum
    rho = state.energy_density_matrix
    heisenberg = energy_liouvillian(spectrum, generator.jumps).astype(rho.dtype).conj().T
    found = _adjoint(heisenberg, *_metrics(rho, product))
    basis = jnp.asarray(spectrum.basis, rho.dtype)
    frame = jnp.kron(basis, basis.conj())
    return dot(frame, found, frame.conj().T) * _faithful(generator, state).astype(rho.dtype)


def adjoint_generator(generator: Generator, state: StateLike | None = None, *, product: str = "GNS") -> Matrix:
    """The adjoint L♯ of the Heisenberg generator in the inner product of a state.

    ⟨A, L†(B)⟩ = ⟨L♯(A), B⟩

    The KMS adjoint is itself a generator of GKSL form, of the time-reversed dynamics, for every stationary state,
    however many baths there are. So is the GNS adjoint where levels and gaps are not degenerate, or the state is Gibbs;
    where equal gaps keep cross terms a driven state gives equal frequencies unequal weights, and the GNS adjoint is of
    another form (`gksl_defects`).

    generator: of any kind, d <= 32.
    state: as for `heat_currents`; by default the stationary one.
    product: "GNS", "KMS" or "BKM", as for `inner_product`.

    Returns (d², d²) on row-major vec, in the basis of the Hamiltonian, inverse time; Heisenberg picture, L♯(1) = 0 for
    a stationary state. NaN for a state without an inverse (a pure one, or T = 0). Raises ValueError above d = 32 and
    for another product.
    *Source:* A. Frigerio and V. Gorini, Commun. Math. Phys. 93, 517 (1984); D. Petz, ibid. 105, 123 (1986).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.adjoint_generator(generator).shape
    (4, 4)
    """
    _check_product(product)
    check_dense(generator.dimension, "adjoint_generator")
    found = state_of(generator, state)
    return _adjoint_generator(generator, found, product)


class SymmetryResiduals(eqx.Module):
    """‖D - D♯‖ of the dissipators (Frobenius norm, inverse time): 0 under detailed balance.

    total: of all baths together.
    baths: of each by itself, (bath,), in the product of the same state.
    size: ‖D‖ of all baths together.
    names: labels of the baths.
    product: "GNS", "KMS" or "BKM".
    """

    total: Scalar
    baths: Float[Array, " bath"]
    size: Scalar
    names: tuple[str, ...] = eqx.field(static=True)
    product: str = eqx.field(static=True)

    def __repr__(self) -> str:
        fields = {
            "total": lambda: f"{float(self.total):.3g} of {float(self.size):.3g}",
            **{name: lambda n=n: number(self.baths[n], 3) for n, name in enumerate(self.names)},
        }
        return summary(self, self.total, fields, known={"product": self.product})


def _norm(matrix: Matrix) -> Scalar:
    square = jnp.sum(jnp.real(matrix) ** 2 + jnp.imag(matrix) ** 2)
    # At 0 the square root has no derivative; 0 stands for it, so that a penalty may contain this norm.
    return jnp.where(square == 0, 0.0, jnp.sqrt(jnp.where(square == 0, 1.0, square)))


@jit_if_eager
def _residuals(generator: Generator, state: State, product: str) -> SymmetryResiduals:
    spectrum, rho = generator.spectrum, state.energy_density_matrix
    metrics = _metrics(rho, product)
    parts = [
        dissipator_matrix(*pair, spectrum).astype(rho.dtype).conj().T for pair in generator.jumps.channels(spectrum)
    ]
    total = sum(parts[1:], parts[0])
    faithful = _faithful(generator, state)
    defects = [_norm(each - _adjoint(each, *metrics)) * faithful for each in (total, *parts)]
    return SymmetryResiduals(defects[0], jnp.stack(defects[1:]), _norm(total), generator.names, product)


def symmetry_residuals(
    generator: Generator, state: StateLike | None = None, *, product: str = "GNS"
) -> SymmetryResiduals:
    """Whether the dissipator is its own adjoint in the inner product of a state.

    ‖D - D♯‖, of each bath and of all together. Zero for all together in the GNS product if and only if quantum detailed
    balance holds with respect to the state; the KMS product asks for less (a KMS-symmetric generator need not be
    covariant). L itself is not symmetric, whether or not balance holds, unless H + H_LS is a multiple of 1.

    generator: of any kind, d <= 32.
    state: as for `heat_currents`; by default the stationary one.
    product: "GNS", "KMS" or "BKM", as for `inner_product`.

    Returns SymmetryResiduals, inverse time, differentiable where they do not vanish; NaN for a state without an inverse
    (a pure one, or T = 0). Raises ValueError above d = 32 and for another product.
    *Source:* A. Kossakowski, A. Frigerio, V. Gorini, M. Verri, Commun. Math. Phys. 57, 97 (1977).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.symmetry_residuals(generator).product
    'GNS'
    """
    check_generator(generator)
    _check_product(product)
    check_dense(generator.dimension, "symmetry_residuals")
    return _residuals(generator, state_of(generator, state), product)


class GKSLDefects(eqx.Module):
    """By how much a Heisenberg map fails to generate a quantum dynamical semigroup; see `gksl_defects`.

    unit: largest entry of L(1).
    hermiticity: largest violation of L(A†) = L(A)†.
    positivity: smallest eigenvalue of the Choi matrix of L on the complement of the maximally entangled state; negative
        where complete positivity is lost.
    """

    unit: Scalar
    hermiticity: Scalar
    positivity: Scalar

    def __repr__(self) -> str:
        names = ("unit", "hermiticity", "positivity")
        return summary(self, self.unit, {name: lambda name=name: number(getattr(self, name), 2) for name in names})


@jit_if_eager
def gksl_defects(superoperator: Array) -> GKSLDefects:
    """Whether a map is the Heisenberg generator of a quantum dynamical semigroup (GKSL form).

    It is if and only if L(1) = 0, L(A†) = L(A)†, and P C P >= 0, C the Choi matrix of L and P the projector onto the
    complement of the maximally entangled state.

    superoperator: L, (d², d²) on row-major vec.

    Returns GKSLDefects: unit and hermiticity 0, positivity >= 0, to rounding. Raises ValueError for another shape.
    *Source:* D. E. Evans and J. T. Lewis, Commun. Dublin Inst. Adv. Stud. A 24 (1977), conditional complete positivity.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> defects = qdb.balance.gksl_defects(generator.liouvillian())
    >>> bool(defects.hermiticity < 1e-12)
    True
    """
    n = superoperator.shape[0]
    d = round(n**0.5)
    if superoperator.shape != (d * d, d * d):
        raise ValueError(f"superoperator must have shape (d², d²); got {superoperator.shape}.")
    one = jnp.eye(d, dtype=superoperator.dtype).reshape(-1)
    choi = superoperator.reshape(d, d, d, d).transpose(0, 2, 1, 3).reshape(n, n)
    off = jnp.eye(n, dtype=choi.dtype) - one[:, None] * one[None, :] / d
    inside = dot(off, 0.5 * (choi + choi.conj().T), off)
    lowest = jnp.linalg.eigvalsh(inside)[0]
    return GKSLDefects(largest(jnp.abs(dot(superoperator, one))), largest(jnp.abs(choi - choi.conj().T)), lowest)
