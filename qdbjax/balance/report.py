"""The balance report: whether a generator obeys detailed balance, what decides it, what flows and what it costs."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, explain
from qdbjax._types import Array, RealVector, Scalar
from qdbjax.balance.cycles import CycleAnalysis, cycle_analysis, cycle_basis, independent_cycles
from qdbjax.balance.inner_products import SymmetryResiduals, symmetry_residuals
from qdbjax.balance.micro_balance import effective_inverse_temperatures
from qdbjax.balance.pairwise import entropy_split
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import DENSE_LIMIT
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.solvers.stationary import steady_state
from qdbjax.states.state import State, StateLike, as_state
from qdbjax.thermodynamics import (
    energy_currents,
    entropy_production,
    heat_currents,
    micro_currents,
    particle_currents,
)
from qdbjax.thermodynamics.currents import gross_currents, zero_below_rounding

BALANCE_ROUNDING = 1e-9  # currents below this part of the traffic, and affinities below it, count as zero
BALANCE_VERDICTS = {
    "equilibrium": "equilibrium: detailed balance holds, nothing flows",
    "unbalanced": "nothing flows, but detailed balance does not hold",
    "driven": "driven steady state: each bath obeys detailed balance, the baths together do not",
    "broken": "detailed balance is broken within a bath: it drives a cycle by itself",
    "transient": "not stationary: the state is still changing",
    "undecided": "no verdict: the stationary state is flagged",
}


class BalanceReport(eqx.Module):
    """What `balance_report` found; `print` it to read it.

    verdict: "equilibrium"; "unbalanced" (nothing flows, yet rates or coherences are not those of the baths); "driven";
        "broken" (a bath drives a cycle by itself); "transient"; or "undecided".
    status: flags of the state (`explain`).
    names, temperatures, chemical_potentials: of the baths, (bath,).
    populations: of the energy levels, (level,).
    symmetry: SymmetryResiduals of the dissipator; None above d = 32.
    cycles: CycleAnalysis with every bath a way of its own.
    own_affinities: the largest affinity of a cycle that a bath closes by itself, (bath,).
    shown_temperatures: the lowest and highest T that ratios of a bath's rates show, (bath, 2); NaN where they show the
        bath's own, and for baths without one or that exchange particles.
    micro_currents: net quanta per time, (bath, m, n).
    imbalance: the largest micro-current over the largest flow in one direction.
    heat_currents: into the system, (bath,).
    traffic: energy that a bath carries in both directions, (bath,); a net current far below it is rounding.
    particle_currents: into the system, (bath,); None where none are exchanged.
    energy_change: Σ of the energy currents, zero in a stationary state.
    entropy_production: nats per time.
    rates_production: Schnakenberg's entropy production, from rates and populations alone.
    inverse_temperatures: effective 1/T of each level against the lowest, (level,).
    coherence: largest |ρ_mn| of two different eigenstates m and n.
    secular_error: of the stationary state (`SteadyState`); NaN for a state that is given as a matrix.
    """

    verdict: str
    status: int
    names: tuple[str, ...]
    temperatures: np.ndarray
    chemical_potentials: np.ndarray
    populations: np.ndarray
    symmetry: SymmetryResiduals | None
    cycles: CycleAnalysis
    own_affinities: np.ndarray
    shown_temperatures: np.ndarray
    micro_currents: np.ndarray
    imbalance: float
    heat_currents: np.ndarray
    traffic: np.ndarray
    particle_currents: np.ndarray | None
    energy_change: float
    entropy_production: float
    rates_production: float
    inverse_temperatures: np.ndarray
    coherence: float
    secular_error: float

    def __repr__(self) -> str:
        lines = [
            f"Balance report: {len(self.populations)} levels; {self._baths()}",
            f"  {BALANCE_VERDICTS[self.verdict]}.",
        ]
        if self.verdict == "undecided":
            return "\n".join([*lines, f"  {explain(self.status)}"])
        for title, words in (
            ("Flows", self._flows()),
            ("Cost", self._cost()),
            ("Symmetry", self._symmetry()),
            ("Cycles", self._cycles()),
            ("Levels", self._levels()),
            ("Caution", self._cautions()),
        ):
            lines += [f"{title if n == 0 else '':<10}{each}" for n, each in enumerate(words)]
        return "\n".join(lines)

    def _baths(self) -> str:
        words = []
        for name, temperature, potential in zip(self.names, self.temperatures, self.chemical_potentials, strict=True):
            parts = ["without one temperature" if np.isnan(temperature) else f"T = {temperature:.6g}"]
            parts += [f"μ = {potential:.6g}"] if potential != 0 else []
            words.append(f"{name} ({', '.join(parts)})")
        return ", ".join(words)

    def _flows(self) -> list[str]:
        if self.imbalance <= BALANCE_ROUNDING:
            return [f"none: the largest micro-current is {_short(self.imbalance)} of the largest one-way flow"]
        currents = self.micro_currents
        lines = [f"the largest micro-current is {_short(self.imbalance)} of the largest one-way flow"]
        order = np.argsort(currents, axis=None)[::-1][:3]
        for b, m, n in (np.unravel_index(k, currents.shape) for k in order):
            if currents[b, m, n] > BALANCE_ROUNDING * currents.max():
                lines.append(f"{self.names[b]} moves the system {n} → {m}, net {currents[b, m, n]:.4g} per time")
        # A net heat current within the rounding of the traffic is shown as 0: a single bath that drives a cycle by
        # itself has traffic, and no net heat.
        shown = np.asarray(zero_below_rounding(jnp.asarray(self.heat_currents), jnp.asarray(self.traffic)))
        if self.verdict == "transient":
            rest = f"the system's energy changes by {self.energy_change:+.4g} per time"
        else:
            rest = f"all energies add up to {self.energy_change:.1g}"
        lines.append(f"heat into the system: {self._by_bath(shown)}; {rest}")
        if self.particle_currents is not None:
            work = float(self.chemical_potentials @ self.particle_currents)
            brought = self._by_bath(self.particle_currents)
            lines.append(f"particles into the system: {brought}; chemical work on it {work:+.4g} per time")
        return lines

    def _by_bath(self, values: np.ndarray) -> str:
        return ", ".join(f"{name} {x:+.4g}" for name, x in zip(self.names, values, strict=True))

    def _cost(self) -> list[str]:
        if np.isnan(self.entropy_production):
            return ["entropy production unknown: a bath has no one temperature"]
        warm = self.temperatures > 0
        carried = np.sum(self.traffic[warm] / self.temperatures[warm])
        none = (
            self.verdict in ("equilibrium", "unbalanced") and abs(self.entropy_production) <= BALANCE_ROUNDING * carried
        )
        shown = 0.0 if none else float(zero_below_rounding(jnp.asarray(self.entropy_production), jnp.asarray(carried)))
        words = [f"entropy production {shown:.4g} per time"]
        if shown < 0:
            words.append("against the second law: the rates are not those of baths at these temperatures")
        counted = self.rates_production
        if self.imbalance > BALANCE_ROUNDING and abs(counted - self.entropy_production) > 1e-6 * abs(counted):
            reason = (
                "coherence between levels makes the difference"
                if self.coherence > BALANCE_ROUNDING
                else "their ratios are not those of the bath"
            )
            words.append(f"the rates alone (Schnakenberg) count {counted:.4g}: {reason}")
        return words

    def _symmetry(self) -> list[str]:
        if self.symmetry is None:
            return []
        if np.isnan(self.symmetry.total):
            return ["not asked for: the state has an eigenvalue 0, and no inner product of its own"]
        share = float(self.symmetry.total) / max(float(self.symmetry.size), np.finfo(float).tiny)
        each = ", ".join(f"{name} {float(x):.2g}" for name, x in zip(self.names, self.symmetry.baths, strict=True))
        lines = [
            f"the dissipator misses its GNS adjoint by {_short(share)} of its norm",
            f"bath by bath, in this state: {each}",
        ]
        if self.verdict == "driven" and share <= BALANCE_ROUNDING:
            lines.append("all baths together pass for one in equilibrium: only bath by bath is the drive seen")
        return lines

    def _cycles(self) -> list[str]:
        lines = []
        for name, affinity, (low, high) in zip(self.names, self.own_affinities, self.shown_temperatures, strict=True):
            if affinity > BALANCE_ROUNDING:
                alone = f"drives a cycle of affinity {affinity:.4g}"
            elif np.isnan(low):
                alone = "obeys detailed balance"
            elif high - low <= 1e-8 * abs(high):
                alone = f"obeys detailed balance at T = {low:.6g}, not at its own"
            else:
                alone = f"drives no cycle, but shows T from {low:.4g} to {high:.4g}"
            lines.append(f"{name} by itself {alone}")
        affinities = np.abs(np.asarray(self.cycles.affinities))
        if affinities.size and affinities.max() > BALANCE_ROUNDING:
            cost = np.where(np.isfinite(affinities), affinities, 0.0) * np.abs(np.asarray(self.cycles.currents))
            worst = int(np.argmax(cost if cost.max() > 0 else affinities))
            turns = f"affinity {affinities[worst]:.4g}, {self.cycles.turns(worst):.4g} turns per time"
            lines.append(f"decisive: {self.cycles.describe(worst)}, {turns}")
        elif affinities.size:
            lines.append(f"all {affinities.size} together have Kolmogorov ratio 1")
        return lines

    def _levels(self) -> list[str]:
        known = self.inverse_temperatures[~np.isnan(self.inverse_temperatures)]
        if known.size == 0:
            return []
        low, high = known.min() + 0.0, known.max() + 0.0  # no -0
        if np.isinf(high):
            return ["are not all populated: 1/T = inf"]
        if known.size == 1:
            return [f"two populations always show one temperature, here 1/T = {high:.6g}"]
        if high - low <= 1e-8 * max(abs(high), abs(low), 1e-8):
            still = "" if self.verdict == "equilibrium" else ": the populations are thermal, the flows are not"
            return [f"all show one temperature, 1/T = {high:.6g}{still}"]
        words = [f"show 1/T from {low:.4g} to {high:.4g}: no Gibbs state"]
        words += ["a level is inverted"] if low < 0 else []
        words += ["yet no cycle is driven"] if self.verdict == "equilibrium" else []
        return ["; ".join(words)]

    def _cautions(self) -> list[str]:
        if not self.status:
            return []
        size = f" (by about {self.secular_error:.2g} of the largest)" if self.status & Status.NEAR_DEGENERATE else ""
        return [explain(self.status) + size]


def _short(share: float) -> str:
    """A share of the whole as a short number."""
    return f"{share:.1e}" if share < 1e-3 else f"{share:.3g}"


def _own_affinities(generator: Generator) -> np.ndarray:
    """The largest affinity of a cycle within each bath."""
    rates, found = np.asarray(generator.rates), []
    for table in rates:
        cycles = independent_cycles(table[None])
        with np.errstate(divide="ignore"):
            affinities = [sum(np.log(table[n, l]) - np.log(table[l, n]) for _, n, l in cycle) for cycle in cycles]
        found.append(max((abs(each) for each in affinities), default=0.0))
    return np.array(found)


def _shown_temperatures(generator: Generator) -> np.ndarray:
    """Lowest and highest T = ω/ln(Γ(ω)/Γ(-ω)) of the pairs of a bath's rates; NaN where all show the bath's own T."""
    spectrum, found = generator.spectrum, np.full((len(generator.names), 2), np.nan)
    own = spectrum.window is None or spectrum.is_one_level
    frequencies = np.asarray(spectrum.frequencies if own else spectrum.noise_frequencies)
    if generator.exchanges_particles:
        return found
    for bath, (rates, temperature) in enumerate(zip(generator.rates, generator.temperatures, strict=True)):
        rates = np.asarray(rates)
        least = 1e-290 * rates.max(initial=0.0)  # the smallest numbers have few digits
        pairs = (frequencies > 0) & (rates > least) & (least < rates.T) & (rates.T > 0)
        omega, affinity = frequencies[pairs], np.log(rates[pairs]) - np.log(rates.T[pairs])
        if not temperature > 0 or not omega.size:
            continue
        wanted = omega / float(temperature)
        if np.any(np.abs(affinity - wanted) > BALANCE_ROUNDING * np.maximum(wanted, 1)):
            shown = np.where(affinity == 0, np.inf, omega / np.where(affinity == 0, 1.0, affinity))
            found[bath] = shown.min(), shown.max()
    return found


class _Reading(eqx.Module):
    """The numbers of a report that one compiled call computes."""

    state: State
    symmetry: SymmetryResiduals | None
    micro_currents: Array
    heat_currents: Array
    traffic: Array
    particle_currents: Array | None
    energy_change: Scalar
    entropy_production: Scalar
    rates_production: Scalar
    inverse_temperatures: RealVector
    coherence: Scalar
    motion: Scalar


@jit_if_eager
def _read(generator: Generator, found: State) -> _Reading:
    dense = generator.dimension <= DENSE_LIMIT
    rho = found.energy_density_matrix
    largest_change = jnp.zeros(())
    if dense:
        largest_change = jnp.max(jnp.abs(generator.apply(generator.spectrum.from_eigenbasis(rho))))
    return _Reading(
        found,
        symmetry_residuals(generator, found) if dense else None,
        micro_currents(generator, found),
        heat_currents(generator, found),
        gross_currents(generator, found),
        particle_currents(generator, found) if generator.exchanges_particles else None,
        jnp.sum(energy_currents(generator, found)),
        entropy_production(generator, found),
        entropy_split(generator, found).schnakenberg,
        effective_inverse_temperatures(generator, found),
        jnp.max(jnp.abs(rho - jnp.diag(jnp.diagonal(rho)))),
        largest_change / jnp.where(generator.fastest_rate > 0, generator.fastest_rate, 1.0),
    )


def _verdict(reading: _Reading, imbalance: float, own: np.ndarray, shown: np.ndarray, cycles: CycleAnalysis) -> str:
    if not np.all(np.isfinite(np.asarray(reading.state.populations))):
        return "undecided"
    if own.max(initial=0.0) > BALANCE_ROUNDING:
        return "broken"
    if float(reading.motion) > BALANCE_ROUNDING:
        return "transient"
    driven = np.abs(np.asarray(cycles.affinities)).max(initial=0.0) > BALANCE_ROUNDING
    if driven or imbalance > BALANCE_ROUNDING:
        return "driven"
    symmetry = reading.symmetry
    missed = 0.0 if symmetry is None else float(symmetry.total) / max(float(symmetry.size), np.finfo(float).tiny)
    return "unbalanced" if missed > BALANCE_ROUNDING or not np.all(np.isnan(shown)) else "equilibrium"


def balance_report(generator: Generator, state: StateLike | None = None) -> BalanceReport:
    """In plain words: whether a generator obeys detailed balance, what breaks it, what flows and what it costs.

    Reads Kolmogorov cycles of each bath alone and of all together, micro-currents of the state, the symmetry of the
    dissipator in the GNS product, temperatures that the rates of each bath show beside the one that it has, heat and
    entropy production, and the effective temperatures of the levels. Levels are
    numbered as in `generator.rates`.

    generator: of any kind, one with concrete numbers.
    state: as for `heat_currents`; by default the stationary one. Of another state the report says what it does at
        present.

    Returns a BalanceReport with the numbers; print it. Its verdict is "undecided" where the state is NaN. Raises
    TypeError inside jit, grad and vmap (use `cycle_analysis`, `symmetry_residuals`, `micro_currents` there), and
    ValueError for a batch of generators.
    *Source:* J. Schnakenberg, Rev. Mod. Phys. 48, 571 (1976); A. Kossakowski et al., Commun. Math. Phys. 57, 97 (1977).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> print(qdb.balance_report(generator).verdict)
    driven
    """
    check_generator(generator)
    basis = cycle_basis(generator)
    given = steady_state(generator) if state is None else state
    reading = _read(generator, as_state(given, generator.spectrum))
    found = reading.state
    cycles, own = cycle_analysis(generator, found, basis), _own_affinities(generator)
    shown = _shown_temperatures(generator)
    currents = np.asarray(reading.micro_currents)
    largest = np.max(np.asarray(generator.rates) * np.asarray(found.populations)[None, None, :])
    imbalance = float(np.abs(currents).max() / max(largest, np.finfo(float).tiny))
    particles = reading.particle_currents
    return BalanceReport(
        verdict=_verdict(reading, imbalance, own, shown, cycles),
        status=int(getattr(given, "status", generator.status)),
        names=generator.names,
        temperatures=np.asarray(generator.temperatures),
        chemical_potentials=np.asarray(generator.chemical_potentials),
        populations=np.asarray(found.populations),
        symmetry=reading.symmetry,
        cycles=cycles,
        own_affinities=own,
        shown_temperatures=shown,
        micro_currents=currents,
        imbalance=imbalance,
        heat_currents=np.asarray(reading.heat_currents),
        traffic=np.asarray(reading.traffic),
        particle_currents=None if particles is None else np.asarray(particles),
        energy_change=float(reading.energy_change),
        entropy_production=float(reading.entropy_production),
        rates_production=float(reading.rates_production),
        inverse_temperatures=np.asarray(reading.inverse_temperatures),
        coherence=float(reading.coherence),
        secular_error=float(getattr(given, "secular_error", np.nan)),
    )
