"""Cycles of transitions: what keeps a stationary state away from equilibrium goes around them, and produces entropy."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import is_traced
from qdbjax._repr import summary
from qdbjax._types import Array, RealVector, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.solvers.stationary import state_of
from qdbjax.states.state import StateLike

Step = tuple[int, int, int]  # bath (-1 for all together), to, from
Cycle = tuple[Step, ...]


def _edges(rates: np.ndarray) -> list[tuple[float, int, int, int]]:
    """(weight, bath, high, low) of every pair of levels that a bath connects, strongest first."""
    found = []
    for bath, table in enumerate(rates):
        for m in range(table.shape[0]):
            for n in range(m):
                both = table[m, n], table[n, m]
                if max(both) > 0:
                    found.append((float(np.sqrt(both[0] * both[1])), bath, m, n))
    return sorted(found, key=lambda edge: (-edge[0], *edge[1:]))


def _path(tree: dict[int, list[Step]], start: int, end: int) -> list[Step]:
    """Steps in the tree from one level to another."""
    seen, pending = {start}, [(start, [])]
    while pending:
        level, steps = pending.pop()
        if level == end:
            return steps
        for step in tree[level]:
            if step[1] not in seen:
                seen.add(step[1])
                pending.append((step[1], [*steps, step]))
    raise AssertionError("a spanning tree connects what its chords connect")


def cycle_basis(generator: Generator, *, by_bath: bool = True) -> tuple[Cycle, ...]:
    """Independent cycles of the transitions of a generator.

    A spanning tree of the strongest transitions; each transition outside of it closes one cycle, and is its first step.
    A transition counts if one of its two rates is not 0.

    generator: of any kind, with concrete numbers (the cycles depend on which rates vanish).
    by_bath: whether transitions between two levels by different baths are different ways, so that two of them close a
        cycle (heat from one bath to the other); otherwise rates are summed over baths, and the bath of each step is -1.

    Returns a tuple of cycles, each a tuple of steps (bath, to, from) that start where the step before ended. Raises
    TypeError inside jit, grad and vmap (find the cycles outside and give them to `cycle_analysis`), and ValueError for
    a batch of generators.
    *Source:* J. Schnakenberg, Rev. Mod. Phys. 48, 571 (1976).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.cycle_basis(generator)
    (((1, 1, 0), (0, 0, 1)),)
    """
    check_generator(generator)
    if is_traced(generator.rates):
        raise TypeError("cycle_basis needs concrete rates: call it outside jit, grad and vmap, and hand cycles= over.")
    rates = np.asarray(generator.rates)
    if rates.ndim != 3:
        raise ValueError(f"cycle_basis takes one generator, not a batch; got rates of shape {rates.shape}.")
    if by_bath:
        return independent_cycles(rates)
    joined = independent_cycles(rates.sum(axis=0)[None])
    return tuple(tuple((-1, to, start) for _, to, start in cycle) for cycle in joined)


def independent_cycles(rates: np.ndarray) -> tuple[Cycle, ...]:
    """Cycles of a table (bath, to, from): a transition left out of the tree, then the way back through the tree."""
    component = list(range(rates.shape[-1]))
    tree: dict[int, list[Step]] = {level: [] for level in component}
    chords = []
    for _, bath, m, n in _edges(rates):
        if component[m] == component[n]:
            chords.append((bath, m, n))
            continue
        merged, kept = component[m], component[n]
        component = [kept if each == merged else each for each in component]
        tree[n].append((bath, m, n))
        tree[m].append((bath, n, m))
    return tuple(((bath, m, n), *_path(tree, m, n)) for bath, m, n in chords)


class CycleAnalysis(eqx.Module):
    """Cycles with their affinities and currents; see `cycle_analysis`.

    ratios: Kolmogorov's Π W(forward)/Π W(backward), (cycle,), 1 under detailed balance.
    affinities: their logarithms A, (cycle,).
    currents: J, net turns per time in the direction of the steps, (cycle,).
    entropy_production: Σ A J over the cycles, Schnakenberg's, nats per time.
    cycles: steps (bath, to, from) of each cycle.
    names: labels of the baths.
    """

    ratios: RealVector
    affinities: RealVector
    currents: RealVector
    entropy_production: Scalar
    cycles: tuple[Cycle, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    def describe(self, number: int) -> str:
        """A cycle in words, in the direction of positive affinity: levels in turn, with the bath of each step."""
        cycle = self.cycles[number]
        if not is_traced(self.affinities) and self.affinities[number] < 0:
            cycle = tuple((bath, start, to) for bath, to, start in reversed(cycle))
        words = [str(cycle[0][2])]
        for bath, to, _ in cycle:
            words.append(f"→ {to}" if bath < 0 else f"–{self.names[bath]}→ {to}")
        return " ".join(words)

    def turns(self, number: int) -> float:
        """The current around a cycle in the direction of `describe`."""
        return float(self.currents[number]) * (-1 if self.affinities[number] < 0 else 1)

    def __repr__(self) -> str:
        if is_traced(self.affinities) or np.ndim(self.affinities) > 1:
            return summary(self, self.affinities, {}, rank=1, known={"cycles": len(self.cycles)})
        lines = [f"CycleAnalysis({len(self.cycles)} cycles, entropy production {float(self.entropy_production):.6g})"]
        for n in range(len(self.cycles)):
            force = abs(float(self.affinities[n]))
            lines.append(f"  {self.describe(n)}: affinity {force:.6g}, {self.turns(n):.6g} turns per time")
        return "\n".join(lines)


@jit_if_eager
def _analysis(generator: Generator, p: RealVector, cycles: tuple[Cycle, ...]) -> tuple[Array, Array]:
    tables = jnp.concatenate([generator.rates, generator.total_rates[None]])  # bath -1 is all together
    steps = [step for cycle in cycles for step in cycle]
    bath, to, start = (np.array([step[k] for step in steps], int) for k in range(3))
    member = np.repeat(np.arange(len(cycles)), [len(cycle) for cycle in cycles])
    forward, backward = tables[bath, to, start], tables[bath, start, to]
    log = lambda x: jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), -jnp.inf)  # noqa: E731
    force = log(forward) - log(backward)
    affinities = jnp.zeros((len(cycles),), p.dtype).at[member].add(force)
    first = np.array([np.flatnonzero(member == n)[0] for n in range(len(cycles))], int)
    currents = (forward * p[start] - backward * p[to])[first]
    return affinities, currents


def _check_cycles(cycles: tuple[Cycle, ...], baths: int, levels: int) -> None:
    """Raise ValueError for steps that are none: out of range, a compiled table would give the rate of another step."""
    for n, cycle in enumerate(cycles):
        if not all(np.shape(step) == (3,) for step in cycle):
            raise ValueError(f"cycles[{n}] must hold steps (bath, to, from), bath -1 for all of them; got {cycle!r}.")
        for bath, *ends in cycle:
            if not (-1 <= bath < baths and all(0 <= level < levels for level in ends)):
                allowed = f"baths -1 to {baths - 1} and levels 0 to {levels - 1}"
                raise ValueError(f"cycles[{n}] must hold steps (bath, to, from) of {allowed}; got {(bath, *ends)}.")


def cycle_analysis(
    generator: Generator,
    state: StateLike | None = None,
    cycles: tuple[Cycle, ...] | None = None,
    *,
    by_bath: bool = True,
) -> CycleAnalysis:
    """Affinities of independent cycles and the currents around them.

    A = ln Π W(forward)/Π W(backward), and in the stationary state σ = Σ_cycles A J with J the current through the
    transition that closes the cycle (Schnakenberg). All affinities vanish if and only if the rates obey detailed
    balance with some state; up by one bath and down by another it is ω(β_down - β_up). Only rates and populations
    enter; where coherence between equal levels moves populations too, the sum over pairs is `entropy_split`.

    generator: of any kind.
    state: as for `heat_currents`; by default the stationary one.
    cycles: as `cycle_basis` returns them; by default its own, which takes concrete numbers.
    by_bath: as for `cycle_basis`, where cycles are not given.

    Returns a CycleAnalysis, differentiable for given cycles. Affinities are infinite where a step has no way back,
    currents NaN where the state is flagged. Raises as `cycle_basis` where cycles are not given.
    *Source:* J. Schnakenberg, Rev. Mod. Phys. 48, 571 (1976); A. N. Kolmogorov, Math. Ann. 112, 155 (1936).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.balance.cycle_analysis(generator).affinities.round(4)  # up by cold: ω(1/T_hot - 1/T_cold)
    Array([-1.], dtype=float64)
    """
    found = state_of(generator, state)
    cycles = cycle_basis(generator, by_bath=by_bath) if cycles is None else cycles
    _check_cycles(cycles, len(generator.names), generator.dimension)
    if not cycles:
        empty = jnp.zeros((0,), generator.rates.dtype)
        return CycleAnalysis(empty, empty, empty, jnp.zeros((), empty.dtype), (), generator.names)
    affinities, currents = _analysis(generator, found.populations, cycles)
    # A current of 0 produces no entropy, even against an infinite affinity.
    cost = jnp.sum(jnp.where(currents == 0, 0.0, currents * affinities))
    return CycleAnalysis(jnp.exp(affinities), affinities, currents, cost, cycles, generator.names)
