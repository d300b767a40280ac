"""Batched gradients with JAX's default settings end: jaxlib can deadlock on two cores with several LAPACK kinds."""

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_batch_of_2000_gradients_at_d_16_ends_with_default_settings():
    script = pathlib.Path(__file__).with_name("batched_gradient.py")
    plain = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    plain["PYTHONPATH"] = str(script.parents[2])
    done = subprocess.run(
        [sys.executable, str(script), "2000", "16"], env=plain, capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.startswith("finite True")
