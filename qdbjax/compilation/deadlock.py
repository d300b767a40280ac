"""Whether this process may hang in a batched program with several LAPACK calls, and the warning that says so.

jaxlib on a machine with two cores runs independent LAPACK calls of one program at once and waits for threads that
its pool does not have (jaxlib 0.10.2). A flag that is read when the first computation starts avoids it at no cost.
"""

import os
import warnings

FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
FEW = 2  # cores; three were never seen to hang

_warned = False


def cores() -> int:
    """Threads that jaxlib will give its pool: NPROC if set, else the cores this process may use."""
    wanted = os.environ.get("NPROC", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def exposed_to_deadlock() -> bool:
    """Whether a batched program with several LAPACK calls can hang here.

    It can on the CPU backend with two cores or fewer, unless XLA_FLAGS, set before JAX starts, has
    `--xla_cpu_enable_concurrency_optimized_scheduler=false`. Returns True or False.
    """
    import jax  # here, because the command line asks for `cores` before it starts JAX

    return jax.default_backend() == "cpu" and cores() <= FEW and FLAG not in os.environ.get("XLA_FLAGS", "").split()


def calls_library(program: str) -> bool:
    """Whether the program (its text) leaves XLA, for LAPACK or for Python."""
    return "custom_call" in program


def warn_if_exposed(program: str) -> None:
    """Warn, once per process, if this process is exposed and the program (its text) makes several LAPACK calls."""
    global _warned
    if _warned or program.count("@lapack_") < 2 or not exposed_to_deadlock():
        return
    _warned = True
    warnings.warn(
        f"jaxlib can hang in batched programs with several LAPACK calls on {cores()} cores. Set the environment "
        f"variable XLA_FLAGS={FLAG} before the first JAX computation of this process.",
        UserWarning,
        stacklevel=2,
    )
