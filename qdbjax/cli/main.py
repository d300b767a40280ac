"""Entry of the command line: settings that JAX reads when its first computation starts, then the commands."""

import os
import signal
import sys
from collections.abc import Sequence

from qdbjax.cli.signals import STOPPED
from qdbjax.compilation.allocator import keep_freed_memory
from qdbjax.compilation.deadlock import FEW, FLAG, cores

NEEDED = {"typer": "cli", "rich": "cli", "pydantic": "cli", "xarray": "store", "zarr": "store", "matplotlib": "plot"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with these arguments and return the exit code; without arguments, those of the process.

    0: done; 1: the run failed; 2: wrong input, said in one line; 130: stopped by Ctrl-C; 143: stopped by SIGTERM.
    """
    _avoid_deadlock()
    if argv is None:  # a process of its own
        keep_freed_memory()
    if "matplotlib" not in sys.modules:
        os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever backend an environment names
    try:
        code = _run(argv)
    except KeyboardInterrupt:  # while packages are imported
        code = STOPPED + signal.SIGINT
    if argv is None and code > STOPPED:
        # jaxlib 0.10.2, interrupted while it traced, crashed in 2 of 3 runs when the interpreter took it down (139
        # instead of 130). Files are closed and removed by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        from qdbjax.cli.app import app

        app(args=None if argv is None else list(argv), prog_name="qdbjax")
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        print(f'error: {error.name} is not installed: pip install "qdbjax[cli,plot,store]"', file=sys.stderr)
        return 2
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def _avoid_deadlock() -> None:
    """On few cores, the flag of `qdbjax.compilation.deadlock`; effective because no computation has started yet."""
    flags = os.environ.get("XLA_FLAGS", "")
    if cores() <= FEW and FLAG.split("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}".strip()
