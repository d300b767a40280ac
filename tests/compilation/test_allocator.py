"""Freed memory kept by the process: page faults of repeated calls, counted, and who asks for it."""

import ctypes
import os
import subprocess
import sys
import types

from qdbjax.cli import main as command_line
from qdbjax.compilation import allocator, keep_freed_memory

CALLS = """
import resource, sys
import jax, jax.numpy as jnp
import qdbjax as qdb

if sys.argv[1] == "kept":
    assert qdb.compilation.keep_freed_memory() is True
program = jax.jit(lambda x: jnp.sum(jnp.fft.fft(x[:, None] * jnp.arange(2048.0)).real))
x = jnp.ones(2**12)  # 64 MB in between, in single precision


def faults_of_a_call():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    program(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


found = [faults_of_a_call() for _ in range(16)]
print(min(found[8:]))  # the first ones find their places
"""


def faults(mode):
    """Page faults of a call that holds 64 MB in between, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", CALLS, mode]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def test_a_large_call_asks_for_no_page_twice():
    """64 MB are 16384 pages of 4 kB. Where the C library is not glibc nothing can be asked for, and nothing is."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        assert keep_freed_memory() is False
        return
    assert faults("kept") < 100
    assert faults("given back") > 10_000


def test_what_is_asked_for(monkeypatch):
    """M_TRIM_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX of glibc's malloc.h; 0 is its answer to what it does not take."""
    asked = {}
    library = types.SimpleNamespace(mallopt=lambda option, value: asked.update({option: value}) is None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: library)
    assert keep_freed_memory() is True
    assert asked == {-1: 2 * 10**9, -4: 0, -8: 1}
    library.mallopt = lambda option, value: 0
    assert keep_freed_memory() is False


def test_where_the_c_library_does_not_know_how(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory() is False


def test_the_command_line_asks_in_a_process_of_its_own(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(command_line, "keep_freed_memory", lambda: asked.append(True))
    assert command_line.main(["--help"]) == 0 and not asked
    monkeypatch.setattr(sys, "argv", ["qdbjax", "--help"])
    assert command_line.main() == 0 and asked == [True]
    assert "run" in capsys.readouterr().out
