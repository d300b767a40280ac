"""What is counted: energy and particles that baths bring into the system, in any combination."""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array
from qdbjax.generators.generator import Generator, PerBath

COUNTED = ("energy", "particles", "heat", "entropy")


class Counter(eqx.Module):
    """X = Σ_b (u_b E_b + v_b N_b), E_b and N_b the energy and the particles that bath b has brought into the system.

    energy u (bath,), particles v (bath,).
    """

    energy: PerBath
    particles: PerBath


def bath_index(generator: Generator, bath: str | int, argument: str = "bath") -> int:
    """The number of a bath from its name or number."""
    if isinstance(bath, str) and bath in generator.names:
        return generator.names.index(bath)
    if isinstance(bath, (int, np.integer)) and not isinstance(bath, bool) and 0 <= bath < len(generator.names):
        return int(bath)
    known = ", ".join(f"{n} or {name!r}" for n, name in enumerate(generator.names))
    raise ValueError(f"{argument} must name a bath ({known}); got {bath!r}.")


def counter(generator: Generator, of: str = "energy", bath: str | int | None = None) -> Counter:
    """A counter of what one bath, or all together, bring into the system.

    of: "energy" E, "particles" N, "heat" E - μN, or "entropy", which counts -(E - μN)/T: what the baths gain.
    bath: name or number; None for the sum over all. Particles: every jump of D† of a `Field` or `Lead` brings one.
    Raises ValueError for an unknown quantity or bath, and for particles where no bath exchanges any.
    """
    if of not in COUNTED:
        raise ValueError(f"of must be one of {COUNTED}; got {of!r}.")
    if of == "particles" and not generator.exchanges_particles:
        raise ValueError('of="particles" needs a Field or Lead among the baths; these exchange energy only.')
    temperatures, potentials = generator.temperatures, generator.chemical_potentials
    count = len(generator.names)
    where = np.ones(count) if bath is None else np.eye(count)[bath_index(generator, bath)]
    where = jnp.asarray(where, temperatures.dtype)
    zero = jnp.zeros_like(where)
    if of == "energy":
        return Counter(where, zero)
    if of == "particles":
        return Counter(zero, where)
    if of == "heat":
        return Counter(where, -where * potentials)
    inverse = where / jnp.where(where > 0, temperatures, 1.0)
    return Counter(-inverse, inverse * potentials)


def all_counters(generator: Generator) -> tuple[tuple[str, ...], Counter]:
    """Names, and a stacked Counter (counter, bath): of each bath its particles, where any are exchanged, and energy."""
    kinds = ("particles", "energy") if generator.exchanges_particles else ("energy",)
    labels = [(kind, n) for n in range(len(generator.names)) for kind in kinds]
    counters = [counter(generator, kind, n) for kind, n in labels]
    return tuple(f"{kind} {generator.names[n]}" for kind, n in labels), stack_counters(counters)


def stack_counters(counters: Sequence[Counter]) -> Counter:
    """One Counter with a leading axis."""
    return Counter(jnp.stack([each.energy for each in counters]), jnp.stack([each.particles for each in counters]))


def weight_polynomial(counters: Counter, baths: np.ndarray, charges: np.ndarray, powers: tuple[int, ...]) -> Array:
    """Coefficients (kind, power) in the energy x of Π_c (u_cb x + v_cb q)^powers_c for jumps of bath b and charge q."""
    polynomial = [jnp.ones(baths.shape, counters.energy.dtype)]
    for c, power in enumerate(powers):
        slope = counters.energy[c][baths]
        constant = counters.particles[c][baths] * jnp.asarray(charges, slope.dtype)
        for _ in range(power):
            padded = [jnp.zeros_like(slope), *polynomial, jnp.zeros_like(slope)]
            polynomial = [slope * low + constant * high for low, high in itertools.pairwise(padded)]
    return jnp.stack(polynomial, axis=1)
