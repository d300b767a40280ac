"""Solvers: from a generator to a state."""

from qdbjax.solvers.abstract import AbstractSolver as AbstractSolver
from qdbjax.solvers.asymptotic import AsymptoticState as AsymptoticState, asymptotic_state as asymptotic_state
from qdbjax.solvers.auto import Auto as Auto
from qdbjax.solvers.correlations import correlation as correlation, correlation_spectrum as correlation_spectrum
from qdbjax.solvers.degenerate_block import DegenerateBlock as DegenerateBlock
from qdbjax.solvers.dense import Dense as Dense
from qdbjax.solvers.evolution import evolve as evolve
from qdbjax.solvers.integration import Account as Account, Evolution as Evolution
from qdbjax.solvers.populations import Populations as Populations
from qdbjax.solvers.relaxation_spectrum import (
    Relaxation as Relaxation,
    decay_rates as decay_rates,
    propagator as propagator,
    relaxation as relaxation,
)
from qdbjax.solvers.stationary import SteadyState as SteadyState, steady_state as steady_state
