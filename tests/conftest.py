"""A strict session: double precision, no implicit promotion of dtype or rank, warnings as errors."""

import os

# One LAPACK kind at a time on small machines: see "Sharp bits" in the README. Set before JAX starts its backend.
_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
if _FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}".strip()

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def rng():
    """A generator of random numbers with a fixed seed."""
    import numpy as np

    return np.random.default_rng(20231)
