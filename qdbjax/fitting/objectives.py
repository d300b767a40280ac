"""What a fit aims at: terms for the outputs of a model, each a residual, a number to be small, or a bound."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_hermitian, as_real, as_scalar, is_traced, spreads_over
from qdbjax._types import Array, ArrayLike, Float, Matrix, Scalar
from qdbjax.states import fidelity, relative_entropy, trace_distance

TARGET_TOLERANCE = 1e-6  # relative deviation from an exact target up to which it counts as attained
STANDARD_ERRORS = 5.0  # deviation from measured data up to which they count as attained
DISTANCES = ("fidelity", "trace_distance", "relative_entropy")


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

    @abc.abstractmethod
    def shape_problem(self, shape: tuple[int, ...]) -> str | None:
        """What is wrong with this term for an output of a shape, in words; None for one that fits."""

    def excess(self, output: Array) -> Float[Array, " k"]:
        """By how much the output is beyond each bound, negative within; empty for a term that is none."""
        return jnp.zeros((0,), jnp.result_type(float))

    def bound_sizes(self, output: Array) -> Float[Array, "2 k"]:
        """The size of the bound and that of the output beside each excess."""
        return jnp.zeros((2, 0), jnp.result_type(float))


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

    def shape_problem(self, shape: tuple[int, ...]) -> str | None:
        return None if self.value.shape == shape else f"match has shape {self.value.shape}"


def match(value: ArrayLike, *, error: ArrayLike | None = None, weight: ArrayLike = 1.0) -> Match:
    """A target value of an output, by least squares: loss ½ weight Σ ((output - value)/error)².

    value: shape of the output (conditions first); currents, populations, noise, relaxation times, trajectories.
    error: standard error(s) of measured data, a number or the shape of value (entries of length 1 stand for all); by
        default the largest |value| for every entry.
    weight: > 0, of this term against others.
    Returns a term for `fit`. Raises ValueError for values that are not finite, an error or weight not above 0, and an
    error of another shape.

    >>> qdb.fitting.match([0.1, 0.2], error=0.01)
    Match(value=f64[2], error=f64[2], measured=True)
    """
    value = as_real(value, "value")
    if value.size == 0:
        raise ValueError(f"value must hold at least one number; got shape {value.shape}.")
    size = jnp.max(jnp.abs(value))
    given = jnp.where(size > 0, size, 1.0) if error is None else as_real(error, "error").astype(value.dtype)
    if not spreads_over(given.shape, value.shape):
        raise ValueError(
            f"error must be a number or have the shape of value, {value.shape}; got shape {given.shape}: it would be "
            "spread over more entries than there are data."
        )
    if not is_traced(given) and not np.all((np.asarray(given) > 0) & np.isfinite(np.asarray(given))):
        raise ValueError(f"error must be positive and finite; got {np.asarray(given)}.")
    if not is_traced(value) and not np.all(np.isfinite(np.asarray(value))):
        raise ValueError("value must be finite; leave out conditions without data.")
    scale = given / jnp.sqrt(as_scalar(weight, "weight", low=0, strict=True).astype(value.dtype))
    return Match(value, jnp.broadcast_to(scale, value.shape), error is not None)


class ToState(AbstractTerm):
    """weight · distance of a density matrix from a target; see `to_state`.

    Attained: ½‖ρ - σ‖₁ up to 1e-6; 1 - F and S(σ‖ρ), which are of second order in ρ - σ, up to 1e-8.
    """

    target: Matrix
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
            return trace_distance(rho, self.target)
        return 1 - fidelity(rho, self.target)

    def report_row(self, output: Array) -> str:
        words = {"fidelity": "1 - fidelity", "trace_distance": "trace distance", "relative_entropy": "relative entropy"}
        return f"{words[self.distance]} {float(self.distance_from_target(output)):.3g}"

    def shape_problem(self, shape: tuple[int, ...]) -> str | None:
        return None if self.target.shape == shape else f"to_state has a target of shape {self.target.shape}"


def to_state(target: ArrayLike, *, distance: str = "fidelity", weight: ArrayLike = 1.0) -> ToState:
    """A target density matrix σ for an output ρ, both in the same basis: loss weight · distance(ρ, σ).

    target: (d, d), a density matrix.
    distance: "fidelity" 1 - (Tr √(√σ ρ √σ))², "trace_distance" ½‖ρ - σ‖₁, or "relative_entropy" S(σ‖ρ).
    weight: > 0, of this term against others.
    Returns a term for `fit`. Raises ValueError for a target that is no density matrix.

    >>> qdb.fitting.to_state([[1.0, 0.0], [0.0, 0.0]])
    ToState(target=c128[2,2], weight=f64[], distance='fidelity')
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
    return ToState(rho, as_scalar(weight, "weight", low=0, strict=True), distance)


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

    def shape_problem(self, shape: tuple[int, ...]) -> str | None:
        return None


def maximize(weight: ArrayLike = 1.0) -> LinearTerm:
    """An output as large as possible, such as power, efficiency, a loop current: loss -weight Σ output.

    weight: > 0, in 1/(unit of the output), of this term against others; alone it changes nothing but the loss, as the
        search goes in units of the start.

    >>> qdb.fitting.maximize()
    LinearTerm(weight=f64[])
    """
    return LinearTerm(-as_scalar(weight, "weight", low=0, strict=True))


def minimize(weight: ArrayLike = 1.0) -> LinearTerm:
    """An output as small as possible, such as noise, entropy production: loss weight Σ output.

    weight: > 0, as for `maximize`.

    >>> qdb.fitting.minimize()
    LinearTerm(weight=f64[])
    """
    return LinearTerm(as_scalar(weight, "weight", low=0, strict=True))


class BoundTerm(AbstractTerm):
    """sign · (output - bound) <= 0, which the search keeps by an augmented Lagrangian; see `at_most` and `at_least`.

    Attained: exceeded by no more than 1e-6 of the bound, for a bound of 0 of the largest output at the start; for one
    below a thousandth of that, by a thousandth of it.
    """

    bound: Array
    sign: float = eqx.field(static=True)

    def residuals(self, output: Array) -> Array:
        return jnp.zeros((0,), output.dtype)

    def loss(self, output: Array) -> Scalar:
        return jnp.zeros((), output.dtype)

    def relative_miss(self, output: Array) -> Scalar:
        return jnp.zeros((), output.dtype)

    def excess(self, output: Array) -> Float[Array, " k"]:
        return (
            (self.sign * (output - jnp.broadcast_to(self.bound, output.shape)))
            .reshape(-1)
            .astype(jnp.result_type(float))
        )

    def bound_sizes(self, output: Array) -> Float[Array, "2 k"]:
        sizes = jnp.stack([jnp.max(jnp.abs(self.bound)), jnp.max(jnp.abs(output))]).astype(jnp.result_type(float))
        return jnp.broadcast_to(sizes[:, None], (2, output.size))

    def report_row(self, output: Array) -> str:
        return f"{_format_array(output)} {'<=' if self.sign > 0 else '>='} {_format_array(self.bound)}"

    def shape_problem(self, shape: tuple[int, ...]) -> str | None:
        return None if spreads_over(self.bound.shape, shape) else f"a bound has shape {self.bound.shape}"


def at_most(bound: ArrayLike) -> BoundTerm:
    """A constraint: every entry of an output <= bound.

    bound: a number or an array of the output's shape (entries of length 1 stand for all), in the output's unit.
    Returns a term for `fit`, which keeps it to 1e-6 of the bound, or says that it cannot. Raises ValueError for NaN.
    *Source:* J. Nocedal and S. J. Wright, Numerical Optimization (2006), section 17.4, augmented Lagrangian.

    >>> qdb.fitting.at_most(0.5)
    BoundTerm(bound=f64[], sign=1.0)
    """
    return BoundTerm(_bound(bound), 1.0)


def at_least(bound: ArrayLike) -> BoundTerm:
    """A constraint: every entry of an output >= bound.

    bound: as for `at_most`.
    Returns a term for `fit`, as `at_most` does.

    >>> qdb.fitting.at_least(0.5)
    BoundTerm(bound=f64[], sign=-1.0)
    """
    return BoundTerm(_bound(bound), -1.0)


def _bound(bound: ArrayLike) -> Array:
    bound = as_real(bound, "bound")
    if not is_traced(bound) and not np.all(np.isfinite(np.asarray(bound))):
        raise ValueError(f"bound must be finite; got {np.asarray(bound)}. Leave out what has no bound.")
    return bound


class Objective(eqx.Module):
    """The sum of terms, by the name of the output that each reads, or a function of all outputs."""

    terms: dict[str, AbstractTerm]
    function: Callable | None = eqx.field(static=True)

    def residuals(self, outputs: dict[str, Array]) -> Array | None:
        """The residuals of all terms in one vector, None if any term has none."""
        parts = [term.residuals(outputs[name]) for name, term in self.terms.items()]
        known = [part for part in parts if part is not None]
        return None if self.function is not None or len(known) < len(parts) else jnp.concatenate(known)

    def excess(self, outputs: dict[str, Array]) -> Float[Array, " k"]:
        """By how much the outputs are beyond the bounds, negative within."""
        return _joined([term.excess(outputs[name]) for name, term in self.terms.items()], (0,))

    def bound_terms(self, outputs: dict[str, Array]) -> np.ndarray:
        """(terms, k), which excess belongs to which term, as 0 and 1."""
        counts = [np.size(outputs[name]) for name, term in self.terms.items() if isinstance(term, BoundTerm)]
        return np.repeat(np.eye(len(counts)), counts, axis=1)

    def bound_sizes(self, outputs: dict[str, Array]) -> Float[Array, "2 k"]:
        """The size of the bound and that of the output beside each excess."""
        return _joined([term.bound_sizes(outputs[name]) for name, term in self.terms.items()], (2, 0))

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


def _joined(parts: list[Array], empty: tuple[int, ...]) -> Array:
    return jnp.concatenate([jnp.zeros(empty, jnp.result_type(float)), *parts], axis=-1)


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
