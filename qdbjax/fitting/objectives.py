"""What a fit aims at: terms for the outputs of a model, each a residual or a penalty."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian, as_real, as_scalar, is_traced
from qdbjax._types import Array, ArrayLike, Matrix, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.numerics.matrix_functions import sqrt_hermitian
from qdbjax.states import relative_entropy

TARGET_TOLERANCE = 1e-6  # relative deviation from an exact target up to which it counts as attained
BOUND_TOLERANCE = 1e-3  # relative excess over a bound, which a penalty cannot keep exactly
STANDARD_ERRORS = 5.0  # deviation from measured data up to which they count as attained
DISTANCES = ("fidelity", "trace_distance", "relative_entropy")
_sqrt_of_target = jit_if_eager(sqrt_hermitian)  # called eagerly for every target: one program for all of a shape


class AbstractTerm(eqx.Module):
    """One term of an objective, a function of one output of the model."""

    @abc.abstractmethod
    def residuals(self, output: Array) -> Array | None:
        """The vector r of a term ½ Σ r², or None for a term that is no sum of squares."""

    @abc.abstractmethod
    def loss(self, output: Array) -> Scalar:
        """The number that is minimised."""

    @abc.abstractmethod
    def relative_miss(self, output: Array) -> Scalar:
        """Distance from the target over the tolerance of this term: at most 1 where the target is attained."""

    @abc.abstractmethod
    def report_row(self, output: Array) -> str:
        """The output beside its target, in words."""


def _format_array(value: Any) -> str:
    return np.array2string(np.asarray(value), precision=5, threshold=6, edgeitems=2, separator=", ").replace("\n", "")


class Match(AbstractTerm):
    """½ Σ r² with r = (output - value)/error; see `match`.

    Attained: every entry to 1e-6 of the largest, or measured data to five standard errors.
    """

    value: Array
    error: Array
    measured: bool = eqx.field(static=True)

    def residuals(self, output: Array) -> Array:
        return ((output - self.value) / self.error).reshape(-1)

    def loss(self, output: Array) -> Scalar:
        return 0.5 * jnp.sum(self.residuals(output) ** 2)

    def relative_miss(self, output: Array) -> Scalar:
        if self.measured:
            return jnp.max(jnp.abs(self.residuals(output))) / STANDARD_ERRORS
        size = jnp.max(jnp.abs(self.value))
        return jnp.max(jnp.abs(output - self.value)) / jnp.where(size > 0, size, 1.0) / TARGET_TOLERANCE

    def report_row(self, output: Array) -> str:
        return f"{_format_array(output)} for {_format_array(self.value)}"


def match(value: ArrayLike, *, error: ArrayLike | None = None, weight: ArrayLike = 1.0) -> Match:
    """A target value of an output, by least squares: loss ½ weight Σ ((output - value)/error)².

    value: shape of the output (conditions first); currents, populations, noise, relaxation times, trajectories.
    error: standard error(s) of measured data, that broadcast to value; by default the largest |value| for every entry.
    weight: > 0, of this term against others.
    Returns a term for `fit`. Raises ValueError for values that are not finite, and an error or weight not above 0.
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
    """weight · distance of a density matrix from a target; see `to_state`.

    Attained: ½‖ρ - σ‖₁ up to 1e-6; 1 - F and S(σ‖ρ), which are of second order in ρ - σ, up to 1e-8.
    """

    target: Matrix
    root: Matrix
    weight: Scalar
    distance: str = eqx.field(static=True)

    def residuals(self, output: Array) -> None:
        return None

    def loss(self, output: Array) -> Scalar:
        return self.weight * self.distance_from_target(output)

    def relative_miss(self, output: Array) -> Scalar:
        tolerance = TARGET_TOLERANCE if self.distance == "trace_distance" else 1e-2 * TARGET_TOLERANCE
        return self.distance_from_target(output) / tolerance

    def distance_from_target(self, output: Array) -> Scalar:
        """1 - F, ½‖ρ - σ‖₁ or S(σ‖ρ), without the weight."""
        rho = output.astype(self.target.dtype)
        if self.distance == "relative_entropy":
            return relative_entropy(self.target, rho)
        if self.distance == "trace_distance":
            return 0.5 * jnp.sum(jnp.abs(jnp.linalg.eigvalsh(rho - self.target)))
        root = sqrt_hermitian(self.root @ rho @ self.root)
        return 1 - jnp.real(jnp.trace(root)) ** 2

    def report_row(self, output: Array) -> str:
        words = {"fidelity": "1 - fidelity", "trace_distance": "trace distance", "relative_entropy": "relative entropy"}
        return f"{words[self.distance]} {float(self.distance_from_target(output)):.3g}"


def to_state(target: ArrayLike, *, distance: str = "fidelity", weight: ArrayLike = 1.0) -> ToState:
    """A target density matrix σ for an output ρ, both in the same basis: loss weight · distance(ρ, σ).

    target: (d, d), a density matrix.
    distance: "fidelity" 1 - (Tr √(√σ ρ √σ))², "trace_distance" ½‖ρ - σ‖₁, or "relative_entropy" S(σ‖ρ).
    weight: > 0, of this term against others.
    Returns a term for `fit`. Raises ValueError for a target that is no density matrix.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {DISTANCES}; got {distance!r}.")
    rho = np.asarray(as_hermitian(target, "target"))
    lowest, trace = np.linalg.eigvalsh(rho).min(), np.trace(rho).real
    if lowest < -1e-9 or abs(trace - 1) > 1e-9:
        raise ValueError(
            f"target must be a density matrix; its trace is {trace:.12g}, its lowest eigenvalue {lowest:.3g}."
        )
    rho = jnp.asarray(rho).astype(np.promote_types(rho.dtype, jnp.complex64))
    return ToState(rho, _sqrt_of_target(rho), as_scalar(weight, "weight", low=0, strict=True), distance)


class LinearTerm(AbstractTerm):
    """weight · Σ output, of either sign, without a target; see `maximize` and `minimize`."""

    weight: Scalar

    def residuals(self, output: Array) -> None:
        return None

    def loss(self, output: Array) -> Scalar:
        return self.weight * jnp.sum(output)

    def relative_miss(self, output: Array) -> Scalar:
        return jnp.zeros_like(jnp.sum(output))

    def report_row(self, output: Array) -> str:
        return _format_array(output)


def maximize(weight: ArrayLike = 1.0) -> LinearTerm:
    """An output as large as possible, such as power, efficiency, a loop current: loss -weight Σ output.

    weight: > 0, of this term against others.
    """
    return LinearTerm(-as_scalar(weight, "weight", low=0, strict=True))


def minimize(weight: ArrayLike = 1.0) -> LinearTerm:
    """An output as small as possible, such as noise, entropy production: loss weight Σ output.

    weight: > 0, of this term against others.
    """
    return LinearTerm(as_scalar(weight, "weight", low=0, strict=True))


class InequalityTerm(AbstractTerm):
    """½ weight Σ max(sign · (output - bound), 0)², a quadratic penalty; see `at_most` and `at_least`.

    Attained: exceeded by no more than 1e-3 of the bound, which a penalty cannot keep exactly.
    """

    bound: Array
    sign: float = eqx.field(static=True)
    weight: Scalar

    def _excess(self, output: Array) -> Array:
        return jnp.maximum(self.sign * (output - self.bound), 0.0)

    def residuals(self, output: Array) -> Array:
        return (jnp.sqrt(self.weight) * self._excess(output)).reshape(-1)

    def loss(self, output: Array) -> Scalar:
        return 0.5 * jnp.sum(self.residuals(output) ** 2)

    def relative_miss(self, output: Array) -> Scalar:
        size = jnp.max(jnp.abs(self.bound))
        return jnp.max(self._excess(output)) / jnp.where(size > 0, size, 1.0) / BOUND_TOLERANCE

    def report_row(self, output: Array) -> str:
        return f"{_format_array(output)} {'<=' if self.sign > 0 else '>='} {_format_array(self.bound)}"


def at_most(bound: ArrayLike, *, weight: ArrayLike = 1.0) -> InequalityTerm:
    """A constraint output <= bound as a penalty: loss ½ weight Σ max(output - bound, 0)².

    bound: broadcasts to the output.
    weight: > 0; the larger, the closer the constraint is kept.
    """
    return InequalityTerm(as_real(bound, "bound"), 1.0, as_scalar(weight, "weight", low=0, strict=True))


def at_least(bound: ArrayLike, *, weight: ArrayLike = 1.0) -> InequalityTerm:
    """A constraint output >= bound as a penalty: loss ½ weight Σ max(bound - output, 0)².

    bound: broadcasts to the output.
    weight: > 0; the larger, the closer the constraint is kept.
    """
    return InequalityTerm(as_real(bound, "bound"), -1.0, as_scalar(weight, "weight", low=0, strict=True))


class Objective(eqx.Module):
    """The sum of terms, by the name of the output that each reads, or a function of all outputs."""

    terms: dict[str, AbstractTerm]
    function: Callable | None = eqx.field(static=True)

    def residuals(self, outputs: dict[str, Array]) -> Array | None:
        """The residuals of all terms in one vector, None if any term has none."""
        parts = [term.residuals(outputs[name]) for name, term in self.terms.items()]
        if self.function is not None or any(part is None for part in parts):
            return None
        return jnp.concatenate(parts)

    def loss(self, outputs: dict[str, Array]) -> Scalar:
        """The number that is minimised."""
        total = sum((term.loss(outputs[name]) for name, term in self.terms.items()), jnp.zeros(()))
        if self.function is None:
            return total
        return total + jnp.asarray(self.function(outputs if set(outputs) != {"value"} else outputs["value"]))

    def relative_miss(self, outputs: dict[str, Array]) -> Scalar:
        """The largest `relative_miss` of a term; 0 without terms."""
        found = [term.relative_miss(outputs[name]) for name, term in self.terms.items()]
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
