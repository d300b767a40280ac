"""Time evolution under a protocol: a generator that changes slowly in time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from qdbjax._status import is_fatal
from qdbjax._types import Array, Matrix, compiled_when_eager
from qdbjax.generators.flows import charge_flows, exchanging, quanta_flows
from qdbjax.generators.generator import Generator, energy_liouvillian
from qdbjax.numerics.small import in_frame
from qdbjax.solvers.evolution import Evolution, Integration, Times, flags
from qdbjax.solvers.hermitian import pack, unpack
from qdbjax.solvers.zero_block import check_size

Protocol = Callable[[Array], Generator]


def _slope(generator: Generator, rho: Matrix) -> Matrix:
    """L(ρ), in and out in the basis of the Hamiltonian."""
    basis = jnp.asarray(generator.spectrum.basis, rho.dtype)
    framed = in_frame(basis, rho)
    moved = jnp.matmul(energy_liouvillian(generator.spectrum, generator.jumps), framed.reshape(-1), precision="highest")
    return in_frame(basis.conj().T, moved.reshape(rho.shape))


def _seen(protocol: Protocol, time: Array, rho: Matrix, observables: dict[str, Matrix]) -> tuple:
    """Level populations, Tr[A ρ], heat from each bath and work, at one time."""
    generator = protocol(time)
    spectrum, jumps = generator.spectrum, generator.jumps
    framed = in_frame(jnp.asarray(spectrum.basis, rho.dtype), rho)
    heat = charge_flows(spectrum, jumps, framed, spectrum.levels)
    if exchanging(jumps):
        heat = heat - generator.chemical_potentials * quanta_flows(spectrum, jumps, framed)
    push = jax.jvp(lambda t: jnp.asarray(protocol(t).system.hamiltonian), (time,), (jnp.ones_like(time),))[1]
    trace = lambda operator: jnp.real(jnp.sum(operator.astype(rho.dtype).T * rho))  # noqa: E731
    values = {name: trace(jnp.asarray(operator)) for name, operator in observables.items()}
    return jnp.real(jnp.diagonal(framed)), values, heat, trace(push), generator.status


@compiled_when_eager
def evolve_driven(
    protocol: Protocol,
    rho: Matrix,
    times: Times,
    start: Array,
    observables: dict[str, Matrix],
    how: Integration,
    save: str,
) -> Evolution:
    """See `evolve`. Work per time is Tr[Ḣ ρ]; with heat it adds up to the change of ⟨H⟩, particle energies apart."""
    d = rho.shape[0]
    check_size(d, "a driven evolution")

    def field(time, packed):
        return pack(_slope(protocol(time), unpack(packed)))

    packed, arrived = how.run(field, pack(rho), start, times, lambda _, y: y)
    matrices = jax.vmap(unpack)(packed)
    levels, values, heat, work, codes = jax.vmap(lambda t, each: _seen(protocol, t, each, observables))(times, matrices)
    status = flags(arrived.astype(times.dtype))
    status = status | jnp.bitwise_or.reduce(codes)
    bad = is_fatal(status) | ~arrived
    levels, heat, work, values = jax.tree.map(lambda x: jnp.where(bad, jnp.nan, x), (levels, heat, work, values))
    matrices = jnp.where(bad, jnp.nan, matrices) if save == "density_matrix" else None
    return Evolution(times, levels, matrices, values, heat, work, status)
