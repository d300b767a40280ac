"""Programs on disk: read by a second process, recognised where they are rejected, bounded in size."""

import os
import subprocess
import sys

import pytest

from qdbjax.compilation import cache, cache_use, use_cache

PROGRAM = """
import jax, jax.numpy as jnp
from qdbjax.compilation import cache_use, use_cache
print(use_cache())
print(float(jax.jit(lambda x: jnp.sum(jnp.sin(x) ** 2))(jnp.arange(5.0))))
print(cache_use())
"""


def lines(**environment):
    """What the program prints."""
    kept = {name: value for name, value in os.environ.items() if name not in ("QDBJAX_CACHE", "XDG_CACHE_HOME")}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=kept | environment)
    return done.stdout.splitlines()


def test_a_second_process_compiles_nothing_and_a_spoilt_entry_is_said(tmp_path):
    folder, value, first = lines(QDBJAX_CACHE=str(tmp_path))
    assert folder == str(tmp_path) and first.startswith("0 of ")
    again = lines(QDBJAX_CACHE=str(tmp_path))
    hits, _, requests = again[2].split()[:3]
    assert again[:2] == [folder, value] and int(hits) == int(requests) > 0 and "jax#38445" not in again[2]
    for entry in tmp_path.glob("*-cache"):
        entry.write_bytes(b"of another machine")
    spoilt = lines(QDBJAX_CACHE=str(tmp_path))
    assert spoilt[1] == value and spoilt[2].startswith("0 of ")
    assert f"{requests} stored ones could not be used on this machine" in spoilt[2] and "QDBJAX_CACHE=0" in spoilt[2]


def test_switch_and_default_folder(tmp_path):
    assert [lines(QDBJAX_CACHE="0")[n] for n in (0, 2)] == ["None", "None"]
    if sys.platform.startswith("linux"):
        assert lines(XDG_CACHE_HOME=str(tmp_path))[0] == str(tmp_path / "qdbjax")


def test_the_longest_unused_go_first(tmp_path):
    for age, size in enumerate((100, 200, 300)):
        path = tmp_path / f"{age}-cache"
        path.write_bytes(b"x" * size)
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "notes.txt").write_bytes(b"x" * 1000)
    cache._cut_back(tmp_path, 350)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-cache", "1-cache", "notes.txt"]


def test_refused_and_off(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be made: .*; choose another one"):
        use_cache(tmp_path / "file" / "folder")
    assert cache_use() is None
