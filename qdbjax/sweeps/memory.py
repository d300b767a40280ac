"""How much memory a compiled program needs and how much there is."""

import os
from pathlib import Path

import jax

BLOCK_FRACTION = 1 / 4  # of the free memory, for one block


def bytes_needed(compiled: jax.stages.Compiled, points: int, bytes_per_point: int) -> int:
    """Bytes that one run of the program takes; where the compiler does not say, 32 times those of its results."""
    estimate = 32 * points * bytes_per_point
    try:
        analysis = compiled.memory_analysis()
    except jax.errors.JaxRuntimeError:
        return estimate
    if analysis is None:
        return estimate
    total = analysis.temp_size_in_bytes + analysis.output_size_in_bytes + analysis.argument_size_in_bytes
    return total if total > 0 else estimate


def bytes_free() -> int:
    """Bytes free on the default device: the accelerator's own, or the machine's within its control group."""
    device = jax.local_devices()[0]
    statistics = None if device.platform == "cpu" else device.memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    return min(_machine_bytes_free(), _control_group_bytes_free())


def _machine_bytes_free() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 2**31


def _control_group_bytes_free() -> int:
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no control group, or "max"
        return 2**62


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out."""
    text = str(error)
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()
