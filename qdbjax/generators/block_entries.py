"""Which entries of ρ a system of linear equations is written for: all d² of them, or a list of those that take part.

Both kinds have one interface. Vectors (n,) hold packed reals (`numerics.hermitian`): at (m, n) stands Re ρ_mn for
m <= n and Im ρ_nm for m > n.
"""

import equinox as eqx
import equinox.internal as eqxi
import jax.numpy as jnp
import numpy as np

from qdbjax._types import Array, Bool, BoolMatrix, Float, Int, RealVector
from qdbjax.numerics.hermitian import Packed
from qdbjax.numerics.linear_equations import INVERTED

Entry = Float[Array, " n"]


class AllEntries(eqx.Module):
    """All d² entries, in row-major order."""

    dimension: int = eqx.field(static=True)

    @property
    def filled(self) -> np.ndarray:
        """Which places of the list are in use, (n,)."""
        return np.ones(self.dimension**2, bool)

    @property
    def populations(self) -> np.ndarray:
        """The number of the population that each place holds, -1 for coherences, (n,)."""
        level = np.arange(self.dimension)
        return np.where(level[:, None] == level[None, :], level[:, None], -1).reshape(-1)

    def take(self, packed: Packed) -> Entry:
        """The vector of a packed matrix."""
        return packed.reshape(-1)

    def put(self, vector: Entry) -> Packed:
        """The packed matrix of a vector, zero elsewhere."""
        return vector.reshape(self.dimension, self.dimension)

    def in_use_anywhere(self, same: BoolMatrix) -> Bool[Array, " n"] | None:
        """Entries (n,) between levels that count as one in any cell of a batch, the same for all cells.

        same: whether levels count as one (d, d), in this cell.
        None for all of them, where no time is saved: two levels, whose block is asked for where they count as one, and
        more entries than are inverted one by one.
        """
        d = self.dimension
        if d < 3 or d * d > INVERTED:
            return None
        pairs = [[eqxi.unvmap_any(same[m, n]) if m != n else np.True_ for n in range(d)] for m in range(d)]
        return jnp.stack([jnp.asarray(pair) for row in pairs for pair in row])

    def outer(self, left: RealVector) -> Entry:
        """v_m v_n at each entry (m, n)."""
        return (left[:, None] * left[None, :]).reshape(-1)


class SomeEntries(eqx.Module):
    """A list of entries, of fixed length n; places that are not needed stay empty.

    place: number m·d + n of each entry, d² and more for an empty place.
    """

    dimension: int = eqx.field(static=True)
    place: Int[Array, " n"]

    @staticmethod
    def of(mask: BoolMatrix, size: int) -> "SomeEntries":
        """The first `size` entries where the mask (d, d) holds."""
        d = mask.shape[0]
        place = jnp.nonzero(mask.reshape(-1), size=size, fill_value=d * d)[0]
        # Empty places have numbers of their own: a scatter is transposed only where no two of its indices are equal.
        return SomeEntries(d, jnp.where(place < d * d, place, d * d + jnp.arange(size)))

    @property
    def filled(self) -> Bool[Array, " n"]:
        """Which places of the list are in use, (n,)."""
        return self.place < self.dimension**2

    @property
    def indices(self) -> tuple[Int[Array, " n"], Int[Array, " n"]]:
        """Row and column of each entry; of an empty place 0 and 0."""
        return jnp.divmod(jnp.where(self.filled, self.place, 0), self.dimension)

    @property
    def populations(self) -> Int[Array, " n"]:
        """The number of the population that each place holds, -1 for coherences and empty places, (n,)."""
        row, column = self.indices
        return jnp.where((row == column) & self.filled, row, -1)

    def take(self, packed: Packed) -> Entry:
        """The vector of a packed matrix, 0 at empty places."""
        return packed.reshape(-1).at[self.place].get(mode="fill", fill_value=0.0)

    def put(self, vector: Entry) -> Packed:
        """The packed matrix of a vector, zero elsewhere."""
        d = self.dimension
        empty = jnp.zeros((d * d,), vector.dtype)
        return empty.at[self.place].set(vector, mode="drop", unique_indices=True).reshape(d, d)

    def in_use_anywhere(self, same: BoolMatrix) -> Bool[Array, " n"]:
        """Places (n,) that are in use in any cell of a batch, the same for all cells."""
        return jnp.arange(self.place.shape[0]) < eqxi.unvmap_max(jnp.sum(self.filled))

    def outer(self, left: RealVector) -> Entry:
        """v_m v_n at each entry (m, n), 1 at empty places."""
        row, column = self.indices
        return jnp.where(self.filled, left[row] * left[column], 1.0)


Entries = AllEntries | SomeEntries
