"""Maps from free reals (unconstrained parameters, which an optimizer changes at will) to values that mean something."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import hermiticity
from qdbjax._repr import number
from qdbjax._types import Array, Float, Inexact
from qdbjax.numerics.hermitian import pack, unpack

Free = Float[Array, " n"]
Stack = Inexact[Array, "*stack d d"]


class AbstractTransform(eqx.Module):
    """A smooth one-to-one map of n free reals onto the allowed values."""

    @abc.abstractmethod
    def size(self, shape: tuple[int, ...]) -> int:
        """How many free reals a value of this shape has."""

    @abc.abstractmethod
    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        """The value of this shape that belongs to the free reals."""

    @abc.abstractmethod
    def inverse(self, value: Array) -> Free:
        """The free reals of an allowed value."""

    @abc.abstractmethod
    def invalid_reason(self, value: np.ndarray) -> str | None:
        """What is wrong with a value, in words; None for an allowed one."""

    @abc.abstractmethod
    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """A name for each free real."""


class AbstractEntrywiseTransform(AbstractTransform):
    """An increasing function of one free real for each entry: an interval of it is an interval of the value."""

    label_prefix: eqx.AbstractClassVar[str]

    def size(self, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape))

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        entries = [f"[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)] if shape else [""]
        return [f"{self.label_prefix}{name}{entry}" for entry in entries]


class Real(AbstractEntrywiseTransform):
    """Any real number, v = z."""

    label_prefix: ClassVar[str] = ""

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        return free.reshape(shape)

    def inverse(self, value: Array) -> Free:
        return value.reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        return None if np.all(np.isfinite(value)) else "must be finite"


class Positive(AbstractEntrywiseTransform):
    """Positive numbers, v = e^z: steps are relative."""

    label_prefix: ClassVar[str] = "ln "

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        return jnp.exp(free).reshape(shape)

    def inverse(self, value: Array) -> Free:
        return jnp.log(value).reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        return None if np.all(value > 0) and np.all(np.isfinite(value)) else "must be positive and finite"


class Bounded(AbstractEntrywiseTransform):
    """Numbers between two bounds, v = low + (high - low)/(1 + e^{-z}); the bounds themselves are never reached.

    low, high: numbers, or arrays of the shape of the value.
    """

    label_prefix: ClassVar[str] = ""
    low: Array
    high: Array

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Both ends."""
        return self.low, self.high

    def _ends(self, shape: tuple[int, ...]) -> tuple[Free, Free]:
        return jnp.broadcast_to(self.low, shape).reshape(-1), jnp.broadcast_to(self.high, shape).reshape(-1)

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        low, high = self._ends(shape)
        return (low + (high - low) * jax.nn.sigmoid(free)).reshape(shape)

    def inverse(self, value: Array) -> Free:
        low, high = self._ends(value.shape)
        value = value.reshape(-1)
        return jnp.log((value - low) / (high - value))

    def invalid_reason(self, value: np.ndarray) -> str | None:
        low, high = np.asarray(self.low), np.asarray(self.high)
        if np.all((value > low) & (value < high)):
            return None
        ends = f"{number(low)} and {number(high)}"
        return f"must lie inside its bounds {ends}, not on them: there the gradient vanishes"


class Simplex(AbstractTransform):
    """Weights that are positive and add up to 1, v ∝ (e^{z_1}, …, e^{z_{n-1}}, 1); z_k = ln v_k/v_n."""

    def size(self, shape: tuple[int, ...]) -> int:
        return shape[0] - 1

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        return jax.nn.softmax(jnp.concatenate([free, jnp.zeros((1,), free.dtype)]))

    def inverse(self, value: Array) -> Free:
        return jnp.log(value[:-1] / value[-1])

    def invalid_reason(self, value: np.ndarray) -> str | None:
        if value.ndim == 1 and len(value) > 1 and np.all(value > 0) and abs(value.sum() - 1) < 1e-9:
            return None
        return "must be a vector of at least two positive weights that add up to 1"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        return [f"ln {name}[{n}]/{name}[{shape[0] - 1}]" for n in range(shape[0] - 1)]


class Hermitian(AbstractTransform):
    """Hermitian matrices (..., d, d) by d² reals each, packed as in `pack`: Re on and above the diagonal, Im below."""

    def size(self, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape))

    def forward(self, free: Free, shape: tuple[int, ...]) -> Stack:
        return jax.vmap(unpack)(free.reshape(-1, *shape[-2:])).reshape(shape)

    def inverse(self, value: Stack) -> Free:
        return jax.vmap(pack)(value.reshape(-1, *value.shape[-2:])).reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        return None if _is_hermitian(value) else "must be a finite Hermitian matrix (d, d)"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        return [
            f"{'Im' if m > n else 'Re'} {name}[{', '.join(map(str, (*lead, min(m, n), max(m, n))))}]"
            for *lead, m, n in np.ndindex(*shape)
        ]


class Symmetric(AbstractTransform):
    """Real symmetric matrices (..., d, d) by the d(d + 1)/2 entries on and above the diagonal of each."""

    def size(self, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape[:-1])) * (shape[-1] + 1) // 2

    def forward(self, free: Free, shape: tuple[int, ...]) -> Stack:
        rows, columns = np.triu_indices(shape[-1])
        place = np.zeros(shape[-2:], int)
        place[rows, columns] = place[columns, rows] = np.arange(len(rows))
        return free.reshape(-1, len(rows))[:, place].reshape(shape)

    def inverse(self, value: Stack) -> Free:
        rows, columns = np.triu_indices(value.shape[-1])
        return value[..., rows, columns].reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        return None if _is_hermitian(value) and not np.iscomplexobj(value) else "must be finite, real and symmetric"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        return [
            f"{name}[{', '.join(map(str, (*lead, m, n)))}]"
            for lead in np.ndindex(*shape[:-2])
            for m, n in zip(*np.triu_indices(shape[-1]), strict=True)
        ]


def _is_hermitian(value: np.ndarray) -> bool:
    if value.ndim < 2 or value.shape[-1] != value.shape[-2] or not np.all(np.isfinite(value)):
        return False
    excess = np.abs(value - np.swapaxes(value.conj(), -1, -2)).max(initial=0.0)
    return bool(excess <= hermiticity(value.dtype) * np.abs(value).max(initial=0.0))


class Complex(AbstractTransform):
    """Any complex numbers, by their real parts and then their imaginary parts."""

    def size(self, shape: tuple[int, ...]) -> int:
        return 2 * int(np.prod(shape))

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        real, imag = free.reshape(2, *shape)
        return jax.lax.complex(real, imag)

    def inverse(self, value: Array) -> Free:
        return jnp.stack([jnp.real(value), jnp.imag(value)]).reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        return None if np.all(np.isfinite(value)) else "must be finite"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        entries = [f"[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)] if shape else [""]
        return [f"{part} {name}{entry}" for part in ("Re", "Im") for entry in entries]
