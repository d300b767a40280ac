"""States e^A/Tr e^A, and those among them that fix the averages of several charges."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian, as_real, is_traced
from qdbjax._repr import summary
from qdbjax._status import Status, explain, raise_flag, record
from qdbjax._types import Array, ArrayLike, Float, Inexact, Matrix, Scalar, StatusCode
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.matrix import dagger
from qdbjax.numerics.matrix_functions import expm_hermitian
from qdbjax.numerics.products import dot
from qdbjax.systems import System

Charges = Inexact[Array, "charge d d"]
Numbers = Float[Array, " charge"]

STEPS = 80  # Newton steps; ten are enough unless an average lies within e^-10 of what is reachable
HALVINGS = 40  # of a step that leads too far
ATTAINED = 1e-8  # largest miss of an average, in units of the spread of its charge


class GeneralizedGibbs(eqx.Module):
    """ρ = exp(-Σ_k λ_k Q_k)/Z; every field is differentiable, at degenerate levels too.

    density_matrix: ρ (d, d).
    multipliers: λ (k,), inverse units of the charges.
    log_partition_function: ln Z.
    averages: ⟨Q⟩ (k,).
    covariance: -∂⟨Q_k⟩/∂λ_l (k, k).
    entropy: S, nats.
    status: TARGET_NOT_ATTAINED where no state has the averages.
    """

    density_matrix: Matrix
    multipliers: Numbers
    log_partition_function: Scalar
    averages: Numbers
    covariance: Float[Array, "charge charge"]
    entropy: Scalar
    status: StatusCode

    def __repr__(self) -> str:
        fields = {name: getattr(self, name) for name in ("multipliers", "averages", "entropy")}
        known = {"charges": self.multipliers.shape[-1]}
        return summary(self, self.multipliers, fields | {"status": lambda: explain(self.status)}, rank=1, known=known)


def generalized_gibbs(
    charges: ArrayLike | Sequence[ArrayLike | System],
    *,
    averages: ArrayLike | None = None,
    multipliers: ArrayLike | None = None,
) -> GeneralizedGibbs:
    """Generalized Gibbs state of commuting charges, from their averages or from the multipliers.

    ρ = exp(-Σ_k λ_k Q_k)/Z; given averages a, the λ that minimise the convex ln Z(λ) + λ·a (damped Newton), so that
    ⟨Q_k⟩ = a_k. Derivatives with respect to averages and charges by the implicit function theorem.

    charges: (k, d, d), Hermitian, commuting; a System stands for its Hamiltonian.
    averages: a (k,), units of the charges; give these or multipliers.
    multipliers: λ (k,), inverse units of the charges; λ_H is β, λ_N is -βμ.
    Returns a GeneralizedGibbs. Averages that no state has, or only a limit of states with λ → ∞ (on or outside the
    border of what the charges allow), are flagged TARGET_NOT_ATTAINED, and every number is NaN. Raises ValueError for
    both or neither of the two, for other shapes, NaN or Inf, charges that do not commute, and, given averages, charges
    that depend linearly on each other and 1.
    *Source:* E. T. Jaynes, Phys. Rev. 106, 620 (1957).

    >>> found = qdb.generalized_gibbs([qdb.sigma_z()], averages=[0.5])
    >>> found.multipliers.round(4)  # -artanh 0.5
    Array([-0.5493], dtype=float64)
    """
    if (averages is None) == (multipliers is None):
        raise ValueError("give exactly one of averages and multipliers.")
    charges = _as_charges(charges)
    name = "multipliers" if averages is None else "averages"
    values = as_real(multipliers if averages is None else averages, name)
    if values.shape != charges.shape[:1]:
        raise ValueError(f"{name} must have shape {charges.shape[:1]}, one per charge; got {values.shape}.")
    if not is_traced(values) and not np.all(np.isfinite(np.asarray(values))):
        raise ValueError(f"{name} must be finite; got {np.asarray(values)}.")
    if averages is None:
        return _at_multipliers(charges, values)
    _check_independent(charges)
    state = _at_averages(charges, values)
    record(state.status)
    return state


def _as_charges(charges: ArrayLike | Sequence[ArrayLike | System]) -> Charges:
    if isinstance(charges, (list, tuple)):
        charges = [charge.hamiltonian if isinstance(charge, System) else charge for charge in charges]
        parts = [as_hermitian(charge, f"charges[{n}]") for n, charge in enumerate(charges)]
        if len({part.shape for part in parts}) > 1:
            raise ValueError(f"charges must have one shape; got {[part.shape for part in parts]}.")
        if parts:
            common = np.result_type(*(part.dtype for part in parts))
            charges = jnp.stack([jnp.asarray(part, common) for part in parts])
    charges = as_hermitian(charges, "charges", ndim=(3,))
    if charges.shape[0] == 0:
        raise ValueError("charges must hold at least one operator; got none.")
    if not is_traced(charges):
        stack = np.asarray(charges)
        for n, m in zip(*np.triu_indices(len(stack), 1), strict=True):
            excess = np.abs(stack[n] @ stack[m] - stack[m] @ stack[n]).max()
            if excess > 1e-10 * np.abs(stack[n]).max() * np.abs(stack[m]).max():
                raise ValueError(
                    f"charges must commute; the commutator of charges[{n}] and charges[{m}] is as large as "
                    f"{excess:.3g}. Leave one of them out."
                )
    return jnp.asarray(charges)


def _check_independent(charges: Charges) -> None:
    if is_traced(charges):
        return
    stack = np.asarray(charges)
    rows = np.concatenate([np.eye(stack.shape[-1])[None], stack]).reshape(len(stack) + 1, -1)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    if np.any(size == 0) or np.linalg.matrix_rank(rows / size, tol=1e-10) < len(rows):
        raise ValueError(
            "charges must be linearly independent of each other and of the unit operator, or averages do not fix the "
            "multipliers; leave out the ones that follow from the others."
        )


def normalized_exponential(exponent: Matrix) -> tuple[Matrix, Scalar, Scalar]:
    """ρ = e^A/Z of a Hermitian A, ln Z, and the entropy in nats."""
    shifted, top = _from_the_top(exponent)
    weight = expm_hermitian(shifted)
    partition = jnp.real(jnp.trace(weight))
    rho = weight / partition.astype(weight.dtype)
    log_partition = jnp.log(partition)
    return rho, log_partition + top, log_partition - jnp.real(jnp.sum(shifted.T * rho))


def canonical_covariance(exponent: Matrix, operators: Charges) -> tuple[Numbers, Float[Array, "k k"]]:
    """⟨X⟩ and C_XY = ∫₀¹ds Tr[ρ^{1-s} X ρ^s Y] - ⟨X⟩⟨Y⟩ = ∂⟨X⟩/∂h in e^{A + hY}, in ρ = e^A/Tr e^A."""
    shifted, _ = _from_the_top(exponent)
    common = np.promote_types(exponent.dtype, operators.dtype)
    shifted, operators = shifted.astype(common), operators.astype(common)
    weight = expm_hermitian(shifted)
    partition = jnp.real(jnp.trace(weight))
    averages = _traces(operators, weight) / partition
    # Centred first: the difference of two large numbers would hide what is left of the fluctuations in the cold.
    centred = operators - averages.astype(common)[:, None, None] * jnp.eye(exponent.shape[0], dtype=common)[None]
    changes = jax.vmap(lambda x: jax.jvp(expm_hermitian, (shifted,), (x,))[1])(centred)
    covariance = jax.vmap(lambda change: _traces(centred, change))(changes) / partition
    return averages, 0.5 * (covariance + covariance.T)


def _from_the_top(exponent: Matrix) -> tuple[Matrix, Scalar]:
    """A - a·1 and its largest eigenvalue a, a constant to derivatives: no exponential overflows."""
    top = jnp.max(eigh(jax.lax.stop_gradient(exponent))[0])
    return exponent - (top * jnp.eye(exponent.shape[0], dtype=top.dtype)).astype(exponent.dtype), top


def _traces(operators: Charges, state: Matrix) -> Numbers:
    return jnp.real(jnp.sum(operators * state.T[None], axis=(1, 2)))


def _exponent(charges: Charges, multipliers: Numbers) -> Matrix:
    return -jnp.sum(multipliers.astype(charges.dtype)[:, None, None] * charges, axis=0)


@jit_if_eager
def _at_multipliers(charges: Charges, multipliers: Numbers) -> GeneralizedGibbs:
    exponent = _exponent(charges, multipliers)
    rho, log_partition, entropy = normalized_exponential(exponent)
    averages, covariance = canonical_covariance(exponent, charges)
    ok = raise_flag(~jnp.all(jnp.isfinite(averages)), Status.NONFINITE_INPUT)
    return GeneralizedGibbs(rho, multipliers, log_partition, averages, covariance, entropy, ok)


@jit_if_eager
def _at_averages(charges: Charges, averages: Numbers) -> GeneralizedGibbs:
    state = _at_multipliers(charges, _multipliers(charges, averages))
    values, _ = _commuting_values(charges)
    miss = jnp.abs(state.averages - averages) / jnp.ptp(values, axis=1)
    finite = jnp.all(jnp.isfinite(averages)) & jnp.all(jnp.isfinite(charges))
    attained = jnp.all(miss < ATTAINED)
    flag = jnp.where(
        finite, raise_flag(~attained, Status.TARGET_NOT_ATTAINED), raise_flag(~finite, Status.NONFINITE_INPUT)
    )
    numbers, _ = eqx.partition(state, eqx.is_inexact_array)
    numbers = jax.tree.map(lambda x: jnp.where(attained, x, jnp.full_like(x, jnp.nan)), numbers)
    return eqx.tree_at(lambda s: s.status, numbers, flag, is_leaf=lambda x: x is None)


def _commuting_values(charges: Charges) -> tuple[Float[Array, "charge d"], Matrix]:
    """Values of the charges in their common eigenbasis, that of a combination without special ratios."""
    size = jnp.sqrt(jnp.sum(jnp.abs(charges) ** 2, axis=(1, 2)))
    ratios = jnp.asarray(np.cos(1.0 + np.arange(charges.shape[0])), size.dtype)
    weights = ratios / jnp.where(size > 0, size, 1.0)
    _, basis = eigh(jnp.sum(weights.astype(charges.dtype)[:, None, None] * charges, axis=0))
    framed = dot(dagger(basis)[None], charges, basis[None])
    return jnp.real(jnp.diagonal(framed, axis1=1, axis2=2)), basis


@jax.custom_jvp
def _multipliers(charges: Charges, averages: Numbers) -> Numbers:
    """λ with ⟨Q⟩(λ) = a.

    Newton's method runs on the eigenvalues of the charges in their common eigenbasis, each charge in units of its
    spread. One more step with the operators themselves removes the rounding error of that basis.
    """
    values, _ = _commuting_values(charges)
    spread = jnp.ptp(values, axis=1)
    spread = jnp.where(spread > 0, spread, 1.0)
    start = _search((values - averages[:, None]) / spread[:, None]) / spread
    mean, covariance = canonical_covariance(_exponent(charges, start), charges)
    solution = start + _solve(covariance, mean - averages)
    return jnp.where(jnp.all(jnp.isfinite(solution)), solution, start)


@_multipliers.defjvp
def _multipliers_jvp(primals, tangents):
    charges, averages = primals
    multipliers = _multipliers(charges, averages)

    def mean(charges):
        return _traces(charges, normalized_exponential(_exponent(charges, multipliers))[0])

    mean_tangent = jax.jvp(mean, (charges,), (tangents[0],))[1]
    _, covariance = canonical_covariance(_exponent(charges, multipliers), charges)
    return multipliers, _solve(covariance, mean_tangent - tangents[1])


def _solve(covariance: Array, source: Numbers) -> Numbers:
    """C⁻¹x, each charge in units of its own fluctuation."""
    size = jnp.sqrt(jnp.diagonal(covariance))
    unit = jnp.where(size > 0, size, 1.0)
    scaled = covariance / (unit[:, None] * unit[None, :])
    return jnp.linalg.solve(scaled, source / unit) / unit


def _search(values: Float[Array, "charge d"]) -> Numbers:
    """The λ that minimises ln Σ_n exp(-Σ_k λ_k q_kn), charges counted from their wanted averages."""
    shorter = jnp.asarray(2.0 ** -np.arange(HALVINGS), values.dtype)

    def height(multipliers):
        return jax.nn.logsumexp(dot(-multipliers, values))

    def step(_, multipliers):
        weights = jax.nn.softmax(dot(-multipliers, values))
        mean = dot(values, weights)
        centred = values - mean[:, None]
        move = _solve(dot(centred * weights[None], centred.T), mean)
        move = jnp.where(jnp.all(jnp.isfinite(move)), move, 0.0)
        gain = jnp.sum(move * mean)
        candidates = multipliers[None, :] + shorter[:, None] * move[None, :]
        best = candidates[jnp.argmin(jax.vmap(height)(candidates))]
        # Near the end the height is flat to rounding, while Newton's own step is exact.
        return jnp.where(gain < 1e-6, multipliers + move, best)

    return jax.lax.fori_loop(0, STEPS, step, jnp.zeros(values.shape[:1], values.dtype))
