"""Parameters of a run file by path, such as baths.hot.temperature: which there are, and how to set one."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.schema import ARGUMENTS, SWEPT_INSIDE, RunFile

# Keys that hold no number that can be swept.
SYSTEM_FIXED = {"model", "hamiltonian", "matrix"}
GENERATOR_FIXED = {"kind", "lamb_shift", "forward_scattering"}
BATH_FIXED = {"kind", *ARGUMENTS} - SWEPT_INSIDE
# May be left out: None is the secular approximation.
OPTIONAL = {"generator.window"}
# One of the two is enough.
ALTERNATIVES = {"temperature": "inverse_temperature", "inverse_temperature": "temperature"}


class Parameters:
    """The numbers of system and baths, and those that the file moves.

    tree: system, baths and options of the generator as nested dictionaries, baths by name.
    known: value of every number that can be moved, by its path; None where it is left out.
    paths: the paths that each axis of a sweep moves, or each parameter and condition of a fit.
    Raises InputError for a path that is not there, or taken twice, or never set.
    """

    def __init__(self, run: RunFile):
        self.tree = _tree_of(run)
        self.known = dict(_numbers(self.tree["system"], "system", SYSTEM_FIXED))
        for name, table in self.tree["baths"].items():
            self.known |= _numbers(table, f"baths.{name}", BATH_FIXED)
        self.known |= _numbers(self.tree["generator"] or {}, "generator", GENERATOR_FIXED)
        self.paths = _paths_of(run, self.known)

    def tree_with(self, values: Mapping[str, Any]) -> dict:
        """A copy of the tree in which the paths of each name hold its value; all else stays the constant it was."""
        tree = copy.deepcopy(self.tree)
        for name, group in self.paths.items():
            for path in group:
                *parents, last = path.split(".")
                node = tree
                for key in parents:
                    node = node[int(key)] if isinstance(node, list) else node[key]
                node[int(last) if isinstance(node, list) else last] = values[name]
        return tree


def _tree_of(run: RunFile) -> dict:
    names = [bath.name for bath in run.baths]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"baths: the name {name!r} is given more than once")
    baths = {bath.name: bath.model_dump(exclude={"name"}) for bath in run.baths}
    generator = None if run.generator is None else run.generator.model_dump()
    return {"system": run.system.model_dump(), "baths": baths, "generator": generator}


def _numbers(tree: Any, path: str, fixed: set[str]) -> Iterator[tuple[str, float | None]]:
    """(path, value) of every number that can be swept; None where it is left out."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        here = f"{path}.{key}"
        if key in fixed:
            continue
        if isinstance(value, (dict, list)):
            yield from _numbers(value, here, fixed)
        elif value is None or isinstance(value, (int, float)):
            yield here, value


def _paths_of(run: RunFile, known: Mapping[str, float | None]) -> dict[str, list[str]]:
    sections = {"sweep": run.sweep}
    if run.fit is not None:
        over = {name: each for name, each in run.fit.over.items() if each.parameter != "time"}
        sections = {"fit.parameters": run.fit.parameters, "fit.over": over}
    paths: dict[str, list[str]] = {}
    for section, tables in sections.items():
        for name, table in tables.items():
            paths[name] = [table.parameter] if isinstance(table.parameter, str) else list(table.parameter or ())
            for path in paths[name]:
                if path not in known:
                    hint = nearest(path, known) or f"; parameters are {', '.join(known)}"
                    raise InputError(f"{section}.{name}.parameter: {path!r} names nothing{hint}")
    moved = [path for group in paths.values() for path in group]
    for path in moved:
        if moved.count(path) > 1:
            raise InputError(
                f"{'fit' if run.fit else 'sweep'}: {path} is {'moved' if run.fit else 'swept'} more than once"
            )
    given = {path for path, value in known.items() if value is not None} | set(moved)
    given |= {path.rpartition(".")[0] for path in given}  # a list is given by what it holds
    for path in known:
        section, _, key = path.rpartition(".")
        if path not in OPTIONAL and not given & {path, f"{section}.{ALTERNATIVES.get(key, key)}"}:
            raise InputError(f"{path}: is missing; give it a value or {'fit' if run.fit else 'sweep'} it")
    return paths
