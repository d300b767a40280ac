"""Fitting: parameters, objectives, search, and how much to believe the result."""

from qdbjax.fitting.fitter import fit as fit
from qdbjax.fitting.objectives import (
    AbstractTerm as AbstractTerm,
    at_least as at_least,
    at_most as at_most,
    match as match,
    maximize as maximize,
    minimize as minimize,
    to_state as to_state,
)
from qdbjax.fitting.parameters import (
    Parameter as Parameter,
    bounded as bounded,
    hermitian as hermitian,
    leaves as leaves,
    positive as positive,
    real as real,
    simplex as simplex,
    trainable as trainable,
)
from qdbjax.fitting.pareto_front import ParetoFront as ParetoFront, pareto as pareto
from qdbjax.fitting.result import Fit as Fit, load_fit as load_fit
