"""A strict session: double precision, no implicit promotion of dtype or rank, warnings as errors."""

import gc
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


@pytest.fixture(scope="module", autouse=True)
def _few_mapped_regions():
    """Drop compiled programs after a file when they hold many memory maps.

    Every program that JAX compiles for a CPU maps regions of memory, 3000 for a file of tests and more. Linux grants a
    process 65 530; one beyond them ends it in a segmentation fault, which is how a whole run of these tests ended.
    """
    yield
    try:
        with open("/proc/self/maps") as regions:
            mapped = sum(1 for _ in regions)
    except OSError:  # not Linux: no such limit
        return
    if mapped > 20_000:
        jax.clear_caches()
        gc.collect()
