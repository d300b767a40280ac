"""Killed at random moments and resumed: the same bytes as without, and no block computed twice."""

import collections
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("killed.py")


def files(store):
    found = {path.relative_to(store): path.read_bytes() for path in store.rglob("*") if path.is_file()}
    return {path: content for path, content in found.items() if path != pathlib.Path("zarr.json")}  # says when


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "world", "blocks"),
    [(2, 2, 83), (20, 1, 401), (20, 2, 401)],
)
def test_resumed_after_kills(tmp_path, kills, world, blocks):
    command = [sys.executable, str(SCRIPT), *map(str, (tmp_path, kills, world, blocks))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    hit, codes = done.stdout.split(maxsplit=1)
    assert int(hit) >= kills and not any(map(int, codes.strip("[] \n").split(","))), done.stderr
    log = (tmp_path / "log").read_text().splitlines()
    assert max(collections.Counter(log).values()) == 1  # no block twice
    # A kill between the last file of a block and its line in the log leaves the line out, at most one a process.
    assert blocks - world * int(hit) <= len(log) <= blocks
    whole = files(tmp_path / "whole.zarr")
    assert files(tmp_path / "run.zarr") == whole and len(whole) == 5 + 2 + 3 * blocks
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["log", "programs", "run.zarr", "whole.zarr"]  # no lock, no template
