"""Equilibrium states in closed form, and what is read from any state: entropy and distances."""

from .distances import fidelity as fidelity, trace_distance as trace_distance
from .ensembles import (
    GrandCanonicalState as GrandCanonicalState,
    MicrocanonicalState as MicrocanonicalState,
    grand_canonical as grand_canonical,
    microcanonical as microcanonical,
    susceptibility as susceptibility,
)
from .entropy import relative_entropy as relative_entropy, von_neumann_entropy as von_neumann_entropy
from .generalized_gibbs_state import (
    GeneralizedGibbs as GeneralizedGibbs,
    generalized_gibbs as generalized_gibbs,
)
from .gibbs_state import GibbsState as GibbsState, gibbs as gibbs
from .mean_force_state import (
    MeanForce as MeanForce,
    mean_force as mean_force,
    ultrastrong_mean_force as ultrastrong_mean_force,
)
from .oscillator import DampedOscillator as DampedOscillator, damped_oscillator as damped_oscillator
from .state import State as State, expect as expect
from .weak_mean_force_state import weak_mean_force as weak_mean_force
