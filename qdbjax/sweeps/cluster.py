"""Blocks of a store on the workers of a Dask cluster: checked, sent, counted; a block that is lost is sent again."""

import contextlib
import hashlib
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qdbjax._checks import setting
from qdbjax._progress import is_shown
from qdbjax.compilation.tiers import is_optimized
from qdbjax.sweeps.blocks import Region
from qdbjax.sweeps.configuration import difference
from qdbjax.sweeps.errors import ClusterError
from qdbjax.sweeps.store import SweepStore
from qdbjax.sweeps.worker import Order, compute, deliver, said_of_itself

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 3  # of a block whose computation raises; a worker that dies under it is counted by the scheduler
MISSING = 'a cluster needs distributed: pip install "qdbjax[cluster]"'
SAME = ("Python", "qdbjax", "JAX", "jaxlib")  # versions that client and workers must have in common


def checked_cluster(cluster: Any) -> Any:
    """A Client or the address of a scheduler. Raises TypeError or ValueError for what is neither."""
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ModuleNotFoundError(MISSING) from None
    if isinstance(cluster, str):
        if "://" not in cluster:
            raise ValueError(
                f"cluster must be the address of a Dask scheduler, as in 'tcp://10.0.0.1:8786'; got {cluster!r}."
            )
        return cluster
    if not isinstance(cluster, Client):
        raise TypeError(f"cluster must be a distributed.Client or the address of a scheduler; got {cluster!r}.")
    if cluster.asynchronous:
        raise ValueError("cluster must be a synchronous Client. Make it without asynchronous=True.")
    return cluster


def packed(fn: Callable, axes: dict[str, np.ndarray], name: str) -> bytes:
    """A sweep as it travels to workers. Raises TypeError for a function that cannot."""
    import cloudpickle

    try:
        return cloudpickle.dumps((fn, axes, name))
    except Exception as error:  # whatever an object in it raises
        raise TypeError(f"fn cannot be sent to workers ({type(error).__name__}: {error}).") from None


@contextlib.contextmanager
def workers_of(cluster: "Client | str", content: bytes, progress: bool | None) -> Iterator["Workers"]:
    """The workers of a cluster for a packed sweep within a `with` block. An address is connected to, and left again."""
    from distributed import Client

    if not isinstance(cluster, str):
        yield Workers(cluster, content, progress)
        return
    try:
        client = Client(cluster, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {cluster} ({error}). Start one with `dask scheduler`."
        ) from None
    try:
        yield Workers(client, content, progress)
    finally:
        log = logging.getLogger("distributed.client")  # shows a traceback where the scheduler is gone, which is said
        level = log.level
        log.setLevel(logging.CRITICAL)
        client.close()
        log.setLevel(level)


class Workers:
    """The workers of a Dask cluster, of which at least one is there.

    number: of them when the sweep began; more may come and go.
    platform, device: where they compute.
    Raises ClusterError for workers that differ from this process or have several threads.
    """

    def __init__(self, client: "Client", content: bytes, progress: bool | None):
        self.client, self.content = client, content
        scheduler: Any = client.scheduler
        self.address = scheduler.address
        if is_shown(progress) and not client.scheduler_info()["workers"]:
            print(f"waiting for a worker of {self.address}", file=sys.stderr)
        own, said = said_of_itself(), self._greeting()
        found = difference({name: own[name] for name in SAME}, {name: said[name] for name in SAME})
        if found is not None:
            raise ClusterError(f"{found}, on the workers of {self.address}. Give all of them one environment.")
        self.platform, self.device = said["platform"], said["device"]
        self.versions = {name: said[name] for name in (*SAME, "platform")}
        workers = client.scheduler_info()["workers"]
        self.number = max(1, len(workers))
        for address, each in workers.items():
            if each["nthreads"] > 1:
                raise ClusterError(
                    f"worker {address} has {each['nthreads']} threads, and a block keeps all cores busy by itself. "
                    "Start workers of one thread (`dask worker --nthreads 1`, LocalCluster(threads_per_worker=1))."
                )

    def _greeting(self) -> dict[str, str]:
        """What the first worker says of itself, which may have to wait for its turn in the queue of a batch system."""
        future = self.client.submit(said_of_itself, pure=False, retries=RETRIES)
        try:
            return self._result(future, lambda: "nothing has been computed")
        except (ImportError, AttributeError) as error:
            raise ClusterError(
                f"the workers of {self.address} cannot import qdbjax ({error}). Install it there."
            ) from None

    def compute(
        self, store: SweepStore, regions: Sequence[Region], left: Callable[[], str]
    ) -> Iterator[tuple[int, int]]:
        """Points and flagged points of every block, as they finish; left: what to say of the store on failure."""
        from distributed import as_completed

        delivered = self.client.submit(deliver, self._order(store), pure=False, retries=RETRIES)
        futures = [self.client.submit(compute, delivered, each, pure=False, retries=RETRIES) for each in regions]
        try:
            for future in as_completed(futures, loop=self.client.loop):
                yield self._result(future, left)
                future.release()
        finally:
            with contextlib.suppress(Exception):  # of a scheduler that is gone
                self.client.cancel([each for each in futures if each.status == "pending"])

    def _order(self, store: SweepStore) -> Order:
        told = [str(store.path), store.configuration, store.chunk, hashlib.sha256(self.content).hexdigest()]
        return Order(
            self.content,
            hashlib.sha256(json.dumps(told).encode()).hexdigest(),
            store.path,
            store.configuration,
            store.chunk,
            bool(setting("jax_enable_x64")),
            is_optimized(math.prod(store.shape)),
            self.versions,
        )

    def _result(self, future: "Future", left: Callable[[], str]) -> Any:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise ClusterError(
                f"{error.allowed_failures + 1} workers died of one block, the last one at {error.last_worker.address}; "
                f"{left()}. Look into its log (memory?), and resume with a smaller batch_size, or with more "
                "distributed.scheduler.allowed-failures."
            ) from None
        except ClusterError:
            raise
        except (OSError, CancelledError) as error:
            if future.status == "error":  # raised by the block; else it is the connection that broke
                said = getattr(error, "strerror", None) or error
                raise ClusterError(f"a worker fails with {said}; {left()}. Mend it, and resume.") from None
            raise ClusterError(
                f"the scheduler at {self.address} is gone, or has given up the sweep; {left()}. Start it, and resume."
            ) from None
