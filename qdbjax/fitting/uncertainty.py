"""How well data determine parameters: covariance, intervals, and directions that the data do not determine."""

import dataclasses

import numpy as np

NULL_THRESHOLD = 1e-7  # singular value, relative to the largest, below which a direction is not determined
SLOPPY_THRESHOLD = 1e-3  # below which it is called sloppy
SMALL_COMPONENT = 0.05  # components of a direction below this part of the largest are left out of its description
SHOWN_DIRECTIONS = 6  # beyond which they are counted
SHOWN_TERMS = 6  # of a direction in words
ROWS = 8192  # of a Jacobian at a time
TINY = float(np.finfo(float).tiny)
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

    def unseen(self, places: slice = slice(None)) -> int:
        """How many of some free reals, by their place among the labels, the data do not see, all others held fixed."""
        columns = (self.singular_values[:, None] * self.directions)[:, places]
        values, _ = _singular(columns)
        return int(np.sum(values <= NULL_THRESHOLD * max(self.singular_values.max(initial=0.0), TINY)))

    @property
    def sloppy(self) -> list[str]:
        """Directions that the data determine badly or not at all, in words."""
        values = self.singular_values / max(self.singular_values.max(initial=0.0), TINY)
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
        if len(self.sloppy) > SHOWN_DIRECTIONS:
            return f"{head}, {len(self.sloppy)} directions badly seen or not at all: see sloppy)"
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
    terms = " ".join(f"{direction[n]:+.2g} {labels[n]}" for n in sorted(kept[:SHOWN_TERMS]))
    more = len(kept) - SHOWN_TERMS
    return f"moving along {terms}" + (f" and {more} more" if more > 0 else "")


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """R of M = QR, at most (n, n): the singular values and right vectors of M (m, n), in room for ROWS of its rows."""
    found = np.zeros((0, matrix.shape[1]))
    for begin in range(0, matrix.shape[0], ROWS):
        found = np.asarray(np.linalg.qr(np.concatenate([found, matrix[begin : begin + ROWS]]), mode="r"))
    return found


def _singular(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The n singular values, descending, and right singular vectors as rows; zeros where it is not finite."""
    m, n = matrix.shape
    values, directions = np.zeros(n), np.eye(n)
    if m and np.all(np.isfinite(matrix)):
        _, found, directions = np.linalg.svd(_triangle(matrix), full_matrices=True)
        values[: len(found)] = found
    return values, directions


def identifiability(jacobian: np.ndarray, labels: list[str], active: np.ndarray | None = None) -> Identifiability:
    """Rank and directions of a Jacobian (m, n) with respect to the free reals.

    active: (k, n), slopes of the bounds that hold the fit back: what a bound fixes is determined as well as anything.
    """
    values, directions = _singular(jacobian)
    if active is not None and active.shape[0] and np.all(np.isfinite(active)):
        size = np.linalg.norm(active, axis=1, keepdims=True)
        unit = active / np.where(size > 0, size, 1.0)
        values, directions = _singular(np.concatenate([_triangle(jacobian), max(values.max(), TINY) * unit]))
    largest = values.max(initial=0.0)
    return Identifiability(
        labels, values, directions, int(np.sum(values > NULL_THRESHOLD * largest)) if largest > 0 else 0
    )


def covariance(jacobian: np.ndarray, scale: float, active: np.ndarray) -> np.ndarray:
    """Gauss and Newton's covariance of the free reals, scale · (JᵀJ)⁻¹; infinite on its null space.

    active: (k, n), slopes of the bounds that hold the fit back: nothing varies along them.
    """
    n = jacobian.shape[1]
    fixed, basis = _singular(active)
    free = basis[fixed <= NULL_THRESHOLD * fixed.max(initial=0.0)] if active.shape[0] else np.eye(n)
    values, directions = _singular(jacobian @ free.T)
    is_determined = values > NULL_THRESHOLD * values.max(initial=0.0)
    inverse = np.where(is_determined, 1 / np.where(is_determined, values, 1.0) ** 2, 0.0)
    directions = directions @ free
    found = scale * (directions.T * inverse) @ directions
    in_null_space = np.any(np.abs(directions[~is_determined]) > 1e-6, axis=0)
    found[in_null_space, in_null_space] = np.inf
    return found
