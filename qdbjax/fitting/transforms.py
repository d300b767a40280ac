"""Maps from free reals (unconstrained parameters, which an optimizer changes at will) to values that mean something."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Matrix, Scalar
from qdbjax.numerics.hermitian import pack, unpack

Free = Float[Array, " n"]


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

    label_prefix = ""

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        return free.reshape(shape)

    def inverse(self, value: Array) -> Free:
        return value.reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        return None if np.all(np.isfinite(value)) else "must be finite"


class Positive(AbstractEntrywiseTransform):
    """Positive numbers, v = e^z: steps are relative."""

    label_prefix = "ln "

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        return jnp.exp(free).reshape(shape)

    def inverse(self, value: Array) -> Free:
        return jnp.log(value).reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        return None if np.all(value > 0) and np.all(np.isfinite(value)) else "must be positive and finite"


class Bounded(AbstractEntrywiseTransform):
    """Numbers between two bounds, v = low + (high - low)/(1 + e^{-z}); the bounds themselves are never reached."""

    label_prefix = ""
    low: Scalar
    high: Scalar

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        return (self.low + (self.high - self.low) * jax.nn.sigmoid(free)).reshape(shape)

    def inverse(self, value: Array) -> Free:
        return jnp.log((value - self.low) / (self.high - value)).reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        low, high = float(self.low), float(self.high)
        if np.all((value > low) & (value < high)):
            return None
        return f"must lie inside its bounds {low:g} and {high:g}, not on them: there the gradient vanishes"


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
    """Hermitian matrices (d, d) by d² reals, packed as in `pack`: Re on and above the diagonal, Im below."""

    def size(self, shape: tuple[int, ...]) -> int:
        return shape[0] ** 2

    def forward(self, free: Free, shape: tuple[int, ...]) -> Matrix:
        return unpack(free.reshape(shape))

    def inverse(self, value: Matrix) -> Free:
        return pack(value).reshape(-1)

    def invalid_reason(self, value: np.ndarray) -> str | None:
        square = value.ndim == 2 and value.shape[0] == value.shape[1]
        if square and np.all(np.isfinite(value)) and np.allclose(value, value.conj().T, rtol=0, atol=1e-10):
            return None
        return "must be a finite Hermitian matrix (d, d)"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        return [f"{'Im' if m > n else 'Re'} {name}[{min(m, n)}, {max(m, n)}]" for m, n in np.ndindex(*shape)]
