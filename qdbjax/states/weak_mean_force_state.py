"""Mean force to second order in the coupling to a thermal bath.

With e^{-βH*} = e^{-βH} + X and C(t) the bath's correlation function at imaginary time,

    X = e^{-βH} ∫₀^β dt₁ ∫₀^{t₁} dt₂ S(t₁)S(t₂)C(t₁ - t₂),     S(t) = e^{tH}Se^{-tH},

the integrals over t make a divided difference of the exponential in the energy eigenbasis (Hermite and Genocchi):

    X_mn = β² Σ_k S_mk S_kn ∫dω/2π γ(ω) exp[-βE_m, -β(E_k + ω), -βE_n].

Nothing is divided by a gap, so that levels and gaps may be equal. At ω < 0, γ(ω) = e^{βω}γ(-ω) is taken into the
divided difference, whose three arguments then are lower by β|ω|.
"""

import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_made, is_traced
from qdbjax._types import Array, ArrayLike, Matrix, RealVector, Scalar
from qdbjax.baths import Bath, LocalTemperature
from qdbjax.baths.noise_integrals import noise_panels, positive_scale, resolved, zero_outside_table
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.matrix import diagonal_matrix
from qdbjax.numerics.matrix_functions import EXPONENTIAL, exp_second_difference, inverse_frechet
from qdbjax.numerics.products import contract, dot
from qdbjax.states.mean_force_state import MeanForce
from qdbjax.systems import Spectrum, System, as_system, diagonalize


def weak_mean_force(system: System | ArrayLike, bath: Bath) -> MeanForce:
    """Hamiltonian of mean force of a system in a thermal bath, to second order in the coupling.

    ρ = ρ₀ + X/Z - ρ₀ Tr X/Z,   ρ₀ = e^{-βH}/Z
    X = e^{-βH} ∫₀^β dt₁ ∫₀^{t₁} dt₂ S(t₁)S(t₂)C(t₁ - t₂),   S(t) = e^{tH}Se^{-tH}

    with C(t) the bath's correlation function at imaginary time. H* = H + δH, -β δH the first-order change of
    ln(e^{-βH} + X), and ln Z* = ln Z + Tr X/Z. No counterterm.

    system: a System or a Hamiltonian H (d, d).
    bath: a `Bath` at one temperature T > 0, with any couplings, spectral density and correlation.
    Returns a MeanForce, right to 1e-10 of Tr X; linear in the spectral density, so ρ loses its positivity and H* its
    meaning where that is too large, first for levels far above T. Differentiable, at equal levels too. Memory d³ times
    a few hundred. NaN, and for concrete input a ValueError, where ∫dω γ(ω)/(|ω| + 1) diverges: a density without end
    (`Flat`, infinite cutoff) or infinite at ω → 0; likewise for a density with structure that is not among its
    landmarks, of which a sweep is told INACCURATE_INTEGRAL. Raises TypeError for another kind of bath; ValueError for
    T = 0 and for another dimension.
    *Source:* E. Geva, E. Rosenman and D. Tannor, J. Chem. Phys. 113, 1380 (2000).

    >>> bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=1.0)
    >>> qdb.states.weak_mean_force(qdb.models.qubit(1.0), bath).density_matrix.real.round(4)
    Array([[0.2775, 0.    ],
           [0.    , 0.7225]], dtype=float64)
    """
    system, bath = as_system(system), as_made(bath)
    if not isinstance(bath, Bath):
        raise TypeError(
            f"bath must be a Bath; got {type(bath).__name__}. Exchange of particles has no mean force here."
        )
    if isinstance(bath.temperature, LocalTemperature):
        raise TypeError("bath must have one temperature; a local-KMS field has no equilibrium state to correct.")
    if bath.dimension != system.dimension:
        raise ValueError(f"bath couples to {bath.dimension} levels; the system has {system.dimension}.")
    if not is_traced(bath.temperature) and float(bath.temperature) == 0:
        raise ValueError("bath must have a temperature above 0, got 0: H* = -T ln(...) has no limit there.")
    if not is_traced(bath) and _diverges(bath):
        raise ValueError(
            f"bath shifts energies without limit ({bath.formula}): its noise diverges at ω → 0 or has no end. Give a "
            "cutoff and a density that vanishes at ω → 0."
        )
    return resolved(bath, *_weak_mean_force(system, bath))


def _diverges(bath: Bath) -> bool:
    # A bath that is known while a program is traced has a known reach there too.
    with jax.ensure_compile_time_eval():
        return bool(np.isinf(np.asarray(_reach(bath)[0])))


@jit_if_eager
def _reach(bath: Bath) -> tuple[Scalar, Scalar]:
    """∫dω γ(ω)/(|ω| + scale), inf where X diverges, and its estimated relative error, inf there too."""
    line = noise_panels(bath, jnp.result_type(float))
    scale = positive_scale(bath).astype(line.half.dtype)
    damped = (zero_outside_table(bath.noise(line.nodes)) / (jnp.abs(line.nodes) + scale))[None]
    reach = jnp.where(jnp.isinf(bath.scale), jnp.inf, line.integrals(damped)[0])
    return reach, jnp.where(jnp.isfinite(reach), line.error(damped)[0], jnp.inf)


@jit_if_eager
def _weak_mean_force(system: System, bath: Bath) -> tuple[MeanForce, Scalar]:
    levels, beta = diagonalize(system), 1 / bath.single_temperature
    ground = jax.lax.stop_gradient(jnp.min(levels.energies))
    exponents = -beta * (levels.energies - ground)
    change = _change(levels, exponents, beta, bath)
    change = (beta * beta).astype(change.dtype) * change
    weights = jnp.exp(exponents)
    partition = jnp.sum(weights)
    shift = jnp.real(jnp.trace(change)) / partition
    # e^{-βB} of B = diag(E) + M, to first order in M.
    mixing = -beta.astype(change.dtype) * levels.mixing.astype(change.dtype)
    bare = diagonal_matrix(weights).astype(change.dtype) + weights.astype(change.dtype)[:, None] * mixing
    rho = (bare * (1 - shift).astype(change.dtype) + change) / partition.astype(change.dtype)
    hamiltonian = jnp.asarray(system.hamiltonian)
    common = np.promote_types(change.dtype, hamiltonian.dtype)
    energy = inverse_frechet(EXPONENTIAL, diagonal_matrix(exponents).astype(change.dtype) + mixing, change)
    energy = levels.from_eigenbasis(energy / -beta.astype(change.dtype)).astype(common)
    force = MeanForce(
        hamiltonian=hamiltonian.astype(common) + energy,
        density_matrix=levels.from_eigenbasis(rho).astype(common),
        log_partition_function=jnp.log(partition) - beta * ground + shift,
    )
    return force, jax.lax.stop_gradient(_reach(bath)[1])


def _change(levels: Spectrum, exponents: RealVector, beta: Scalar, bath: Bath) -> Matrix:
    """X/β² in the energy eigenbasis, energies counted from the lowest.

    Where levels are equal, B = diag(E) + M stands for E, M = 0 in value; its first order has the slopes of the divided
    difference, one for each argument.
    """
    tables = _tables(exponents, beta, bath)
    couplings = [levels.to_eigenbasis(jnp.asarray(operator)) for operator in bath.operators]
    common = np.result_type(*(s.dtype for s in couplings), levels.mixing.dtype)
    weights = jnp.eye(len(couplings), dtype=common)
    if bath.correlation is not None:
        common = np.promote_types(common, bath.correlation.dtype)
        weights = jnp.asarray(bath.correlation, common)
    coupling = jnp.stack(couplings).astype(common)
    mixing = (-beta.astype(common) * levels.mixing.astype(common))[None]
    mixing_coupling = dot(mixing, coupling)
    left = jnp.stack([coupling, mixing_coupling, coupling, coupling])
    right = jnp.stack([coupling, coupling, mixing_coupling, dot(coupling, mixing)])
    right = contract("sab,tbkn->tsakn", jnp.stack([weights.astype(common), weights.T.astype(common)]), right)
    return contract("tsmkn,tamk,tsakn->mn", tables.astype(common), left, right)


def _tables(exponents: RealVector, beta: Scalar, bath: Bath) -> Array:
    """∫₀^∞dω/2π γ(ω) of exp[x_m, x_k - βω, x_n] and exp[x_m - βω, x_k, x_n - βω], and of their slopes.

    Shape (value and three slopes, emission and absorption, d, d, d).
    """
    line = noise_panels(bath, jnp.result_type(float))
    positive = line.half.shape[0] // 2  # the corners of a bath are symmetric, and one is at ω = 0
    nodes, weights = line.nodes[positive:], line.weights[positive:]
    weights = weights * zero_outside_table(bath.noise(nodes)) / (2 * jnp.pi)
    axes = [exponents[:, None, None], exponents[None, :, None], exponents[None, None, :]]
    shape = (2, *exponents.shape * 3, nodes.shape[1])
    arguments = [jnp.broadcast_to(x[None, ..., None], shape) for x in axes]
    # Emission lowers the argument in the middle by βω, absorption the outer two.
    lowered = [jnp.asarray(mask, exponents.dtype).reshape(2, 1, 1, 1, 1) for mask in ((0, 1), (1, 0), (0, 1))]

    def add(total, panel):
        nodes, weights = panel
        away = (beta * nodes)[None, None, None, None, :]
        points = [x - mask * away for x, mask in zip(arguments, lowered, strict=True)]
        value, slope = jax.linearize(exp_second_difference, *points)
        one, none = jnp.ones_like(value), jnp.zeros_like(value)
        tangents = [jnp.stack([one if n == place else none for n in range(3)]) for place in range(3)]
        slopes = jax.vmap(slope)(*tangents)
        return total + dot(jnp.concatenate([value[None], slopes]), weights), None

    start = jnp.zeros((4, *shape[:-1]), exponents.dtype)
    # Checkpointed: reverse mode would keep every node of d³ tables.
    return jax.lax.scan(jax.checkpoint(add), start, (nodes, weights))[0]
