"""How well data determine parameters: covariance, intervals, and directions that the data do not determine."""

import dataclasses

import numpy as np

NULL_THRESHOLD = 1e-7  # singular value, relative to the largest, below which a direction is not determined
SLOPPY_THRESHOLD = 1e-3  # below which it is called sloppy
SMALL_COMPONENT = 0.05  # components of a direction below this part of the largest are left out of its description
NORMAL_QUANTILE = 1.959963984540054  # 97.5 % quantile of the normal distribution


@dataclasses.dataclass(frozen=True)
class Identifiability:
    """The singular value decomposition of the Jacobian of the residuals, J = U S Vᵀ.

    labels: of the n free reals.
    singular_values: (n,), descending.
    directions: (n, n), the right singular vectors as rows.
    rank: number of directions that the data determine.
    """

    labels: list[str]
    singular_values: np.ndarray
    directions: np.ndarray
    rank: int

    @property
    def sloppy(self) -> list[str]:
        """Directions that the data determine badly or not at all, in words."""
        values = self.singular_values / max(self.singular_values.max(initial=0.0), np.finfo(float).tiny)
        found = []
        for value, direction in zip(values, self.directions, strict=True):
            if value < SLOPPY_THRESHOLD:
                degree = (
                    "not seen at all"
                    if value < NULL_THRESHOLD
                    else f"seen {value:.0e} times as well as the best direction"
                )
                found.append(f"{_describe_direction(self.labels, direction)}: {degree}")
        return found

    def __repr__(self) -> str:
        head = f"Identifiability(rank {self.rank} of {len(self.labels)}"
        return "\n".join([head + (")" if not self.sloppy else ":"), *(f"  {line}" for line in self.sloppy)])


def _describe_direction(labels: list[str], direction: np.ndarray) -> str:
    """A direction in which the data do not change, as what the data do determine of its parameters."""
    size = np.abs(direction)
    kept = [n for n in np.argsort(-size) if size[n] > SMALL_COMPONENT * size.max()]
    if len(kept) == 1:
        return f"{labels[kept[0]].removeprefix('ln ')} has no effect"
    if len(kept) == 2:
        a, b = sorted(kept)
        names = [labels[n].removeprefix("ln ") for n in (a, b)]
        if all(labels[n].startswith("ln ") for n in (a, b)):
            power = -direction[a] / direction[b]
            if abs(power - 1) < 1e-3:
                return f"{names[0]} and {names[1]} only through their product"
            if abs(power + 1) < 1e-3:
                return f"{names[0]} and {names[1]} only through their ratio"
        return f"{names[0]} and {names[1]} only in a combination"
    terms = " ".join(f"{direction[n]:+.2g} {labels[n]}" for n in sorted(kept))
    return f"moving along {terms}"


def identifiability(jacobian: np.ndarray, labels: list[str]) -> Identifiability:
    """Rank and directions of a Jacobian (m, n) with respect to the free reals."""
    m, n = jacobian.shape
    values, directions = np.zeros(n), np.eye(n)
    if np.all(np.isfinite(jacobian)) and m:
        _, found, directions = np.linalg.svd(jacobian, full_matrices=True)
        values[: len(found)] = found
    largest = values.max(initial=0.0)
    return Identifiability(
        labels, values, directions, int(np.sum(values > NULL_THRESHOLD * largest)) if largest > 0 else 0
    )


def covariance(report: Identifiability, scale: float) -> np.ndarray:
    """Gauss and Newton's covariance of the free reals, scale · (JᵀJ)⁻¹; infinite on its null space."""
    is_determined = np.arange(len(report.labels)) < report.rank
    inverse = np.where(is_determined, 1 / np.where(is_determined, report.singular_values, 1.0) ** 2, 0.0)
    found = scale * (report.directions.T * inverse) @ report.directions
    in_null_space = np.any(np.abs(report.directions[~is_determined]) > 1e-6, axis=0)
    found[in_null_space, in_null_space] = np.inf
    return found
