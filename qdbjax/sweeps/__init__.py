"""Sweeps: one function over the Cartesian product of named axes."""

from qdbjax.sweeps.dataset import sweep as sweep
from qdbjax.sweeps.errors import ClusterError as ClusterError, StoreError as StoreError
from qdbjax.sweeps.refine import Refine as Refine
