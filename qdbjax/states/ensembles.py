"""Ensembles of statistical mechanics beside the canonical one, and static susceptibilities."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian, as_scalar
from qdbjax._repr import summary
from qdbjax._status import Status, explain, raise_flag, record
from qdbjax._types import Array, ArrayLike, Float, Matrix, Scalar, StatusCode
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.eigensystem import eigh
from qdbjax.numerics.products import dot
from qdbjax.states.generalized_gibbs_state import canonical_covariance, normalized_exponential
from qdbjax.states.gibbs_state import GibbsState, finite_inverse, gibbs
from qdbjax.systems import System, as_system

WIDTHS = 3.0  # a window that no level comes closer to than this holds no state


class GrandCanonicalState(eqx.Module):
    """ρ = e^{-(H - μN)/T}/Z with its thermodynamic potentials; every field is differentiable.

    density_matrix: ρ (d, d), in the basis of H.
    log_partition_function: ln Z.
    grand_potential: Ω = -T ln Z, energy.
    energy: ⟨H⟩.
    number: ⟨N⟩.
    number_variance: ⟨N²⟩ - ⟨N⟩², T times the compressibility ∂⟨N⟩/∂μ.
    entropy: S, nats.
    heat_capacity: T ∂S/∂T = Var(H - μN)/T² at constant μ.
    """

    density_matrix: Matrix
    log_partition_function: Scalar
    grand_potential: Scalar
    energy: Scalar
    number: Scalar
    number_variance: Scalar
    entropy: Scalar
    heat_capacity: Scalar

    def __repr__(self) -> str:
        fields = {name: getattr(self, name) for name in ("energy", "number", "entropy", "grand_potential")}
        return summary(self, self.energy, fields, known={"dimension": self.density_matrix.shape[-1]})


def grand_canonical(
    system: System | ArrayLike,
    *,
    temperature: ArrayLike | None = None,
    inverse_temperature: ArrayLike | None = None,
    chemical_potential: ArrayLike,
) -> GrandCanonicalState:
    """Grand-canonical state of a system with a conserved particle number.

    ρ = e^{-β(H - μN)}/Z

    system: a System with a particle number N.
    temperature: T, energy (k_B = 1), with the limits of `gibbs`: T = 0 is the ground level of H - μN; give this or
        inverse_temperature.
    inverse_temperature: β = 1/T.
    chemical_potential: μ, energy.
    Returns a GrandCanonicalState. Raises ValueError for a system without a particle number, for NaN, and for both or
    neither temperature.
    *Source:* J. W. Gibbs, Elementary Principles in Statistical Mechanics (1902), in its quantum form.

    >>> dot = qdb.models.quantum_dot(0.1)
    >>> round(float(qdb.states.grand_canonical(dot, temperature=0.5, chemical_potential=0.1).number), 6)
    0.5
    """
    system = as_system(system)
    if system.number is None:
        raise ValueError("system has no particle number; give one: System(hamiltonian, number=N).")
    potential = as_scalar(chemical_potential, "chemical_potential")
    hamiltonian, number = jnp.asarray(system.hamiltonian), jnp.asarray(system.number)
    common = np.promote_types(hamiltonian.dtype, number.dtype)
    number = number.astype(common)
    shifted = System(hamiltonian.astype(common) - potential.astype(common) * number)
    state = gibbs(shifted, temperature=temperature, inverse_temperature=inverse_temperature)
    return _count_particles(state, number, potential)


@jit_if_eager
def _count_particles(state: GibbsState, number: Matrix, potential: Scalar) -> GrandCanonicalState:
    mean = jnp.real(jnp.sum(number.T * state.density_matrix))
    centred = number - (mean * jnp.eye(number.shape[0], dtype=mean.dtype)).astype(number.dtype)
    return GrandCanonicalState(
        density_matrix=state.density_matrix,
        log_partition_function=state.log_partition_function,
        grand_potential=state.free_energy,
        energy=state.energy + potential * mean,
        number=mean,
        number_variance=jnp.real(jnp.sum(dot(centred, centred).T * state.density_matrix)),
        entropy=state.entropy,
        heat_capacity=state.heat_capacity,
    )


class MicrocanonicalState(eqx.Module):
    """ρ ∝ exp(-(H - E)²/2w²), the levels in a window of width w about E; every field is differentiable.

    density_matrix: ρ (d, d), in the basis of H.
    energy: ⟨H⟩, near E and drawn to where levels are dense.
    entropy: S, nats.
    status: TARGET_NOT_ATTAINED where the window holds no level.
    """

    density_matrix: Matrix
    energy: Scalar
    entropy: Scalar
    status: StatusCode

    def __repr__(self) -> str:
        fields = {"energy": self.energy, "entropy": self.entropy, "status": lambda: explain(self.status)}
        return summary(self, self.energy, fields, known={"dimension": self.density_matrix.shape[-1]})


def microcanonical(system: System | ArrayLike, *, energy: ArrayLike, width: ArrayLike) -> MicrocanonicalState:
    """Microcanonical state with a Gaussian window.

    ρ = exp(-(H - E)²/2w²)/Z: a window with edges would make every derivative zero or infinite; this one is smooth in E,
    w and H.

    system: a System or a Hamiltonian (d, d).
    energy: E.
    width: w > 0, energy.
    Returns a MicrocanonicalState, right to eps (‖H - E‖/w)². A window that holds no level, with none within 3w of E, is
    flagged TARGET_NOT_ATTAINED and its numbers are NaN. Raises ValueError for NaN, Inf or a width that is not positive.
    *Source:* M. S. S. Challa and J. H. Hetherington, Phys. Rev. Lett. 60, 77 (1988).

    >>> round(float(qdb.states.microcanonical(qdb.models.qubit(1.0), energy=-0.5, width=0.1).energy), 6)
    -0.5
    """
    energy, width = as_scalar(energy, "energy"), as_scalar(width, "width", low=0, strict=True)
    state = _microcanonical(as_system(system), energy, width)
    record(state.status)
    return state


@jit_if_eager
def _microcanonical(system: System, energy: Scalar, width: Scalar) -> MicrocanonicalState:
    hamiltonian = jnp.asarray(system.hamiltonian)
    unit = jnp.eye(system.dimension, dtype=energy.dtype)
    offset = (hamiltonian - (energy * unit).astype(hamiltonian.dtype)) / width.astype(hamiltonian.dtype)
    rho, _, entropy = normalized_exponential(-0.5 * dot(offset, offset))
    empty = ~(jnp.min(jnp.abs(eigh(offset)[0])) <= WIDTHS)
    blank = lambda x: jnp.where(empty, jnp.full_like(x, jnp.nan), x)  # noqa: E731
    mean = energy + width * jnp.real(jnp.sum(offset.T * rho))
    return MicrocanonicalState(blank(rho), blank(mean), blank(entropy), raise_flag(empty, Status.TARGET_NOT_ATTAINED))


def susceptibility(
    system: System | ArrayLike,
    observables: ArrayLike,
    *,
    temperature: ArrayLike | None = None,
    inverse_temperature: ArrayLike | None = None,
) -> Float[Array, "k k"]:
    """Isothermal susceptibilities χ_ab = ∂⟨A_a⟩/∂h_b at h = 0 of the Gibbs state of H - Σ_b h_b A_b.

    χ_ab = β {∫₀¹ds Tr[ρ^{1-s} A_a ρ^s A_b] - ⟨A_a⟩⟨A_b⟩} = T ∂²ln Z/∂h_a∂h_b

    system: a System or a Hamiltonian (d, d).
    observables: one Hermitian A (d, d), or several (k, d, d).
    temperature: T, energy (k_B = 1), of either sign; give this or inverse_temperature.
    inverse_temperature: β = 1/T, of either sign.
    Returns χ (k, k), k = 1 for one observable, units of A²/energy; real, symmetric, positive for T > 0. Exact and
    differentiable at degenerate levels, where χ has Curie's term ∝ 1/T. Raises ValueError for T = 0, where that term
    diverges, for T = ∞ and for other shapes.
    *Source:* R. Kubo, J. Phys. Soc. Jpn. 12, 570 (1957).

    >>> qdb.states.susceptibility(qdb.models.qubit(1.0), [qdb.sigma_z()], temperature=1.0).round(4)
    Array([[0.7864]], dtype=float64)
    """
    system, beta = as_system(system), finite_inverse(temperature, inverse_temperature)
    observables = as_hermitian(observables, "observables", ndim=(2, 3))
    stack = observables[None] if observables.ndim == 2 else observables
    d = system.dimension
    if stack.shape[0] == 0 or stack.shape[1:] != (d, d):
        raise ValueError(f"observables must have shape {(d, d)} or (k, {d}, {d}), k >= 1; got {observables.shape}.")
    return _susceptibility(jnp.asarray(system.hamiltonian), jnp.asarray(stack), beta)


@jit_if_eager
def _susceptibility(hamiltonian: Matrix, observables: Array, beta: Scalar) -> Array:
    return beta * canonical_covariance(-beta.astype(hamiltonian.dtype) * hamiltonian, observables)[1]
