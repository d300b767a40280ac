"""Low-density limit: a system in a dilute gas, generator from single collisions, detailed balance not assumed."""

from collections.abc import Sequence
from typing import ClassVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_made, as_tuple
from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, ArrayLike, BathRates, Matrix, Rates, Scalar, StatusCode
from qdbjax.baths import Gas
from qdbjax.generators.energy_panels import Nodes, nodes_between, resonances
from qdbjax.generators.generator import Generator, assemble
from qdbjax.generators.inputs import checked_names
from qdbjax.generators.jumps import AbstractJumps, Channels, PerBath
from qdbjax.generators.scattering_matrix import potential_in_eigenbasis, resolvents, wave_numbers
from qdbjax.numerics.entries import stack, unstack
from qdbjax.numerics.matrix import LayoutMatrix, every, map_leading
from qdbjax.systems import Spectrum, System, as_system, diagonalize

UNRESOLVED = 1e-9  # estimated relative error of a rate above which it is flagged


def low_density(
    system: System | ArrayLike, gases: Gas | Sequence[Gas], *, forward_scattering: bool = True
) -> Generator:
    """Generator of a system in one or several dilute gases, from the scattering of single particles.

    L(ρ) = -i[H + Δ, ρ] + 2πν Σ_ω ∫dp∫dp' G(p) δ(E_p' - E_p + ω) [T_ω ρ T_ω† - ½{T_ω†T_ω, ρ}]

    with T_ω = Σ_{E_k - E_l = ω} ⟨k, p'|T|p, l⟩ |k⟩⟨l|, matrix elements t_kl(E)/2π of `scattering`, summed over gases.

    system: a System, or a Hamiltonian (d, d), energy.
    gases: one or several `Gas` of dimension d.
    forward_scattering: whether to add Δ_k = (ν/2π) ∫dp G(p) Re t_kk(E_p + E_k), energy, which commutes with H.

    Returns a Generator with `rates[gas, to, from]` = 2πν R_kl, inverse time,
    R_kl = √(β/2πm) (m²/π²) ∫dE e^{-β(E - E_l)} |t_kl(E)|²/(k_k k_l) over E above both levels k (to) and l (from).

    Detailed balance: beyond the Born approximation R_kl and R_lk need not obey it (`violation_ratios`), and currents
    circulate in equilibrium (`probability_currents`); Gibbs is stationary for one gas all the same.
    Degeneracy: transitions of equal frequency keep their cross terms, degenerate levels their ω = 0 block.
    Forward scattering: Δ shifts the frequencies of coherences and splits degenerate levels. Where a parameter lifts a
    degeneracy, the derivative of the stationary state by it is that of Gibbs without Δ; with Δ it is set by collisions
    and Δ together.

    Raises ValueError for no gas, mismatched dimensions or repeated names. Flagged: a rate whose integral is not
    resolved to 1e-9 (a resonance too narrow), and traced unphysical parameters.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (6)-(7), without the
    forward scattering; (20) there is half of what (7) gives. R. Dümcke, Commun. Math. Phys. 97, 331 (1985).

    >>> gas = qdb.Gas([[1.0, 0.2], [0.2, 0.5]], temperature=0.5)
    >>> qdb.steady_state(qdb.low_density(qdb.models.qubit(1.0), gas)).populations.round(4)
    Array([0.8808, 0.1192], dtype=float64)
    """
    system = as_system(system)
    given = as_made((gases,) if isinstance(gases, Gas) else as_tuple(gases, "gases", "a Gas or a list of gases"))
    names = checked_names(system, given, Gas, "gases")
    return assemble(system, diagonalize(system), GasJumps(given, forward_scattering), names)


def collision_rates(spectrum: Spectrum, gas: Gas) -> tuple[BathRates, Scalar]:
    """2πν R_kl (to, from), zero diagonal, inverse time, and the estimated largest relative error.

    Halving the step of a double-exponential rule squares its error (H. Takahasi and M. Mori, Publ. RIMS 9, 721 (1974)).
    The sum with alternating signs is the difference between the rule and that of every other node, ε; the error is ε².
    """
    energies, d = spectrum.energies, spectrum.energies.shape[0]
    potential = potential_in_eigenbasis(gas, spectrum)
    ordered = jnp.sort(energies)
    ends = ordered[1:]
    if d == 1:
        return jnp.zeros((1, 1), energies.dtype), jnp.zeros((), energies.dtype)
    if not gas.repulsive:
        bound = jnp.clip(resonances(energies, potential, gas), ordered[1], ordered[-1])
        ends = jnp.sort(jnp.concatenate([ends, bound]))
    nodes = nodes_between(ends, energies, gas.temperature)
    factor = 2 * gas.density / jnp.pi / jnp.sqrt(2 * jnp.pi * gas.mass * gas.temperature)
    real, imaginary = wave_numbers(nodes.distances.T, gas.mass)
    thermal = jnp.exp(-jnp.maximum(nodes.distances.T, 0.0) / gas.temperature) * nodes.weights[None]
    w = resolvents(real, imaginary, LayoutMatrix.of(potential, samples=1), gas.mass)
    # k_k k_l |W_kl|² e^{-β(E - E_l)} = m² |t_kl|²/(k_k k_l) e^{-β(E - E_l)}, from t_kl = (i/m) k_k W_kl k_l.
    terms = w.abs2().without_diagonal().scaled(real, real * thermal)
    whole, apart = (terms.sum_over_samples(signs).array(energies.dtype) for signs in (None, nodes.signs))
    some = whole > 0
    error = jnp.max(jnp.where(some, jnp.abs(apart) / jnp.where(some, whole, 1.0), 0.0))
    return factor * whole, jax.lax.stop_gradient(error * error)


class GasJumps(AbstractJumps):
    """Collisions with each gas; one channel for each quadrature node of the kinetic energy of the incoming particle."""

    is_secular: ClassVar[bool] = True

    gases: tuple[Gas, ...]
    forward: bool = eqx.field(static=True)

    @property
    def charges(self) -> tuple[tuple[int, ...], ...]:
        return ((0,),) * len(self.gases)

    @property
    def reservoirs(self) -> tuple[PerBath, PerBath]:
        temperatures = stack([gas.temperature for gas in self.gases])
        return temperatures, jnp.zeros_like(temperatures)

    def with_reservoirs(self, temperatures: PerBath, chemical_potentials: PerBath) -> "GasJumps":
        pairs = zip(self.gases, unstack(temperatures), strict=True)
        return GasJumps(tuple(eqx.tree_at(lambda g: g.temperature, gas, t) for gas, t in pairs), self.forward)

    def checked_rates(self, spectrum: Spectrum) -> tuple[Rates, StatusCode]:
        """Rates (gas, to, from), zero diagonal; flagged where a gas is unphysical or an integral not resolved."""
        found = [collision_rates(spectrum, gas) for gas in self.gases]
        rates = stack([rate for rate, _ in found])
        status = raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)
        for gas, (_, error) in zip(self.gases, found, strict=True):
            physical = (gas.temperature > 0) & (gas.mass > 0) & (gas.density >= 0)
            status = status | raise_flag(~physical, Status.UNPHYSICAL_BATH)
            status = status | raise_flag(error > UNRESOLVED, Status.INACCURATE_INTEGRAL)
        return rates, status

    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        """Δ = ½(ν/2π) ∫dp G(p) (t + t†) between equal levels, summed over gases."""
        if not self.forward:
            return None
        half = cast(Matrix, sum(_forward(spectrum, gas) for gas in self.gases))
        return (half + half.conj().T) * spectrum.same_level.astype(half.dtype)

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        return tuple(_amplitudes(spectrum, gas) for gas in self.gases)


def _incoming(spectrum: Spectrum, gas: Gas) -> Nodes:
    """Nodes in the kinetic energy e; distances (node, from, channel) are those of the total energy from E_channel.

    The total energy is e + E_from, for degenerate levels e plus their mean energy: that Gibbs is stationary follows
    from unitarity, which relates amplitudes at one total energy, also for coherences between the levels.
    """
    centers, d = spectrum.centers, spectrum.energies.shape[0]
    # Levels that count as one open at one energy, their mean: a difference of rounding must not leave one of them
    # closed. Derivatives are those of each level's own energy.
    fixed = jax.lax.stop_gradient
    energies = fixed(centers) + (spectrum.energies - fixed(spectrum.energies))
    thresholds = energies[None, :] - centers[:, None]
    apart = thresholds[~np.eye(d, dtype=bool)]
    if not gas.repulsive:
        bound = resonances(energies, potential_in_eigenbasis(gas, spectrum), gas)
        apart = jnp.concatenate([apart, (bound[None, :] - centers[:, None]).reshape(-1)])
    # Of the d(d - 1) thresholds e = E_channel - E_from half are <= 0, one for each pair of levels. Clipped to e = 0
    # they come first in the order, and are dropped: they would be panels without length.
    ascending = jnp.sort(jnp.clip(apart, 0.0, jnp.maximum(jnp.max(thresholds), 0.0)))[d * (d - 1) // 2 :]
    ends = jnp.concatenate([jnp.zeros((1,), energies.dtype), ascending])
    return nodes_between(ends, thresholds, gas.temperature)


def _collisions(spectrum: Spectrum, gas: Gas) -> tuple[Array, Array, Array]:
    """Amplitudes of scattering, K^{-½}VWK^{½}e^{-½β(E - B)}, and of forward scattering, VWe^{-β(E - B)}; weights.

    Both amplitudes (from, to, node). They are functions of the level matrix B = diag(E_j) + M with K = √(2m(E - B));
    M, zero in value, carries the derivative with respect to a Hamiltonian that mixes degenerate levels. With
    imV = W^{-1} - K, off the diagonal K^{-½}VWK^{½} = (i/m) K^{½}WK^{½}, which does not cancel at thresholds.
    """
    nodes, potential = _incoming(spectrum, gas), potential_in_eigenbasis(gas, spectrum)
    dtype, d = potential.dtype, potential.shape[0]
    mass, beta = gas.mass.astype(dtype), (1 / gas.temperature).astype(dtype)
    unit, mixing = jnp.eye(d, dtype=dtype), spectrum.mixing.astype(dtype)
    wide = lambda table: table[:, :, None]  # noqa: E731

    def of_source(source):
        """One l at the energies e + E_l: E - E_j (channel, node), E - E_l, and column l of 1 and of M."""
        excess, kinetic, own, mixed = source
        root, back = _roots(excess, gas.mass, dtype)
        pair = back[:, None] * back[None, :]
        slope = mass * wide(mixing) * pair  # dk/dE = m/k, inside a cluster
        bend = 0.5 * back[:, None] * slope
        half, reverse = root[:, None] * wide(unit) - bend, back[:, None] * wide(unit) + bend * pair
        denominator = (root * root)[:, None] * wide(unit) - slope + 1j * mass * wide(potential)
        w = LayoutMatrix.of(denominator).inverse().array(dtype)
        within = _product(wide(potential), w)
        apart = _product(_product(half, w), half) * (1j / mass)
        leaving = jnp.where(wide(unit.real) > 0, _product(_product(reverse, within), half), apart)
        leaving = jnp.where((excess > 0)[:, None], leaving, 0.0)
        columns = [
            jnp.sum(x * (own + n * mixed)[None, :, None], axis=1) for n, x in ((0.5 * beta, leaving), (beta, within))
        ]
        heat = jnp.exp(-0.5 * kinetic / gas.temperature).astype(dtype)
        return columns[0] * heat[None], columns[1] * (heat * heat)[None]

    excess = jnp.transpose(nodes.distances, (1, 2, 0))  # [from, channel, node]
    each = np.arange(d)
    # The Boltzmann factor is taken at each level's own energy, so that Gibbs is stationary to second order in the
    # differences of energies that count as one.
    kinetic = excess[each, each] - jax.lax.stop_gradient(spectrum.energies - spectrum.centers)[:, None]
    sources = excess, kinetic, unit, mixing.T
    leaving, within = map_leading(of_source, sources)
    return leaving, within, nodes.weights / jnp.sqrt(2 * jnp.pi * gas.mass * gas.temperature)


def _roots(excess: Array, mass: Array, dtype) -> tuple[Array, Array]:
    """k^{½} and k^{-½}, with phases e^{±iπ/4} for k = iκ, from real roots: complex roots take ten times as long."""
    real, imaginary = wave_numbers(excess, mass)
    size = jnp.sqrt(real + imaginary)
    inverse = 1 / size
    eighth = float(np.sqrt(0.5))
    is_open = excess > 0
    cosine, sine = jnp.where(is_open, 1.0, eighth), jnp.where(is_open, 0.0, eighth)
    root, back = (jax.lax.complex(x * cosine, x * s).astype(dtype) for x, s in ((size, sine), (inverse, -sine)))
    return root, back


def _product(a: Array, b: Array) -> Array:
    """a @ b for matrices on the first two axes, as sums of products that vectorise over the nodes (last axis)."""
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)


def _amplitudes(spectrum: Spectrum, gas: Gas) -> tuple[Channels, Channels]:
    """(S, R) of a gas: S = A = (m/π) K^{-½}VWK^{½} e^{-½β(E - B)} at every node (node, to, from), and R = 2πνw A.

    A is 0 where the outgoing channel is closed. The weights w are in R alone, because √w in both would have no
    derivative at w = 0.
    """
    leaving, _, weights = _collisions(spectrum, gas)
    amplitudes = (gas.mass / jnp.pi).astype(leaving.dtype) * jnp.transpose(leaving, (2, 1, 0))
    return amplitudes, (2 * jnp.pi * gas.density * weights).astype(leaving.dtype)[:, None, None] * amplitudes


def _forward(spectrum: Spectrum, gas: Gas) -> Matrix:
    """½(ν/2π) ∫dp G(p) t(E_p + E_l) as an operator (d, d), energy; the integral includes both signs of p."""
    _, within, weights = _collisions(spectrum, gas)
    weight = 0.5 * gas.density * gas.mass / jnp.pi * weights
    return jnp.sum(weight.astype(within.dtype)[None, None] * within, axis=-1).T
