"""A dilute gas whose particles scatter off the system."""

import equinox as eqx
import numpy as np

from qdbjax._checks import as_hermitian, as_scalar, is_traced
from qdbjax._types import AnyMatrix, ArrayLike, Scalar
from qdbjax.baths.temperature import positive_temperature


class Gas(eqx.Module):
    """A thermal gas in one dimension whose particles meet the system at a point, H_int = V δ(q).

    H = p²/2m + H_S + V δ(q), with momentum distribution G(p) = √(β/2πm) e^{-βp²/2m}.

    potential: Hermitian V (d, d), energy times length, in the basis of the Hamiltonian; any sign, finite.
    temperature: T > 0, energy (k_B = 1); give this or inverse_temperature.
    inverse_temperature: 1/T > 0.
    density: ν >= 0, the factor in a_kl = 2πν R_kl; n particles per length are ν = 2πn.
    mass: m > 0.
    name: label in results.
    Attributes: temperature, whichever was given; repulsive, whether V is known to have no negative eigenvalue;
    dimension.
    Raises ValueError or TypeError for concrete input out of range; traced input is flagged by the solvers.
    *Source:* R. Alicki, M. Šindelka, D. Gelbwaser-Klimovsky, Phys. Rev. Lett. 131, 040401 (2023), (7), (29); their (20)
    prints half of the rate that follows from (7).

    >>> qdb.Gas([[1.0, 0.2], [0.2, 0.5]], temperature=0.5, density=1.0, mass=1.0)
    Gas(potential 2x2, temperature=0.5, density=1.0, mass=1.0)
    """

    potential: AnyMatrix
    temperature: Scalar
    density: Scalar
    mass: Scalar
    name: str | None = eqx.field(static=True)
    repulsive: bool = eqx.field(static=True)

    def __init__(
        self,
        potential: ArrayLike,
        *,
        temperature: ArrayLike | None = None,
        inverse_temperature: ArrayLike | None = None,
        density: ArrayLike = 1.0,
        mass: ArrayLike = 1.0,
        name: str | None = None,
    ):
        self.potential = as_hermitian(potential, "potential")
        self.temperature = positive_temperature(temperature, inverse_temperature)
        self.density = as_scalar(density, "density", low=0)
        self.mass = as_scalar(mass, "mass", low=0, strict=True)
        self.name = None if name is None else str(name)
        # What is known to bind nothing has no resonances to look for: half the nodes.
        self.repulsive = not is_traced(self.potential) and bool(
            np.linalg.eigvalsh(np.asarray(self.potential)).min() >= 0
        )

    @property
    def dimension(self) -> int:
        """Dimension of the system that it scatters off."""
        return self.potential.shape[-1]

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        numbers = {key: getattr(self, key) for key in ("temperature", "density", "mass")}
        shown = ", ".join(f"{key}={'traced' if is_traced(x) else np.asarray(x)}" for key, x in numbers.items())
        return f"Gas({label}potential {'x'.join(map(str, self.potential.shape))}, {shown})"
