"""Time evolution under a protocol: a generator that changes slowly in time."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._status import Status, is_fatal, raise_flag
from qdbjax._types import AnyMatrix, Array, Float, Matrix
from qdbjax.compilation.closures import closed
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import check_dense
from qdbjax.generators.flows import charge_flows, quanta_flows
from qdbjax.generators.generator import Generator, energy_liouvillian
from qdbjax.generators.jumps import PerBath
from qdbjax.numerics.hermitian import pack, unpack
from qdbjax.numerics.products import dot
from qdbjax.solvers.breakpoints import Pieces, cut, held
from qdbjax.solvers.integration import Account, Evolution, Integration, Times, known_start

Protocol = Callable[[Array], Generator]


def _slope(generator: Generator, rho: Matrix) -> Matrix:
    """L(ρ), ρ and result in the basis of the Hamiltonian."""
    spectrum = generator.spectrum
    framed = spectrum.to_eigenbasis(rho)
    slope = dot(energy_liouvillian(spectrum, generator.jumps), framed.reshape(-1))
    return spectrum.from_eigenbasis(slope.reshape(rho.shape))


def _currents(protocol: Protocol, time: Array, generator: Generator, rho: Matrix) -> tuple[PerBath, PerBath, Array]:
    """Heat and energy current from each bath (bath,), and power Tr[Ḣ ρ]; positive into the system."""
    spectrum, jumps = generator.spectrum, generator.jumps
    framed = spectrum.to_eigenbasis(rho)
    energy = heat = charge_flows(spectrum, jumps, framed, spectrum.levels)
    if jumps.exchanges_particles:
        heat = energy - generator.chemical_potentials * quanta_flows(spectrum, jumps, framed)
    push = jax.jvp(lambda t: jnp.asarray(protocol(t).system.hamiltonian), (time,), (jnp.ones_like(time),))[1]
    return heat, energy, _trace(push, rho)


def _trace(operator: Matrix, rho: Matrix) -> Array:
    return jnp.real(jnp.sum(operator.astype(rho.dtype).T * rho))


def _seen(protocol: Protocol, time: Array, rho: Matrix, observables: dict[str, AnyMatrix]) -> tuple:
    """Results at one time: populations, Tr[A ρ], heat currents, power, energy, which baths have T > 0, status."""
    generator = protocol(time)
    populations = jnp.real(jnp.diagonal(generator.spectrum.to_eigenbasis(rho)))
    heat, _, work = _currents(protocol, time, generator, rho)
    values = {name: _trace(jnp.asarray(operator), rho) for name, operator in observables.items()}
    energy = _trace(jnp.asarray(generator.system.hamiltonian), rho)
    return populations, values, heat, work, energy, generator.temperatures > 0, generator.status


class _Ledger(eqx.Module):
    """The variables that are integrated: packed ρ, and heat, entropy flow and work since the start."""

    rho: Array
    heat: Float[Array, "*time bath"]
    entropy: Float[Array, "*time bath"]
    work: Array
    chemical: Array


# A jit of its own, so that JAX finds its derivative once: diffrax differentiates the field in several nested loops
# (first gradient through a driven qubit: 13 s of processor time for 19 s).
@eqx.filter_jit
def _ledger(protocol: Protocol, time: Array, ledger: _Ledger) -> _Ledger:
    """The time derivatives of the ledger."""
    generator, rho = protocol(time), unpack(ledger.rho)
    heat, energy, work = _currents(protocol, time, generator, rho)
    warm = generator.temperatures > 0
    # J^Q/T at T = 0 is infinite or undefined and would stop the integration; `_entropy_flow` makes it NaN afterwards.
    entropy = jnp.where(warm, heat / jnp.where(warm, generator.temperatures, 1.0), 0.0)
    return _Ledger(pack(_slope(generator, rho)), heat, entropy, work, jnp.sum(energy - heat))


def _entropy_flow(entropy: Array, warm: Array) -> Array:
    """∫J^Q/T dt, NaN from the first saved time at which T is not above 0."""
    lost = jnp.cumsum(~warm, axis=0, dtype=jnp.int32) > 0
    return jnp.where(lost, jnp.nan, entropy)


def evolve_driven(protocol: Protocol, *given: Any) -> Evolution:
    """`evolve` for a protocol. Numbers that it closes over become arguments of the program, where it allows that."""
    try:
        return _evolve_driven(closed(protocol), *given)
    except jax.errors.JAXTypeError:  # the protocol branches on one of its numbers, or gives it to NumPy
        return _evolve_driven(protocol, *given)


@jit_if_eager
def _evolve_driven(
    protocol: Protocol,
    rho: Matrix,
    times: Times,
    start: Array,
    observables: dict[str, AnyMatrix],
    how: Integration,
    save: str,
    breakpoints: Array | None,
) -> Evolution:
    """Integrates ρ with its account: d⟨H⟩/dt = Tr[Ḣ ρ] + Σ_b J^Q_b + Σ_b μ_b J^N_b, work, heat and chemical work."""
    d, (rho, status) = rho.shape[0], known_start(rho)
    check_dense(d, "a driven evolution")
    nothing = jnp.zeros((), times.dtype)
    empty = jnp.zeros_like(protocol(start).temperatures)
    first = _Ledger(pack(rho), empty, empty, nothing, nothing)
    if breakpoints is None:
        passed, arrived = how.run(lambda t, y: _ledger(protocol, t, y), first, start, times, lambda _, y: y)
        moments = times
    else:
        passed, moments, arrived = _in_pieces(protocol, first, cut(breakpoints, start, times[-1]), times, how)
    matrices = jax.vmap(unpack)(passed.rho)
    seen = jax.vmap(lambda t, each: _seen(protocol, t, each, observables))(moments, matrices)
    populations, values, heat, work, energy, warm, codes = seen
    status = status | raise_flag(~arrived, Status.INTEGRATION_FAILED) | jnp.bitwise_or.reduce(codes)
    bad = is_fatal(status) | ~arrived
    flow = _entropy_flow(passed.entropy, warm)
    account = Account(passed.heat, flow, passed.work, passed.chemical, energy)
    hide = lambda tree: jax.tree.map(lambda x: jnp.where(bad, jnp.nan, x), tree)  # noqa: E731
    populations, heat, work, values, account = hide((populations, heat, work, values, account))
    matrices = hide(matrices) if save == "density_matrix" else None
    return Evolution(times, populations, matrices, values, heat, work, account, status)


def _in_pieces(
    protocol: Protocol, first: _Ledger, pieces: Pieces, times: Times, how: Integration
) -> tuple[_Ledger, Times, Array]:
    """The ledger at the times, the times on their side of breakpoints, and whether the end was reached."""

    def field(clock, ledger):
        time, length = pieces.at(clock)
        return jax.tree.map(lambda x: length * x, _ledger(protocol, time, ledger))

    count, last = pieces.begins.shape[0] - 1, pieces.last_clocks
    exact = pieces.clocks(times)
    clocks = jnp.concatenate([jax.lax.stop_gradient(exact), last[:-1]])
    order = jnp.argsort(clocks)
    wholes = range(1, count + 1)
    found, arrived = how.run(field, first, jnp.zeros_like(last[0]), clocks[order], lambda _, y: y, last[-1], wholes)
    back = jnp.argsort(order)
    passed, crossed = (jax.tree.map(lambda x, n=n: x[n], found) for n in (back[:-count], back[-count:]))
    passed = jax.vmap(_moved, in_axes=(None, 0, 0, 0))(field, clocks[:-count], exact, passed)
    work = passed.work + _work_of_jumps(protocol, pieces, times, crossed.rho)
    piece = pieces.piece_of(times)
    moments = held(times, pieces.earliest[piece], pieces.latest[piece])
    return dataclasses.replace(passed, work=work), moments, arrived


def _moved(field: Callable, clock: Array, to: Array, ledger: _Ledger) -> _Ledger:
    """The ledger at `to`, equal to `clock` in value, by a step of Heun's method.

    Its first and second derivatives are exact; those of an integrator's interpolant miss 6e-7 at rtol = 1e-9.
    """
    step = to - clock
    slope = field(clock, ledger)
    ahead = field(to, jax.tree.map(lambda y, dy: y + step * dy, ledger, slope))
    return jax.tree.map(lambda y, a, b: y + 0.5 * step * (a + b), ledger, slope, ahead)


def _work_of_jumps(protocol: Protocol, pieces: Pieces, times: Times, packed: Array) -> Times:
    """Σ Tr[(H(s⁺) - H(s⁻)) ρ(s)] over the breakpoints s before each time; packed: ρ(s), (breakpoint, d, d)."""
    energy = jax.vmap(lambda t, rho: _trace(jnp.asarray(protocol(t).system.hamiltonian), unpack(rho)))
    jumps = energy(pieces.starting, packed) - energy(pieces.ending, packed)
    place = np.arange(len(jumps), dtype=np.int32)
    inside = pieces.begins[1:] > pieces.begins[0]
    crossed = (place[None] < pieces.piece_of(times)[:, None]) & inside[None]
    return jnp.sum(jnp.where(crossed, jumps[None], 0.0), axis=1)
