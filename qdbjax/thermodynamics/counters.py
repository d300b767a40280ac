"""What is counted: energy and particles that baths bring into the system, in any combination."""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float
from qdbjax.generators.generator import Generator, check_generator

COUNTED = ("energy", "particles", "heat", "entropy")


class Counter(eqx.Module):
    """X = Σ_b (u_b E_b + v_b N_b), E_b and N_b the energy and the particles that bath b has brought into the system.

    energy: u, (bath,), weight of the energy of each bath.
    particles: v, (bath,), weight of its particles.
    """

    energy: Float[Array, "*counter bath"]
    particles: Float[Array, "*counter bath"]


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

    X = E, N, E - μN or -(E - μN)/T of a bath, or their sum over the baths.

    generator: of any kind, for the names, temperatures and chemical potentials of its baths.
    of: "energy" E, "particles" N (every jump of D† of a `Field` or `Lead` brings one), "heat" E - μN, or "entropy"
        -(E - μN)/T, which the baths gain.
    bath: name or number; None for the sum over all.

    Returns a Counter, positive into the system except for the entropy. Raises ValueError for an unknown quantity or
    bath, and for particles where no bath exchanges any.
    *Source:* M. Esposito, U. Harbola, S. Mukamel, Rev. Mod. Phys. 81, 1665 (2009).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> qdb.thermodynamics.counter(generator, "energy", 0).energy
    Array([1., 0.], dtype=float64)
    """
    check_generator(generator)
    if of not in COUNTED:
        raise ValueError(f"of must be one of {COUNTED}; got {of!r}.")
    if of == "particles" and not generator.exchanges_particles:
        raise ValueError('of="particles" needs a Field or Lead among the baths; these exchange energy only.')
    temperatures, potentials = generator.temperatures, generator.chemical_potentials
    count = len(generator.names)
    counted = np.ones(count) if bath is None else np.eye(count)[bath_index(generator, bath)]
    counted = jnp.asarray(counted, temperatures.dtype)
    zero = jnp.zeros_like(counted)
    if of == "energy":
        return Counter(counted, zero)
    if of == "particles":
        return Counter(zero, counted)
    if of == "heat":
        return Counter(counted, -counted * potentials)
    inverse = counted / jnp.where(counted > 0, temperatures, 1.0)
    return Counter(-inverse, inverse * potentials)


def all_counters(generator: Generator) -> tuple[tuple[str, ...], Counter]:
    """Labels and one stacked Counter (counter, bath) of all currents.

    Of each bath in turn the particles, where any bath exchanges them, and the energy.
    """
    check_generator(generator)
    quantities = ("particles", "energy") if generator.exchanges_particles else ("energy",)
    labels = [(quantity, n) for n in range(len(generator.names)) for quantity in quantities]
    counters = [counter(generator, quantity, n) for quantity, n in labels]
    return tuple(f"{quantity} {generator.names[n]}" for quantity, n in labels), stack_counters(counters)


def stack_counters(counters: Sequence[Counter]) -> Counter:
    """One Counter with a leading axis."""
    return Counter(jnp.stack([each.energy for each in counters]), jnp.stack([each.particles for each in counters]))


def weight_polynomial(counters: Counter, baths: np.ndarray, charges: np.ndarray, powers: tuple[int, ...]) -> Array:
    """Coefficients (class, power) in the energy x of Π_c (u_cb x + v_cb q)^powers_c, for jumps of bath b and charge q.

    By one multiplication with (u x + v q) for each power: new coefficient of x^k = u · old of x^{k-1} + v q · old of
    x^k.
    """
    polynomial = [jnp.ones(baths.shape, counters.energy.dtype)]
    for c, power in enumerate(powers):
        slope = counters.energy[c][baths]
        constant = counters.particles[c][baths] * jnp.asarray(charges, slope.dtype)
        for _ in range(power):
            padded = [jnp.zeros_like(slope), *polynomial, jnp.zeros_like(slope)]
            polynomial = [slope * low + constant * high for low, high in itertools.pairwise(padded)]
    return jnp.stack(polynomial, axis=1)
