"""The deadlock of small machines: recognised, warned about once, avoided by the command line."""

import os
import subprocess
import sys
import warnings

import jax
import pytest

from qdbjax.compilation import deadlock, exposed_to_deadlock

TWO_CALLS = "custom_call @lapack_dsyevd_ffi ... custom_call @lapack_dgetrf_ffi"


@pytest.fixture
def exposed(monkeypatch):
    monkeypatch.setenv("NPROC", "2")
    monkeypatch.setenv("XLA_FLAGS", "--xla_other=1")
    monkeypatch.setattr(deadlock, "_warned", False)
    # Asking JAX itself could start its backend under these flags.
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")


def test_flag_or_more_cores_protect(exposed, monkeypatch):
    assert exposed_to_deadlock()
    monkeypatch.setenv("NPROC", "4")
    assert not exposed_to_deadlock()
    monkeypatch.setenv("NPROC", "1")
    monkeypatch.setenv("XLA_FLAGS", f"--xla_other=1 {deadlock.FLAG}")
    assert not exposed_to_deadlock()


def test_warns_once_and_only_for_several_lapack_calls(exposed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deadlock.warn_if_exposed("no such call")
        deadlock.warn_if_exposed("one custom_call @lapack_dsyevd_ffi")
        with pytest.raises(UserWarning, match="XLA_FLAGS=--xla_cpu_enable_concurrency"):
            deadlock.warn_if_exposed(TWO_CALLS)
        deadlock.warn_if_exposed(TWO_CALLS)


def test_flags_set_after_import_still_count():
    """The command line sets XLA_FLAGS after JAX is imported; a flag that XLA does not know shows when it is read."""
    code = (
        "import os, qdbjax; os.environ['XLA_FLAGS'] = '--xla_no_such_flag=1'; "
        "import jax.numpy as jnp; print(jnp.zeros(2) + 1)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode != 0 and "--xla_no_such_flag=1" in done.stderr
