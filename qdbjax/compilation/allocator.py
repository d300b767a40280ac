"""Memory of large calls kept by the process, where the C library hands it back and asks for it anew at every call."""

import ctypes
import sys

# Of glibc's malloc.h, and the values under which no freed memory goes back before 2 GB of it lie at the end.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
VALUES = {ARENA_MAX: 1, MMAP_MAX: 0, TRIM_THRESHOLD: 2_000_000_000}


def keep_freed_memory() -> bool:
    """Let this process keep the memory that a large call on the CPU has freed, for the next one.

    Intermediate results beyond 32 MB are otherwise asked for page by page and given back, every call: a batch of 8
    chains of 8 spins took 12 000 page faults and 15.8 ms a cell, and takes none and 13.1.

    To be called before the first JAX computation of the process; later it does little. The process then stays as large
    as its largest call. The command line does so itself.

    Returns whether the C library knows how, which is glibc's (Linux) alone.

    >>> qdb.compilation.keep_freed_memory()  # doctest: +SKIP
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return False
    return all(mallopt(option, value) == 1 for option, value in VALUES.items())
