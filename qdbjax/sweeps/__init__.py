"""Sweeps: one function over the Cartesian product of named axes."""

from qdbjax.sweeps.sweep import sweep as sweep
