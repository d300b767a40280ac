"""Solvers: from a generator to a state."""

from qdbjax.solvers.asymptotic import AsymptoticState as AsymptoticState, asymptotic_state as asymptotic_state
from qdbjax.solvers.correlations import correlation as correlation, correlation_spectrum as correlation_spectrum
from qdbjax.solvers.evolution import Account as Account, Evolution as Evolution
from qdbjax.solvers.evolve import evolve as evolve
from qdbjax.solvers.relaxation import (
    Relaxation as Relaxation,
    decay_rates as decay_rates,
    propagator as propagator,
    relaxation as relaxation,
)
from qdbjax.solvers.steady_state import (
    AbstractSolver as AbstractSolver,
    Auto as Auto,
    Dense as Dense,
    Populations as Populations,
    SteadyState as SteadyState,
    ZeroFrequencyBlock as ZeroFrequencyBlock,
    steady_state as steady_state,
)
