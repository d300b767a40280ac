"""Quantum dots, each parameter differentiable."""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, as_scalar
from qdbjax._types import AnyArray, ArrayLike, Matrix, RealVector, Scalar
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.numerics.matrix import stack
from qdbjax.operators import fermion_destroy
from qdbjax.systems import System


def _occupations(modes: int) -> list[np.ndarray]:
    removal = [fermion_destroy(mode, modes) for mode in range(modes)]
    return [c.T @ c for c in removal]


@eval_at_trace_time
def quantum_dot(level: ArrayLike) -> System:
    """One spinless level, H = ε n; basis (empty, occupied), particle number n.

    Couple leads with `fermion_destroy(0, 1)`.
    level: ε, energy.

    >>> qdb.models.quantum_dot(0.1)
    System(dimension=2, particle number)
    """
    level = as_scalar(level, "level")
    number = _occupations(1)[0]
    return System(level * jnp.asarray(number, level.dtype), number=number)


@eval_at_trace_time
def spinful_dot(level: ArrayLike, interaction: ArrayLike, zeeman: ArrayLike = 0.0) -> System:
    """One level with spin and Coulomb repulsion, H = (ε + ½B) n_up + (ε - ½B) n_down + U n_up n_down.

    Particle number n_up + n_down; modes 0 up, 1 down. Couple leads with `[fermion_destroy(m, 2) for m in (0, 1)]`.
    level: ε, energy.
    interaction: U, energy.
    zeeman: B, energy; the splitting of the two spins.

    >>> qdb.models.spinful_dot(0.1, 1.0)
    System(dimension=4, particle number)
    """
    level, interaction = as_scalar(level, "level"), as_scalar(interaction, "interaction")
    zeeman = as_scalar(zeeman, "zeeman")
    up, down = _occupations(2)
    dtype = np.result_type(level.dtype, interaction.dtype, zeeman.dtype)
    level, interaction, zeeman = (x.astype(dtype) for x in (level, interaction, zeeman))
    hamiltonian = _combined([level, zeeman, interaction], [up + down, 0.5 * (up - down), up @ down])
    return System(hamiltonian, number=up + down)


@eval_at_trace_time
def double_dot(levels: ArrayLike, tunneling: ArrayLike, interaction: ArrayLike = 0.0) -> System:
    """Two spinless dots in series, H = ε_0 n_0 + ε_1 n_1 + t (c_0†c_1 + c_1†c_0) + U n_0 n_1.

    Particle number n_0 + n_1; modes 0 left, 1 right. Couple leads with `fermion_destroy(mode, 2)`.
    levels: ε (2,), energy.
    tunneling: t, energy.
    interaction: U, energy.
    Raises ValueError for another number of levels.

    >>> qdb.models.double_dot([0.1, -0.1], 0.2)
    System(dimension=4, particle number)
    """
    levels = as_real(levels, "levels")
    if levels.shape != (2,):
        raise ValueError(f"levels must have shape (2,); got {levels.shape}.")
    tunneling, interaction = as_scalar(tunneling, "tunneling"), as_scalar(interaction, "interaction")
    left, right = _occupations(2)
    hop = fermion_destroy(0, 2).T @ fermion_destroy(1, 2)
    dtype = np.result_type(levels.dtype, tunneling.dtype, interaction.dtype)
    levels, tunneling, interaction = (x.astype(dtype) for x in (levels, tunneling, interaction))
    values = [levels[0], levels[1], tunneling, interaction]
    return System(_combined(values, [left, right, hop + hop.T, left @ right]), number=left + right)


@jit_if_eager
def _combined(values: list[Scalar], operators: list[AnyArray]) -> Matrix:
    """Σ value·operator."""
    terms = [value * jnp.asarray(operator, value.dtype) for value, operator in zip(values, operators, strict=True)]
    return sum(terms[1:], terms[0])


@eval_at_trace_time
def three_dot_ring(tunneling: ArrayLike, flux: ArrayLike) -> System:
    """Three quantum dots in a ring threaded by a magnetic flux, one electron.

    H = τ Σ_n (e^{-2πiφ/3} |n⟩⟨n+1| + h.c.), E_j = 2τ cos[2π(φ + j)/3], |j⟩ = Σ_n e^{-2πijn/3}|n⟩/√3 for every φ.
    The eigenbasis is supplied, so that no eigensystem is computed and levels j = 0, 1, 2 cross without relabelling;
    they cross at every φ that is a multiple of ½.
    tunneling: τ, energy.
    flux: φ, flux quanta.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (28), which prints
    the energies for τ < 0.

    >>> qdb.models.three_dot_ring(tunneling=0.5, flux=0.3)
    System(dimension=3, eigenbasis given)
    """
    tunneling, flux = as_scalar(tunneling, "tunneling"), as_scalar(flux, "flux")
    tunneling, flux = (x.astype(np.promote_types(tunneling.dtype, flux.dtype)) for x in (tunneling, flux))
    index = np.arange(3)
    basis = np.exp(-2j * np.pi * np.outer(index, index) / 3) / np.sqrt(3)
    hamiltonian, energies = _ring(tunneling, flux)
    return System(hamiltonian, eigenbasis=basis, energies=energies)


@jit_if_eager
def _ring(tunneling: Scalar, flux: Scalar) -> tuple[Matrix, RealVector]:
    energies = stack([2 * tunneling * jnp.cos(2 * np.pi * (flux + float(j)) / 3) for j in range(3)])
    angle = 2 * np.pi * flux / 3
    hop = jax.lax.complex(tunneling * jnp.cos(angle), -tunneling * jnp.sin(angle))
    zero = np.zeros((), hop.dtype)  # NumPy: eager zeros are a program each
    back = jnp.conj(hop)
    return stack([stack(row) for row in ([zero, hop, back], [back, zero, hop], [hop, back, zero])]), energies
