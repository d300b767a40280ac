"""Low-density limit: a system in a dilute gas, generator from single collisions, detailed balance not assumed."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, raise_flag
from qdbjax._types import Array, ArrayLike, Matrix, Rates, Scalar, StatusCode
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

    L(ρ) = -i[H + Δ, ρ] + 2πν Σ_ω ∫dp∫dp' G(p) δ(E_p' - E_p + ω) [T_ω ρ T_ω† - ½{T_ω†T_ω, ρ}],
    T_ω = Σ_{E_k - E_l = ω} ⟨k, p'|T|p, l⟩ |k⟩⟨l|, matrix elements t_kl(E)/2π of `scattering`. Beyond the Born
    approximation a_kl and a_lk need not be in detailed balance (`violation_ratios`), and currents circulate in
    equilibrium (`probability_currents`); Gibbs is stationary for one gas all the same. Pairs of levels with equal Bohr
    frequencies keep their cross terms, degenerate levels their ω = 0 block.

    system: a System or a Hamiltonian (d, d), energy. gases: one or several `Gas` of dimension d.
    forward_scattering: whether to add Δ_k = (ν/2π) ∫dp G(p) Re t_kk(E_p + E_k), which turns coherences and splits
    degenerate levels; it commutes with H. Without it the derivative of a stationary state in a parameter that lifts a
    degeneracy is that of Gibbs; with it, of what collisions and Δ together leave between the two levels.
    Returns a Generator; `gen.rates[gas, to, from]` = 2πν R_kl, inverse time,
    R_kl = √(β/2πm) (m²/π²) ∫dE e^{-β(E - E_l)} |t_kl(E)|²/(k_k k_l) over E above both levels. A rate whose integral is
    not resolved to 1e-9 (a resonance too narrow) is flagged.
    Raises ValueError for no gas, mismatched dimensions or repeated names.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (6)-(7), without the
    forward scattering; (20) there is half of what (7) gives. R. Dümcke, Commun. Math. Phys. 97, 331 (1985).
    """
    system = as_system(system)
    gases = (gases,) if isinstance(gases, Gas) else tuple(gases)
    names = checked_names(system, gases, Gas, "gases")
    return assemble(system, diagonalize(system), GasJumps(gases, forward_scattering), names)


def collision_rates(levels: Spectrum, gas: Gas) -> tuple[Rates, Scalar]:
    """2πν R_kl (to, from), zero diagonal, and the estimated relative error of the worst.

    Halving the step of a double-exponential rule squares its error, which the sum over every other node therefore
    tells.
    """
    energies, d = levels.energies, levels.energies.shape[0]
    potential = potential_in_eigenbasis(gas, levels)
    ordered = jnp.sort(energies)
    ends = unstack(ordered)[1:]
    if d == 1:
        return jnp.zeros((1, 1), energies.dtype), jnp.zeros((), energies.dtype)
    if not gas.repulsive:
        bound = jnp.clip(resonances(energies, potential, gas), ordered[1], ordered[-1])
        ends = unstack(jnp.sort(jnp.concatenate([ordered[1:], bound])))
    nodes = nodes_between(ends, energies, gas.temperature)
    factor = 2 * gas.density / jnp.pi / jnp.sqrt(2 * jnp.pi * gas.mass * gas.temperature)
    real, imaginary = wave_numbers(nodes.distances.T, gas.mass)
    thermal = jnp.exp(-jnp.maximum(nodes.distances.T, 0.0) / gas.temperature) * nodes.weights[None]
    w = resolvents(real, imaginary, LayoutMatrix.of(potential, samples=1), gas.mass)
    # k_k k_l |W_kl|² e^{-β(E - E_l)}, which is |t_kl|²/(k_k k_l) but for constants.
    terms = w.abs2().without_diagonal().scaled(real, real * thermal)
    whole, apart = (terms.sum_over_samples(signs).array(energies.dtype) for signs in (None, nodes.signs))
    some = whole > 0
    error = jnp.max(jnp.where(some, jnp.abs(apart) / jnp.where(some, whole, 1.0), 0.0))
    return factor * whole, jax.lax.stop_gradient(error * error)


class GasJumps(AbstractJumps):
    """Collisions of each gas, one channel for every kinetic energy of the incoming particle at which they are added."""

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
        """Flagged where a gas is unphysical or an integral not resolved."""
        found = [collision_rates(spectrum, gas) for gas in self.gases]
        rates = stack([rate for rate, _ in found])
        status = raise_flag(~every(jnp.isfinite, rates), Status.NONFINITE_INPUT)
        for gas, (_, error) in zip(self.gases, found, strict=True):
            physical = (gas.temperature > 0) & (gas.mass > 0) & (gas.density >= 0)
            status = status | raise_flag(~physical, Status.UNPHYSICAL_BATH)
            status = status | raise_flag(error > UNRESOLVED, Status.INACCURATE_INTEGRAL)
        return rates, status

    def hamiltonian_shift(self, spectrum: Spectrum) -> Matrix | None:
        """Δ, ½(ν/2π) ∫dp G(p) (t + t†) between equal levels."""
        if not self.forward:
            return None
        half = sum(_forward(spectrum, gas) for gas in self.gases)
        return (half + half.conj().T) * spectrum.same_level.astype(half.dtype)

    def channels(self, spectrum: Spectrum) -> tuple[tuple[Channels, Channels], ...]:
        return tuple(_amplitudes(spectrum, gas) for gas in self.gases)


def _incoming(levels: Spectrum, gas: Gas) -> Nodes:
    """Nodes in the kinetic energy e, distances (node, from, channel) of the total energy from E_channel.

    The total energy is e + E_from, for degenerate levels their mean: unitarity, on which Gibbs rests, relates
    amplitudes at one total energy, coherences between the levels included.
    """
    centers, d = levels.centers, levels.energies.shape[0]
    # Levels that count as one open together: what differs between them by rounding must not leave one of them closed.
    # With their own derivatives.
    fixed = jax.lax.stop_gradient
    energies = fixed(centers) + (levels.energies - fixed(levels.energies))
    thresholds = energies[None, :] - centers[:, None]
    apart = thresholds[~np.eye(d, dtype=bool)]
    if not gas.repulsive:
        bound = resonances(energies, potential_in_eigenbasis(gas, levels), gas)
        apart = jnp.concatenate([apart, (bound[None, :] - centers[:, None]).reshape(-1)])
    # Of two levels one is above the other: half of their thresholds lie below e = 0.
    ascending = jnp.sort(jnp.clip(apart, 0.0, jnp.maximum(jnp.max(thresholds), 0.0)))[d * (d - 1) // 2 :]
    zero = jnp.zeros((), energies.dtype)
    return nodes_between([zero, *unstack(ascending)], thresholds, gas.temperature)


def _collisions(levels: Spectrum, gas: Gas) -> tuple[Array, Array, Array]:
    """K^{-½}VWK^{½}e^{-½β(E - B)}, of what leaves, and VWe^{-β(E - B)}, of what goes on, (from, to, node); weights.

    Functions of the level matrix B = diag(E_j) + M with K = √(2m(E - B)); M, zero in value, carries the derivative with
    respect to a Hamiltonian that mixes degenerate levels. Off the diagonal K^{-½}VWK^{½} = (i/m) K^{½}WK^{½}, which
    does not cancel at thresholds.
    """
    nodes, potential = _incoming(levels, gas), potential_in_eigenbasis(gas, levels)
    dtype, d = potential.dtype, potential.shape[0]
    mass, beta = gas.mass.astype(dtype), (1 / gas.temperature).astype(dtype)
    unit, mixing = jnp.eye(d, dtype=dtype), levels.mixing.astype(dtype)
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
    # The Boltzmann factor knows the energies themselves, so that Gibbs is stationary to second order in what is merged.
    kinetic = excess[each, each] - jax.lax.stop_gradient(levels.energies - levels.centers)[:, None]
    sources = excess, kinetic, unit, mixing.T
    leaving, within = map_leading(of_source, sources)
    return leaving, within, nodes.weights / jnp.sqrt(2 * jnp.pi * gas.mass * gas.temperature)


def _roots(excess: Array, mass: Array, dtype) -> tuple[Array, Array]:
    """k^{½} and k^{-½}, with the phases e^{±iπ/4} for k = iκ, by real roots: complex ones take ten times as long."""
    real, imaginary = wave_numbers(excess, mass)
    size = jnp.sqrt(real + imaginary)
    inverse = 1 / size
    eighth = float(np.sqrt(0.5))
    is_open = excess > 0
    cosine, sine = jnp.where(is_open, 1.0, eighth), jnp.where(is_open, 0.0, eighth)
    return tuple(jax.lax.complex(x * cosine, x * s).astype(dtype) for x, s in ((size, sine), (inverse, -sine)))


def _product(a: Array, b: Array) -> Array:
    """a @ b for matrices on the first two axes: sums over them leave long vectors to the machine."""
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)


def _amplitudes(levels: Spectrum, gas: Gas) -> tuple[Channels, Channels]:
    """A = (m/π) K^{-½}VWK^{½} e^{-½β(E - B)} at every node (node, to, from), 0 where the way out is closed; 2πνw A.

    Weights apart, whose roots would have no derivative at 0.
    """
    leaving, _, weights = _collisions(levels, gas)
    amplitudes = (gas.mass / jnp.pi).astype(leaving.dtype) * jnp.transpose(leaving, (2, 1, 0))
    return amplitudes, (2 * jnp.pi * gas.density * weights).astype(leaving.dtype)[:, None, None] * amplitudes


def _forward(levels: Spectrum, gas: Gas) -> Matrix:
    """½(ν/2π) ∫dp G(p) t(E_p + E_l) as an operator, both signs of p."""
    _, within, weights = _collisions(levels, gas)
    weight = 0.5 * gas.density * gas.mass / jnp.pi * weights
    return jnp.sum(weight.astype(within.dtype)[None, None] * within, axis=-1).T
