"""Where an initial state ends when the stationary state is not unique."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, Float, Matrix, Scalar, as_hermitian, is_traced
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator, whole_block
from qdbjax.numerics.gth import off_diagonal
from qdbjax.numerics.nullspace import nullspace_projector
from qdbjax.numerics.small import in_frame
from qdbjax.solvers.hermitian import Packed, pack, unpack
from qdbjax.solvers.steady_state import SteadyState
from qdbjax.solvers.zero_block import block_matrix, check_size, kernel_tolerance
from qdbjax.systems import Spectrum


class AsymptoticState(eqx.Module):
    """The stationary part of an initial state: lim e^{tL}ρ₀, undamped oscillations averaged out.

    energy_density_matrix (d, d): ρ∞ in the energy eigenbasis. kernel_dimension: number of stationary states.
    """

    energy_density_matrix: Matrix
    kernel_dimension: Scalar
    spectrum: Spectrum

    @property
    @jit_if_eager
    def coherences(self) -> Packed:
        """ρ_mn between levels of one cluster, real parts above and imaginary parts below the diagonal."""
        return off_diagonal(pack(self.energy_density_matrix))

    @property
    @jit_if_eager
    def populations(self) -> Float[Array, " d"]:
        """Populations of the energy levels, (d,)."""
        return jnp.real(jnp.diagonal(self.energy_density_matrix))

    @property
    @jit_if_eager
    def density_matrix(self) -> Matrix:
        """ρ∞ in the basis of the Hamiltonian, (d, d)."""
        rho = self.energy_density_matrix
        return in_frame(jnp.asarray(self.spectrum.basis, rho.dtype).conj().T, rho)

    def __repr__(self) -> str:
        if is_traced(self.energy_density_matrix):
            return f"AsymptoticState(dimension={self.energy_density_matrix.shape[-1]}, traced)"
        levels = np.array2string(np.asarray(self.populations), precision=6, threshold=8)
        return f"AsymptoticState(populations={levels}, kernel dimension={round(float(self.kernel_dimension))})"


@jit_if_eager
def _asymptotic(generator: Generator, rho: Matrix) -> AsymptoticState:
    block = whole_block(generator.spectrum, generator.jumps)
    d = generator.dimension
    same = jnp.real(block.same)
    # Coherences outside the block decay or oscillate; -ρ keeps them out of the kernel.
    matrix = block_matrix(block) - generator.scale * jnp.diag(1 - same.reshape(-1))
    projector = nullspace_projector(matrix, kernel_tolerance(generator.rates.dtype))
    start = in_frame(jnp.asarray(generator.spectrum.basis, rho.dtype), rho)
    final = unpack((projector @ (pack(start) * same).reshape(-1)).reshape(d, d))
    return AsymptoticState(final, jnp.round(jnp.trace(projector)), generator.spectrum)


def asymptotic_state(generator: Generator, rho0: ArrayLike) -> AsymptoticState:
    """The state that ρ₀ relaxes to, also where stationary states are many (dark states, conserved parity).

    ρ∞ = P ρ₀ with P the projector on the kernel of L along its range; differentiable in the generator while the
    number of stationary states does not change. rho0: density matrix (d, d) or ket (d,) in the basis of the
    Hamiltonian. Returns an AsymptoticState. Raises ValueError for a wrong shape, a trace other than 1, a negative
    eigenvalue, or d > 32, where the block would be too large.
    *Source:* V. V. Albert and L. Jiang, Phys. Rev. A 89, 022118 (2014), conserved quantities of Lindblad generators.
    """
    d = generator.dimension
    check_size(d, "asymptotic_state")
    rho = density_matrix(rho0, d)
    return _asymptotic(generator, rho)


def density_matrix(value: ArrayLike, dimension: int, name: str = "rho0") -> Matrix:
    """A checked complex density matrix from a matrix or a ket."""
    plain = value.full() if hasattr(value, "full") else value
    if not is_traced(plain):
        plain = np.asarray(plain)
        if plain.ndim == 2 and plain.shape[1] == 1 and dimension != 1:
            plain = plain[:, 0]
        if plain.ndim == 1:
            plain = np.outer(plain, plain.conj())
    rho = as_hermitian(plain, name)
    if rho.shape != (dimension, dimension):
        raise ValueError(f"{name} must have dimension {dimension}; got shape {rho.shape}.")
    if not is_traced(rho):
        concrete = np.asarray(rho)
        slack = 1e-9 if concrete.dtype.itemsize >= 8 else 1e-5
        if abs(np.trace(concrete) - 1) > slack:
            raise ValueError(f"{name} must have trace 1; got {np.trace(concrete).real:.6g}. Divide it by its trace.")
        lowest = np.linalg.eigvalsh(concrete).min()
        if lowest < -slack:
            raise ValueError(f"{name} must be positive semidefinite; its lowest eigenvalue is {lowest:.3g}.")
    rho = jnp.asarray(rho)
    return rho.astype(np.promote_types(rho.dtype, jnp.complex64))


State = SteadyState | AsymptoticState | ArrayLike  # a stationary state, or any density matrix


def as_state(generator: Generator, state: State) -> SteadyState | AsymptoticState:
    """The state itself, or a density matrix (ket) in the form that currents are read from."""
    if isinstance(state, SteadyState | AsymptoticState):
        return state
    rho = density_matrix(state, generator.dimension, "state")
    framed = in_frame(jnp.asarray(generator.spectrum.basis, rho.dtype), rho)
    return AsymptoticState(framed, jnp.asarray(jnp.nan), generator.spectrum)
