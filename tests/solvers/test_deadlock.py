"""Batches with JAX's default settings end: jaxlib can deadlock on two cores where it runs two LAPACK calls at once."""

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("batch, d, equal", [(2000, 16, 1), (500, 8, 5), (500, 16, 2)])
def test_a_batch_ends_with_default_settings(batch, d, equal):
    """Without equal levels; with five, 64 unknowns; and with a pair, 32 unknowns."""
    script = pathlib.Path(__file__).with_name("batched_gradient.py")
    plain = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    plain["PYTHONPATH"] = str(script.parents[2])
    done = subprocess.run(
        [sys.executable, str(script), str(batch), str(d), str(equal)],
        env=plain,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.startswith("finite True")
