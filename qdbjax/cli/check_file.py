"""`qdbjax check`: a run file looked at without computing: what it would compute, how large, how long it compiles."""

import math
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from qdbjax.cli.execution import prepare, task_of
from qdbjax.cli.fit_run import FitRun
from qdbjax.cli.sweep_run import SweepRun
from qdbjax.compilation.tiers import chosen, is_optimized

# Seconds of two cores for an instruction that XLA is given: 0.17 to 0.36 ms for eight files of 5000 to 15000.
SECONDS, OPTIMIZED = 3e-4, 3.5


def print_check(file: Path, console: Console, optimize: bool | None) -> None:
    """What the file asks for. Raises InputError for whatever is wrong with it, as a run would."""
    prepare()
    task = task_of(file)
    with chosen(optimize):
        lines = list(_of_a_fit(task) if isinstance(task, FitRun) else _of_a_sweep(task))
    for name, text in [("file", f"{file} is right"), *lines]:
        console.print(f"{name:<17} {text}", highlight=False, markup=False, soft_wrap=True)


def _of_a_sweep(task: SweepRun) -> Iterator[tuple[str, str]]:
    planned = task.planned()
    yield "system", f"{task.plan.levels} levels, baths {', '.join(task.plan.baths)}"
    sizes = {name: len(values) for name, values in task.plan.axes.items()}
    for name, values in task.plan.axes.items():
        yield "axis", f"{name}: {len(values)} points from {values.min():.6g} to {values.max():.6g}"
    yield "points", f"{planned.points}"
    for name, dims in planned.dims.items():
        yield "variable", f"{name} ({', '.join(dims)}) {planned.types[name]}"
    count = math.prod(math.ceil(n / m) for n, m in zip(sizes.values(), planned.block, strict=True))
    yield (
        "blocks",
        f"{count} of {' × '.join(map(str, planned.block)) or 1} points, {_bytes(planned.bytes_per_block)} each",
    )
    yield "results", f"{_bytes(planned.bytes_per_point * planned.points)} before compression"
    yield "compilation", _compilation(planned.instructions, is_optimized(planned.points))
    yield "figures", ", ".join(figure.variable for figure in task.figures)


def _compilation(instructions: int, optimized: bool) -> str:
    seconds = instructions * SECONDS * (OPTIMIZED if optimized else 1.0)
    kind = "optimised" if optimized else "quick"
    return f"about {max(1.0, seconds):.0f} s the first time ({instructions} instructions, {kind})"


def _of_a_fit(task: FitRun) -> Iterator[tuple[str, str]]:
    yield "system", f"{task.plan.levels} levels, baths {', '.join(task.plan.baths)}"
    for name, each in task.table.parameters.items():
        yield "parameter", f"{name}: {each.kind}, from {float(task.free[name].start):.6g}"
    for name, values in task.plan.axes.items():
        yield "condition", f"{name}: {len(values)} rows from {values.min():.6g} to {values.max():.6g}"
    for name, aim in task.table.aims.items():
        yield "aim", f"{name}: {aim.goal} {aim.quantity}"
    yield "search", f"{task.table.steps} steps at most, {task.table.starts} start{'s' * (task.table.starts > 1)}"


def _bytes(count: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TB"
