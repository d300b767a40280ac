"""The balance report: whether a generator obeys detailed balance, what decides it, what flows and what it costs."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._status import explain
from qdbjax._types import Array, RealVector, Scalar, compiled_when_eager
from qdbjax.balance.cycles import CycleAnalysis, cycle_analysis, cycle_basis, independent_cycles
from qdbjax.balance.dynamical import effective_inverse_temperatures
from qdbjax.balance.products import SymmetryResiduals, symmetry_residuals
from qdbjax.generators.generator import DENSE_LIMIT, Generator
from qdbjax.solvers.asymptotic import AsymptoticState, State, as_state
from qdbjax.solvers.steady_state import SteadyState, steady_state
from qdbjax.thermodynamics import energy_currents, entropy_production, heat_currents, micro_currents

ROUNDING = 1e-9  # currents below this part of the traffic, and affinities below it, count as zero
VERDICTS = {
    "equilibrium": "equilibrium: detailed balance holds, nothing flows",
    "driven": "driven steady state: each bath obeys detailed balance, the baths together do not",
    "broken": "detailed balance is broken within a bath: it drives a cycle by itself",
    "transient": "not stationary: the state is still changing",
    "undecided": "no verdict: the stationary state is flagged",
}


class BalanceReport(eqx.Module):
    """What `balance_report` found; `print` it to read it.

    verdict: "equilibrium", "driven", "broken" (a bath drives a cycle by itself), "transient" or "undecided".
    symmetry: SymmetryResiduals of the dissipator (None above d = 32). cycles: CycleAnalysis with every bath a way of
    its own; own_affinities (bath,): the largest affinity of a cycle that a bath closes by itself. micro_currents (bath,
    m, n), heat_currents (bath,), entropy_production, imbalance: largest micro-current over the largest flow one way.
    heat_traffic: largest Σ|ω||K| of a bath, beside which a heat current may be rounding.
    inverse_temperatures (level,): what each level shows against the lowest. first_law: what energy currents miss to add
    up to zero.
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
    micro_currents: np.ndarray
    imbalance: float
    heat_currents: np.ndarray
    heat_traffic: float
    first_law: float
    entropy_production: float
    inverse_temperatures: np.ndarray
    secular_ratio: float

    def __repr__(self) -> str:
        lines = [f"Balance report: {len(self.populations)} levels; {self._baths()}", f"  {VERDICTS[self.verdict]}."]
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
        if self.imbalance <= ROUNDING:
            return [f"none: the largest micro-current is {_part(self.imbalance)} of the largest one-way flow"]
        currents = self.micro_currents
        lines = [f"the largest micro-current is {_part(self.imbalance)} of the largest one-way flow"]
        order = np.argsort(currents, axis=None)[::-1][:3]
        for b, m, n in (np.unravel_index(k, currents.shape) for k in order):
            if currents[b, m, n] > ROUNDING * currents.max():
                lines.append(f"{self.names[b]} moves the system {n} → {m}, net {currents[b, m, n]:.4g} per time")
        # What is 0 to rounding is said to be 0: all heat of a bath that drives a cycle by itself.
        shown = np.where(np.abs(self.heat_currents) > ROUNDING * self.heat_traffic, self.heat_currents, 0.0)
        heat = [f"{name} {x:+.4g}" for name, x in zip(self.names, shown, strict=True)]
        return [*lines, f"heat into the system: {', '.join(heat)}; all energies add up to {self.first_law:.1g}"]

    def _cost(self) -> list[str]:
        if np.isnan(self.entropy_production):
            return ["entropy production unknown: a bath has no one temperature"]
        words = [f"entropy production {self.entropy_production:.4g} per time"]
        counted = float(self.cycles.entropy_production)
        if abs(counted - self.entropy_production) > 1e-6 * abs(counted) and self.imbalance > ROUNDING:
            words.append(f"the rates alone (Schnakenberg) count {counted:.4g}: their ratios are not those of the bath")
        return words

    def _symmetry(self) -> list[str]:
        if self.symmetry is None:
            return []
        share = float(self.symmetry.total) / max(float(self.symmetry.size), np.finfo(float).tiny)
        each = ", ".join(f"{name} {float(x):.2g}" for name, x in zip(self.names, self.symmetry.baths, strict=True))
        return [
            f"the dissipator misses its GNS adjoint by {_part(share)} of its norm",
            f"bath by bath, in this state: {each}",
        ]

    def _cycles(self) -> list[str]:
        lines = []
        for name, affinity in zip(self.names, self.own_affinities, strict=True):
            alone = "obeys detailed balance" if affinity <= ROUNDING else f"drives a cycle of affinity {affinity:.4g}"
            lines.append(f"{name} by itself {alone}")
        affinities = np.abs(np.asarray(self.cycles.affinities))
        if affinities.size and affinities.max() > ROUNDING:
            cost = np.where(np.isfinite(affinities), affinities, 0.0) * np.abs(np.asarray(self.cycles.currents))
            worst = int(np.argmax(cost if cost.max() > 0 else affinities))
            turns = f"affinity {affinities[worst]:.4g}, {self.cycles.turns(worst):.4g} turns per time"
            lines.append(f"decisive: {self.cycles.describe(worst)}, {turns}")
        elif affinities.size:
            lines.append(f"all {affinities.size} together have Kolmogorov ratio 1")
        return lines

    def _levels(self) -> list[str]:
        shown = self.inverse_temperatures[np.isfinite(self.inverse_temperatures)]
        if shown.size == 0:
            return []
        low, high = shown.min(), shown.max()
        if high - low <= 1e-8 * max(abs(high), abs(low), 1e-8):
            return [f"all show one temperature, 1/T = {high:.6g}"]
        return [f"show 1/T from {low:.4g} to {high:.4g}: no Gibbs state{'; a level is inverted' if low < 0 else ''}"]

    def _cautions(self) -> list[str]:
        return [f"{explain(self.status)} (secular ratio {self.secular_ratio:.2g})"] if self.status else []


def _part(share: float) -> str:
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


class _Reading(eqx.Module):
    """What is computed in one compiled call."""

    state: SteadyState | AsymptoticState
    symmetry: SymmetryResiduals | None
    micro_currents: Array
    heat_currents: Array
    first_law: Scalar
    entropy_production: Scalar
    inverse_temperatures: RealVector
    motion: Scalar
    secular_ratio: Scalar


@compiled_when_eager
def _read(generator: Generator, state: State | None) -> _Reading:
    found = steady_state(generator) if state is None else as_state(generator, state)
    dense = generator.dimension <= DENSE_LIMIT
    motion = jnp.max(jnp.abs(generator.apply(found.density_matrix))) if dense else jnp.zeros(())
    return _Reading(
        found,
        symmetry_residuals(generator, found) if dense else None,
        micro_currents(generator, found),
        heat_currents(generator, found),
        jnp.sum(energy_currents(generator, found)),
        entropy_production(generator, found if state is None else found.density_matrix),
        effective_inverse_temperatures(generator, found),
        motion / jnp.where(generator.scale > 0, generator.scale, 1.0),
        generator.secular_ratio,
    )


def _verdict(reading: _Reading, imbalance: float, own: np.ndarray, cycles: CycleAnalysis) -> str:
    if not np.all(np.isfinite(np.asarray(reading.state.populations))):
        return "undecided"
    if own.max(initial=0.0) > ROUNDING:
        return "broken"
    if float(reading.motion) > ROUNDING:
        return "transient"
    driven = np.abs(np.asarray(cycles.affinities)).max(initial=0.0) > ROUNDING
    return "driven" if driven or imbalance > ROUNDING else "equilibrium"


def balance_report(generator: Generator, state: State | None = None) -> BalanceReport:
    """In plain words: whether a generator obeys detailed balance, what breaks it, what flows and what it costs.

    Reads Kolmogorov cycles of each bath alone and of all together, micro-currents of the state, the symmetry of the
    dissipator in the GNS product, heat and entropy production, and the temperatures that levels show. Levels are
    numbered as in `generator.rates`. state: by default the stationary one; of another one, what it does now.
    Returns a BalanceReport with the numbers; print it. Takes one generator with concrete numbers (TypeError inside jit,
    grad and vmap; there use what it reads: `cycle_analysis`, `symmetry_residuals`, `micro_currents`).
    *Source:* J. Schnakenberg, Rev. Mod. Phys. 48, 571 (1976); A. Kossakowski et al., Commun. Math. Phys. 57, 97 (1977).
    """
    basis = cycle_basis(generator)
    reading = _read(generator, state)
    found = reading.state
    cycles, own = cycle_analysis(generator, found, basis), _own_affinities(generator)
    currents = np.asarray(reading.micro_currents)
    traffic = np.max(np.asarray(generator.rates) * np.asarray(found.populations)[None, None, :])
    imbalance = float(np.abs(currents).max() / max(traffic, np.finfo(float).tiny))
    return BalanceReport(
        verdict=_verdict(reading, imbalance, own, cycles),
        status=int(getattr(found, "status", generator.status)),
        names=generator.names,
        temperatures=np.asarray(generator.temperatures),
        chemical_potentials=np.asarray(generator.chemical_potentials),
        populations=np.asarray(found.populations),
        symmetry=reading.symmetry,
        cycles=cycles,
        own_affinities=own,
        micro_currents=currents,
        imbalance=imbalance,
        heat_currents=np.asarray(reading.heat_currents),
        heat_traffic=float(np.abs(np.asarray(generator.spectrum.frequencies) * currents).sum(axis=(1, 2)).max()),
        first_law=float(reading.first_law),
        entropy_production=float(reading.entropy_production),
        inverse_temperatures=np.asarray(reading.inverse_temperatures),
        secular_ratio=float(reading.secular_ratio),
    )
