"""A state of a system: what solvers return, and what everything that reads a state is handed.

Populations are kept apart from coherences, because a rare population is right to its own last digits and would lose
them in a matrix. Both refer to a frame, the eigenbasis of one generator; whoever reads the state by another generator
turns it into that one's frame first (`as_state`).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import allowed, as_dense, as_hermitian, check_single, is_traced, matrix_of_state
from qdbjax._repr import summary
from qdbjax._types import Array, ArrayLike, Bool, Float, Matrix, RealVector
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.hermitian import Packed, is_positive, pack
from qdbjax.numerics.matrix import diagonal_matrix
from qdbjax.numerics.products import contract
from qdbjax.systems import Spectrum


class State(eqx.Module):
    """A density matrix in the eigenbasis of a generator.

    populations: ρ_nn of the energy levels (d,); level n is column n of `spectrum.basis`.
    coherences: ρ_mn (d, d), complex, diagonal 0.
    spectrum: whose eigenbasis; None for that of the generator that reads it.
    within_levels: whether coherences between levels of different energy are known to vanish, as in stationary states.
    """

    populations: RealVector
    coherences: Matrix
    spectrum: Spectrum | None = None
    within_levels: bool = eqx.field(static=True, default=False)

    @property
    def energy_density_matrix(self) -> Matrix:
        """ρ in the energy eigenbasis, (d, d) complex; (batch, d, d) of states that jax.vmap returned."""
        return _of_each(lambda s: s.coherences + diagonal_matrix(s.populations).astype(s.coherences.dtype), self)

    @property
    def density_matrix(self) -> Matrix:
        """ρ in the basis of the Hamiltonian, (d, d) complex; (batch, d, d) of states that jax.vmap returned."""
        return _of_each(_in_given_basis, self)

    @property
    def packed(self) -> Packed:
        """ρ in the energy eigenbasis as d² real numbers, for real linear systems."""
        return pack(self.coherences, self.populations)

    def __repr__(self) -> str:
        return summary(self, self.populations, {"populations": self.populations}, rank=1)


def _of_each(function: Callable[[State], Matrix], state: State) -> Matrix:
    for _ in range(np.ndim(state.populations) - 1):
        function = jax.vmap(function)
    return function(state)


@jit_if_eager
def _in_given_basis(state: State) -> Matrix:
    rho = state.energy_density_matrix
    if state.spectrum is None:
        raise ValueError(
            "a State without a spectrum has no basis of the Hamiltonian; give it to a reader with its generator."
        )
    return state.spectrum.from_eigenbasis(rho)


StateLike = Any  # a State, what holds one in `.state` (SteadyState, AsymptoticState), a density matrix, or a ket


def density_matrix(value: ArrayLike, dimension: int, name: str = "rho0") -> Matrix:
    """A checked complex density matrix from a matrix, a ket, or what holds a density matrix."""
    plain = as_dense(matrix_of_state(value))
    if not is_traced(plain):
        plain = np.asarray(plain)
        if plain.ndim == 2 and plain.shape[1] == 1 and dimension != 1:
            plain = plain[:, 0]
        if plain.ndim == 1:
            plain = np.outer(plain, plain.conj())
    rho = as_hermitian(plain, name)
    if rho.shape != (dimension, dimension):
        raise ValueError(f"{name} must have dimension {dimension}; got shape {rho.shape}.")
    slack = 1e-9 if jnp.finfo(rho.dtype).bits == 64 else 1e-5
    if is_traced(rho):
        fixed = jax.lax.stop_gradient(jnp.asarray(rho))
        miss = jnp.abs(jnp.real(jnp.trace(fixed)) - 1)
        rho = allowed(jnp.asarray(rho), (miss <= slack) & is_positive(fixed, slack))
    else:
        concrete = np.asarray(rho)
        miss = np.trace(concrete).real - 1
        if abs(miss) > slack:
            said = f"{name} must have trace 1; got {1 + miss:.12g}, {abs(miss):.3g} off"
            raise ValueError(f"{said}. Divide it by its trace.")
        lowest = np.linalg.eigvalsh(concrete).min()
        if lowest < -slack:
            raise ValueError(f"{name} must be positive semidefinite; its lowest eigenvalue is {lowest:.3g}.")
    rho = jnp.asarray(rho)
    return rho.astype(np.promote_types(rho.dtype, jnp.complex64))


def expect(state: StateLike, observable: ArrayLike) -> Float[Array, "..."]:
    """Expectation value of an observable, ⟨A⟩ = Tr[A ρ].

    state: a SteadyState, AsymptoticState, State, density matrix (d, d) or ket (d,); or an Evolution with its density
        matrices, or an array (time, d, d) of them.
    observable: Hermitian A (d, d), in the basis of the Hamiltonian.

    Returns a real number, one for each time of an evolution, units of A; NaN where the state is flagged. Raises
    ValueError for an operator that is not Hermitian (take its two Hermitian parts), and for shapes.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.expect(qdb.steady_state(generator), qdb.sigma_z())), 4)
    -0.5752
    """
    operator = jnp.asarray(as_hermitian(observable, "observable"))
    held = getattr(state, "state", state)
    rho = held if isinstance(held, jax.Array | np.ndarray) else getattr(held, "density_matrix", held)
    if rho is None:
        raise ValueError('expect needs the states of an evolution: evolve with save="density_matrix".')
    if np.ndim(rho) != 3 and rho is held:
        rho = density_matrix(rho, operator.shape[-1], "state")
    if np.shape(rho)[-2:] != operator.shape:
        raise ValueError(f"observable must have shape {np.shape(rho)[-2:]}; got {operator.shape}.")
    return _expect(jnp.asarray(rho), operator)


@jit_if_eager
def _expect(rho: Array, operator: Matrix) -> Array:
    return jnp.real(contract("...ij,ji->...", rho, operator.astype(rho.dtype)))


def as_state(value: StateLike, spectrum: Spectrum) -> State:
    """A state in the frame of `spectrum`, from a State of any frame, a density matrix or a ket."""
    held = getattr(value, "state", value)
    if not isinstance(held, State):
        return _framed(spectrum, density_matrix(held, spectrum.energies.shape[-1], "state"))
    check_single(held.populations, "state")
    if held.populations.shape[-1] != spectrum.energies.shape[-1]:
        raise ValueError(
            f"state must have dimension {spectrum.energies.shape[-1]}; got one of {held.populations.shape[-1]} levels."
        )
    own = State(held.populations, held.coherences, None, held.within_levels)
    if held.spectrum is None or held.spectrum is spectrum:
        return own
    if is_traced(held.spectrum, spectrum):
        return _turned(spectrum, own, held.spectrum)
    same = jax.tree.structure(held.spectrum) == jax.tree.structure(spectrum) and all(
        np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (held.spectrum, spectrum)), strict=True)
    )
    return own if same else _turned(spectrum, own, held.spectrum)


@jit_if_eager
def _framed(spectrum: Spectrum, rho: Matrix) -> State:
    framed = spectrum.to_eigenbasis(rho)
    off = 1 - jnp.eye(framed.shape[0], dtype=framed.dtype)
    return State(jnp.real(jnp.diagonal(framed)), framed * off)


@jit_if_eager
def _turned(spectrum: Spectrum, state: State, origin: Spectrum) -> State:
    """The state of one frame in another.

    Where both frames are found to be one, its entries are kept to the last digit; the derivative is that of the turn.
    """
    found = _framed(spectrum, origin.from_eigenbasis(state.energy_density_matrix))
    same = _equal(spectrum, origin)

    def kept(turned, own):
        return jnp.where(same, jax.lax.stop_gradient(own - turned), jnp.zeros_like(turned)) + turned

    return State(kept(found.populations, state.populations), kept(found.coherences, state.coherences))


def _equal(one: Spectrum, other: Spectrum) -> Bool[Array, ""] | np.bool_:
    if one.basis.dtype != other.basis.dtype:
        return np.False_
    pairs = (one.energies, other.energies), (jnp.asarray(one.basis), jnp.asarray(other.basis))
    return jnp.all(jnp.stack([jnp.all(a == b) for a, b in pairs]))
