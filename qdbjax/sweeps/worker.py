"""What a worker of a Dask cluster does: it computes blocks of a store and writes them there itself."""

import pickle
import platform
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from qdbjax.compilation.tiers import optimize
from qdbjax.sweeps.blocks import Region
from qdbjax.sweeps.configuration import difference
from qdbjax.sweeps.errors import ClusterError, StoreError
from qdbjax.sweeps.grid_run import BlockRunner, block_that_fits, compiler_of
from qdbjax.sweeps.store import SweepStore

SWEEPS_KEPT = 4  # sweeps whose programs a worker keeps, the latest ones


@dataclass(frozen=True)
class Order:
    """What a worker has to know of a sweep.

    content: function, axes and name, by cloudpickle.
    sha256: of this content and what is said of the store: workers keep programs by it.
    path, configuration, block: of the store.
    x64, optimized: precision and kind of the program, as where the sweep was called.
    versions: that a worker must have.
    """

    content: bytes
    sha256: str
    path: Path
    configuration: dict[str, str]
    block: tuple[int, ...]
    x64: bool
    optimized: bool
    versions: dict[str, str]


def said_of_itself() -> dict[str, str]:
    """Versions of a process, where it computes (`platform`), and on what (`device`)."""
    device = jax.local_devices()[0]
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "qdbjax": sys.modules["qdbjax"].__version__,
        "JAX": jax.__version__,
        "jaxlib": sys.modules["jaxlib"].__version__,
        "platform": device.platform,
        "device": f"{device.platform}: {device.device_kind}",
    }


def deliver(order: Order) -> Order:
    """The order itself, as the result of a task: Dask brings it to the workers, and again where one is lost."""
    return order


def compute(order: Order, region: Region) -> tuple[int, int]:
    """Compute a block and write it. Returns the number of its points, and of those that are flagged."""
    try:
        with _lock, jax.enable_x64(order.x64), optimize(order.optimized):
            return _run_of(order).block(region)
    except Exception as error:
        error.__cause__ = error.__context__ = None  # what zarr raises cannot be pickled
        raise


def _run_of(order: Order) -> "_Run":
    if order.sha256 not in _runs:
        while len(_runs) >= SWEEPS_KEPT:
            del _runs[next(iter(_runs))]
        _runs[order.sha256] = _Run(order)
    return _runs[order.sha256]


class _Run:
    """A sweep on this worker: its program, compiled once, and its store."""

    def __init__(self, order: Order):
        own = said_of_itself()
        found = difference({name: own[name] for name in order.versions}, order.versions)
        if found is not None:
            raise ClusterError(f"{found}, on worker {name_of_worker()}. Give all of them one environment.")
        fn, axes, name = _unpacked(order)
        try:
            self.store = SweepStore(order.path, "r+")
        except StoreError as error:
            raise ClusterError(
                f"worker {name_of_worker()} does not see the store ({error}). Give an out that all workers share."
            ) from None
        wanted = {**order.configuration, "block": str(order.block)}
        found = difference(wanted, {**self.store.configuration, "block": str(self.store.chunk)})
        if found is not None:
            raise ClusterError(f"worker {name_of_worker()} sees another store: {found}. Give an out that all share.")
        self.runner = _runner(fn, axes, name, self.store)

    def block(self, region: Region) -> tuple[int, int]:
        ((_, results),) = self.runner.results([region])
        self.store.write(region, results)
        return results.status.size, int(np.count_nonzero(results.status))


def _runner(fn: Callable, axes: dict[str, np.ndarray], name: str, store: SweepStore) -> BlockRunner:
    compiler = compiler_of(fn, axes, name)
    return BlockRunner(compiler, axes, block_that_fits(compiler, store.chunk, memory_limit()))


def _unpacked(order: Order) -> tuple[Callable, dict[str, np.ndarray], str]:
    try:
        return pickle.loads(order.content)
    except Exception as error:  # whatever the import of a module of the user's raises
        raise ClusterError(
            f"worker {name_of_worker()} cannot load the function ({type(error).__name__}: {error}). Install its "
            "modules there, or send them with Client.upload_file."
        ) from None


def memory_limit() -> int | None:
    """Bytes beyond which Dask ends this worker, None for none; several workers of a machine share it by them."""
    from distributed import get_worker

    try:
        return get_worker().memory_manager.memory_limit
    except ValueError:
        return None


def name_of_worker() -> str:
    """Its address."""
    from distributed import get_worker

    try:
        return get_worker().address
    except ValueError:
        return "of this process"


_lock = threading.Lock()  # a worker may have several threads: one block after another
_runs: dict[str, _Run] = {}
