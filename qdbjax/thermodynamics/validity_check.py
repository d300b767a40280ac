"""Whether the steps that led to a weak-coupling generator are justified, in numbers and in words."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import is_traced
from qdbjax._repr import summary
from qdbjax._types import Array, Bool, Float, Scalar
from qdbjax.baths import memory_time
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.bath_jumps import AbstractBathJumps, bath_operators
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.generators.interaction_picture import coherence_exponents
from qdbjax.numerics.entries import stack
from qdbjax.numerics.matrix import squared
from qdbjax.solvers.secular import DROPPED
from qdbjax.solvers.stationary import steady_state

SMALL, LARGE = 0.1, 1.0  # ratios up to which a step holds, and beyond which it fails


class Validity(eqx.Module):
    """Ratios that must be small for each step of the derivation: up to 0.1 it holds, above 1 it fails.

    The secular step holds up to 0.05, which flags a state, and fails above 0.5.

    born: (bath,), fastest decay times memory time of the bath: whether it has forgotten before the system reacts. NaN,
        like the next, where rates or jump operators were given.
    markov: (bath,), largest change of a rate of the bath within the fastest linewidth, in units of its fastest rate.
    secular: estimated change of the stationary energy currents by the terms that the step dropped, over the largest
        of them (`SteadyState.secular_error`), without derivative; 0 where no such step was made.
    memory_times: (bath,), inverse energy.
    relaxation_time: of the fastest decay, inverse energy.
    smallest_difference: of distinct Bohr frequencies, energy.
    names: labels of the baths.
    step: "secular", or what became of that step.
    """

    born: Float[Array, " bath"]
    markov: Float[Array, " bath"]
    secular: Scalar
    memory_times: Float[Array, " bath"]
    relaxation_time: Scalar
    smallest_difference: Scalar
    names: tuple[str, ...] = eqx.field(static=True)
    step: str = eqx.field(static=True)

    @property
    def holds(self) -> Bool[Array, ""]:
        """Whether every step holds."""
        return (jnp.max(self.born) <= SMALL) & (jnp.max(self.markov) <= SMALL) & (self.secular <= DROPPED)

    def __repr__(self) -> str:
        if is_traced(self.secular) or self.secular.ndim > 0:
            return summary(self, self.secular, {}, known={"baths": ", ".join(self.names)})
        lines = [f"Weak-coupling steps; the fastest decay takes {float(self.relaxation_time):.3g}"]
        if np.all(np.isnan(self.born)):
            lines.append("Born and Markov: not known, the rates or jump operators do not tell of which bath they are")
            return "\n".join([*lines, self._secular()])
        for n, name in enumerate(self.names):
            lines.append(f"  {name}: remembers for {float(self.memory_times[n]):.3g}")
        worst = lambda ratios: (float(np.max(ratios)), self.names[int(np.argmax(ratios))])  # noqa: E731
        ratio, name = worst(self.born)
        lines.append(f"Born {_verdict(ratio)}: {name} remembers for {_times(ratio)} the fastest decay time")
        ratio, name = worst(self.markov)
        lines.append(
            f"Markov {_verdict(ratio)}: rates of {name} change by {_times(ratio)} themselves within a linewidth"
        )
        return "\n".join([*lines, self._secular()])

    def _secular(self) -> str:
        if self.step != "secular":
            return f"secular: {self.step}"
        error, difference = float(self.secular), float(self.smallest_difference)
        words = f"terms that it drops change the stationary currents by about {error:.2g} of the largest"
        remedy = "" if error <= DROPPED else "; davies(..., window=) and universal_lindblad keep them"
        ratio = 1 / (float(self.relaxation_time) * difference)
        transients = f"in transients, the fastest decay is {_times(ratio)} the smallest difference of Bohr frequencies"
        verdict = _verdict(error, DROPPED, 10 * DROPPED)
        return f"secular {verdict}: {words}{remedy}; {transients} ({difference:.3g})"


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times"


def _verdict(ratio: float, small: float = SMALL, large: float = LARGE) -> str:
    if ratio != ratio:  # NaN: a memory time that is not resolved
        return "is unknown"
    return "holds" if ratio <= small else "is doubtful" if ratio <= large else "fails"


@jit_if_eager
def _validity(generator: Generator, step: str) -> Validity:
    spectrum, jumps = generator.spectrum, generator.jumps
    outflow = jnp.sum(generator.total_rates, axis=0)
    fastest = jnp.maximum(jnp.max(outflow), jnp.max(-jnp.real(coherence_exponents(spectrum, jumps))))
    if isinstance(jumps, AbstractBathJumps):
        memories = stack([memory_time(bath).astype(fastest.dtype) for bath in jumps.baths])
        markov = stack([_rate_change(bath, spectrum, fastest) for bath in jumps.baths])
    else:
        memories = markov = jnp.full_like(generator.temperatures, jnp.nan)
    no_decay = fastest == 0
    difference = spectrum.smallest_frequency_difference
    secular = steady_state(generator).secular_error
    return Validity(
        jnp.where(no_decay | (memories == 0), 0.0, fastest * memories),
        markov,
        secular,
        memories,
        1 / fastest,
        difference,
        generator.names,
        step,
    )


def _rate_change(bath, spectrum, linewidth: Scalar) -> Scalar:
    """max |γ'(ω)| Γ |S|² / max γ(ω)|S|² over transitions and operators, Γ the linewidth."""
    weights = squared(bath_operators(bath, spectrum))
    frequencies = jnp.where(spectrum.same_level, 0.0, spectrum.noise_frequencies)
    noises = lambda x: jnp.stack(bath.noises(x))  # noqa: E731
    noise, slope = jax.jvp(noises, (frequencies,), (jnp.ones_like(frequencies),))
    coupled = lambda x: jnp.where(weights > 0, weights * jnp.where(weights > 0, jnp.abs(x), 0.0), 0.0)  # noqa: E731
    largest = jnp.max(coupled(noise))
    return jnp.where(largest > 0, linewidth * jnp.max(coupled(slope)) / jnp.where(largest > 0, largest, 1.0), 0.0)


def validity(generator: Generator) -> Validity:
    """Whether the Born, Markov and secular steps behind a generator of weak coupling are justified.

    Three ratios that must be small, Γ the fastest decay: Γ times the memory time of each bath (`memory_time`);
    Γ|dγ/dω|/γ, the change of each bath's rates within a linewidth; the change by the dropped terms of the stationary
    currents. They are orders of magnitude, not error bounds.

    generator: from `davies` or `universal_lindblad`; of `lindblad` and `pauli` it says what can be said.

    Returns a Validity, differentiable; printed, it says so in words, with what to use instead. Raises ValueError for
    `low_density`, which makes other steps.
    *Source:* H.-P. Breuer and F. Petruccione, The Theory of Open Quantum Systems (2002), section 3.3.1.

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> bool(qdb.validity(generator).holds)
    True
    """
    check_generator(generator)
    step = generator.jumps.secular_step
    if step is None:
        raise ValueError("validity reads generators of weak coupling; this one was made by low_density (dilute gas).")
    return _validity(generator, step)
