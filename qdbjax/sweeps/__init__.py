"""Sweeps: one function over the Cartesian product of named axes."""

from qdbjax.sweeps.exposure import exposed_to_deadlock as exposed_to_deadlock
from qdbjax.sweeps.sweep import sweep as sweep
