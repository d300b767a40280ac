"""Which share of a store a process computes: block n belongs to rank n mod world."""

import os
from collections.abc import Mapping

OPEN_MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
SLURM_TASKS = ("SLURM_PROCID", "SLURM_NTASKS")
SLURM_STEP = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")  # what srun starts, which may be fewer than the job has
SLURM_ARRAY = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")


def share(rank: int | str | None, world: int | None, variables: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Rank and world as given; of "auto", from the variables of the environment that Open MPI or SLURM sets.

    A SLURM array whose jobs run several tasks each shares among all tasks of all jobs. Raises ValueError for a rank
    outside of 0 … world - 1, one without the other, and "auto" where no variable is set.
    """
    if rank == "auto":
        if world is not None:
            raise ValueError(f"rank='auto' reads world too; got world={world!r}. Leave it out.")
        return _from_environment(os.environ if variables is None else variables)
    if rank is None and world is None:
        return 0, 1
    for name, value in (("rank", rank), ("world", world)):
        if isinstance(value, bool) or not isinstance(value, int):
            hint = " or rank='auto'" if name == "rank" else ""
            raise ValueError(f"{name} must be an integer, given with the other one{hint}; got {value!r}.")
    assert isinstance(rank, int) and isinstance(world, int)
    if not 0 <= rank < world:
        raise ValueError(f"rank must be from 0 to world - 1 = {world - 1}; got {rank}.")
    return rank, world


def _from_environment(variables: Mapping[str, str]) -> tuple[int, int]:
    if _has(variables, OPEN_MPI):
        rank, world = _numbers(variables, OPEN_MPI)
    elif _has(variables, SLURM_ARRAY):
        rank, world = _array(variables)
        if _has(variables, SLURM_STEP):
            task, tasks = _numbers(variables, SLURM_STEP)
            rank, world = rank * tasks + task, world * tasks
    elif _has(variables, SLURM_STEP):
        rank, world = _numbers(variables, SLURM_STEP)
    elif _has(variables, SLURM_TASKS):
        rank, world = _numbers(variables, SLURM_TASKS)
    else:
        raise ValueError(
            f"rank='auto' needs the variables of Open MPI ({OPEN_MPI[0]}), SLURM tasks ({SLURM_TASKS[0]}) or SLURM "
            f"arrays ({SLURM_ARRAY[0]}), and none is set. Give rank and world."
        )
    return share(rank, world)


def _array(variables: Mapping[str, str]) -> tuple[int, int]:
    number, jobs = _numbers(variables, SLURM_ARRAY)
    first, step = (int(variables.get(f"SLURM_ARRAY_TASK_{name}", n)) for name, n in (("MIN", 0), ("STEP", 1)))
    rank, rest = divmod(number - first, step)
    if rest or not 0 <= rank < jobs:
        raise ValueError(
            f"SLURM_ARRAY_TASK_ID={number} is none of {jobs} evenly spaced numbers from {first} on. Give the array "
            f"without gaps, as in --array=0-{jobs - 1}, or rank and world."
        )
    return rank, jobs


def _has(variables: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return all(name in variables for name in names)


def _numbers(variables: Mapping[str, str], names: tuple[str, ...]) -> tuple[int, ...]:
    for name in names:
        if not variables[name].isdecimal():
            raise ValueError(f"{name} must be a whole number; got {variables[name]!r}. Give rank and world.")
    return tuple(int(variables[name]) for name in names)
