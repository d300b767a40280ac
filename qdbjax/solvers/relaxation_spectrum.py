"""Relaxation of a constant generator: its exact propagator, and its eigenvalues, modes and decay times."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, is_traced
from qdbjax._repr import number
from qdbjax._status import is_fatal
from qdbjax._types import Array, ArrayLike, Matrix
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import check_dense
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.generators.interaction_picture import rotating_matrix
from qdbjax.numerics.nullspace import kernel_tolerance
from qdbjax.numerics.products import dot
from qdbjax.numerics.superoperator_exponential import expm_superoperator

EQUAL = 1e-9  # rates closer than this part of the largest entry share one derivative: their eigenvectors are mixed


@jit_if_eager
def _propagator(generator: Generator, time: Array) -> Matrix:
    spectrum = generator.spectrum
    matrix = rotating_matrix(spectrum, generator.jumps)
    slow = expm_superoperator(matrix, time)
    angle = spectrum.rotating_frame_frequencies.reshape(-1) * time
    phases = jax.lax.complex(jnp.cos(angle), -jnp.sin(angle))
    slow = jnp.where(is_fatal(generator.status), jnp.nan, slow)
    return spectrum.superoperator_from_eigenbasis(phases[:, None] * slow)


def propagator(generator: Generator, time: ArrayLike) -> Matrix:
    """The exact propagator e^{tL} of a constant generator.

    vec(ρ(t)) = e^{tL} vec(ρ(0)),   vec row-major, in the basis of the Hamiltonian

    generator: of dimension d <= 32.
    time: t >= 0, one number, inverse energy.

    Returns (d², d²) complex. The phases e^{-iω̄t} are split off before the exponential (interaction picture), so that
    long times cost no accuracy. Raises ValueError for a negative or non-finite time, and above d = 32; `evolve` needs
    no such matrix.
    *Source:* E. B. Davies, Commun. Math. Phys. 39, 91 (1974).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.propagator(generator, 10.0).shape
    (4, 4)
    """
    check_generator(generator)
    check_dense(generator.dimension, "propagator")
    time = as_real(time, "time")
    if time.ndim != 0:
        raise ValueError(f"time must be a single number; got shape {time.shape}. Use vmap for many.")
    if not is_traced(time) and not 0 <= float(time) < np.inf:
        raise ValueError(f"time must be >= 0 and finite; got {float(time):g}.")
    return _propagator(generator, time)


class Relaxation(eqx.Module):
    """Eigenvalues and modes of a generator, the slowest first.

    eigenvalues: λ (d²,), inverse time; -Re λ is a decay rate, Im λ a frequency; stationary states have λ = 0.
    modes: right eigenoperators X (d², d, d), L(X) = λX, in the basis of the Hamiltonian, of unit norm.
    times: 1/(-Re λ) (d²,), inf for stationary modes.
    gap: smallest decay rate of the other modes, inverse time; 0 if there are none.
    """

    eigenvalues: np.ndarray
    modes: np.ndarray
    times: np.ndarray
    gap: float

    def __repr__(self) -> str:
        slow = number(self.eigenvalues[:6], 4)
        return f"Relaxation(gap={self.gap:.6g}, time={1 / self.gap:.6g}, slowest eigenvalues={slow})"


def relaxation(generator: Generator) -> Relaxation:
    """Relaxation spectrum of a generator: eigenvalues, eigenoperators, decay times and gap.

    L(X) = λX

    generator: of dimension d <= 32, concrete.

    Returns a Relaxation of NumPy arrays, the slowest mode first. Raises ValueError above d = 32, and TypeError inside
    jit, grad and vmap, because eigenvectors of a matrix that is not symmetric have no reliable derivative at crossings;
    `decay_rates` runs there.
    *Source:* H.-P. Breuer and F. Petruccione, The Theory of Open Quantum Systems (2002), section 3.3.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(qdb.relaxation(generator).gap, 5)
    0.09884
    """
    check_generator(generator)
    check_dense(generator.dimension, "relaxation")
    if is_traced(generator):
        raise TypeError("relaxation does not run inside jit, grad or vmap: call it with concrete numbers.")
    d = generator.dimension
    eigenvalues, vectors = np.linalg.eig(np.asarray(generator.liouvillian()))
    decay = np.maximum(-np.real(eigenvalues), 0.0)
    order = np.lexsort((np.abs(np.imag(eigenvalues)), decay))
    eigenvalues, decay = eigenvalues[order], decay[order]
    scale = max(float(generator.fastest_rate), np.finfo(float).tiny)
    stays = np.abs(eigenvalues) <= kernel_tolerance(generator.rates.dtype) * max(scale, np.abs(eigenvalues).max())
    with np.errstate(divide="ignore"):
        times = np.where(stays, np.inf, 1 / decay)
    gap = float(decay[~stays].min()) if not np.all(stays) else 0.0
    return Relaxation(eigenvalues, vectors.T[order].reshape(-1, d, d), times, gap)


@jax.custom_jvp
def _decays(matrix: Matrix) -> Array:
    return jnp.sort(-jnp.real(jnp.linalg.eig(matrix)[0]))


@_decays.defjvp
def _decays_jvp(primals, tangents):
    """dλ = lᵀ dM r / lᵀr; equal rates share the mean of their derivatives.

    The sum of dλ over a cluster, the trace of dM on its invariant subspace, does not depend on how the eigenvectors
    inside are chosen.
    *Source:* T. Kato, Perturbation Theory for Linear Operators (1966), section II.2.
    """
    (matrix,), (change,) = primals, tangents
    values, right = jnp.linalg.eig(matrix)
    order = jnp.argsort(-jnp.real(values))
    decays, right = -jnp.real(values)[order], right[:, order]
    slopes = -jnp.real(jnp.sum(jnp.linalg.inv(right) * dot(change, right).T, axis=1))
    size = jnp.max(jnp.abs(matrix))
    equal = (jnp.abs(decays[:, None] - decays[None, :]) <= EQUAL * size).astype(slopes.dtype)
    return decays, dot(equal / jnp.sum(equal, axis=1, keepdims=True), slopes)


@jit_if_eager
def _decay_rates(generator: Generator) -> Array:
    found = _decays(rotating_matrix(generator.spectrum, generator.jumps))
    return jnp.where(is_fatal(generator.status), jnp.nan, found)


def decay_rates(generator: Generator) -> Array:
    """Decay rates of a generator, the slowest first; 1/T₁ and 1/T₂ of a qubit are among them.

    -Re λ of every eigenvalue λ of L,   L(X) = λX

    generator: of dimension d <= 32.

    Returns (d²,), >= 0, inverse time; 0 for stationary modes. Runs inside jit and vmap. First derivatives only, JAX
    refuses second ones; rates that are equal to 1e-9 of the largest entry of L share the derivative of their mean.
    Raises ValueError above d = 32.
    *Source:* H.-P. Breuer and F. Petruccione, The Theory of Open Quantum Systems (2002), section 3.3.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.decay_rates(generator)[1:].round(4)
    Array([0.0988, 0.0988, 0.1977], dtype=float64)
    """
    check_generator(generator)
    check_dense(generator.dimension, "decay_rates")
    return _decay_rates(generator)
