"""Two-time correlation functions in the stationary state and their spectra, by the quantum regression theorem."""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import allowed, as_matrix, as_real
from qdbjax._types import Array, ArrayLike, Matrix
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import check_dense
from qdbjax.generators.generator import Generator, energy_liouvillian
from qdbjax.generators.interaction_picture import rotating_matrix
from qdbjax.numerics.products import dot
from qdbjax.numerics.superoperator_exponential import expm_superoperator
from qdbjax.solvers.evolution import checked_times
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike


def _operator(value: ArrayLike, name: str, generator: Generator) -> Matrix:
    operator = as_matrix(value, name)
    if operator.shape != (generator.dimension, generator.dimension):
        raise ValueError(f"{name} must have shape {(generator.dimension, generator.dimension)}; got {operator.shape}.")
    operator = jnp.asarray(operator)
    return operator.astype(np.promote_types(operator.dtype, jnp.complex64))


@jit_if_eager
def _correlation(generator: Generator, rho: Matrix, a: Matrix, b: Matrix, times: Array) -> Array:
    spectrum = generator.spectrum
    a, b = spectrum.to_eigenbasis(a), spectrum.to_eigenbasis(b)
    matrix = rotating_matrix(spectrum, generator.jumps)
    start = dot(b.astype(matrix.dtype), rho.astype(matrix.dtype)).reshape(-1)
    probe = a.T.reshape(-1).astype(matrix.dtype)
    angles = spectrum.rotating_frame_frequencies.reshape(-1)

    def at(time):
        slow = expm_superoperator(matrix, time)
        phases = jax.lax.complex(jnp.cos(angles * time), -jnp.sin(angles * time))
        return jnp.sum(probe * phases * dot(slow, start))

    return jax.lax.map(at, times)


def correlation(generator: Generator, state: StateLike | None, a: ArrayLike, b: ArrayLike, times: ArrayLike) -> Array:
    """Two-time correlation function of two operators, by the quantum regression theorem.

    C_AB(t) = ⟨A(t)B(0)⟩ = Tr[A e^{tL}(Bρ)]

    generator: of dimension d <= 32.
    state: a SteadyState, AsymptoticState or State of any generator, a density matrix or ket; None for the stationary
        state.
    a: A (d, d), need not be Hermitian, in the basis of the Hamiltonian.
    b: B (d, d), likewise.
    times: t >= 0 (time,), ascending, inverse energy.

    Returns (time,) complex, units of AB. For a stationary ρ the value at -t is the conjugate of ⟨B†(t)A†(0)⟩, and it
    tends to ⟨A⟩⟨B⟩ where the stationary state is unique. NaN where the stationary state is flagged. Raises ValueError
    for shapes and times out of range, and above d = 32.
    *Source:* M. Lax, Phys. Rev. 129, 2342 (1963).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.correlation(generator, None, qdb.sigma_z(), qdb.sigma_z(), [0.0, 10.0]).real.round(4)
    Array([1.    , 0.4236], dtype=float64)
    """
    check_dense(generator.dimension, "correlation")
    a, b = _operator(a, "a", generator), _operator(b, "b", generator)
    times, _, in_order = checked_times(times, 0.0)
    found = _correlation(generator, state_of(generator, state).energy_density_matrix, a, b, times)
    return found if in_order is np.True_ else allowed(found, in_order)


@jit_if_eager
def _spectrum(generator: Generator, rho: Matrix, a: Matrix, b: Matrix, frequencies: Array) -> Array:
    spectrum, d = generator.spectrum, generator.dimension
    a, b = spectrum.to_eigenbasis(a), spectrum.to_eigenbasis(b)
    matrix = energy_liouvillian(spectrum, generator.jumps)
    unit = jnp.eye(d, dtype=matrix.dtype)
    # -s ρ Tr[·] vanishes on traceless matrices, and gives the stationary state the eigenvalue -s in place of 0.
    matrix = matrix - generator.fastest_rate.astype(matrix.dtype) * rho.reshape(-1)[:, None] * unit.reshape(-1)[None, :]

    def half(x, y, frequency):
        source = dot(y, rho) - jnp.trace(dot(y, rho)) * rho
        resolved = jnp.linalg.solve(-1j * frequency * jnp.eye(d * d, dtype=matrix.dtype) - matrix, source.reshape(-1))
        return jnp.sum(x.T.reshape(-1) * resolved)

    def at(frequency):
        frequency = frequency.astype(matrix.dtype)
        return half(a, b, frequency) + jnp.conj(half(b.conj().T, a.conj().T, frequency))

    return jax.lax.map(at, frequencies)


def correlation_spectrum(
    generator: Generator, state: StateLike | None, a: ArrayLike, b: ArrayLike, frequencies: ArrayLike
) -> Array:
    """Power spectrum of the fluctuations of two operators in a stationary state.

    S_AB(ω) = ∫dt e^{iωt}[⟨A(t)B(0)⟩ - ⟨A⟩⟨B⟩],   ∫dω/2π S_AB(ω) = ⟨AB⟩ - ⟨A⟩⟨B⟩

    generator: of dimension d <= 32.
    state: a SteadyState, AsymptoticState or State of any generator, a density matrix or ket; None for the stationary
        state. The equations hold for a stationary state only, which is not checked.
    a: A (d, d), need not be Hermitian, in the basis of the Hamiltonian.
    b: B (d, d), likewise.
    frequencies: ω (n,), of either sign, energy.

    Returns (n,) complex, units of AB over energy; real and >= 0 for B = A†, where it is the golden-rule rate, per
    squared coupling, at which a weak probe that acts by A† raises the energy of the system by ω (lowers it, ω < 0). In
    equilibrium the lines at ω and -ω have areas in the ratio e^{ω/T}; between the lines the ratio is another one,
    because the secular approximation takes γ at the Bohr frequencies only. NaN where the stationary state is flagged.
    Raises ValueError for shapes, and above d = 32. One linear system a frequency.
    *Source:* M. Lax, Phys. Rev. 129, 2342 (1963).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.correlation_spectrum(generator, None, qdb.sigma_z(), qdb.sigma_z(), [0.0, 1.0]).real.round(4)
    Array([6.77  , 0.2546], dtype=float64)
    """
    check_dense(generator.dimension, "correlation_spectrum")
    a, b = _operator(a, "a", generator), _operator(b, "b", generator)
    frequencies = as_real(frequencies, "frequencies")
    if frequencies.ndim != 1:
        raise ValueError(f"frequencies must be a vector; got shape {frequencies.shape}.")
    return _spectrum(generator, state_of(generator, state).energy_density_matrix, a, b, frequencies)
