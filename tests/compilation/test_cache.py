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


@pytest.mark.slow
def test_the_command_line_keeps_programs_and_says_when_they_are_of_no_use(tmp_path):
    """The first run fills the folder, the second reads it, the third finds it spoilt, the last does without."""
    file = tmp_path / "job.toml"
    file.write_text(
        "[system]\nmodel = 'qubit'\nsplitting = 1.0\n"
        "[[baths]]\nname = 'a'\ncoupling = {pauli = 'x'}\ntemperature = 1.0\n"
        "spectral_density = {kind = 'ohmic', strength = 0.01, cutoff = 5.0}\n"
        "[sweep.T]\nparameter = 'baths.a.temperature'\nstart = 0.5\nstop = 1.0\npoints = 5\n"
        "[output]\nquantities = ['populations']\n"
    )

    def said(folder):
        command = [sys.executable, "-m", "qdbjax", "run", str(file), "--output", str(tmp_path / "out"), "--overwrite"]
        environment = os.environ | {"QDBJAX_CACHE": folder}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("compiled programs")]

    folder = tmp_path / "programs"
    (first,) = said(str(folder))
    assert " 0 of " in first and "jax#38445" not in first
    assert said(str(folder)) == []
    for entry in folder.glob("*-cache"):
        entry.write_bytes(b"of another machine")
    (spoilt,) = said(str(folder))
    assert "could not be used on this machine" in spoilt
    assert said("0") == []
