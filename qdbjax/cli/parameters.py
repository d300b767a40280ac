"""Parameters of a run file by path, such as baths.hot.temperature: which there are, and how to set one."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from qdbjax.cli.errors import InputError, nearest
from qdbjax.cli.schema import RunFile

FIXED = {"model", "kind", "name", "coupling", "hamiltonian", "matrix", "frequencies", "values"}


def tree_of(run: RunFile) -> dict:
    """System and baths as nested dictionaries, baths by name."""
    names = [bath.name for bath in run.baths]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"baths: the name {name!r} is given more than once")
    baths = {bath.name: bath.model_dump(exclude={"name"}) for bath in run.baths}
    return {"system": run.system.model_dump(), "baths": baths}


def numbers(tree: Any, path: str = "") -> Iterator[tuple[str, float | None]]:
    """(path, value) of every number that can be swept; None where it is left out."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        here = f"{path}.{key}" if path else str(key)
        if key in FIXED:
            continue
        if isinstance(value, (dict, list)):
            yield from numbers(value, here)
        elif value is None or isinstance(value, (int, float)):
            yield here, value


def paths_of(run: RunFile, tree: dict) -> dict[str, list[str]]:
    """The paths that each axis of a sweep moves, or each parameter and condition of a fit.

    Raises InputError for a path that is not there, or taken twice, or never set.
    """
    known = dict(numbers(tree))
    sections = {"sweep": run.sweep}
    if run.fit is not None:
        over = {name: each for name, each in run.fit.over.items() if each.parameter != "time"}
        sections = {"fit.parameters": run.fit.parameters, "fit.over": over}
    paths: dict[str, list[str]] = {}
    for section, tables in sections.items():
        for name, table in tables.items():
            paths[name] = [table.parameter] if isinstance(table.parameter, str) else table.parameter
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
    for path, value in known.items():
        if value is None and path not in moved:
            raise InputError(f"{path}: is missing; give it a value or {'fit' if run.fit else 'sweep'} it")
    return paths


def with_values(tree: dict, paths: Mapping[str, list[str]], values: Mapping[str, Any]) -> dict:
    """A copy of the tree in which the paths of each name hold its value; all else stays the constant it was."""
    tree = copy.deepcopy(tree)
    for name, group in paths.items():
        for path in group:
            *parents, last = path.split(".")
            node = tree
            for key in parents:
                node = node[int(key)] if isinstance(node, list) else node[key]
            node[int(last) if isinstance(node, list) else last] = values[name]
    return tree
