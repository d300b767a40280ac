"""A strict session: double precision, no implicit promotion of dtype or rank, warnings as errors."""

import ctypes
import gc
import importlib.metadata
import os

# Set before JAX starts its backend. One LAPACK kind at a time on small machines: see "Sharp bits" in the README. And
# quick programs (`qdbjax.compilation.tiers`): nine tenths of the time of these tests was compiling, a third of it is
# left. QDBJAX_TEST_OPTIMIZED=1 runs them as a user's own jax.jit compiles.
_FLAGS = ["--xla_cpu_enable_concurrency_optimized_scheduler=false"]
if os.environ.get("QDBJAX_TEST_OPTIMIZED", "0") == "0":
    _FLAGS += [
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
    if importlib.metadata.version("jaxlib").startswith("0.10."):  # jaxlib 0.11 lacks it: an unknown flag ends a process
        _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["QDBJAX_CACHE"] = "0"  # of the user; these tests keep programs in a folder of their own
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_FLAGS]).strip()

import jax
import pytest

pytest.register_assert_rewrite("reference", "generators.close_levels")
if os.environ.get("QDBJAX_TEST_TYPES", "0") != "0":  # annotations of every call and record, shapes included
    from jaxtyping import install_import_hook

    install_import_hook("qdbjax", os.environ["QDBJAX_TEST_TYPES"])
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


LIBC = ctypes.CDLL(None)

# Tracing makes objects by the million, of which few are garbage: collecting them took a tenth of the time.
gc.freeze()
gc.set_threshold(200_000, 50, 100)


@pytest.fixture
def rng():
    """A generator of random numbers with a fixed seed."""
    import numpy as np

    return np.random.default_rng(20231)


@pytest.fixture(scope="module", autouse=True)
def _few_mapped_regions():
    """Give back memory after a file, and compiled programs too when they hold many memory maps.

    Every program that JAX compiles for a CPU maps regions of memory, 3000 for a file of tests and more. Linux grants a
    process 65 530; one beyond them ends it in a segmentation fault, which is how a whole run of these tests ended. And
    30 000 maps were 10 GB in each of two processes, because malloc keeps what programs and compiling have freed.
    """
    yield
    try:
        with open("/proc/self/maps") as regions:
            mapped = sum(1 for _ in regions)
    except OSError:  # not Linux: no such limit
        return
    if mapped > 15_000:
        jax.clear_caches()
        gc.collect()
    if hasattr(LIBC, "malloc_trim"):  # of glibc
        LIBC.malloc_trim(0)


def pytest_configure(config):
    """Keep compiled programs in pytest's cache folder: workers, files and later runs share them."""
    if not hasattr(config, "cache"):  # -p no:cacheprovider
        return
    directory = config.cache.mkdir("programs")
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
