"""What a fit aims at: terms for the outputs of a model, each a residual or a penalty."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, ArrayLike, Matrix, Scalar, as_hermitian, as_real, as_scalar, is_traced
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.matrix_functions import sqrt_hermitian
from qdbjax.states import relative_entropy

ATTAINED = 1e-6  # relative deviation from an exact target that counts as none
DISTANCES = ("fidelity", "trace_distance", "relative_entropy")
_root = jit_if_eager(sqrt_hermitian)  # called eagerly for every target: one program for all of a shape


class AbstractTerm(eqx.Module):
    """One term of an objective, read off one output of the model."""

    @abc.abstractmethod
    def residuals(self, output: Array) -> Array | None:
        """What least squares squares and adds up, or None for a term that is not of this kind."""

    @abc.abstractmethod
    def loss(self, output: Array) -> Scalar:
        """What is minimised."""

    @abc.abstractmethod
    def miss(self, output: Array) -> Scalar:
        """Distance from the target over what counts as attained: at most 1 when it is."""

    @abc.abstractmethod
    def row(self, output: Array) -> str:
        """Achieved against wanted, in words."""


def _shown(value: Any) -> str:
    return np.array2string(np.asarray(value), precision=5, threshold=6, edgeitems=2, separator=", ").replace("\n", "")


class Match(AbstractTerm):
    """½ Σ ((output - value)/error)²; see `match`."""

    value: Array
    error: Array
    measured: bool = eqx.field(static=True)

    def residuals(self, output: Array) -> Array:
        """(output - value)/error."""
        return ((output - self.value) / self.error).reshape(-1)

    def loss(self, output: Array) -> Scalar:
        """Half the sum of squares."""
        return 0.5 * jnp.sum(self.residuals(output) ** 2)

    def miss(self, output: Array) -> Scalar:
        """Attained: every entry to 1e-6 of the largest; measured data to five standard errors."""
        if self.measured:
            return jnp.max(jnp.abs(self.residuals(output))) / 5.0
        size = jnp.max(jnp.abs(self.value))
        return jnp.max(jnp.abs(output - self.value)) / jnp.where(size > 0, size, 1.0) / ATTAINED

    def row(self, output: Array) -> str:
        """Both."""
        return f"{_shown(output)} for {_shown(self.value)}"


def match(value: ArrayLike, *, error: ArrayLike | None = None, weight: ArrayLike = 1.0) -> Match:
    """Wanted value of an output: currents, populations, noise, relaxation times, trajectories, on any grid.

    value: of the shape of the output. error: standard error(s) of measured data, by default unknown: then every entry
    counts as the largest value does. weight: of this term against others.
    """
    value = as_real(value, "value")
    size = jnp.max(jnp.abs(value))
    given = jnp.where(size > 0, size, 1.0) if error is None else as_real(error, "error").astype(value.dtype)
    for x, name, low in ((given, "error", 0.0), (as_real(weight, "weight"), "weight", 0.0)):
        if not is_traced(x) and not np.all(np.asarray(x) > low):
            raise ValueError(f"{name} must be positive; got {np.asarray(x)}.")
    if not is_traced(value) and not np.all(np.isfinite(np.asarray(value))):
        raise ValueError("value must be finite; leave out conditions without data.")
    scale = given / jnp.sqrt(as_scalar(weight, "weight").astype(value.dtype))
    return Match(value, scale, error is not None)


class ToState(AbstractTerm):
    """Distance of a density matrix from a wanted one; see `to_state`."""

    target: Matrix
    root: Matrix
    weight: Scalar
    distance: str = eqx.field(static=True)

    def residuals(self, output: Array) -> None:
        """None."""
        return None

    def loss(self, output: Array) -> Scalar:
        """The distance times its weight."""
        return self.weight * self.apart(output)

    def miss(self, output: Array) -> Scalar:
        """Attained: ½‖ρ - σ‖₁ to 1e-6, 1 - F and S(σ‖ρ), which are of second order, to 1e-8."""
        return self.apart(output) / (ATTAINED if self.distance == "trace_distance" else 1e-2 * ATTAINED)

    def apart(self, output: Array) -> Scalar:
        """1 - F, ½‖ρ - σ‖₁ or S(σ‖ρ)."""
        rho = output.astype(self.target.dtype)
        if self.distance == "relative_entropy":
            return relative_entropy(self.target, rho)
        if self.distance == "trace_distance":
            return 0.5 * jnp.sum(jnp.abs(jnp.linalg.eigvalsh(rho - self.target)))
        inside = sqrt_hermitian(self.root @ rho @ self.root)
        return 1 - jnp.real(jnp.trace(inside)) ** 2

    def row(self, output: Array) -> str:
        """The distance."""
        words = {"fidelity": "1 - fidelity", "trace_distance": "trace distance", "relative_entropy": "relative entropy"}
        return f"{words[self.distance]} {float(self.apart(output)):.3g}"


def to_state(target: ArrayLike, *, distance: str = "fidelity", weight: ArrayLike = 1.0) -> ToState:
    """A wanted density matrix (d, d), in the basis of the output.

    distance: "fidelity" 1 - (Tr √(√σ ρ √σ))², "trace_distance" ½‖ρ - σ‖₁, or "relative_entropy" S(σ‖ρ) of the target σ.
    Raises ValueError for a target that is not a state.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {DISTANCES}; got {distance!r}.")
    rho = np.asarray(as_hermitian(target, "target"))
    lowest, trace = np.linalg.eigvalsh(rho).min(), np.trace(rho).real
    if lowest < -1e-9 or abs(trace - 1) > 1e-9:
        raise ValueError(
            f"target must be a density matrix; its trace is {trace:.6g}, its lowest eigenvalue {lowest:.3g}."
        )
    rho = jnp.asarray(rho).astype(np.promote_types(rho.dtype, jnp.complex64))
    return ToState(rho, _root(rho), as_scalar(weight, "weight", low=0, strict=True), distance)


class Push(AbstractTerm):
    """weight · output; see `maximize` and `minimize`."""

    weight: Scalar

    def residuals(self, output: Array) -> None:
        """None."""
        return None

    def loss(self, output: Array) -> Scalar:
        """The output times its signed weight."""
        return self.weight * jnp.sum(output)

    def miss(self, output: Array) -> Scalar:
        """0: there is no target to attain."""
        return jnp.zeros_like(jnp.sum(output))

    def row(self, output: Array) -> str:
        """The value."""
        return _shown(output)


def maximize(weight: ArrayLike = 1.0) -> Push:
    """As large as possible (summed over conditions): power, efficiency, a loop current."""
    return Push(-as_scalar(weight, "weight", low=0, strict=True))


def minimize(weight: ArrayLike = 1.0) -> Push:
    """As small as possible (summed over conditions): noise, entropy production, a detailed-balance residual."""
    return Push(as_scalar(weight, "weight", low=0, strict=True))


class Limit(AbstractTerm):
    """½ weight Σ max(excess, 0)² over a bound; see `at_most` and `at_least`."""

    bound: Array
    sign: float = eqx.field(static=True)
    weight: Scalar

    def _excess(self, output: Array) -> Array:
        return jnp.maximum(self.sign * (output - self.bound), 0.0)

    def residuals(self, output: Array) -> Array:
        """√weight · excess."""
        return (jnp.sqrt(self.weight) * self._excess(output)).reshape(-1)

    def loss(self, output: Array) -> Scalar:
        """Half the sum of squares."""
        return 0.5 * jnp.sum(self.residuals(output) ** 2)

    def miss(self, output: Array) -> Scalar:
        """Attained: exceeded by no more than 1e-3 of the bound, which a penalty cannot keep exactly."""
        size = jnp.max(jnp.abs(self.bound))
        return jnp.max(self._excess(output)) / jnp.where(size > 0, size, 1.0) / 1e-3

    def row(self, output: Array) -> str:
        """Both."""
        return f"{_shown(output)} {'<=' if self.sign > 0 else '>='} {_shown(self.bound)}"


def at_most(bound: ArrayLike, *, weight: ArrayLike = 1.0) -> Limit:
    """A constraint, output <= bound, by a quadratic penalty."""
    return Limit(as_real(bound, "bound"), 1.0, as_scalar(weight, "weight", low=0, strict=True))


def at_least(bound: ArrayLike, *, weight: ArrayLike = 1.0) -> Limit:
    """A constraint, output >= bound, by a quadratic penalty."""
    return Limit(as_real(bound, "bound"), -1.0, as_scalar(weight, "weight", low=0, strict=True))


class Objective(eqx.Module):
    """Terms by the name of the output that they read, and a function of all outputs, if one is given."""

    terms: dict[str, AbstractTerm]
    function: Callable | None = eqx.field(static=True)

    def residuals(self, outputs: dict[str, Array]) -> Array | None:
        """All residuals in a row, None if any term has none."""
        parts = [term.residuals(outputs[name]) for name, term in self.terms.items()]
        if self.function is not None or any(part is None for part in parts):
            return None
        return jnp.concatenate(parts)

    def loss(self, outputs: dict[str, Array]) -> Scalar:
        """What is minimised."""
        total = sum((term.loss(outputs[name]) for name, term in self.terms.items()), jnp.zeros(()))
        if self.function is None:
            return total
        return total + jnp.asarray(self.function(outputs if set(outputs) != {"value"} else outputs["value"]))

    def miss(self, outputs: dict[str, Array]) -> Scalar:
        """Of the term that is farthest from its target."""
        found = [term.miss(outputs[name]) for name, term in self.terms.items()]
        return jnp.max(jnp.stack(found)) if found else jnp.zeros(())


def as_objective(given: AbstractTerm | Mapping[str, AbstractTerm] | Callable) -> Objective:
    """An Objective from a term for a model with one output, terms by name, or any function of the outputs."""
    if isinstance(given, AbstractTerm):
        return Objective({"value": given}, None)
    if isinstance(given, Mapping):
        for name, term in given.items():
            if not isinstance(term, AbstractTerm):
                raise TypeError(f"objective[{name!r}] must be match(…), to_state(…), maximize(), …; got {term!r}.")
        if not given:
            raise ValueError("objective holds no term.")
        return Objective({name: given[name] for name in sorted(given)}, None)
    if callable(given):
        return Objective({}, given)
    raise TypeError(f"objective must be a term, a mapping of output names to terms, or a function; got {given!r}.")


def as_outputs(value: Any) -> dict[str, Array]:
    """Outputs of a model by name; a single one is called "value"."""
    return value if isinstance(value, dict) else {"value": value}
