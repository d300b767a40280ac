"""Thermal machines: a system together with its baths, each parameter differentiable.

Every function returns a `Machine`, which unpacks into what a maker takes: `davies(*absorption_refrigerator(...))`.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_real, as_scalar, is_traced
from qdbjax._types import Array, ArrayLike, Matrix, Scalar
from qdbjax.baths import Bath, Ohmic
from qdbjax.compilation.eager import eval_at_trace_time, jit_if_eager
from qdbjax.models.qubits import three_level
from qdbjax.numerics.matrix import unstack
from qdbjax.operators import embed, sigma_x, transition
from qdbjax.systems import System

RESONANT = (2, 5)  # |101⟩ and |010⟩ of three qubits
UP_OR_DOWN = {count: 1.0 - 2.0 * np.indices([2] * count).reshape(count, -1) for count in (2, 3)}  # ⟨σ_z⟩ (spin, state)


class Machine(NamedTuple):
    """A system and the baths it works between; `davies(*machine)` makes its generator.

    system: the System.
    baths: a tuple, in the order that the model names.
    """

    system: System
    baths: tuple[Bath, ...]


def _vector(value: ArrayLike, name: str, length: int) -> Array:
    value = as_real(value, name)
    if value.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},); got {value.shape}.")
    return value


def _baths(names: tuple[str, ...], couplings: list, temperatures: ArrayLike, strengths: ArrayLike, cutoff: ArrayLike):
    """One Ohmic bath per coupling; one strength for all of them, or one each."""
    count = len(names)
    temperatures, strengths = _vector(temperatures, "temperatures", count), as_real(strengths, "strengths")
    if strengths.shape not in ((), (count,)):
        raise ValueError(f"strengths must be a single number or have shape ({count},); got {strengths.shape}.")
    each = zip(names, couplings, *_apart(temperatures, strengths), strict=True)
    return tuple(
        Bath(coupling, Ohmic(strength, cutoff), temperature=temperature, name=name)
        for name, coupling, temperature, strength in each
    )


@jit_if_eager
def _apart(temperatures: Array, strengths: Array) -> tuple[list[Scalar], list[Scalar]]:
    """One number for each bath: eager indexing would be a program for each."""
    strengths = jnp.broadcast_to(strengths, temperatures.shape)
    return unstack(temperatures), unstack(strengths)


def _hop(first: int, second: int, leak: ArrayLike = 0.0) -> np.ndarray | Array:
    """|first⟩⟨second| + h.c. of three levels, and `leak` times the same of the two other pairs."""
    through = transition(first, second, 3) + transition(second, first, 3)
    if not is_traced(leak) and np.all(np.asarray(leak) == 0):
        return through
    leak = as_scalar(leak, "leak")
    return jnp.asarray(through, leak.dtype) + leak * jnp.asarray(1 - np.eye(3) - through, leak.dtype)


def three_level_maser(
    energies: ArrayLike, temperatures: ArrayLike, *, strengths: ArrayLike = 0.01, cutoff: ArrayLike = 20.0
) -> Machine:
    """Maser as a heat engine: pumped 0-2 by a hot bath, emptied 1-2 into a cold one, working on 0-1.

    H = diag(ε₀, ε₁, ε₂), couplings |m⟩⟨n| + h.c., baths "hot", "cold", "work" in this order. Each quantum ε₂ - ε₀ of
    heat gives ε₁ - ε₀ of work: η = (ε₁ - ε₀)/(ε₂ - ε₀). The work reservoir is a bath of temperature far above the
    others, whose energy brings hardly any entropy; it is Carnot's only in the limit T → ∞.
    energies: ε (3,), energy.
    temperatures: (3,), energy, in the order of the baths.
    strengths: η of the Ohmic baths, one number or (3,).
    cutoff: ω_c, energy.
    Raises ValueError for another shape.
    *Source:* H. E. D. Scovil and E. O. Schulz-DuBois, Phys. Rev. Lett. 2, 262 (1959).

    >>> qdb.models.three_level_maser([0.0, 1.0, 3.0], [4.0, 1.0, 50.0]).system
    System(dimension=3)
    """
    couplings = [_hop(0, 2), _hop(1, 2), _hop(0, 1)]
    return Machine(three_level(energies), _baths(("hot", "cold", "work"), couplings, temperatures, strengths, cutoff))


def absorption_refrigerator(
    energies: ArrayLike,
    temperatures: ArrayLike,
    *,
    strengths: ArrayLike = 0.01,
    cutoff: ArrayLike = 20.0,
    leak: ArrayLike = 0.0,
) -> Machine:
    """Three levels that cool by heat: cold bath on 0-1, hot on 1-2, room on 0-2.

    H = diag(ε₀, ε₁, ε₂), couplings |m⟩⟨n| + h.c. plus `leak` times the same on the two other transitions; baths "cold",
    "hot", "room" in this order. Without leak the three currents are one: J_c/J_h = (ε₁ - ε₀)/(ε₂ - ε₁), and the machine
    cools where this is below (1 - T_r/T_h) T_c/(T_r - T_c); leaks keep it away from that bound.
    energies: ε (3,), energy.
    temperatures: (3,), energy, in the order of the baths.
    strengths: η of the Ohmic baths, one number or (3,).
    cutoff: ω_c, energy.
    leak: amplitude of a bath's coupling to the two transitions of the others, relative to its own.
    Raises ValueError for another shape.
    *Source:* J. P. Palao, R. Kosloff, J. M. Gordon, Phys. Rev. E 64, 056130 (2001).

    >>> qdb.models.absorption_refrigerator([0.0, 1.0, 3.0], [1.0, 4.0, 2.0]).system
    System(dimension=3)
    """
    couplings = [_hop(*pair, leak) for pair in ((0, 1), (1, 2), (0, 2))]
    return Machine(three_level(energies), _baths(("cold", "hot", "room"), couplings, temperatures, strengths, cutoff))


def three_qubit_refrigerator(
    cold_splitting: ArrayLike,
    hot_splitting: ArrayLike,
    coupling: ArrayLike,
    temperatures: ArrayLike,
    *,
    strengths: ArrayLike = 0.001,
    cutoff: ArrayLike = 20.0,
) -> Machine:
    """The smallest refrigerator of qubits: H = Σ_i ½E_i σ_z^i + g (|010⟩⟨101| + h.c.), E_2 = E_1 + E_3.

    Qubit 1 is cooled, 2 gives to the room, 3 is hot (1: excited; the basis has excited first, qubit 1 leftmost); each
    couples by σ_x to its own bath, "cold", "room", "hot" in this order. The eigenbasis is supplied: |010⟩ and |101⟩ are
    of one energy, split by ±g. The Davies generator of it is meant for rates far below g; at g = 0 the qubits are apart
    and no heat flows, and what flows at g → 0 is not that: take `davies(..., window=)` there.
    cold_splitting: E_1, energy.
    hot_splitting: E_3, energy.
    coupling: g, energy.
    temperatures: (3,), energy, in the order of the baths.
    strengths: η of the Ohmic baths, one number or (3,).
    cutoff: ω_c, energy.
    Raises ValueError for another shape.
    *Source:* N. Linden, S. Popescu, P. Skrzypczyk, Phys. Rev. Lett. 105, 130401 (2010), whose baths are local.

    >>> qdb.models.three_qubit_refrigerator(1.0, 2.0, 0.1, [1.0, 4.0, 2.0]).system
    System(dimension=8, eigenbasis given)
    """
    system = _three_qubits(cold_splitting, hot_splitting, coupling)
    couplings = [embed(sigma_x(), n, [2] * 3) for n in range(3)]
    baths = _baths(("cold", "room", "hot"), couplings, temperatures, strengths, cutoff)
    return Machine(system, baths)


@eval_at_trace_time
def _three_qubits(cold_splitting: ArrayLike, hot_splitting: ArrayLike, coupling: ArrayLike) -> System:
    cold, hot = as_scalar(cold_splitting, "cold_splitting"), as_scalar(hot_splitting, "hot_splitting")
    coupling = as_scalar(coupling, "coupling")
    dtype = np.result_type(cold.dtype, hot.dtype, coupling.dtype)
    cold, hot, coupling = (x.astype(dtype) for x in (cold, hot, coupling))
    basis = np.eye(8)
    basis[np.ix_(RESONANT, RESONANT)] = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    hamiltonian, energies = _resonant(cold, hot, coupling)
    return System(hamiltonian, eigenbasis=basis, energies=energies)


@jit_if_eager
def _resonant(cold: Scalar, hot: Scalar, coupling: Scalar) -> tuple[Matrix, Array]:
    single, dtype = _of_spins(jnp.stack([cold, cold + hot, hot])), coupling.dtype
    swapped, lifted = RESONANT
    place = np.eye(8)
    apart = jnp.asarray(1 - place[swapped] - place[lifted], dtype)  # their energy is 0 without rounding
    flip = np.outer(place[swapped], place[lifted])
    hamiltonian = jnp.diag(single * apart) + coupling * jnp.asarray(flip + flip.T, dtype)
    return hamiltonian, single * apart + coupling * jnp.asarray(place[swapped] - place[lifted], dtype)


def _of_spins(splittings: Array) -> Array:
    """Σ ½ω_i σ_z^i of every basis state."""
    signs = jnp.asarray(UP_OR_DOWN[splittings.shape[0]], splittings.dtype)
    return jnp.sum(0.5 * splittings[:, None] * signs, axis=0)


@eval_at_trace_time
def _ising(splittings: ArrayLike, couplings: tuple[str, ArrayLike], pairs: tuple[tuple[int, int], ...]) -> System:
    """Σ ½ω_i σ_z^i + Σ g_ij σ_z^i σ_z^j, diagonal in the basis it is written in; couplings with their name."""
    signs = UP_OR_DOWN[3 if len(pairs) > 1 else 2]
    splittings = _vector(splittings, "splittings", len(signs))
    name, value = couplings
    strengths = [as_scalar(value, name)] if len(pairs) == 1 else list(_vector(value, name, len(pairs)))
    energies = _coupled(splittings, strengths, pairs)
    return System(jnp.diag(energies), eigenbasis=np.eye(signs.shape[1]), energies=energies)


@jit_if_eager
def _coupled(splittings: Array, strengths: list[Scalar], pairs: tuple[tuple[int, int], ...]) -> Array:
    signs = UP_OR_DOWN[splittings.shape[0]]
    terms = [g * jnp.asarray(signs[i] * signs[j], g.dtype) for g, (i, j) in zip(strengths, pairs, strict=True)]
    return _of_spins(splittings) + sum(terms[1:], terms[0])


def heat_rectifier(
    splittings: ArrayLike,
    coupling: ArrayLike,
    temperatures: ArrayLike,
    *,
    strengths: ArrayLike = 0.01,
    cutoff: ArrayLike = 20.0,
) -> Machine:
    """Two unequal qubits that let heat through one way: H = ½ω_L σ_z^L + ½ω_R σ_z^R + g σ_z^L σ_z^R.

    Each qubit couples by σ_x to its own bath, "left" and "right" in this order. Left flips cost |ω_L ± 2g|, right ones
    |ω_R ± 2g|; heat goes round the four states, and where the left bath is too cold to flip the stiff qubit none does.
    Equal splittings and strengths do not rectify. The eigenbasis is supplied.
    splittings: ω (2,), energy.
    coupling: g, energy.
    temperatures: (2,), energy, in the order of the baths.
    strengths: η of the Ohmic baths, one number or (2,).
    cutoff: ω_c, energy.
    Raises ValueError for another shape.
    *Source:* T. Werlang, M. A. Marchiori, M. F. Cornelio, D. Valente, Phys. Rev. E 89, 062109 (2014).

    >>> qdb.models.heat_rectifier([1.0, 0.5], 0.2, [1.0, 0.5]).system
    System(dimension=4, eigenbasis given)
    """
    system = _ising(splittings, ("coupling", coupling), ((0, 1),))
    flips = [embed(sigma_x(), n, [2, 2]) for n in range(2)]
    return Machine(system, _baths(("left", "right"), flips, temperatures, strengths, cutoff))


def heat_transistor(
    splittings: ArrayLike,
    couplings: ArrayLike,
    temperatures: ArrayLike,
    *,
    strengths: ArrayLike = 0.01,
    cutoff: ArrayLike = 20.0,
) -> Machine:
    """Three qubits in which a small heat current steers a large one: H = Σ_i ½ω_i σ_z^i + Σ_ij g_ij σ_z^i σ_z^j.

    Qubits emitter, base, collector, each coupled by σ_x to its own bath of that name, in this order; couplings g
    (emitter-base, base-collector, collector-emitter). The amplification is the `amplification` of the emitter's or
    collector's current by the base's. The eigenbasis is supplied.
    splittings: ω (3,), energy.
    couplings: g (3,), energy.
    temperatures: (3,), energy, in the order of the baths.
    strengths: η of the Ohmic baths, one number or (3,).
    cutoff: ω_c, energy.
    Raises ValueError for another shape.
    *Source:* K. Joulain, J. Drevillon, Y. Ezzahri, J. Ordonez-Miranda, Phys. Rev. Lett. 116, 200601 (2016).

    >>> qdb.models.heat_transistor([1.0, 0.5, 1.0], [0.2, 0.2, 0.0], [1.0, 0.5, 0.5]).system
    System(dimension=8, eigenbasis given)
    """
    system = _ising(splittings, ("couplings", couplings), ((0, 1), (1, 2), (2, 0)))
    flips = [embed(sigma_x(), n, [2] * 3) for n in range(3)]
    return Machine(system, _baths(("emitter", "base", "collector"), flips, temperatures, strengths, cutoff))
