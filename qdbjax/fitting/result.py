"""What a fit found, how sure it is, and whether to believe it."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from qdbjax._repr import html_table
from qdbjax._status import Status, explain
from qdbjax.fitting.uncertainty import SHOWN_DIRECTIONS, Identifiability, identifiability

SHOWN_REALS = 8  # of an array or tree; of more, the ends or their number
FIT_VERDICTS = {
    "converged": "converged, target attained",
    "stalled": "converged, target not attained: the optimum stays away from it",
    "unfinished": "not converged: the loss was still falling at the last step",
    "failed": "failed: no start has a finite loss with a finite gradient",
}


@dataclasses.dataclass(frozen=True)
class Fit:
    """The best parameters, how sure they are, and whether the target was attained; `print` it to read it.

    parameters: by name, what the model was called with, trees whole.
    values: by name, every free value, in the units it was given in; those of a tree numbered, `name.0`, …
    loss: the lowest of all starts that keep the bounds; bounds do not count in it.
    losses: (start,), that of each.
    history: (step, start), the lowest so far; with bounds that of the point that weighs loss and excess best.
    steps: number of steps made.
    outputs: by name, what the model returns at these parameters.
    targets: by name, (value, error) of every `match`.
    over: the conditions.
    table: by name, output beside target, in words.
    verdict: "converged" (targets attained), "stalled" (converged, not attained), "unfinished" or "failed".
    status: flags (`explain`), those of the model's own solves among them.
    condition_status: (conditions,) or (), flags that solves inside the model raised at these parameters.
    covariance: (n, n), of the n free reals `identifiability.labels`; None but for least squares.
    standard_errors: by name, of the values; empty but for least squares.
    intervals: by name, (low, high) at 95 %; empty but for least squares.
    at_bounds: parameters that lie at a bound, in words.
    identifiability: which combinations of parameters the data do not determine.
    """

    parameters: dict[str, Any]
    values: dict[str, np.ndarray]
    loss: float
    losses: np.ndarray
    history: np.ndarray
    steps: int
    outputs: dict[str, np.ndarray]
    targets: dict[str, tuple[np.ndarray, np.ndarray]]
    over: dict[str, np.ndarray]
    table: dict[str, str]
    verdict: str
    status: int
    condition_status: np.ndarray
    covariance: np.ndarray | None
    standard_errors: dict[str, np.ndarray]
    intervals: dict[str, tuple[np.ndarray, np.ndarray]]
    at_bounds: list[str]
    identifiability: Identifiability

    def __repr__(self) -> str:
        lines = [f"Fit: {FIT_VERDICTS[self.verdict]} (loss {self.loss:.4g} after {self.steps} steps)"]
        lines += self._value_lines()
        lines += [f"  {name}: {row}" for name, row in self.table.items()]
        lines += [f"  {line}" for line in self._remarks()]
        if self.status:
            lines.append(f"  {explain(self.status)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        shown = lambda x: np.array2string(np.asarray(x), precision=6, threshold=SHOWN_REALS)  # noqa: E731
        between = {name: " … ".join(map(shown, ends)) for name, ends in self.intervals.items()}
        errors = {name: shown(error) for name, error in self.standard_errors.items()}
        rows = [(name, shown(x), errors.get(name, ""), between.get(name, "")) for name, x in self.values.items()]
        notes = [*self.table.items(), ("loss", f"{self.loss:.4g} after {self.steps} steps")]
        notes += [("note", line) for line in self._remarks()]
        notes.append(("status", explain(self.status)))
        header = ("parameter", "value", "standard error", "95 % interval")
        columns = len(header) if errors else 2
        return html_table(
            f"Fit: {FIT_VERDICTS[self.verdict]}", header[:columns], [row[:columns] for row in rows], notes
        )

    def _remarks(self) -> list[str]:
        """How many starts agree, what lies at a bound, what the data do not see, which conditions are flagged."""
        lines = []
        if len(self.losses) > 1:
            near = np.sum(self.losses <= self.loss + 1e-6 * abs(self.loss) + 1e-12)
            lines.append(f"{near} of {len(self.losses)} starts came to this loss")
        sloppy = self.identifiability.sloppy
        if len(sloppy) > SHOWN_DIRECTIONS:
            sloppy = [f"{len(sloppy)} directions badly seen or not at all: see identifiability"]
        at_bounds = self.at_bounds[:SHOWN_DIRECTIONS]
        if len(self.at_bounds) > len(at_bounds):
            at_bounds.append(f"{len(self.at_bounds)} values lie at their bounds: see at_bounds")
        return [*lines, *at_bounds, *sloppy, *self._flag_lines()]

    def _value_lines(self) -> list[str]:
        """Every value with its error; of a tree with many reals only their number, and how many the data do not see."""
        trees: dict[str, list[str]] = {}
        for name in self.values:
            trees.setdefault(name.split(".")[0], []).append(name)
        lines, place = [], 0
        for tree, names in trees.items():
            of_tree = [label for label in self.identifiability.labels[place:] if _is_of(label, names)]
            places = slice(place, place + len(of_tree))
            place = places.stop
            if names != [tree] and len(of_tree) > SHOWN_REALS:
                lines.append(f"  {tree}: {len(of_tree)} reals, {self.identifiability.unseen(places)} unseen")
                continue
            for name in names:
                error = self.standard_errors.get(name)
                shown = np.array2string(self.values[name], precision=6, threshold=SHOWN_REALS).replace("\n", "")
                lines.append(f"  {name} = {shown}" + ("" if error is None else f" ± {_brief(error)}"))
        return lines

    def _flag_lines(self) -> list[str]:
        """Under how many conditions the model itself is flagged, and how."""
        flagged = self.condition_status != 0
        if not np.any(flagged):
            return []
        names = ", ".join(flag.label for flag in Status if flag and np.any(self.condition_status & int(flag)))
        where = f"{int(flagged.sum())} of {flagged.size} conditions" if flagged.ndim else "the model"
        return [f"{where} flagged: {names}"]

    def save(self, path: str | pathlib.Path) -> None:
        """Write it to a JSON file; trees by their free values only."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["parameters"] = {name: x for name, x in self.parameters.items() if name in self.values or np.isscalar(x)}
        report = plain.pop("identifiability")
        plain["labels"], plain["jacobian"] = report.labels, report.singular_values[:, None] * report.directions
        pathlib.Path(path).write_text(json.dumps(_to_json(plain), indent=1), encoding="utf-8")


def _is_of(label: str, names: list[str]) -> bool:
    """Whether a free real belongs to one of the values."""
    words = label.removeprefix("ln ").removeprefix("Re ").removeprefix("Im ")
    return any(words == name or words.startswith(f"{name}[") for name in names)


def _brief(value: np.ndarray) -> str:
    shown = np.array2string(np.asarray(value), formatter={"float_kind": lambda x: f"{x:.2g}"}, threshold=SHOWN_REALS)
    return shown.replace("\n", "")


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_json(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_to_json(each) for each in value]
    if isinstance(value, np.ndarray) and np.iscomplexobj(value):
        return {"re": value.real.tolist(), "im": value.imag.tolist()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value if isinstance(value, str | int | float | bool | None) else np.asarray(value).tolist()


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"re", "im"}:
        return np.array(value["re"]) + 1j * np.array(value["im"])
    return np.array(value)


def load_fit(path: str | pathlib.Path) -> Fit:
    """A Fit from the file that `Fit.save` wrote.

    path: of that file.
    Returns a Fit, of trees their free values only. Raises ValueError for another file.

    >>> found = qdb.fitting.load_fit("fit.json")  # doctest: +SKIP
    """
    try:
        found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        report = identifiability(np.array(found.pop("jacobian")), found.pop("labels"))
        arrays = {
            name: {key: _from_json(each) for key, each in found[name].items()}
            for name in ("parameters", "values", "outputs", "over", "standard_errors")
        }
        pairs = {
            name: {key: tuple(map(_from_json, each)) for key, each in found[name].items()}
            for name in ("targets", "intervals")
        }
        matrix = None if found["covariance"] is None else np.array(found["covariance"])
        single = {name: np.array(found[name]) for name in ("losses", "history", "condition_status")}
        return Fit(**{**found, **arrays, **pairs, **single, "covariance": matrix, "identifiability": report})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} does not hold a fit that was saved with Fit.save: {error!r}.") from None


def status_of(verdict: str, report: Identifiability, condition_status: np.ndarray) -> int:
    """The flags of a fit: its own and those of the model at its parameters."""
    status = Status(int(np.bitwise_or.reduce(condition_status.reshape(-1), initial=0)))
    if verdict == "failed":
        status |= Status.NONFINITE_INPUT
    if verdict == "stalled":
        status |= Status.TARGET_NOT_ATTAINED
    if verdict == "unfinished":
        status |= Status.NOT_CONVERGED
    if verdict != "failed" and report.rank < len(report.labels):
        status |= Status.NOT_IDENTIFIABLE
    return int(status)
