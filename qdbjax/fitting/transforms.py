"""Maps from free reals, which an optimizer moves at will, to values that mean something."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Float, Matrix, Scalar

Free = Float[Array, " n"]


class AbstractTransform(eqx.Module):
    """A smooth map of n free reals onto the allowed values."""

    @abc.abstractmethod
    def size(self, shape: tuple[int, ...]) -> int:
        """How many free reals a value of this shape has."""

    @abc.abstractmethod
    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        """The value."""

    @abc.abstractmethod
    def inverse(self, value: Array) -> Free:
        """The free reals of an allowed value."""

    @abc.abstractmethod
    def refusal(self, value: np.ndarray) -> str | None:
        """What is wrong with a value, in words; None for an allowed one."""

    @abc.abstractmethod
    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """A name for each free real."""


def _entries(name: str, shape: tuple[int, ...]) -> list[str]:
    return [name] if shape == () else [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)]


class Real(AbstractTransform):
    """Any real number: the value itself."""

    def size(self, shape: tuple[int, ...]) -> int:
        """One for each entry."""
        return int(np.prod(shape))

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        """z."""
        return free.reshape(shape)

    def inverse(self, value: Array) -> Free:
        """z."""
        return value.reshape(-1)

    def refusal(self, value: np.ndarray) -> str | None:
        """Finite."""
        return None if np.all(np.isfinite(value)) else "must be finite"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """The entries."""
        return _entries(name, shape)


class Positive(AbstractTransform):
    """Positive numbers, v = e^z: steps are relative."""

    def size(self, shape: tuple[int, ...]) -> int:
        """One for each entry."""
        return int(np.prod(shape))

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        """e^z."""
        return jnp.exp(free).reshape(shape)

    def inverse(self, value: Array) -> Free:
        """ln v."""
        return jnp.log(value).reshape(-1)

    def refusal(self, value: np.ndarray) -> str | None:
        """Above 0."""
        return None if np.all(value > 0) and np.all(np.isfinite(value)) else "must be positive and finite"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """Logarithms."""
        return [f"ln {entry}" for entry in _entries(name, shape)]


class Bounded(AbstractTransform):
    """Numbers between two bounds, v = low + (high - low)/(1 + e^{-z}); the bounds themselves are never reached."""

    low: Scalar
    high: Scalar

    def size(self, shape: tuple[int, ...]) -> int:
        """One for each entry."""
        return int(np.prod(shape))

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        """The value."""
        return (self.low + (self.high - self.low) * jax.nn.sigmoid(free)).reshape(shape)

    def inverse(self, value: Array) -> Free:
        """ln (v - low)/(high - v)."""
        return jnp.log((value - self.low) / (self.high - value)).reshape(-1)

    def refusal(self, value: np.ndarray) -> str | None:
        """Strictly inside."""
        low, high = float(self.low), float(self.high)
        if np.all((value > low) & (value < high)):
            return None
        return f"must lie inside its bounds {low:g} and {high:g}, not on them: at a bound nothing tells which way to go"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """The entries."""
        return _entries(name, shape)


class Simplex(AbstractTransform):
    """Weights that are positive and add up to 1, v ∝ (e^{z_1}, …, e^{z_{n-1}}, 1)."""

    def size(self, shape: tuple[int, ...]) -> int:
        """One less than there are weights."""
        return shape[0] - 1

    def forward(self, free: Free, shape: tuple[int, ...]) -> Array:
        """The weights."""
        return jax.nn.softmax(jnp.concatenate([free, jnp.zeros((1,), free.dtype)]))

    def inverse(self, value: Array) -> Free:
        """ln v_k/v_n."""
        return jnp.log(value[:-1] / value[-1])

    def refusal(self, value: np.ndarray) -> str | None:
        """A vector of positive numbers that add up to 1."""
        if value.ndim == 1 and len(value) > 1 and np.all(value > 0) and abs(value.sum() - 1) < 1e-9:
            return None
        return "must be a vector of at least two positive weights that add up to 1"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """Logarithms of ratios to the last weight."""
        return [f"ln {name}[{n}]/{name}[{shape[0] - 1}]" for n in range(shape[0] - 1)]


class Hermitian(AbstractTransform):
    """Hermitian matrices, d² reals: real parts on and above the diagonal, imaginary parts below."""

    def size(self, shape: tuple[int, ...]) -> int:
        """d²."""
        return shape[0] ** 2

    def forward(self, free: Free, shape: tuple[int, ...]) -> Matrix:
        """The matrix."""
        table = free.reshape(shape)
        above, below = jnp.triu(table, 1), jnp.tril(table, -1)
        return jax.lax.complex(above + above.T + jnp.diag(jnp.diagonal(table)), below.T - below)

    def inverse(self, value: Matrix) -> Free:
        """The reals."""
        return (jnp.triu(jnp.real(value)) + jnp.triu(jnp.imag(value), 1).T).reshape(-1)

    def refusal(self, value: np.ndarray) -> str | None:
        """Square, finite and Hermitian."""
        square = value.ndim == 2 and value.shape[0] == value.shape[1]
        if square and np.all(np.isfinite(value)) and np.allclose(value, value.conj().T, rtol=0, atol=1e-10):
            return None
        return "must be a finite Hermitian matrix (d, d)"

    def labels(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """Re above, Im below the diagonal."""
        return [f"{'Im' if m > n else 'Re'} {name}[{min(m, n)}, {max(m, n)}]" for m, n in np.ndindex(*shape)]
